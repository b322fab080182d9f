//! Many instances in a batch, many tasks on an instance.

use std::time::{Duration, SystemTime};

use standin::{Container, ContainerInstance, Fault, Instance, Quotas, Service, Standin, Task, TaskDefinition};
use tokio::time::sleep;

use crate::{
    EVACUATE, OTHER, assert_all_well, batch, evacuate, fleet, in_process::Process, register, s, standalone, start,
};

#[tokio::test(start_paused = true)]
async fn hundred_instances_in_a_batch_take_at_most_8_calls_each() {
    for clusters in [1, 5, 20] {
        let aws = start(Standin::builder().quotas(Quotas::aws())).await;
        let home = aws.home();
        let ids: Vec<_> = (0..100).map(|n| format!("i-{n:017x}")).collect();
        for (cluster, ids) in ids.chunks(100 / clusters).enumerate() {
            fleet::instances(&home, &format!("cluster-{cluster}"), ids);
        }
        let process = Process::start(&aws, EVACUATE).await;
        let notices: Vec<_> = ids.iter().map(|id| home.interrupt(id, "terminate")).collect();
        let answer = process.invoke(&batch(&notices)).await.unwrap();
        assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 0, "{answer}");
        sleep(s(121)).await;
        assert_all_well(&aws, &format!("{clusters} clusters"));
        assert!(ids.iter().all(|id| home.registered(id) == 0));
        assert!(aws.calls().len() <= 800, "{} calls: {:?}", aws.calls().len(), aws.calls_by_api());
    }
}

#[tokio::test(start_paused = true)]
async fn batch_shares_calls_and_stays_below_the_quotas() {
    for (strategy, most_for_ten) in [("drain", 5), ("deregister", 15)] {
        let aws = start(Standin::builder().quotas(Quotas::aws())).await;
        let home = aws.home();
        let ids: Vec<_> = (0..400).map(|n| format!("i-{n:017x}")).collect();
        for (n, id) in ids.iter().enumerate() {
            home.instance(Instance::new(id).asg(format!("group-{}", n % 10)));
            home.container_instance(&format!("cluster-{}", n % 10), ContainerInstance::new(id));
        }
        let process = Process::start(&aws, &[("STRATEGY", strategy)]).await;
        let notices: Vec<_> = ids.iter().map(|id| home.interrupt(id, "terminate")).collect();
        let answer = process.invoke(&batch(&notices)).await.unwrap();
        assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 0, "{answer}");
        let status = if strategy == "drain" { "DRAINING" } else { "INACTIVE" };
        assert!(home.container_instances().iter().all(|found| found.status == status), "{strategy}");
        let calls = aws.calls();
        assert!(calls.len() * 10 <= most_for_ten * ids.len(), "{:?}", aws.calls_by_api());
        // The function probes once whether the quota is larger.
        let throttled = calls.iter().filter(|call| call.is_throttled()).count();
        assert!(throttled <= 20, "{throttled} of {:?}", aws.calls_by_api());
    }
}

#[tokio::test(start_paused = true)]
async fn five_hundred_tasks_on_one_instance_are_stopped() {
    let aws = start(Standin::builder().quotas(Quotas::aws())).await;
    register(&aws, (0..500).map(|n| if n % 2 == 0 { standalone("report") } else { Task::of_service("search") }));
    evacuate(&aws, EVACUATE).await;
    assert_all_well(&aws, "500 tasks");
    assert_eq!(aws.home().fates().len(), 500);
}

