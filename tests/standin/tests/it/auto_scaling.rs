//! Auto Scaling groups.

use standin::{AutoScalingGroup, Bucket, Call, ContainerInstance, Fault, Instance, LifecycleHook, TargetGroup, Task};

use crate::client::Reply;
use crate::paused::{ID, Paused, pass, seconds};

const OTHER: &str = "i-0000000000000000b";

/// The group `web` with two instances: that of [`Paused`], and [`OTHER`].
async fn paused(group: AutoScalingGroup) -> Paused {
    let paused = Paused::start().await;
    paused.home.instance(Instance::new(ID).asg("web"));
    paused.home.auto_scaling_group(group).instance(Instance::new(OTHER).asg("web"));
    paused
}

async fn call(paused: &Paused, query: &str) -> Reply {
    paused.query("autoscaling", query).await
}

/// A list of instance ids in a query.
fn members(ids: &[&str]) -> String {
    (1..).zip(ids).map(|(n, id)| format!("&InstanceIds.member.{n}={id}")).collect::<Vec<_>>().concat()
}

async fn detach(paused: &Paused, ids: &[&str], decrement: bool) -> Reply {
    let ids = members(ids);
    let query = format!("DetachInstances&AutoScalingGroupName=web&ShouldDecrementDesiredCapacity={decrement}{ids}");
    call(paused, &query).await
}

fn launches(paused: &Paused) -> Vec<f64> {
    paused.home.launches().iter().map(|launch| launch.at.as_secs_f64()).collect()
}

#[tokio::test(start_paused = true)]
async fn instances_are_described() {
    let paused = paused(AutoScalingGroup::new("web").protected()).await;
    let query = format!("DescribeAutoScalingInstances&InstanceIds.member.1={ID}&InstanceIds.member.2=i-nope");
    let reply = call(&paused, &query).await;
    assert_eq!((reply.count("InstanceId"), reply.xml("InstanceId")), (1, Some(ID)));
    assert_eq!((reply.xml("AutoScalingGroupName"), reply.xml("LifecycleState")), (Some("web"), Some("InService")));
    assert_eq!((reply.xml("HealthStatus"), reply.xml("ProtectedFromScaleIn")), (Some("HEALTHY"), Some("true")));
    let many = members(&[ID; 51]);
    let refused = call(&paused, &format!("DescribeAutoScalingInstances{many}")).await;
    assert_eq!((refused.status, refused.xml("Code")), (400, Some("ValidationError")));
    let page = call(&paused, "DescribeAutoScalingInstances&MaxRecords=1").await;
    let next = format!("DescribeAutoScalingInstances&MaxRecords=1&NextToken={}", page.xml("NextToken").unwrap());
    let last = call(&paused, &next).await;
    assert_eq!((last.count("InstanceId"), last.xml("NextToken")), (1, None));
    assert_eq!(paused.aws.calls()[0].bucket(), Some(Bucket::AutoScaling));
}

#[tokio::test(start_paused = true)]
async fn groups_are_described() {
    let group = AutoScalingGroup::new("web").min(1).max(5).desired(2).capacity_rebalance().suspended("Launch");
    let group = group.warm_pool().tag("eks:nodegroup-name", "spot").target_group("hosts");
    let paused = paused(group).await;
    let managed = AutoScalingGroup::new("managed").operator("eks.amazonaws.com");
    paused.home.auto_scaling_group(managed).auto_scaling_group(AutoScalingGroup::new("plain"));
    let named = "DescribeAutoScalingGroups&AutoScalingGroupNames.member.1=web&AutoScalingGroupNames.member.2=nope";
    let reply = call(&paused, named).await;
    for (name, value) in [
        ("AutoScalingGroupName", "web"),
        ("MinSize", "1"),
        ("MaxSize", "5"),
        ("DesiredCapacity", "2"),
        ("CapacityRebalance", "true"),
        ("ProcessName", "Launch"),
        ("PoolState", "Stopped"),
        ("Key", "eks:nodegroup-name"),
        ("NewInstancesProtectedFromScaleIn", "false"),
        ("Identifier", "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/hosts/0123456789abcdef"),
    ] {
        assert_eq!(reply.xml(name), Some(value), "{name}");
    }
    assert_eq!((reply.count("AutoScalingGroupARN"), reply.count("InstanceId")), (1, 2));
    let plain = call(&paused, "DescribeAutoScalingGroups&AutoScalingGroupNames.member.1=plain").await;
    assert_eq!((plain.count("WarmPoolConfiguration"), plain.count("ProcessName")), (0, 0));
    // Groups that a service manages show on request.
    let managed = "DescribeAutoScalingGroups&AutoScalingGroupNames.member.1=managed";
    assert_eq!(call(&paused, managed).await.count("Principal"), 0);
    assert_eq!(call(&paused, &format!("{managed}&IncludeManagedResources=true")).await.count("Principal"), 1);
    let detach =
        "DetachInstances&AutoScalingGroupName=managed&ShouldDecrementDesiredCapacity=false&InstanceIds.member.1=i-1";
    assert!(call(&paused, detach).await.body.contains("is managed by eks.amazonaws.com."));
}

