//! Target groups.

use serde_json::json;
use standin::{
    Bucket, FargateTask, Fault, Quotas, Region, Service, Standin, Target, TargetGroup, Task, TaskDefinition,
};

use crate::client::Reply;
use crate::paused::{Paused, pass, seconds};

const ELB: &str = "elasticloadbalancing";

async fn deregister(paused: &Paused, group: &str, targets: &[(&str, u16)]) -> Reply {
    let target =
        |(n, (id, port)): (usize, &(&str, u16))| format!("&Targets.member.{n}.Id={id}&Targets.member.{n}.Port={port}");
    let targets = (1..).zip(targets).map(target).collect::<Vec<_>>().concat();
    let arn = paused.home.target_group_arn(group);
    paused.query(ELB, &format!("DeregisterTargets&TargetGroupArn={arn}{targets}")).await
}

async fn health(paused: &Paused, group: &str, more: &str) -> Reply {
    let query = format!("DescribeTargetHealth&TargetGroupArn={}{more}", paused.home.target_group_arn(group));
    paused.query(ELB, &query).await
}

/// The only target that is registered.
fn registered(home: &Region, group: &str) -> Option<Target> {
    home.targets(group).into_iter().find(|target| !target.draining)
}

async fn blue_green() -> (Paused, String) {
    let paused = Paused::start().await;
    paused.home.task_definition(TaskDefinition::new("web").awsvpc());
    let service = Service::new("web", 1).target_group("blue", "app", 8080).alternate_target_group("green");
    paused.home.service("web", service.task_definition("web").capacity_provider("FARGATE_SPOT"));
    let task = paused.home.fargate_task("web", FargateTask::new(Task::of_service("web")));
    (paused, task)
}

#[tokio::test(start_paused = true)]
async fn service_names_both_target_groups() {
    let (paused, _) = blue_green().await;
    let service = paused.ecs("DescribeServices", json!({"services": ["web"]})).await["services"][0].clone();
    let balancer = &service["loadBalancers"][0];
    assert_eq!(balancer["targetGroupArn"], json!(paused.home.target_group_arn("blue")));
    assert_eq!((&balancer["containerName"], &balancer["containerPort"]), (&json!("app"), &json!(8080)));
    let alternate = &balancer["advancedConfiguration"]["alternateTargetGroupArn"];
    assert_eq!(*alternate, json!(paused.home.target_group_arn("green")));
    assert_eq!(service["capacityProviderStrategy"][0]["capacityProvider"], "FARGATE_SPOT");
    assert_eq!(service.get("launchType"), None);
}

#[tokio::test(start_paused = true)]
async fn task_is_registered_and_leaves_when_it_is_deregistered() {
    let (paused, task) = blue_green().await;
    let target = registered(&paused.home, "blue").unwrap();
    assert_eq!((target.port, paused.home.targets("green").len()), (8080, 0));
    assert_eq!(health(&paused, "blue", "").await.xml("State"), Some("healthy"));
    paused.home.interrupt_task(&task);
    pass(0.5).await;
    // It is idempotent, also in the other group and for unknown targets; the port has to be named.
    assert_eq!(deregister(&paused, "blue", &[(&target.id, 80)]).await.status, 200);
    assert!(registered(&paused.home, "blue").is_some());
    for group in ["blue", "blue", "green"] {
        assert_eq!(deregister(&paused, group, &[(&target.id, 8080), ("10.9.9.9", 1)]).await.status, 200);
    }
    assert_eq!(health(&paused, "blue", "").await.xml("State"), Some("draining"));
    pass(29.5).await;
    let fate = paused.home.fates().remove(0);
    assert_eq!(
        (fate.deregistered, fate.sigterm_with_traffic, fate.with_traffic),
        (Some(std::time::Duration::from_millis(500)), true, false)
    );
    pass(270.5).await;
    let one = format!("&Targets.member.1.Id={}&Targets.member.1.Port=8080", target.id);
    let unused = health(&paused, "blue", &one).await;
    assert_eq!((unused.xml("State"), unused.xml("Reason")), (Some("unused"), Some("Target.NotRegistered")));
    assert_eq!(health(&paused, "blue", "").await.count("State"), 0);
    assert!(paused.aws.calls_to("DeregisterTargets").iter().all(standin::Call::is_write));
}