/// Calls take as long as in a bad hour.
#[tokio::test(start_paused = true)]
async fn slow_calls_do_not_keep_tasks_from_getting_sigterm() {
    for (latency_ms, instances, tasks, others) in
        [(250, 100, 6, 0), (300, 1, 500, 0), (150, 40, 30, 0), (150, 40, 6, 1_600), (50, 40, 1, 2_200)]
    {
        let aws = start(Standin::builder().quotas(Quotas::aws())).await;
        aws.set_latency(Duration::from_millis(latency_ms));
        let home = aws.home();
        fleet::task_definitions(&home);
        let ids: Vec<_> = (0..instances).map(|n| format!("i-{n:017x}")).collect();
        for id in &ids {
            home.instance(Instance::new(id));
            let arn = home.container_instance(fleet::CLUSTER, ContainerInstance::new(id));
            (0..tasks).for_each(|_| drop(home.task(&arn, standalone("report"))));
        }
        let other = home.container_instance(fleet::CLUSTER, ContainerInstance::new(OTHER));
        (0..others).for_each(|_| drop(home.task(&other, standalone("report"))));
        let process = Process::start(&aws, EVACUATE).await;
        let notices: Vec<_> = ids.iter().map(|id| home.interrupt(id, "terminate")).collect();
        process.invoke(&batch(&notices)).await.unwrap();
        sleep(s(121)).await;
        let case = format!("{instances} instances with {tasks} tasks, {latency_ms} ms a call");
        let fates = home.fates();
        assert_eq!(fates.len(), instances * tasks);
        let without_time = fates.iter().filter(|fate| !fate.is_graceful()).count();
        assert_eq!(without_time, 0, "{case}: {:?}", aws.calls_by_api());
        assert!(ids.iter().all(|id| home.registered(id) == 0), "{case}");
    }
}

/// Each instance has its own clock, even in one batch.
#[tokio::test(start_paused = true)]
async fn instances_in_a_batch_have_independent_clocks() {
    let aws = start(Standin::builder()).await;
    let (home, now) = (aws.home(), SystemTime::now());
    let ids: Vec<_> = (0..12).map(|n| format!("i-{n:017x}")).collect();
    fleet::instances(&home, fleet::CLUSTER, &ids);
    let process = Process::start(&aws, EVACUATE).await;
    let notices = ids.iter().enumerate().map(|(n, id)| {
        let age = s(10 * n as u64);
        home.interrupt_at(id, "terminate", s(120 - 10 * n as u64));
        standin::notice(&home, id, "terminate", now - age)
    });
    let notices: Vec<_> = notices.collect();
    // One of the instances has a task that can't be stopped.
    let broken = ids[5].clone();
    aws.fault(
        Fault::on("StopTask").matching(move |params| params["reason"].as_str().unwrap().contains(&broken)).status(500),
    );
    process.invoke(&batch(&notices)).await.unwrap();
    sleep(s(121)).await;
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(home.registered(id), 0, "{id}");
        let left = s(120 - 10 * n as u64);
        for fate in home.fates().into_iter().filter(|fate| fate.instance == *id && n != 5) {
            let has_time = left > fate.stop_timeout + s(10);
            assert!(!has_time || fate.is_graceful(), "{left:?} left: {fate:?}");
            assert!(fate.sigterm.is_some() || left < s(15), "{left:?} left: {fate:?}");
        }
    }
}

/// Many instances that end later do not delay one that ends soon.
#[tokio::test(start_paused = true)]
async fn instance_that_ends_soon_is_not_delayed_by_many_others() {
    let aws = start(Standin::builder().quotas(Quotas::aws())).await;
    let (home, now) = (aws.home(), SystemTime::now());
    fleet::task_definitions(&home);
    let ids: Vec<_> = (0..301).map(|n| format!("i-{n:017x}")).collect();
    let mut notices = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        home.instance(Instance::new(id));
        let arn = home.container_instance(fleet::CLUSTER, ContainerInstance::new(id));
        home.task(&arn, standalone("report")).unwrap();
        let age = if n == 0 { 50 } else { 0 };
        home.interrupt_at(id, "terminate", s(120 - age));
        notices.push(standin::notice(&home, id, "terminate", now - s(age)));
    }
    let process = Process::start(&aws, EVACUATE).await;
    process.invoke(&batch(&notices)).await.unwrap();
    sleep(s(121)).await;
    let sigterm_at = home.fates().into_iter().find(|fate| fate.instance == ids[0]).unwrap().sigterm.unwrap();
    assert!((s(20)..s(40)).contains(&sigterm_at), "{sigterm_at:?}");
    assert_all_well(&aws, "one that ends soon");
}

