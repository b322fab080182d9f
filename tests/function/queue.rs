//! Notices that come in batches, from a queue.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use standin::{Answer, ContainerInstance, Environment, Fault, Instance, Standin};

use crate::{ID, OTHER, crowd, function, notice, notice_of, register, standin, start};

/// A batch as Lambda hands it over: each message's id is its place.
fn batch(bodies: &[Value]) -> Value {
    let record = |(at, body): (usize, &Value)| {
        let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        json!({ "messageId": at.to_string(), "body": body, "eventSource": "aws:sqs", "awsRegion": "us-east-2" })
    };
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
}

/// Sends a batch; gives the places of the messages that were handed back.
async fn handed_back(function: &Environment, bodies: &[Value]) -> Vec<usize> {
    let Answer::Ok(answer) = function.invoke(batch(bodies)).await.unwrap() else { panic!("{:?}", function.logs()) };
    let failures = answer["batchItemFailures"].as_array().unwrap_or_else(|| panic!("{answer}"));
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().parse().unwrap()).collect()
}

/// Instances, so many in each of so many clusters, and a notice for each.
fn fleet(aws: &Standin, clusters: usize, in_each: usize) -> Vec<Value> {
    let home = aws.home();
    let mut notices = Vec::new();
    for cluster in 0..clusters {
        for n in 0..in_each {
            let id = format!("i-{cluster:08x}{n:09x}");
            home.instance(Instance::new(&id).asg(format!("group-{cluster}")));
            home.container_instance(&format!("cluster-{cluster}"), ContainerInstance::new(&id));
            notices.push(notice(&id, "terminate"));
        }
    }
    notices
}

fn statuses(aws: &Standin) -> BTreeSet<String> {
    aws.home().container_instances().into_iter().map(|found| found.status).collect()
}

#[tokio::test]
async fn a_message_that_is_malformed_fails_alone() {
    let aws = standin().await;
    let (arn, other) = register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    let mut ignored = notice(ID, "terminate");
    ignored["detail-type"] = json!("EC2 Instance Rebalance Recommendation");
    let bodies = [json!("not json"), notice("web-1", "terminate"), notice(ID, "terminate"), json!({}), ignored];
    assert_eq!(handed_back(&function, &bodies).await, [0, 1, 3]);
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(aws.home().status(&other).as_deref(), Some("ACTIVE"));
}

#[tokio::test]
async fn an_empty_batch_is_a_success() {
    let aws = standin().await;
    let function = function(&aws, &[]).await;
    assert!(handed_back(&function, &[]).await.is_empty());
    assert_eq!(aws.calls().len(), 0);
}

#[tokio::test]
async fn of_several_notices_for_one_instance_a_termination_counts() {
    let aws = standin().await;
    let (arn, _) = register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    let bodies = [notice(ID, "stop"), notice(ID, "terminate"), notice(ID, "terminate")];
    assert!(handed_back(&function, &bodies).await.is_empty());
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(aws.writes().len(), 1);
}

#[tokio::test]
async fn several_regions_and_actions_in_one_batch() {
    let aws = standin().await;
    let (home, there) = (aws.home(), aws.region("123456789012", "eu-west-1"));
    let terminated = home.container_instance("web", ContainerInstance::new(ID));
    let stopped = there.container_instance("web", ContainerInstance::new(OTHER));
    let function = function(&aws, &[]).await;
    let mut of_there = notice(OTHER, "stop");
    of_there["region"] = json!("eu-west-1");
    assert!(handed_back(&function, &[notice(ID, "terminate"), of_there]).await.is_empty());
    assert_eq!(home.status(&terminated).as_deref(), Some("INACTIVE"));
    assert_eq!(there.status(&stopped).as_deref(), Some("DRAINING"));
}

#[tokio::test]
async fn a_container_instance_that_is_refused_fails_alone() {
    let aws = standin().await;
    let notices = fleet(&aws, 1, 25);
    let refused = aws.home().container_instances()[7].clone();
    let function = function(&aws, &[("STRATEGY", "drain")]).await;
    aws.fault(Fault::on("UpdateContainerInstancesState").always().failure_of(&refused.arn, "NOT_TODAY"));
    let at = notices.iter().position(|notice| notice["detail"]["instance-id"] == refused.ec2_instance_id.as_str());
    assert_eq!(handed_back(&function, &notices).await, [at.unwrap()]);
    let active = aws.home().container_instances().into_iter().filter(|found| found.status == "ACTIVE");
    assert_eq!(active.map(|found| found.arn).collect::<Vec<_>>(), [refused.arn]);
}

