//! Container instances that are left alone, and the reasons.

use standin::{CapacityProvider, Cluster, ContainerInstance, Environment, Fault, Instance, Standin};

use crate::{ID, crowd, failed, function, handled, notice, register, standin};

async fn skipped(aws: &Standin, function: &Environment, arn: &str, reason: &str) {
    let answer = handled(function, notice(ID, "terminate")).await;
    assert_eq!(answer["outcome"], "skipped", "{answer}");
    let found = &answer["containerInstances"][0];
    assert_eq!((&found["outcome"], &found["containerInstanceArn"]), (&"skipped".into(), &arn.into()), "{answer}");
    assert!(found["reason"].as_str().unwrap().contains(reason), "{answer}");
    assert_eq!(aws.writes().len(), 0);
    assert_eq!(aws.home().status(arn).as_deref(), Some("ACTIVE"));
}

#[tokio::test]
async fn ecs_managed_instances_are_always_skipped() {
    let settings = [("MANAGED_DRAINING", "override"), ("CLUSTERS", "auto")];
    for settings in [&settings[..], &[]] {
        let aws = standin().await;
        let home = aws.home();
        home.cluster(Cluster::new("auto").capacity_provider("mi"))
            .capacity_provider(CapacityProvider::managed_instances("mi", "auto"))
            .instance(Instance::new(ID).operator("ecs.amazonaws.com"));
        let arn = home.container_instance("auto", ContainerInstance::new(ID).capacity_provider("mi"));
        let function = function(&aws, settings).await;
        // Even if EC2 does not describe the instance.
        aws.fault(Fault::on("DescribeInstances").always().error(403, "UnauthorizedOperation", "no"));
        skipped(&aws, &function, &arn, "Managed Instances").await;
    }
}

#[tokio::test]
async fn nothing_is_changed_if_the_capacity_provider_can_not_be_read() {
    let aws = standin().await;
    let home = aws.home();
    home.cluster(Cluster::new("web").capacity_provider("cp"));
    home.container_instance("web", ContainerInstance::new(ID).capacity_provider("cp"));
    aws.fault(Fault::on("DescribeCapacityProviders").always().error(400, "AccessDeniedException", "no"));
    let function = function(&aws, &[]).await;
    let (error_type, message) = failed(&function, notice(ID, "terminate")).await;
    assert_eq!(error_type, "AccessDenied");
    assert!(message.contains("DescribeCapacityProviders"), "{message}");
    assert_eq!(aws.writes().len(), 0);
}

#[tokio::test]
async fn capacity_provider_counts_after_the_cluster_drops_it() {
    let aws = standin().await;
    let home = aws.home();
    home.cluster(Cluster::new("web")).capacity_provider(CapacityProvider::asg("cp", "group").managed_draining(true));
    let arn = home.container_instance("web", ContainerInstance::new(ID).capacity_provider("cp"));
    let function = function(&aws, &[]).await;
    skipped(&aws, &function, &arn, "managed draining").await;
}

#[tokio::test]
async fn deleted_capacity_provider_is_no_reason_to_skip() {
    let aws = standin().await;
    aws.home().container_instance("web", ContainerInstance::new(ID).capacity_provider("deleted"));
    let function = function(&aws, &[]).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
}

#[tokio::test]
async fn managed_draining_is_skipped_unless_overridden() {
    let aws = standin().await;
    let home = aws.home();
    home.cluster(Cluster::new("web").capacity_provider("cp"))
        .capacity_provider(CapacityProvider::asg("cp", "group").managed_draining(true));
    let arn = home.container_instance("web", ContainerInstance::new(ID).capacity_provider("cp"));
    let respecting = function(&aws, &[]).await;
    skipped(&aws, &respecting, &arn, "capacity provider cp").await;
    let overriding = function(&aws, &[("MANAGED_DRAINING", "override")]).await;
    assert_eq!(handled(&overriding, notice(ID, "terminate")).await["outcome"], "deregistered");
}

