//! Faults during an evacuation.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use standin::{Fault, Quotas, Standin};
use tokio::time::{Instant, sleep};

use crate::{EVACUATE, ID, assert_all_well, batch, evacuate, fate, fleet, in_process::Process, s, start, with_fleet};

/// A seed determines which calls fail, and all backoffs: everything runs in one thread.
#[tokio::test(start_paused = true)]
async fn failure_of_a_third_of_all_calls_does_no_harm() {
    for (name, fault) in [("500", status as fn() -> Fault), ("throttled", throttle)] {
        for seed in 0..40 {
            let case = format!("{name}, seed {seed}");
            let (aws, _) = with_fleet().await;
            fastrand::seed(seed);
            aws.fault(fault());
            evacuate(&aws, EVACUATE).await;
            let fates = aws.home().fates();
            assert_eq!((fates.len(), aws.home().registered(ID)), (6, 0), "{case}");
            for fate in fates {
                // No notice is long enough for this container: each failure before it is found takes from its time.
                let is_graceful = if fate.container == "import" {
                    fate.sigterm.is_some_and(|sigterm| sigterm < s(20))
                } else {
                    fate.is_graceful()
                };
                assert!(is_graceful && !fate.with_traffic, "{case}: {fate:?}\n{:#?}", aws.home().history());
            }
        }
    }
}

fn status() -> Fault {
    Fault::on_any().probability(0.3).status(500)
}

fn throttle() -> Fault {
    Fault::on_any().probability(0.3).throttle()
}

/// Evacuates despite a fault. Returns the answer, or the type of the error.
async fn outcome(aws: &Arc<Standin>) -> Result<Value, &'static str> {
    let process = Process::start(aws, EVACUATE).await;
    let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await;
    sleep(s(121)).await;
    answer.map_err(|error| error.error_type())
}

#[tokio::test(start_paused = true)]
async fn denied_api_costs_only_its_own_effect() {
    for (api, is_error, graceful) in [
        ("ListTasks", true, &["front", "api"][..]),
        // They are stopped by the default stop timeout.
        ("DescribeTasks", true, &["front", "api", "report", "logs"]),
        ("DescribeTaskDefinition", false, &["front", "api", "report", "logs"]),
        ("DescribeServices", false, &["front", "api", "search", "report", "import", "logs"]),
        ("StopTask", true, &["front", "api"]),
    ] {
        let (aws, _) = with_fleet().await;
        aws.fault(Fault::on(api).error(400, "AccessDeniedException", "no"));
        // A denied call must not be noticed only by its containers.
        let outcome = outcome(&aws).await;
        assert_eq!(outcome.as_ref().err(), is_error.then_some(&"AccessDenied"), "{api}: {outcome:?}");
        assert_eq!(aws.home().registered(ID), 0, "{api}");
        for container in graceful {
            assert!(fate(&aws, container).is_graceful(), "{api}, {container}: {:?}", fate(&aws, container));
        }
        assert!(aws.calls().len() < 80, "{api}: {:?}", aws.calls_by_api());
    }
}

#[tokio::test(start_paused = true)]
async fn outage_of_one_api_does_not_affect_steps_without_it() {
    for api in
        ["DescribeTasks", "DescribeTaskDefinition", "DescribeServices", "ListTasks", "DescribeContainerInstances"]
    {
        for from in [0, 10, 30, 100] {
            for is_throttled in [false, true] {
                let (aws, _) = with_fleet().await;
                let case = format!("{api} from {from} s, throttled: {is_throttled}");
                let outage = async {
                    sleep(s(from)).await;
                    let fault = Fault::on(api);
                    aws.fault(if is_throttled { fault.throttle() } else { fault.status(500) });
                };
                // A container instance is found only if it can be described.
                if api == "DescribeContainerInstances" && from == 0 {
                    continue;
                }
                let started = Instant::now();
                let (outcome, ()) = tokio::join!(outcome(&aws), outage);
                assert_eq!(outcome.as_ref().unwrap()["outcome"], "deregistered", "{case}");
                let deregistered = aws.calls_to("DeregisterContainerInstance")[0].started - started.into_std();
                assert!(deregistered < Duration::from_millis(115_500), "{case}: after {deregistered:?}");
                assert_eq!(aws.home().registered(ID), 0, "{case}");
                assert!(fate(&aws, "front").is_graceful(), "{case}");
                // Tasks that are known get all their time.
                if from > 0 || api == "DescribeServices" {
                    assert_all_well(&aws, &case);
                }
                assert!(aws.calls().len() < 150, "{case}: {:?}", aws.calls_by_api());
            }
        }
    }
}