#[tokio::test(start_paused = true)]
async fn ecs_deregisters_after_sigterm() {
    let (paused, task) = blue_green().await;
    paused.home.interrupt_task(&task);
    assert!(registered(&paused.home, "blue").is_some());
    pass(5.0).await;
    assert!(registered(&paused.home, "blue").is_none());
    assert_eq!(paused.home.fates()[0].deregistered, Some(seconds(5)));
}

#[tokio::test(start_paused = true)]
async fn task_in_two_groups_gets_requests_until_it_has_left_both() {
    let (paused, task) = blue_green().await;
    let ip = registered(&paused.home, "blue").unwrap().id;
    paused.home.register_target("green", &ip, 8080);
    deregister(&paused, "blue", &[(&ip, 8080)]).await;
    paused.home.interrupt_task(&task);
    assert!(paused.home.fates()[0].sigterm_with_traffic);

    let (paused, task) = blue_green().await;
    let ip = registered(&paused.home, "blue").unwrap().id;
    deregister(&paused, "blue", &[(&ip, 8080)]).await;
    paused.home.interrupt_task(&task);
    assert!(!paused.home.fates()[0].sigterm_with_traffic);
}

#[tokio::test(start_paused = true)]
async fn impossible_targets_are_rejected() {
    let paused = Paused::start().await;
    let home = &paused.home;
    home.target_group(TargetGroup::new("hosts").of_instances().port(443).deregistration_delay(seconds(9)));
    let arn = home.target_group(TargetGroup::new("ips"));
    assert_eq!(arn, "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/ips/0123456789abcdef");
    home.register_target("hosts", "i-1", 443);
    for (group, id, code) in [
        ("ips", "i-1", "InvalidTarget"),
        ("hosts", "10.0.0.1", "InvalidTarget"),
        ("nope", "10.0.0.1", "TargetGroupNotFound"),
    ] {
        let reply = deregister(&paused, group, &[(id, 80)]).await;
        assert_eq!((reply.status, reply.xml("Code")), (400, Some(code)));
    }
    assert_eq!(deregister(&paused, "ips", &[]).await.xml("Code"), Some("ValidationError"));
    assert_eq!(paused.query(ELB, "DescribeLoadBalancers").await.xml("Code"), Some("InvalidAction"));
    // Without a port, it is that of the target group.
    let query = format!("DeregisterTargets&TargetGroupArn={}&Targets.member.1.Id=i-1", home.target_group_arn("hosts"));
    assert_eq!(paused.query(ELB, &query).await.status, 200);
    assert!(home.targets("hosts")[0].draining);
    pass(9.0).await;
    assert!(home.targets("hosts").is_empty());
}

#[tokio::test(start_paused = true)]
async fn calls_share_a_quota() {
    let paused = Paused::with(Standin::builder().quotas(Quotas::aws()).start().await.unwrap());
    paused.home.target_group(TargetGroup::new("ips"));
    let mut writes = 0;
    while deregister(&paused, "ips", &[("10.0.0.1", 80)]).await.status == 200 {
        writes += 1;
    }
    assert_eq!(writes, 20);
    let throttled = deregister(&paused, "ips", &[("10.0.0.1", 80)]).await;
    assert_eq!((throttled.status, throttled.xml("Code")), (400, Some("ThrottlingException")));
    assert!(paused.aws.calls().last().unwrap().is_throttled());
    assert_eq!(paused.aws.calls()[0].bucket(), Some(Bucket::ElbModify));
    let mut reads = 0;
    while health(&paused, "ips", "").await.status == 200 {
        reads += 1;
    }
    // 40 of all kinds, 22 of them writes.
    assert_eq!(reads, 18);
    pass(1.0).await;
    let mut writes = 0;
    while deregister(&paused, "ips", &[("10.0.0.1", 80)]).await.status == 200 {
        writes += 1;
    }
    assert_eq!(writes, 4);
}

#[tokio::test(start_paused = true)]
async fn faults_speak_the_language_of_the_service() {
    let paused = Paused::start().await;
    paused.home.target_group(TargetGroup::new("ips"));
    paused.aws.fault(Fault::on("DeregisterTargets").times(1).status(503));
    let failed = deregister(&paused, "ips", &[("10.0.0.1", 80)]).await;
    assert_eq!((failed.status, failed.xml("Code")), (503, Some("ServiceUnavailable")));
    assert!(
        failed.body.starts_with("<ErrorResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">")
    );
}
