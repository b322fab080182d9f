//! Lifecycle hooks.

use serde_json::{Value, json};
use standin::{AutoScalingGroup, Instance, LifecycleHook, TargetGroup, Task, test_notification};

use crate::client::Reply;
use crate::paused::{ID, Paused, pass, seconds};

/// The group `web` with the instance of [`Paused`], on which a task runs.
async fn paused(group: AutoScalingGroup) -> Paused {
    let paused = Paused::start().await;
    paused.home.auto_scaling_group(group).instance(Instance::new(ID).asg("web"));
    paused.put(1, &Task::standalone("job"));
    paused
}

fn hook() -> LifecycleHook {
    LifecycleHook::new("drain").heartbeat_timeout(seconds(300))
}

async fn call(paused: &Paused, api: &str, more: &str) -> Reply {
    paused.query("autoscaling", &format!("{api}&AutoScalingGroupName=web{more}")).await
}

async fn complete(paused: &Paused, more: &str) -> Reply {
    let result = "&LifecycleHookName=drain&LifecycleActionResult=CONTINUE";
    call(paused, "CompleteLifecycleAction", &format!("{result}{more}")).await
}

fn state(paused: &Paused) -> String {
    paused.home.instance_at(ID).unwrap().state
}

#[tokio::test(start_paused = true)]
async fn hooks_are_described() {
    let second = LifecycleHook::new("boot").launching().heartbeat_timeout(seconds(7_200)).default_result("CONTINUE");
    let paused = paused(AutoScalingGroup::new("web").hook(hook().metadata("x")).hook(second)).await;
    let one = call(&paused, "DescribeLifecycleHooks", "&LifecycleHookNames.member.1=drain").await;
    for (name, value) in [
        ("LifecycleHookName", "drain"),
        ("LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATING"),
        ("HeartbeatTimeout", "300"),
        ("GlobalTimeout", "30000"),
        ("DefaultResult", "ABANDON"),
        ("NotificationMetadata", "x"),
    ] {
        assert_eq!(one.xml(name), Some(value));
    }
    let all = call(&paused, "DescribeLifecycleHooks", "").await;
    assert_eq!((all.count("LifecycleHookName"), all.body.contains(">172800<")), (2, true));
    let missing = paused.query("autoscaling", "DescribeLifecycleHooks&AutoScalingGroupName=nope").await;
    assert_eq!(missing.xml("Code"), Some("ValidationError"));
}

#[tokio::test(start_paused = true)]
async fn instance_waits_until_the_hook_is_completed() {
    let paused = paused(AutoScalingGroup::new("web").hook(hook().metadata("{}")).target_group("hosts")).await;
    paused.home.target_group(TargetGroup::new("hosts").of_instances());
    paused.home.register_target("hosts", ID, 80);
    let event = paused.home.begin_termination(ID).unwrap();
    assert_eq!(event["source"], "aws.autoscaling");
    assert_eq!(event["detail-type"], "EC2 Instance-terminate Lifecycle Action");
    let token = event["detail"]["LifecycleActionToken"].as_str().unwrap().to_owned();
    let expected = json!({
        "LifecycleActionToken": token,
        "AutoScalingGroupName": "web",
        "LifecycleHookName": "drain",
        "EC2InstanceId": ID,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "NotificationMetadata": "{}",
        "Origin": "AutoScalingGroup",
        "Destination": "EC2",
    });
    assert_eq!((&event["detail"], token.len()), (&expected, 36));
    assert!(event["resources"][0].as_str().unwrap().ends_with(":autoScalingGroupName/web"));
    assert_eq!(paused.home.lifecycle_state(ID).as_deref(), Some("Terminating:Wait"));
    // The load balancer is first.
    assert!(paused.home.targets("hosts")[0].draining);
    assert!(paused.home.begin_termination(ID).is_none());
    pass(200.0).await;
    assert_eq!((state(&paused), paused.statuses()), ("running".to_owned(), vec!["RUNNING".to_owned()]));
    for (more, is_ok) in [
        (format!("&InstanceId={ID}&LifecycleActionToken={}", "0".repeat(36)), false),
        ("&InstanceId=i-other".to_owned(), false),
        (format!("&LifecycleActionToken={token}"), true),
    ] {
        assert_eq!(complete(&paused, &more).await.status == 200, is_ok, "{more}");
    }
    assert_eq!((state(&paused), paused.statuses()), ("terminated".to_owned(), vec!["STOPPED".to_owned()]));
    let fate = paused.home.fates().remove(0);
    assert_eq!((fate.ended, paused.home.lifecycle_state(ID)), (Some(seconds(200)), None));
    // Scale-in has no replacement.
    pass(600.0).await;
    assert!(paused.home.launches().is_empty());
    let again = complete(&paused, &format!("&InstanceId={ID}")).await;
    assert_eq!((again.status, again.xml("Code")), (400, Some("ValidationError")));
    assert!(again.body.contains(&format!("No active Lifecycle Action found with instance ID {ID}")));
    assert!(paused.aws.calls_to("CompleteLifecycleAction").iter().all(standin::Call::is_write));
}