#[tokio::test(start_paused = true)]
async fn replacement_comes_after_the_end_and_the_health_check() {
    let paused = paused(AutoScalingGroup::new("web")).await;
    paused.home.interrupt(ID, "terminate");
    pass(179.0).await;
    assert_eq!((launches(&paused), paused.home.lifecycle_state(ID).as_deref()), (vec![], Some("InService")));
    pass(1.0).await;
    assert_eq!((launches(&paused), paused.home.lifecycle_state(ID)), (vec![180.0], None));
    let launch = paused.home.launches().remove(0);
    assert_eq!(
        (launch.group.as_str(), paused.home.lifecycle_state(&launch.instance).as_deref()),
        ("web", Some("Pending"))
    );
    pass(30.0).await;
    assert_eq!(paused.home.lifecycle_state(&launch.instance).as_deref(), Some("InService"));
    let new = paused.home.instance_at(&launch.instance).unwrap();
    assert_eq!((new.state.as_str(), new.tags["aws:autoscaling:groupName"].as_str()), ("running", "web"));
}

#[tokio::test(start_paused = true)]
async fn detached_instance_is_replaced_at_once_and_runs_on() {
    let paused = paused(AutoScalingGroup::new("web").target_group("hosts")).await;
    paused.home.target_group(TargetGroup::new("hosts").of_instances());
    paused.home.register_target("hosts", ID, 80);
    paused.home.interrupt(ID, "terminate");
    pass(3.0).await;
    let reply = detach(&paused, &[ID], false).await;
    assert_eq!((reply.status, reply.count("ActivityId"), reply.xml("StatusCode")), (200, 1, Some("InProgress")));
    assert_eq!((launches(&paused), paused.home.lifecycle_state(ID)), (vec![3.0], None));
    assert_eq!(paused.home.auto_scaling_group_at("web").unwrap().desired, 2);
    assert!(paused.home.targets("hosts")[0].draining);
    assert_eq!(paused.home.instance_at(ID).unwrap().state, "running");
    let again = detach(&paused, &[ID], false).await;
    assert_eq!((again.status, again.xml("Code")), (400, Some("ValidationError")));
    assert!(again.body.contains("is not part of Auto Scaling group web."));
    pass(600.0).await;
    assert_eq!(launches(&paused), [3.0]);
    assert_eq!(paused.home.instance_at(ID).unwrap().state, "terminated");
    assert!(paused.aws.writes().iter().all(|call| call.api == "DetachInstances"));
}

