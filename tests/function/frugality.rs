//! The number of calls and round trips that a notice takes.

use std::time::Duration;

use standin::{Call, CapacityProvider, Cluster, ContainerInstance, Instance, Standin};

use crate::{ID, OTHER, apis, crowd, function, handled, notice, register};

/// A stand-in so slow that calls which are made together are under way together, on a busy machine too.
async fn slow_standin() -> Standin {
    Standin::builder().latency(Duration::from_millis(100)).start().await.unwrap()
}

/// The longest chain of calls of which each began when the one before was answered.
fn round_trips(calls: &[Call]) -> usize {
    let mut calls: Vec<_> = calls.iter().map(|call| (call.finished, call.started)).collect();
    calls.sort();
    let mut last = None;
    calls
        .into_iter()
        .filter(|(finished, started)| {
            let follows = last.is_none_or(|last| last <= *started);
            if follows {
                last = Some(*finished);
            }
            follows
        })
        .count()
}

#[tokio::test]
async fn hint_takes_at_most_6_calls_and_4_round_trips() {
    for clusters in [5, 100, 1_000] {
        for hint in ["tag", "user-data", "asg", "group"] {
            let aws = slow_standin().await;
            let home = aws.home();
            crowd(&home, clusters);
            register(&home, "web");
            home.cluster(Cluster::new("web").capacity_provider("cp"))
                .capacity_provider(CapacityProvider::asg("cp", "group-7").managed_draining(false));
            let instance = |id| match hint {
                "tag" => Instance::new(id).tag("cluster", "web").asg("some-group"),
                "user-data" => Instance::new(id).user_data("#!/bin/sh\necho ECS_CLUSTER=web").asg("some-group"),
                _ => Instance::new(id).asg("group-7"),
            };
            home.instance(instance(ID)).instance(instance(OTHER));
            let settings: &[_] = if hint == "tag" { &[("CLUSTER_TAG", "cluster")] } else { &[] };
            let function = function(&aws, settings).await;
            // Beyond one page of clusters, a process knows its clusters only after it needed them once.
            if hint == "group" || (hint == "asg" && clusters > 99) {
                handled(&function, notice(OTHER, "terminate")).await;
                aws.forget_calls();
            }
            assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
            let calls = aws.calls();
            let case = format!("{hint}, {clusters} clusters: {:?}", apis(&calls));
            // A process reads the tags of an unknown cluster once, concurrently with other calls.
            let most = if hint == "user-data" && clusters > 99 { 6 } else { 5 };
            assert!(calls.len() <= most, "{case}");
            assert!(round_trips(&calls) <= 4, "{} in a row, {case}", round_trips(&calls));
        }
    }
}

#[tokio::test]
async fn scan_of_100_clusters_takes_at_most_16_calls() {
    for with_instance in 0..10 {
        let aws = slow_standin().await;
        let home = aws.home();
        for n in 0..90 {
            home.cluster(Cluster::new(format!("empty-{n}")));
        }
        crowd(&home, 10);
        home.instance(Instance::new(ID));
        home.container_instance(&format!("crowd-{with_instance}"), ContainerInstance::new(ID));
        let environment = crate::start(&aws, &[]).await;
        assert_eq!(handled(&environment, notice(ID, "terminate")).await["outcome"], "deregistered");
        // The warm-up is included: these are all calls of the process.
        let calls = aws.calls();
        assert!(calls.len() <= 16, "{:?}", apis(&calls));
        let empty = calls.iter().filter(|call| call.api == "ListContainerInstances");
        assert!(empty.clone().all(|call| !call.params["cluster"].as_str().unwrap().starts_with("empty")));
    }
}

#[tokio::test]
async fn one_or_two_clusters_are_scanned_at_once() {
    for clusters in 1..=2 {
        let aws = slow_standin().await;
        crowd(&aws.home(), clusters - 1);
        register(&aws.home(), "web");
        let function = function(&aws, &[]).await;
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
        let calls = aws.calls();
        assert!(calls.len() <= clusters + 3, "{:?}", apis(&calls));
        assert_eq!(round_trips(&calls), 3, "{:?}", apis(&calls));
        assert_eq!(aws.calls_to("DescribeInstanceAttribute").len(), 0);
    }
}
