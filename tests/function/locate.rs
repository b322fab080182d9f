//! The search for the cluster of an instance.

use std::time::Duration;

use standin::{CapacityProvider, Cluster, ContainerInstance, Fault, Instance, Standin};

use crate::{ID, OTHER, crowd, function, handled, listed, notice, register, standin};

/// A stand-in with many clusters, so that a hint pays, and the cluster that it leads to.
async fn crowded() -> (Standin, String, String) {
    let aws = standin().await;
    crowd(&aws.home(), 20);
    let (arn, other) = register(&aws.home(), "web");
    (aws, arn, other)
}

/// Interrupts the instance and expects that only the right cluster is listed.
async fn found_by_hint(aws: &Standin, settings: &[(&str, &str)], arn: &str) {
    let function = function(aws, settings).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    assert_eq!(listed(aws), ["web"]);
    assert_eq!(aws.home().status(arn).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn cluster_is_found_by_the_operators_tag() {
    let (aws, arn, _) = crowded().await;
    aws.home().instance(Instance::new(ID).tag("cluster", "web"));
    found_by_hint(&aws, &[("CLUSTER_TAG", "cluster")], &arn).await;
    assert_eq!(aws.calls_to("DescribeInstanceAttribute").len(), 0);
}

#[tokio::test]
async fn cluster_is_found_by_an_arn_in_the_operators_tag() {
    let (aws, arn, _) = crowded().await;
    aws.home().instance(Instance::new(ID).tag("cluster", "arn:aws:ecs:us-east-2:123456789012:cluster/web"));
    found_by_hint(&aws, &[("CLUSTER_TAG", "cluster")], &arn).await;
}

#[tokio::test]
async fn cluster_is_found_by_the_capacity_provider_of_the_auto_scaling_group() {
    let (aws, arn, _) = crowded().await;
    aws.home()
        .cluster(Cluster::new("web").capacity_provider("web-spot"))
        .capacity_provider(CapacityProvider::asg("web-spot", "group-7").managed_draining(false))
        .instance(Instance::new(ID).asg("group-7"));
    found_by_hint(&aws, &[], &arn).await;
}

#[tokio::test]
async fn cluster_is_found_by_user_data() {
    let (aws, arn, _) = crowded().await;
    aws.home().instance(Instance::new(ID).user_data("#!/bin/bash\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config\n"));
    found_by_hint(&aws, &[], &arn).await;
}

#[tokio::test]
async fn cluster_is_found_by_another_instance_of_the_group() {
    let (aws, arn, _) = crowded().await;
    let home = aws.home();
    home.instance(Instance::new(ID).asg("group-7")).instance(Instance::new(OTHER).asg("group-7"));
    let function = function(&aws, &[]).await;
    handled(&function, notice(OTHER, "terminate")).await;
    aws.forget_calls();
    handled(&function, notice(ID, "terminate")).await;
    assert_eq!(listed(&aws), ["web"]);
    assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(aws.calls_to("DescribeInstanceAttribute").len(), 0);

    // The group moves to another cluster. The miss costs one list, and happens once.
    for id in ["i-000000000000000a1", "i-000000000000000a2"] {
        home.instance(Instance::new(id).asg("group-7"));
        home.container_instance("crowd-3", ContainerInstance::new(id));
    }
    for (id, first) in [("i-000000000000000a1", "web"), ("i-000000000000000a2", "crowd-3")] {
        aws.forget_calls();
        assert_eq!(handled(&function, notice(id, "terminate")).await["outcome"], "deregistered");
        assert_eq!(listed(&aws)[0], first);
    }
    assert_eq!(listed(&aws).len(), 1);
}

#[tokio::test]
async fn wrong_hints_fall_back_to_scan() {
    let (aws, arn, other) = crowded().await;
    aws.home().instance(
        Instance::new(ID).asg("nobody").tag("cluster", "crowd-2").user_data("#!/bin/sh\necho ECS_CLUSTER=crowd-3\n"),
    );
    let function = function(&aws, &[("CLUSTER_TAG", "cluster")]).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    assert_eq!(listed(&aws)[..2], ["crowd-2", "crowd-3"]);
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(aws.home().status(&other).as_deref(), Some("ACTIVE"));
    // A cluster that was listed for a hint is not listed again.
    let mut clusters = listed(&aws);
    clusters.sort();
    clusters.dedup();
    assert_eq!(clusters.len(), listed(&aws).len());
}

#[tokio::test]
async fn throttled_or_denied_ec2_falls_back_to_scan() {
    let faults: [fn(&'static str) -> Fault; 2] = [
        |api| Fault::on(api).always().error(403, "UnauthorizedOperation", "You are not authorized."),
        |api| Fault::on(api).always().throttle(),
    ];
    for fault in faults {
        let aws = standin().await;
        crowd(&aws.home(), 4);
        let (arn, _) = register(&aws.home(), "web");
        let function = function(&aws, &[]).await;
        aws.fault(fault("DescribeInstances")).fault(fault("DescribeInstanceAttribute"));
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
        assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    }
}

#[tokio::test]
async fn instance_unknown_to_ec2_falls_back_to_scan() {
    let (aws, arn, _) = crowded().await;
    aws.home().forget_instance(ID);
    let function = function(&aws, &[]).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn scan_reads_all_pages_and_skips_empty_clusters() {
    let aws = Standin::builder()
        .page_size("ListClusters", 70)
        .page_size("ListContainerInstances", 1)
        .sparse_pages(true)
        .start()
        .await
        .unwrap();
    let home = aws.home();
    for n in 0..230 {
        home.cluster(Cluster::new(format!("empty-{n}")));
    }
    crowd(&home, 5);
    let (arn, _) = register(&home, "web");
    let second = home.container_instance("web", ContainerInstance::new(ID));
    let function = function(&aws, &[]).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    for arn in [&arn, &second] {
        assert_eq!(home.status(arn).as_deref(), Some("INACTIVE"));
    }
    assert!(listed(&aws).iter().all(|cluster| !cluster.starts_with("empty")), "{:?}", listed(&aws));
}

#[tokio::test]
async fn only_named_clusters_are_searched() {
    let (aws, arn, _) = crowded().await;
    let function = function(&aws, &[("CLUSTERS", "web,crowd-1")]).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    assert!(listed(&aws).iter().all(|cluster| cluster == "web" || cluster == "crowd-1"));
    assert_eq!(aws.calls_to("ListClusters").len(), 0);
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn cluster_created_after_the_warm_up_is_found() {
    let aws = standin().await;
    let function = function(&aws, &[]).await;
    // This is longer than "in none of the clusters" is relied on.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let (arn, _) = register(&aws.home(), "new");
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn instance_in_no_cluster_is_not_found() {
    for clusters in [0, 2, 12] {
        let aws = standin().await;
        crowd(&aws.home(), clusters);
        aws.home().instance(Instance::new(ID));
        let function = function(&aws, &[]).await;
        let answer = handled(&function, notice(ID, "terminate")).await;
        assert_eq!(answer["outcome"], "not-found");
        assert_eq!(answer.get("containerInstances"), None);
        assert_eq!(aws.writes().len(), 0);
    }
}

#[tokio::test]
async fn instance_without_user_data_is_not_taken_for_default() {
    let aws = standin().await;
    let home = aws.home();
    let other = home.container_instance("default", ContainerInstance::new(OTHER));
    home.instance(Instance::new(ID));
    crowd(&home, 5);
    let function = function(&aws, &[]).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "not-found");
    assert_eq!(home.status(&other).as_deref(), Some("ACTIVE"));
}

#[tokio::test]
async fn undescribed_clusters_are_scanned() {
    let denied = || Fault::on("DescribeClusters").always().error(400, "AccessDeniedException", "not authorized");
    let of_one = |body: &serde_json::Value| body["clusters"].to_string().contains("crowd-1");
    for fault in [denied(), denied().matching(of_one)] {
        let aws = standin().await;
        aws.fault(fault);
        crowd(&aws.home(), 3);
        let (arn, _) = register(&aws.home(), "web");
        let function = function(&aws, &[("EXCLUDE_CLUSTERS", "crowd-2")]).await;
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
        assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
        assert!(!listed(&aws).contains(&"crowd-2".to_owned()), "{:?}", listed(&aws));
    }
}

#[tokio::test]
async fn auto_scaling_group_name_may_contain_slashes() {
    let aws = standin().await;
    let home = aws.home();
    crowd(&home, 60);
    let (arn, _) = register(&home, "web");
    home.cluster(Cluster::new("web").capacity_provider("web-spot"))
        .capacity_provider(CapacityProvider::asg("web-spot", "team/web-asg").managed_draining(false))
        .instance(Instance::new(ID).asg("team/web-asg"));
    found_by_hint(&aws, &[], &arn).await;
    assert!(aws.calls().len() <= 6, "{:?}", aws.calls_by_api());
}
