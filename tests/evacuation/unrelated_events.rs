//! Events of other instances beside the notices of ECS instances, delivered directly: each event starts a process of
//! its own.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use standin::{ContainerInstance, Instance, Quotas, Standin, notice};
use tokio::time::{Instant, sleep};

use crate::{in_process::Process, start};

const CLUSTERS: usize = 40;

/// Handles notices for 10 of 40 ECS instances, and other events within 5 s. Returns when the last of the 10 was
/// handled, and the answers to the other events.
async fn handle_with(aws: &Arc<Standin>, others: Vec<Value>) -> (Duration, Vec<Value>) {
    let home = aws.home();
    let ids: Vec<_> = (0..CLUSTERS).map(|n| format!("i-{n:017x}")).collect();
    for (n, id) in ids.iter().enumerate() {
        home.instance(Instance::new(id).user_data(format!("ECS_CLUSTER=cluster-{n}")));
        home.container_instance(&format!("cluster-{n}"), ContainerInstance::new(id));
    }
    let notices = ids[..10].iter().map(|id| home.interrupt(id, "terminate")).collect();
    let started = Instant::now();
    let handle = async |(n, of, event): (usize, usize, Value)| {
        sleep(Duration::from_secs(5) * u32::try_from(n).unwrap() / u32::try_from(of).unwrap()).await;
        let process = Process::start(aws, &[]).await;
        let answer = process.invoke(&event).await.unwrap();
        (answer, started.elapsed())
    };
    let all = |events: Vec<Value>| {
        let of = events.len();
        join_all(events.into_iter().enumerate().map(move |(n, event)| handle((n, of, event))))
    };
    let (ecs, others) = tokio::join!(all(notices), all(others));
    assert!(ecs.iter().all(|(answer, _)| answer["outcome"] == "deregistered"));
    (ecs.into_iter().map(|(_, at)| at).max().unwrap(), others.into_iter().map(|(answer, _)| answer).collect())
}

#[tokio::test(start_paused = true)]
async fn eks_nodes_take_only_ec2_calls_and_do_not_delay_ecs_instances() {
    let aws = start(Standin::builder().quotas(Quotas::aws())).await;
    let home = aws.home();
    let nodes = (0..100).map(|n| {
        let id = format!("i-eeee{n:013x}");
        home.instance(Instance::new(&id).tag("aws:eks:cluster-name", "web"));
        home.interrupt(&id, "terminate")
    });
    let (last, answers) = handle_with(&aws, nodes.collect()).await;
    assert!(answers.iter().all(|answer| answer["outcome"] == "skipped"), "{answers:?}");
    assert!(last < Duration::from_secs(10), "{last:?}");
    assert_eq!(aws.calls_to("ListContainerInstances").len(), 10, "only those of ECS: {:?}", aws.calls_by_api());
    // Two calls each, of which a cold process makes one for user data, and those that were throttled.
    let calls = aws.calls_by_api();
    assert!(calls["DescribeInstances"] + calls["DescribeInstanceAttribute"] <= 300, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn launches_are_not_searched_for_and_do_not_delay_ecs_instances() {
    let aws = start(Standin::builder().quotas(Quotas::aws())).await;
    let home = aws.home();
    let now = SystemTime::now();
    let launches = (0..300).map(|n| {
        let id = format!("i-aaaa{n:013x}");
        home.instance(Instance::new(&id).launched(now).attached(now));
        let mut event = notice(&home, &id, "terminate", now);
        event["detail-type"] = "EC2 Instance State-change Notification".into();
        event["detail"] = json!({ "instance-id": id, "state": "running" });
        event
    });
    let (last, answers) = handle_with(&aws, launches.collect()).await;
    assert!(answers.iter().all(|answer| answer["outcome"] == "not-found"), "{answers:?}");
    assert!(last < Duration::from_secs(10), "{last:?}");
    let calls = aws.calls_by_api();
    assert_eq!(calls["ListContainerInstances"], 10, "only those of ECS: {calls:?}");
    // One call each, and those that were throttled; nobody waits for a launch.
    assert!(calls["DescribeInstances"] <= 620, "{calls:?}");
    assert!(calls["ListClusters"] <= 310, "one for each process: {calls:?}");
}