#[tokio::test]
async fn capacity_provider_without_managed_draining_is_no_reason_to_skip() {
    let aws = standin().await;
    let home = aws.home();
    home.cluster(Cluster::new("web").capacity_provider("cp"))
        .capacity_provider(CapacityProvider::asg("cp", "group").managed_draining(false));
    home.container_instance("web", ContainerInstance::new(ID).capacity_provider("cp"));
    let function = function(&aws, &[]).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
}

#[tokio::test]
async fn aws_batch_is_skipped_unless_its_cluster_is_named() {
    const CLUSTER: &str = "jobs_Batch_0a1b2c3d";
    let aws = standin().await;
    let arn = aws.home().container_instance(CLUSTER, ContainerInstance::new(ID));
    for settings in [&[][..], &[("CLUSTERS", "jobs*")]] {
        let function = function(&aws, settings).await;
        skipped(&aws, &function, &arn, "AWS Batch").await;
    }
    let named = function(&aws, &[("CLUSTERS", CLUSTER)]).await;
    assert_eq!(handled(&named, notice(ID, "terminate")).await["outcome"], "deregistered");
}

#[tokio::test]
async fn aws_batch_is_known_by_the_tag_of_its_cluster() {
    let aws = standin().await;
    aws.home().cluster(Cluster::new("jobs").tag("AWSBatchServiceTag", "batch"));
    let arn = aws.home().container_instance("jobs", ContainerInstance::new(ID));
    let function = function(&aws, &[]).await;
    skipped(&aws, &function, &arn, "AWS Batch").await;
}

#[tokio::test]
async fn clusters_excluded_by_settings_are_skipped() {
    for (settings, reason) in [
        ([("CLUSTERS", "prod-*")], "CLUSTERS"),
        ([("EXCLUDE_CLUSTERS", "we?")], "EXCLUDE_CLUSTERS"),
        ([("EXCLUDE_CLUSTERS", "*")], "EXCLUDE_CLUSTERS"),
    ] {
        let aws = standin().await;
        let (arn, _) = register(&aws.home(), "web");
        let function = function(&aws, &settings).await;
        skipped(&aws, &function, &arn, reason).await;
    }
}

#[tokio::test]
async fn hinted_cluster_that_is_not_included_is_reported() {
    let aws = standin().await;
    let (arn, _) = register(&aws.home(), "web");
    aws.home().instance(Instance::new(ID).user_data("#!/bin/sh\necho ECS_CLUSTER=web > /etc/ecs/ecs.config\n"));
    let function = function(&aws, &[("CLUSTERS", "api")]).await;
    skipped(&aws, &function, &arn, "CLUSTERS").await;
}

#[tokio::test]
async fn ecs_managed_instances_are_known_by_their_operator() {
    for clusters in [0, 5] {
        let aws = standin().await;
        crowd(&aws.home(), clusters);
        aws.home().instance(Instance::new(ID).operator("ecs.amazonaws.com"));
        let arn = aws.home().container_instance("auto", ContainerInstance::new(ID));
        let function = function(&aws, &[]).await;
        skipped(&aws, &function, &arn, "Managed Instances").await;
    }
}

#[tokio::test]
async fn deleted_capacity_provider_is_an_error_without_an_answer_of_ec2() {
    let aws = standin().await;
    aws.home().container_instance("web", ContainerInstance::new(ID).capacity_provider("gone"));
    let function = function(&aws, &[]).await;
    aws.fault(Fault::on("DescribeInstances").always().error(403, "UnauthorizedOperation", "no"));
    assert_eq!(failed(&function, notice(ID, "terminate")).await.0, "AccessDenied");
    assert_eq!(aws.writes().len(), 0);
}