#[tokio::test(start_paused = true)]
async fn detach_can_decrement_down_to_the_minimum() {
    let paused = paused(AutoScalingGroup::new("web").min(1)).await;
    assert_eq!(detach(&paused, &[ID], true).await.status, 200);
    let refused = detach(&paused, &[OTHER], true).await;
    assert!(refused.body.contains("has min-size=1, max-size=10, and desired-size=1"));
    assert_eq!((refused.xml("Code"), launches(&paused).len()), (Some("ValidationError"), 0));
    assert_eq!(detach(&paused, &[OTHER], false).await.status, 200);
    assert_eq!(launches(&paused).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn detach_is_checked_and_changes_nothing_if_refused() {
    let paused = paused(AutoScalingGroup::new("web")).await;
    paused.home.set_lifecycle_state(OTHER, "Warmed:Stopped");
    let many = vec![ID; 21];
    for ids in [&[][..], &[ID, "i-nope"], &[ID, OTHER], &many] {
        assert_eq!(detach(&paused, ids, false).await.xml("Code"), Some("ValidationError"), "{ids:?}");
    }
    let nowhere = format!(
        "DetachInstances&AutoScalingGroupName=x&ShouldDecrementDesiredCapacity=false&InstanceIds.member.1={ID}"
    );
    assert!(call(&paused, &nowhere).await.body.contains("AutoScalingGroup name not found"));
    let unsaid = format!("DetachInstances&AutoScalingGroupName=web&InstanceIds.member.1={ID}");
    assert_eq!(call(&paused, &unsaid).await.xml("Code"), Some("ValidationError"));
    assert_eq!(paused.home.lifecycle_state(ID).as_deref(), Some("InService"));
    let contention =
        Fault::on("DetachInstances").times(1).error(500, "ResourceContention", "You already have a pending update.");
    paused.aws.fault(contention).fault(Fault::on("DetachInstances").times(1).throttle());
    let contended = detach(&paused, &[ID], false).await;
    assert_eq!((contended.status, contended.xml("Code")), (500, Some("ResourceContention")));
    assert_eq!(detach(&paused, &[ID], false).await.xml("Code"), Some("Throttling"));
    assert!(paused.aws.calls().last().is_some_and(Call::is_throttled));
}

#[tokio::test(start_paused = true)]
async fn suspended_processes_hold() {
    let paused_launch = paused(AutoScalingGroup::new("web").suspended("Launch")).await;
    detach(&paused_launch, &[ID], false).await;
    assert!(launches(&paused_launch).is_empty());
    let unhealthy =
        paused(AutoScalingGroup::new("web").suspended("ReplaceUnhealthy").health_check_after(seconds(1))).await;
    unhealthy.home.interrupt(ID, "terminate");
    pass(600.0).await;
    assert!(launches(&unhealthy).is_empty());
    let reply = call(&unhealthy, &format!("DescribeAutoScalingInstances&InstanceIds.member.1={ID}")).await;
    assert_eq!(reply.xml("HealthStatus"), Some("UNHEALTHY"));
}

#[tokio::test(start_paused = true)]
async fn capacity_rebalancing_replaces_with_the_notice() {
    let paused = paused(AutoScalingGroup::new("web").capacity_rebalance()).await;
    paused.home.interrupt(ID, "terminate");
    assert_eq!((launches(&paused), paused.home.lifecycle_state(ID).as_deref()), (vec![0.0], Some("Terminating")));
    assert_eq!(detach(&paused, &[ID], false).await.status, 400);
    pass(119.0).await;
    assert_eq!(paused.home.instance_at(ID).unwrap().state, "running");
    pass(600.0).await;
    assert_eq!((launches(&paused), paused.home.lifecycle_state(ID)), (vec![0.0], None));
}

#[tokio::test(start_paused = true)]
async fn recommendation_replaces_first_and_terminates_then() {
    let hook = LifecycleHook::new("drain").heartbeat_timeout(seconds(300));
    let paused = paused(AutoScalingGroup::new("web").capacity_rebalance().launch_delay(seconds(40)).hook(hook)).await;
    let container_instance = paused.home.container_instance("web", ContainerInstance::new(OTHER));
    paused.home.task(&container_instance, Task::standalone("job")).unwrap();
    let event = paused.home.recommend_rebalance(OTHER);
    assert_eq!(event["detail-type"], "EC2 Instance Rebalance Recommendation");
    assert_eq!(paused.home.launches().len(), 1);
    pass(39.0).await;
    assert!(paused.home.lifecycle_actions().is_empty());
    pass(1.0).await;
    let action = paused.home.lifecycle_actions().remove(0);
    assert_eq!(action["detail"]["EC2InstanceId"], OTHER);
    assert_eq!(paused.home.lifecycle_state(OTHER).as_deref(), Some("Terminating:Wait"));
    pass(300.0).await;
    assert_eq!(paused.home.instance_at(OTHER).unwrap().state, "terminated");
    assert_eq!((paused.home.launches().len(), paused.home.fates().len()), (1, 1));
}
