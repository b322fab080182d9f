//! One evacuation, phase by phase.

use std::{sync::Arc, time::SystemTime};

use standin::{Call, Container, ContainerInstance, Ending, Fault, Service, Standin, Task, TaskDefinition};
use tokio::time::Instant;

use crate::{
    EVACUATE, ID, OTHER, assert_all_well, evacuate, fate, fleet, in_process::Process, register, s, standalone, standin,
    with_fleet,
};

/// The times at which calls began, in seconds since `since`.
fn at(calls: &[Call], since: Instant) -> Vec<u64> {
    calls.iter().map(|call| (call.started - since.into_std()).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_container_gets_its_time_and_none_dies_with_traffic() {
    let (aws, arn) = with_fleet().await;
    let other = aws.home().container_instance(fleet::CLUSTER, ContainerInstance::new(OTHER));
    aws.home().task(&other, standalone("report"));
    let answer = evacuate(&aws, EVACUATE).await;
    assert_eq!(answer["outcome"], "deregistered", "{answer}");
    assert_eq!(answer["containerInstances"][0]["containerInstanceArn"], arn.as_str());
    assert_all_well(&aws, "the fleet");
    assert_eq!(aws.home().fates().len(), 6);
    assert!(aws.calls().len() <= 40, "{} calls: {:?}", aws.calls().len(), aws.calls_by_api());

    assert_eq!(aws.home().status(&other).as_deref(), Some("ACTIVE"));
    assert_eq!(aws.home().tasks(&other)[0].desired_status, "RUNNING");
    for stop in aws.calls_to("StopTask") {
        let reason = stop.params["reason"].as_str().unwrap();
        assert!(reason.contains("Spot interruption") && reason.contains(ID), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn drained_tasks_are_not_stopped_again_and_the_empty_instance_is_deregistered() {
    let aws = standin().await;
    let arn = register(&aws, [Task::of_service("front")]);
    aws.home().service(
        fleet::CLUSTER,
        Service::new("front", 2).minimum_healthy_percent(50).load_balancer(s(10)).task_definition("front"),
    );
    let (started, process) = (Instant::now(), Process::start(&aws, EVACUATE).await);
    let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap();
    assert_eq!(aws.calls_to("StopTask").len(), 0);
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(answer["containerInstances"][0]["tasksLeft"], 0, "{answer}");
    // 10 s for the load balancer, 12 s for the container, and then the next poll.
    let deregistered = at(&aws.calls_to("DeregisterContainerInstance"), started)[0];
    assert!((24..=34).contains(&deregistered), "after {deregistered} s");
    assert!(started.elapsed() < s(35), "it stops the moment the instance is empty");
    tokio::time::sleep(s(120)).await;
    assert_all_well(&aws, "drained");
}

#[tokio::test(start_paused = true)]
async fn slow_load_balancer_does_not_keep_containers_from_getting_sigterm() {
    let aws = standin().await;
    register(&aws, [Task::of_service("front")]);
    // ECS would send SIGTERM after five minutes, the default of load balancers.
    let front = Service::new("front", 2).minimum_healthy_percent(50).load_balancer(s(300)).task_definition("front");
    aws.home().service(fleet::CLUSTER, front);
    evacuate(&aws, EVACUATE).await;
    assert_all_well(&aws, "a slow load balancer");
    let sigterm_at = fate(&aws, "front").sigterm.unwrap().as_secs();
    assert!((75..=90).contains(&sigterm_at), "after {sigterm_at} s");
}

#[tokio::test(start_paused = true)]
async fn instance_without_tasks_is_deregistered_at_once() {
    let aws = standin().await;
    register(&aws, []);
    let (started, process) = (Instant::now(), Process::start(&aws, EVACUATE).await);
    let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap();
    assert_eq!(answer["outcome"], "deregistered");
    assert!(started.elapsed() < s(1), "{:?}", started.elapsed());
    let writes: Vec<_> = aws.writes().into_iter().map(|call| call.api).collect();
    assert_eq!(writes, ["UpdateContainerInstancesState", "DeregisterContainerInstance"]);
    assert!(aws.calls().len() <= 10, "{:?}", aws.calls_by_api());
}

#[tokio::test(start_paused = true)]
async fn each_task_is_stopped_as_late_as_its_stop_timeout_allows() {
    let (aws, _) = with_fleet().await;
    evacuate(&aws, EVACUATE).await;
    let sigterm_at = |container| fate(&aws, container).sigterm.unwrap().as_secs();
    // 120 s less the stop timeout, less 10 s or so: not much earlier, and never later.
    for (container, stop_timeout) in [("search", 90), ("report", 30)] {
        let latest = 120 - stop_timeout;
        assert!((latest - 15..=latest).contains(&sigterm_at(container)), "{container}: {}", sigterm_at(container));
    }
    assert!(sigterm_at("import") <= 5, "it can't have all its time, so it gets what there is");
    assert!(sigterm_at("front") < 15 && (45..60).contains(&sigterm_at("api")), "draining stops these");
    let last = ["front", "api", "search", "report", "import"].map(sigterm_at).into_iter().max().unwrap();
    assert!(sigterm_at("logs") >= last, "the daemon is last");
}

#[tokio::test(start_paused = true)]
async fn standalone_tasks_are_left_if_configured() {
    let (aws, _) = with_fleet().await;
    let answer = evacuate(&aws, &[("STRATEGY", "evacuate"), ("STANDALONE_TASKS", "leave")]).await;
    assert_eq!(answer["containerInstances"][0]["tasksLeft"], 2, "{answer}");
    for left in ["report", "import"] {
        assert_eq!((fate(&aws, left).sigterm, fate(&aws, left).ending), (None, Ending::InstanceEnded));
    }
    for container in ["front", "api", "search", "logs"] {
        assert!(fate(&aws, container).is_graceful(), "{container}");
    }
    assert_eq!(aws.home().registered(ID), 0);
}

#[tokio::test(start_paused = true)]
async fn task_that_ends_by_itself_is_not_stopped() {
    let aws = standin().await;
    register(&aws, [standalone("report").finishes_after(s(60))]);
    evacuate(&aws, EVACUATE).await;
    assert_eq!(aws.calls_to("StopTask").len(), 0);
    assert_eq!(aws.home().registered(ID), 0);
}

#[tokio::test(start_paused = true)]
async fn late_notice_uses_the_time_that_is_left() {
    for (late, is_stopped) in
        [(60, true), (85, true), (105, true), (114, true), (118, false), (125, false), (3600, false)]
    {
        let aws = standin().await;
        let arn = register(&aws, [standalone("report")]);
        let process = Process::start(&aws, EVACUATE).await;
        let left = s(120_u64.saturating_sub(late).max(1));
        aws.home().interrupt_at(ID, "terminate", left);
        let notice = standin::notice(&aws.home(), ID, "terminate", SystemTime::now() - s(late));
        let started = Instant::now();
        let answer = process.invoke(&notice).await.unwrap();
        assert_eq!(answer["outcome"], "deregistered", "{late} s late");
        assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
        assert_eq!(!aws.calls_to("StopTask").is_empty(), is_stopped, "{late} s late");
        assert!(started.elapsed() <= left, "{late} s late: {:?}", started.elapsed());
        if late >= 120 {
            assert_eq!(aws.calls_to("UpdateContainerInstancesState").len(), 0, "it is too late to drain");
        }
    }
}

/// Evacuates a standalone task and a daemon with these stop timeouts. Returns when they get SIGTERM, in seconds since
/// the original notice, which is this old.
async fn evacuate_late(aws: &Arc<Standin>, age_s: u64, timeouts: (u32, u32)) -> (f64, f64) {
    let home = aws.home();
    let define = |family: &str, timeout| {
        let container = Container::new(family).stop_timeout(timeout).exits_after(s(1));
        home.task_definition(TaskDefinition::new(family).container(container));
    };
    register(aws, [standalone("report"), Task::of_service("logs")]);
    home.service(fleet::CLUSTER, Service::new("logs", 1).daemon().task_definition("logs"));
    define("report", timeouts.0);
    define("logs", timeouts.1);
    let process = Process::start(aws, EVACUATE).await;
    home.interrupt_at(ID, "terminate", s(120 - age_s));
    let notice = standin::notice(&home, ID, "terminate", SystemTime::now() - s(age_s));
    process.invoke(&notice).await.unwrap();
    tokio::time::sleep(s(121)).await;
    let sigterm_at = |container| (s(age_s) + fate(aws, container).sigterm.unwrap()).as_secs_f64();
    (sigterm_at("report"), sigterm_at("logs"))
}

#[tokio::test(start_paused = true)]
async fn late_notice_reads_stop_timeouts_first_and_stops_daemons_last() {
    for (age_s, timeouts, expected) in [
        (80, (10, 10), 100.0..105.0),
        (80, (2, 2), 108.0..113.0),
        (85, (5, 15), 95.0..100.0),
        (100, (2, 1), 108.0..113.0),
        // No time is lost if there is none.
        (80, (60, 10), 80.0..82.0),
        (110, (10, 10), 110.0..112.0),
    ] {
        let case = format!("{age_s} {timeouts:?}");
        let (report, logs) = evacuate_late(&standin().await, age_s, timeouts).await;
        assert!(expected.contains(&report), "{case}: {report}");
        assert!(logs >= report && logs < 117.0, "{case}: {report} {logs}");
    }
}

#[tokio::test(start_paused = true)]
async fn unreadable_stop_timeouts_are_not_waited_for() {
    for api in ["DescribeTaskDefinition", "DescribeServices"] {
        for fault in [Fault::on(api).delay(s(60)), Fault::on(api).throttle()] {
            let aws = standin().await;
            aws.fault(fault);
            let (report, _) = evacuate_late(&aws, 80, (30, 30)).await;
            assert!(report < 84.0, "{api}: {report}");
        }
    }
}

/// The function's timeout is shorter than the notice, as it may be configured.
#[tokio::test(start_paused = true)]
async fn earlier_end_of_the_invocation_counts() {
    let aws = standin().await;
    register(&aws, [standalone("report")]);
    let process = Process::start(&aws, EVACUATE).await;
    let mut context = lambda_runtime::Context::default();
    let ends = SystemTime::now() + s(60);
    context.deadline = ends.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap();
    let started = Instant::now();
    process.invoke_in(&aws.home().interrupt(ID, "terminate"), context).await.unwrap();
    assert!(started.elapsed() < s(58), "{:?}", started.elapsed());
    tokio::time::sleep(s(121)).await;
    assert_all_well(&aws, "60 s");
    let sigterm_at = fate(&aws, "report").sigterm.unwrap().as_secs();
    assert!((15..=25).contains(&sigterm_at), "after {sigterm_at} s");
}

#[tokio::test(start_paused = true)]
async fn dry_run_only_reports() {
    let (aws, arn) = with_fleet().await;
    let process = Process::start(&aws, &[("STRATEGY", "evacuate"), ("DRY_RUN", "true")]).await;
    let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap();
    assert_eq!(answer["outcome"], "dry-run");
    assert_eq!((aws.writes().len(), aws.calls_to("ListTasks").len()), (0, 0));
    assert_eq!(aws.home().status(&arn).as_deref(), Some("ACTIVE"));
}
