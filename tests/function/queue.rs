//! Notices in batches from a queue.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use standin::{Answer, ContainerInstance, Environment, Fault, Instance, Standin};

use crate::{ID, OTHER, crowd, function, notice, notice_of, register, standin, start};

/// A batch as Lambda delivers it: each message's id is its index.
fn batch(bodies: &[Value]) -> Value {
    let record = |(at, body): (usize, &Value)| {
        let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        json!({ "messageId": at.to_string(), "body": body, "eventSource": "aws:sqs", "awsRegion": "us-east-2" })
    };
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
}

/// Sends a batch. Returns the indexes of the messages that failed.
async fn failed_messages(function: &Environment, bodies: &[Value]) -> Vec<usize> {
    let Answer::Ok(answer) = function.invoke(batch(bodies)).await.unwrap() else { panic!("{:?}", function.logs()) };
    let failures = answer["batchItemFailures"].as_array().unwrap_or_else(|| panic!("{answer}"));
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().parse().unwrap()).collect()
}

/// Creates this many instances in each of this many clusters, and returns a notice for each.
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
async fn malformed_message_fails_alone() {
    let aws = standin().await;
    let (arn, other) = register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    let mut ignored = notice(ID, "terminate");
    ignored["detail-type"] = json!("EC2 Instance Rebalance Recommendation");
    let bodies = [json!("not json"), notice("web-1", "terminate"), notice(ID, "terminate"), json!({}), ignored];
    assert_eq!(failed_messages(&function, &bodies).await, [0, 1, 3]);
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(aws.home().status(&other).as_deref(), Some("ACTIVE"));
}

#[tokio::test]
async fn empty_batch_succeeds() {
    let aws = standin().await;
    let function = function(&aws, &[]).await;
    assert!(failed_messages(&function, &[]).await.is_empty());
    assert_eq!(aws.calls().len(), 0);
}

#[tokio::test]
async fn termination_wins_over_other_notices_of_the_instance() {
    let aws = standin().await;
    let (arn, _) = register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    let bodies = [notice(ID, "stop"), notice(ID, "terminate"), notice(ID, "terminate")];
    assert!(failed_messages(&function, &bodies).await.is_empty());
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(aws.writes().len(), 1);
}

#[tokio::test]
async fn batch_may_mix_regions_and_actions() {
    let aws = standin().await;
    let (home, there) = (aws.home(), aws.region("123456789012", "eu-west-1"));
    let terminated = home.container_instance("web", ContainerInstance::new(ID));
    let stopped = there.container_instance("web", ContainerInstance::new(OTHER));
    let function = function(&aws, &[]).await;
    let mut of_there = notice(OTHER, "stop");
    of_there["region"] = json!("eu-west-1");
    assert!(failed_messages(&function, &[notice(ID, "terminate"), of_there]).await.is_empty());
    assert_eq!(home.status(&terminated).as_deref(), Some("INACTIVE"));
    assert_eq!(there.status(&stopped).as_deref(), Some("DRAINING"));
}

#[tokio::test]
async fn rejected_container_instance_fails_alone() {
    let aws = standin().await;
    let notices = fleet(&aws, 1, 25);
    let refused = aws.home().container_instances()[7].clone();
    let function = function(&aws, &[("STRATEGY", "drain")]).await;
    aws.fault(Fault::on("UpdateContainerInstancesState").always().failure_of(&refused.arn, "NOT_TODAY"));
    let at = notices.iter().position(|notice| notice["detail"]["instance-id"] == refused.ec2_instance_id.as_str());
    assert_eq!(failed_messages(&function, &notices).await, [at.unwrap()]);
    let active = aws.home().container_instances().into_iter().filter(|found| found.status == "ACTIVE");
    assert_eq!(active.map(|found| found.arn).collect::<Vec<_>>(), [refused.arn]);
}

#[tokio::test]
async fn earliest_deadline_goes_first() {
    let aws = standin().await;
    let mut notices = fleet(&aws, 1, 150);
    let last = notices.len() - 1;
    let id = notices[last]["detail"]["instance-id"].as_str().unwrap().to_owned();
    notices[last] = notice_of(&id, "terminate", Duration::from_mins(1));
    let function = function(&aws, &[]).await;
    assert!(failed_messages(&function, &notices).await.is_empty());
    let found = aws.home().container_instances().into_iter().find(|found| found.ec2_instance_id == id).unwrap();
    let writes = aws.writes();
    let at = writes.iter().position(|call| call.params["containerInstance"] == found.arn.as_str());
    assert!(at.unwrap() < 16, "{at:?} of {}", writes.len());
}

#[tokio::test]
async fn rejected_filter_is_split() {
    let aws = Standin::builder().max_filter_values(20).start().await.unwrap();
    let notices = fleet(&aws, 4, 20);
    let function = function(&aws, &[]).await;
    assert!(failed_messages(&function, &notices).await.is_empty());
    assert_eq!(statuses(&aws), BTreeSet::from(["INACTIVE".to_owned()]));
}

#[tokio::test]
async fn unreadable_cluster_fails_only_instances_not_found() {
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
    assert_eq!(failed_messages(&function, &notices).await, [20]);
    assert_eq!(aws.writes().len(), 20);
}

#[tokio::test]
async fn killed_process_loses_no_notice() {
    for strategy in ["deregister", "drain"] {
        let aws = Standin::builder().latency(Duration::from_millis(100)).start().await.unwrap();
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
        assert!(failed_messages(&next, &notices).await.is_empty());
        let status = if strategy == "drain" { "DRAINING" } else { "INACTIVE" };
        assert_eq!(statuses(&aws), BTreeSet::from([status.to_owned()]));
    }
}