/// Launches come with reclaims: Auto Scaling replaces instances.
#[tokio::test(start_paused = true)]
async fn launch_in_a_batch_does_not_delay_notices() {
    let aws = start(Standin::builder()).await;
    let home = aws.home();
    fleet::instances(&home, fleet::CLUSTER, &["i-1234567890abcdef0".to_owned()]);
    let started = tokio::time::Instant::now();
    let process = Process::start(&aws, EVACUATE).await;
    aws.fault(Fault::on("DescribeInstances").throttle());
    let launch = standin::state_change(&home, OTHER, "running", SystemTime::now());
    process.invoke(&batch(&[launch, home.interrupt("i-1234567890abcdef0", "terminate")])).await.unwrap();
    let drained = aws.calls_to("UpdateContainerInstancesState")[0].started - started.into_std();
    assert!(drained < s(5), "after {drained:?}");
    sleep(s(121)).await;
    assert_all_well(&aws, "beside a launch");
}

/// An unreadable cluster and an instance that is not found do not delay the others.
#[tokio::test(start_paused = true)]
async fn evacuation_starts_while_other_instances_are_searched_for() {
    let aws = start(Standin::builder()).await;
    let home = aws.home();
    fleet::instances(&home, fleet::CLUSTER, &["i-1234567890abcdef0".to_owned()]);
    for cluster in ["broken", "fine", "idle"] {
        home.container_instance(cluster, ContainerInstance::new(OTHER));
    }
    let process = Process::start(&aws, EVACUATE).await;
    aws.fault(Fault::on("ListContainerInstances").matching(|params| params["cluster"] == "broken").status(500));
    let nowhere = standin::notice(&home, "i-0000000000000000f", "terminate", SystemTime::now());
    let started = tokio::time::Instant::now();
    let answer = process.invoke(&batch(&[nowhere, home.interrupt("i-1234567890abcdef0", "terminate")])).await.unwrap();
    let drained = aws.calls_to("UpdateContainerInstancesState")[0].started - started.into_std();
    assert!(drained < s(10), "after {drained:?}");
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1, "{answer}");
    sleep(s(121)).await;
    // No notice is long enough for `import`.
    let ungraceful = home.fates().into_iter().filter(|fate| !fate.is_graceful() && fate.container != "import");
    assert_eq!(ungraceful.count(), 0, "{:?}", home.fates());
}

#[tokio::test(start_paused = true)]
async fn daemon_waits_for_hundreds_of_tasks() {
    let aws = start(Standin::builder().quotas(Quotas::aws())).await;
    aws.home().service(fleet::CLUSTER, Service::new("logs", 1).daemon().task_definition("logs"));
    register(&aws, (0..500).map(|_| standalone("report")).chain([Task::of_service("logs")]));
    evacuate(&aws, EVACUATE).await;
    assert_all_well(&aws, "500 tasks and a daemon");
    let sigterm_at = |container| {
        let fates = aws.home().fates().into_iter().filter(move |fate| fate.container == container);
        fates.filter_map(|fate| fate.sigterm).max().unwrap()
    };
    assert!(sigterm_at("logs") >= sigterm_at("report"), "{:?} {:?}", sigterm_at("logs"), sigterm_at("report"));
}

/// Tasks that are stopped early and exit at once must not hide tasks that are stopped later.
#[tokio::test(start_paused = true)]
async fn tasks_with_different_stop_timeouts_are_stopped_in_time() {
    let aws = start(Standin::builder().quotas(Quotas::aws())).await;
    let home = aws.home();
    fleet::task_definitions(&home);
    home.task_definition(TaskDefinition::new("slow").container(Container::new("slow").stop_timeout(110)));
    let ids: Vec<_> = (0..20).map(|n| format!("i-{n:017x}")).collect();
    for id in &ids {
        home.instance(Instance::new(id));
        let arn = home.container_instance(fleet::CLUSTER, ContainerInstance::new(id));
        for family in ["slow", "report"] {
            (0..40).for_each(|_| drop(home.task(&arn, standalone(family))));
        }
    }
    let process = Process::start(&aws, EVACUATE).await;
    let notices: Vec<_> = ids.iter().map(|id| home.interrupt(id, "terminate")).collect();
    process.invoke(&batch(&notices)).await.unwrap();
    sleep(s(121)).await;
    assert_all_well(&aws, "two stop timeouts");
}