/// Sixteen instances that can't be deregistered do not delay the others.
#[tokio::test(start_paused = true)]
async fn failing_deregistrations_do_not_delay_others() {
    let aws = start(Standin::builder()).await;
    let (home, now) = (aws.home(), SystemTime::now());
    let ids: Vec<_> = (0..20).map(|n| format!("i-{n:017x}")).collect();
    let arns = fleet::instances(&home, fleet::CLUSTER, &ids);
    let broken: Vec<_> = arns[..16].to_vec();
    let is_broken = move |params: &Value| broken.iter().any(|arn| params["containerInstance"] == arn.as_str());
    aws.fault(Fault::on("DeregisterContainerInstance").matching(is_broken).status(500));
    let age = |n: usize| if n == 19 { s(0) } else { s(60) };
    let notices = ids.iter().enumerate().map(|(n, id)| standin::notice(&home, id, "terminate", now - age(n)));
    let started = Instant::now();
    let process = Process::start(&aws, EVACUATE).await;
    process.invoke(&batch(&notices.collect::<Vec<_>>())).await.unwrap();
    let deregistered_after = |n: usize| {
        let calls = aws.calls_to("DeregisterContainerInstance");
        let call = calls.iter().find(|call| call.params["containerInstance"] == arns[n].as_str());
        call.unwrap().started - started.into_std()
    };
    for n in 16..19 {
        assert!((s(50)..s(60)).contains(&deregistered_after(n)), "{:?}", deregistered_after(n));
    }
    assert!(
        deregistered_after(19) > s(105),
        "the instance with time left is not deregistered early: {:?}",
        deregistered_after(19)
    );
}

#[tokio::test(start_paused = true)]
async fn throttled_stops_do_not_cause_an_early_deregistration() {
    let aws = start(Standin::builder().quotas(Quotas::aws())).await;
    let home = aws.home();
    let ids: Vec<_> = (0..50).map(|n| format!("i-{n:017x}")).collect();
    fleet::instances(&home, fleet::CLUSTER, &ids);
    aws.fault(Fault::on("StopTask").probability(0.8).throttle());
    let started = Instant::now();
    let process = Process::start(&aws, EVACUATE).await;
    let notices: Vec<_> = ids.iter().map(|id| home.interrupt(id, "terminate")).collect();
    process.invoke(&batch(&notices)).await.unwrap();
    let deregistered = aws.calls_to("DeregisterContainerInstance")[0].started - started.into_std();
    assert!(deregistered > s(105), "after {deregistered:?}");
    assert!(ids.iter().all(|id| home.registered(id) == 0));
}

#[tokio::test(start_paused = true)]
async fn tasks_are_stopped_if_draining_is_rejected() {
    let (aws, _) = with_fleet().await;
    aws.fault(Fault::on("UpdateContainerInstancesState").failure("SOMETHING"));
    let answer = evacuate(&aws, EVACUATE).await;
    assert_eq!(answer["outcome"], "deregistered");
    for container in ["search", "report", "import", "logs"] {
        assert!(fate(&aws, container).is_graceful(), "{container}");
    }
    assert_eq!(aws.calls_to("UpdateContainerInstancesState").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn evacuation_survives_an_outage_in_the_middle() {
    let (aws, _) = with_fleet().await;
    let outage = async {
        tokio::time::sleep(s(3)).await;
        aws.fault(Fault::on_any().status(503));
        tokio::time::sleep(s(12)).await;
        aws.forget_faults();
    };
    tokio::join!(evacuate(&aws, EVACUATE), outage);
    assert_all_well(&aws, "an outage of 12 s");
}

#[tokio::test(start_paused = true)]
async fn denied_deregistration_is_an_error() {
    let (aws, _) = with_fleet().await;
    aws.fault(Fault::on("DeregisterContainerInstance").error(400, "AccessDeniedException", "no"));
    let process = Process::start(&aws, EVACUATE).await;
    let error = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap_err();
    assert_eq!(error.error_type(), "AccessDenied");
}

#[tokio::test(start_paused = true)]
async fn polls_are_rarer_when_throttled() {
    let looks = async |throttled: f64| {
        let (aws, _) = with_fleet().await;
        aws.fault(Fault::on("DescribeContainerInstances").probability(throttled).throttle());
        evacuate(&aws, EVACUATE).await;
        assert!(fate(&aws, "search").is_graceful() && fate(&aws, "logs").is_graceful());
        aws.calls_to("DescribeContainerInstances").iter().filter(|call| call.is_ok()).count()
    };
    let (mut usual, mut throttled) = (0, 0);
    for _ in 0..3 {
        usual += looks(0.0).await;
        throttled += looks(0.5).await;
    }
    assert!(throttled < usual, "{throttled} instead of {usual}");
}
