//! What goes wrong in the middle of an evacuation.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use standin::{Fault, Quotas, Standin};
use tokio::time::{Instant, sleep};

use crate::{EVACUATE, ID, assert_all_well, batch, evacuate, fate, fleet, in_process::Process, s, start, with_fleet};

/// Which calls fail, and all pauses, follow from a seed: everything runs in one thread.
#[tokio::test(start_paused = true)]
async fn a_third_of_all_calls_fails() {
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
                // No notice is long enough for this one: each failure before it is found takes from its time.
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

/// Evacuates while something is wrong; gives the answer, or the error's type.
async fn outcome(aws: &Arc<Standin>) -> Result<Value, &'static str> {
    let process = Process::start(aws, EVACUATE).await;
    let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await;
    sleep(s(121)).await;
    answer.map_err(|error| error.error_type())
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_costs_what_it_would_tell_or_do() {
    for (api, is_error, graceful) in [
        ("ListTasks", true, &["front", "api"][..]),
        // They are told by the default.
        ("DescribeTasks", true, &["front", "api", "report", "logs"]),
        ("DescribeTaskDefinition", false, &["front", "api", "report", "logs"]),
        ("DescribeServices", false, &["front", "api", "search", "report", "import", "logs"]),
        ("StopTask", true, &["front", "api"]),
    ] {
        let (aws, _) = with_fleet().await;
        aws.fault(Fault::on(api).error(400, "AccessDeniedException", "no"));
        // Nobody is to find out from the containers alone.
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
async fn an_outage_of_one_api_harms_nothing_that_does_not_need_it() {
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
                // To be found at all, a container instance has to be described.
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
                // Once they are known, all of them.
                if from > 0 || api == "DescribeServices" {
                    assert_all_well(&aws, &case);
                }
                assert!(aws.calls().len() < 150, "{case}: {:?}", aws.calls_by_api());
            }
        }
    }
}

/// Sixteen that can't be deregistered keep nobody else past their end.
#[tokio::test(start_paused = true)]
async fn instances_that_can_not_be_let_go_keep_no_others() {
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
    let let_go = |n: usize| {
        let calls = aws.calls_to("DeregisterContainerInstance");
        let call = calls.iter().find(|call| call.params["containerInstance"] == arns[n].as_str());
        call.unwrap().started - started.into_std()
    };
    for n in 16..19 {
        assert!((s(50)..s(60)).contains(&let_go(n)), "{:?}", let_go(n));
    }
    assert!(let_go(19) > s(105), "nor is the one with time let go early: {:?}", let_go(19));
}

#[tokio::test(start_paused = true)]
async fn throttled_stops_do_not_have_the_instance_let_go_early() {
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
async fn draining_that_is_refused_does_not_keep_the_tasks_from_being_told() {
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
async fn an_outage_in_the_middle_is_waited_for() {
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
async fn what_can_not_be_deregistered_is_an_error() {
    let (aws, _) = with_fleet().await;
    aws.fault(Fault::on("DeregisterContainerInstance").error(400, "AccessDeniedException", "no"));
    let process = Process::start(&aws, EVACUATE).await;
    let error = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap_err();
    assert_eq!(error.error_type(), "AccessDenied");
}

#[tokio::test(start_paused = true)]
async fn as_the_quotas_tighten_looks_become_rarer() {
    let looks = async |throttled: f64| {
        let (aws, _) = with_fleet().await;
        aws.fault(Fault::on("DescribeContainerInstances").probability(throttled).throttle());
        evacuate(&aws, EVACUATE).await;
        assert!(fate(&aws, "search").is_graceful() && fate(&aws, "logs").is_graceful());
        aws.calls_to("DescribeContainerInstances").iter().filter(|call| call.is_ok()).count()
    };
    let (usual, throttled) = (looks(0.0).await, looks(0.5).await);
    assert!(throttled < usual, "{throttled} instead of {usual}");
}
