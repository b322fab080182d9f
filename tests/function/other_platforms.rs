//! Instances of other platforms than ECS.

use standin::{Instance, Standin};

use crate::{ID, OTHER, apis, crowd, function, handled, notice, register, standin};

/// The tags of other platforms, and the outcome and what the reason names.
const MARKS: [(&str, &str, &str); 6] = [
    ("aws:eks:cluster-name", "skipped", "EKS_CLUSTERS"),
    ("eks:cluster-name", "skipped", "EKS_CLUSTERS"),
    ("eks:eks-cluster-name", "skipped", "EKS_CLUSTERS"),
    ("kubernetes.io/cluster/web", "skipped", "EKS_CLUSTERS"),
    ("aws:elasticmapreduce:job-flow-id", "not-found", "Amazon EMR"),
    ("aws:elasticmapreduce:instance-group-role", "not-found", "Amazon EMR"),
];

async fn crowded(clusters: usize) -> Standin {
    let aws = standin().await;
    crowd(&aws.home(), clusters);
    aws
}

#[tokio::test]
async fn instance_of_another_platform_takes_no_ecs_call() {
    for (tag, outcome, named) in MARKS {
        let aws = crowded(40).await;
        aws.home().instance(Instance::new(ID).tag(tag, "x").asg("group").user_data("ECS_CLUSTER=crowd-1"));
        let function = function(&aws, &[]).await;
        let answer = handled(&function, notice(ID, "terminate")).await;
        assert_eq!(answer["outcome"], outcome, "{tag}");
        assert!(answer["reason"].as_str().unwrap().contains(named), "{answer}");
        let calls = aws.calls();
        // A cold process reads user data concurrently with the description, which saves a round trip if it names a
        // cluster.
        assert!(calls.len() <= 2 && calls.iter().all(|call| call.api.starts_with("DescribeInstance")), "{calls:?}");
    }
}

#[tokio::test]
async fn instance_of_another_platform_takes_one_call_in_a_warm_process() {
    for clusters in [0, 1, 2, 40] {
        let aws = crowded(clusters).await;
        for id in [ID, OTHER] {
            aws.home().instance(Instance::new(id).operator("eks.amazonaws.com"));
        }
        let function = function(&aws, &[]).await;
        handled(&function, notice(OTHER, "terminate")).await;
        aws.forget_calls();
        let answer = handled(&function, notice(ID, "terminate")).await;
        assert_eq!(answer["outcome"], "skipped");
        assert!(answer["reason"].as_str().unwrap().contains("eks.amazonaws.com"), "{answer}");
        assert_eq!(apis(&aws.calls()), ["DescribeInstances"], "{clusters} clusters");
    }
}

#[tokio::test]
async fn ecs_instance_is_found_after_one_of_another_platform() {
    for clusters in [1, 20] {
        let aws = crowded(clusters).await;
        aws.home().instance(Instance::new("i-1234abcd").tag("aws:eks:cluster-name", "x"));
        let (arn, other) = register(&aws.home(), "web");
        let function = function(&aws, &[]).await;
        handled(&function, notice("i-1234abcd", "terminate")).await;
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
        assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
        assert_eq!(aws.home().status(&other).as_deref(), Some("ACTIVE"));
    }
}