#[tokio::test]
async fn aws_batch_is_known_by_the_tag_of_its_instance() {
    for clusters in [0, 5] {
        let aws = standin().await;
        crowd(&aws.home(), clusters);
        aws.home().instance(Instance::new(ID).tag("AWSBatchServiceTag", "batch"));
        let arn = aws.home().container_instance("jobs", ContainerInstance::new(ID));
        let function = function(&aws, &[]).await;
        skipped(&aws, &function, &arn, "AWS Batch").await;
    }
}

#[tokio::test]
async fn aws_batch_is_known_by_the_tag_of_an_unlisted_cluster() {
    let aws = standin().await;
    for n in 0..120 {
        aws.home().cluster(Cluster::new(format!("empty-{n}")));
    }
    aws.home().cluster(Cluster::new("jobs").tag("AWSBatchServiceTag", "batch"));
    aws.home().instance(Instance::new(ID).user_data("ECS_CLUSTER=jobs"));
    let arn = aws.home().container_instance("jobs", ContainerInstance::new(ID));
    let function = function(&aws, &[]).await;
    aws.fault(Fault::on("DescribeInstances").always().error(403, "UnauthorizedOperation", "no"));
    skipped(&aws, &function, &arn, "AWS Batch").await;
}

#[tokio::test]
async fn capacity_provider_may_be_given_by_arn() {
    let provider = "arn:aws:ecs:us-east-2:123456789012:capacity-provider/cp";
    let aws = standin().await;
    aws.home()
        .cluster(Cluster::new("web").capacity_provider(provider))
        .capacity_provider(CapacityProvider::asg("cp", "group").managed_draining(true));
    let arn = aws.home().container_instance("web", ContainerInstance::new(ID).capacity_provider(provider));
    let function = function(&aws, &[]).await;
    skipped(&aws, &function, &arn, "capacity provider cp").await;
}

#[tokio::test]
async fn excluded_cluster_takes_no_read_of_its_capacity_provider() {
    let aws = standin().await;
    let arn = aws.home().container_instance("web", ContainerInstance::new(ID).capacity_provider("cp"));
    aws.fault(Fault::on("DescribeCapacityProviders").always().error(400, "AccessDeniedException", "no"));
    let function = function(&aws, &[("EXCLUDE_CLUSTERS", "web")]).await;
    skipped(&aws, &function, &arn, "EXCLUDE_CLUSTERS").await;
}

#[tokio::test]
async fn aws_batch_is_known_by_the_name_or_tag_of_an_unknown_cluster() {
    for (name, has_tag) in [("AWSBatch-jobs-1a2b3c", true), ("AWSBatch-jobs-1a2b3c", false), ("queue", true)] {
        let aws = standin().await;
        let home = aws.home();
        crowd(&home, 130);
        let cluster = Cluster::new(name);
        home.cluster(if has_tag { cluster.tag("AWSBatchServiceTag", "batch") } else { cluster });
        home.instance(Instance::new(ID).user_data(format!("ECS_CLUSTER={name}")));
        let arn = home.container_instance(name, ContainerInstance::new(ID));
        let function = function(&aws, &[]).await;
        skipped(&aws, &function, &arn, "AWS Batch").await;
        aws.forget_calls();
        skipped(&aws, &function, &arn, "AWS Batch").await;
        assert_eq!(aws.calls_to("DescribeClusters").len(), 0, "once a process and cluster");
    }
}

#[tokio::test]
async fn hidden_instances_of_aws_services_are_skipped() {
    for (principal, reason) in [("ecs.amazonaws.com", "Managed Instances"), ("eks.amazonaws.com", "eks.amazonaws.com")]
    {
        for settings in [&[("MANAGED_DRAINING", "override"), ("CLUSTERS", "auto")][..], &[]] {
            let aws = standin().await;
            let home = aws.home();
            home.instance(Instance::new(ID).operator(principal));
            let arn = home.container_instance("auto", ContainerInstance::new(ID).capacity_provider("deleted"));
            let function = function(&aws, settings).await;
            skipped(&aws, &function, &arn, reason).await;
        }
    }
}