#[tokio::test(start_paused = true)]
async fn heartbeat_extends_the_wait() {
    let paused = paused(AutoScalingGroup::new("web").hook(hook())).await;
    paused.home.begin_termination(ID).unwrap();
    let heartbeat = format!("&LifecycleHookName=drain&InstanceId={ID}");
    for _ in 0..3 {
        pass(299.0).await;
        assert_eq!(call(&paused, "RecordLifecycleActionHeartbeat", &heartbeat).await.status, 200);
    }
    pass(299.0).await;
    assert_eq!(state(&paused), "running");
    pass(1.0).await;
    assert_eq!((state(&paused), paused.times("drain timed out")), ("terminated".to_owned(), vec![1_197.0]));
    let late = call(&paused, "RecordLifecycleActionHeartbeat", &heartbeat).await;
    assert_eq!(late.xml("Code"), Some("ValidationError"));
}

#[tokio::test(start_paused = true)]
async fn global_timeout_ends_the_wait_whatever_the_heartbeat() {
    let paused = paused(AutoScalingGroup::new("web").hook(hook().heartbeat_timeout(seconds(30)))).await;
    paused.home.begin_termination(ID).unwrap();
    for _ in 0..149 {
        pass(20.0).await;
        call(&paused, "RecordLifecycleActionHeartbeat", &format!("&LifecycleHookName=drain&InstanceId={ID}")).await;
    }
    assert_eq!(state(&paused), "running");
    pass(20.0).await;
    assert_eq!(state(&paused), "terminated");
}

#[tokio::test(start_paused = true)]
async fn hooks_follow_each_other_unless_one_is_abandoned() {
    for (result, events) in [("CONTINUE", 2), ("ABANDON", 1)] {
        let group = AutoScalingGroup::new("web").hook(LifecycleHook::new("boot").launching()).hook(hook());
        let paused = paused(group.hook(LifecycleHook::new("logs"))).await;
        paused.home.begin_termination(ID).unwrap();
        let more = format!("&LifecycleHookName=drain&LifecycleActionResult={result}&InstanceId={ID}");
        assert_eq!(call(&paused, "CompleteLifecycleAction", &more).await.status, 200);
        let names: Vec<Value> =
            paused.home.lifecycle_actions().iter().map(|event| event["detail"]["LifecycleHookName"].clone()).collect();
        assert_eq!(names, ["drain", "logs"][..events]);
        assert_eq!(state(&paused) == "terminated", events == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn hook_does_not_delay_ec2() {
    let paused = paused(AutoScalingGroup::new("web").hook(hook())).await;
    paused.home.begin_termination(ID).unwrap();
    paused.home.interrupt(ID, "terminate");
    pass(120.0).await;
    assert_eq!(state(&paused), "terminated");
    assert_eq!(complete(&paused, &format!("&InstanceId={ID}")).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn notice_calls_the_hook_with_capacity_rebalancing() {
    let paused = paused(AutoScalingGroup::new("web").hook(hook()).capacity_rebalance()).await;
    paused.home.interrupt(ID, "terminate");
    assert_eq!((paused.home.lifecycle_actions().len(), paused.home.launches().len()), (1, 1));
    pass(50.0).await;
    assert_eq!(complete(&paused, &format!("&InstanceId={ID}")).await.status, 200);
    assert_eq!(state(&paused), "terminated");
    pass(600.0).await;
    assert_eq!(paused.home.launches().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_are_checked() {
    let paused = paused(AutoScalingGroup::new("web").hook(hook())).await;
    paused.home.begin_termination(ID).unwrap();
    for more in [
        String::new(),
        format!("&LifecycleHookName=drain&InstanceId={ID}"),
        format!("&LifecycleHookName=drain&LifecycleActionResult=MAYBE&InstanceId={ID}"),
        "&LifecycleHookName=drain&LifecycleActionResult=CONTINUE".to_owned(),
        "&LifecycleHookName=drain&LifecycleActionResult=CONTINUE&LifecycleActionToken=short".to_owned(),
        format!("&LifecycleHookName=nope&LifecycleActionResult=CONTINUE&InstanceId={ID}"),
    ] {
        assert_eq!(
            call(&paused, "CompleteLifecycleAction", &more).await.xml("Code"),
            Some("ValidationError"),
            "{more}"
        );
    }
    assert_eq!(state(&paused), "running");
}

#[tokio::test(start_paused = true)]
async fn instance_without_a_hook_ends_at_once() {
    let paused = paused(AutoScalingGroup::new("web")).await;
    assert!(paused.home.begin_termination("i-nope").is_none());
    assert!(paused.home.begin_termination(ID).is_none());
    assert_eq!((state(&paused), paused.times("terminated by Auto Scaling")), ("terminated".to_owned(), vec![0.0]));
    let test = test_notification(&paused.home, "web");
    assert_eq!(
        (&test["Event"], &test["AutoScalingGroupName"]),
        (&json!("autoscaling:TEST_NOTIFICATION"), &json!("web"))
    );
}