#[tokio::test]
async fn a_batch_shares_its_calls() {
    for (strategy, most_for_ten) in [("drain", 5), ("deregister", 15)] {
        let aws = standin().await;
        let notices = fleet(&aws, 10, 40);
        let function = function(&aws, &[("STRATEGY", strategy)]).await;
        aws.set_quotas(standin::Quotas::aws());
        assert!(handed_back(&function, &notices).await.is_empty());
        let status = if strategy == "drain" { "DRAINING" } else { "INACTIVE" };
        assert_eq!(statuses(&aws), BTreeSet::from([status.to_owned()]));
        let calls = aws.calls();
        assert!(calls.len() * 10 <= most_for_ten * notices.len(), "{:?}", aws.calls_by_api());
        // A machine that is busy delays calls, which looks like a larger quota: trying that is throttled once.
        let throttled = calls.iter().filter(|call| call.is_throttled()).count();
        assert!(throttled <= 40, "the pace keeps below the quotas: {throttled} of {:?}", aws.calls_by_api());
    }
}

#[tokio::test]
async fn those_that_end_first_go_first() {
    let aws = standin().await;
    let mut notices = fleet(&aws, 1, 150);
    let last = notices.len() - 1;
    let id = notices[last]["detail"]["instance-id"].as_str().unwrap().to_owned();
    notices[last] = notice_of(&id, "terminate", Duration::from_mins(1));
    let function = function(&aws, &[]).await;
    assert!(handed_back(&function, &notices).await.is_empty());
    let found = aws.home().container_instances().into_iter().find(|found| found.ec2_instance_id == id).unwrap();
    let writes = aws.writes();
    let at = writes.iter().position(|call| call.params["containerInstance"] == found.arn.as_str());
    assert!(at.unwrap() < 16, "{at:?} of {}", writes.len());
}

#[tokio::test]
async fn a_filter_that_is_refused_is_split() {
    let aws = Standin::builder().max_filter_values(20).start().await.unwrap();
    let notices = fleet(&aws, 4, 20);
    let function = function(&aws, &[]).await;
    assert!(handed_back(&function, &notices).await.is_empty());
    assert_eq!(statuses(&aws), BTreeSet::from(["INACTIVE".to_owned()]));
}

#[tokio::test]
async fn a_cluster_that_cannot_be_read_hands_back_what_was_not_found() {
    let aws = standin().await;
    let mut notices = fleet(&aws, 4, 5);
    crowd(&aws.home(), 1);
    notices.push(notice("i-0000000000000000f", "terminate"));
    let function = function(&aws, &[]).await;
    let of_crowd = |params: &Value| params["cluster"] == "crowd-0";
    aws.fault(Fault::on("ListContainerInstances").matching(of_crowd).always().error(
        400,
        "AccessDeniedException",
        "no",
    ));
    assert_eq!(handed_back(&function, &notices).await, [20]);
    assert_eq!(aws.writes().len(), 20);
}

#[tokio::test]
async fn a_process_that_is_killed_loses_nothing() {
    for strategy in ["deregister", "drain"] {
        let aws = Standin::builder().latency(Duration::from_millis(10)).start().await.unwrap();
        let notices = fleet(&aws, 10, 20);
        let killed = start(&aws, &[("STRATEGY", strategy)]).await;
        killed.ready().await.unwrap();
        let in_the_middle = async {
            while aws.writes().len() < 5 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            killed.kill();
        };
        let (answer, ()) = tokio::join!(killed.invoke(batch(&notices)), in_the_middle);
        assert!(answer.is_err(), "{answer:?}");
        assert!(statuses(&aws).contains("ACTIVE"), "it was killed too late");
        let next = function(&aws, &[("STRATEGY", strategy)]).await;
        assert!(handed_back(&next, &notices).await.is_empty());
        let status = if strategy == "drain" { "DRAINING" } else { "INACTIVE" };
        assert_eq!(statuses(&aws), BTreeSet::from([status.to_owned()]));
    }
}
