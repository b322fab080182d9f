//! What goes wrong in the middle of an evacuation.

use standin::Fault;

use crate::{EVACUATE, ID, assert_all_well, evacuate, fate, s, with_fleet};

#[tokio::test(start_paused = true)]
async fn a_third_of_all_calls_fails() {
    for fault in [Fault::on_any().probability(0.3).status(500), Fault::on_any().probability(0.3).throttle()] {
        let (aws, _) = with_fleet().await;
        aws.fault(fault);
        evacuate(&aws, EVACUATE).await;
        assert_all_well(&aws, "with failures");
    }
}

#[tokio::test(start_paused = true)]
async fn each_read_that_is_denied_costs_what_it_would_tell() {
    for (api, graceful) in [
        ("ListTasks", &["front", "api"][..]),
        ("DescribeTasks", &["front", "api"]),
        ("DescribeTaskDefinition", &["front", "api", "report", "logs"]),
        ("DescribeServices", &["front", "api", "search", "report", "import", "logs"]),
        ("StopTask", &["front", "api"]),
    ] {
        let (aws, _) = with_fleet().await;
        aws.fault(Fault::on(api).error(400, "AccessDeniedException", "no"));
        let answer = evacuate(&aws, EVACUATE).await;
        assert_eq!(answer["outcome"], "deregistered", "{api}");
        assert_eq!(aws.home().registered(ID), 0, "{api}");
        for container in graceful {
            assert!(fate(&aws, container).is_graceful(), "{api}, {container}: {:?}", fate(&aws, container));
        }
        assert!(aws.calls().len() < 150, "{api}: {:?}", aws.calls_by_api());
    }
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
    let process = crate::in_process::Process::start(&aws, EVACUATE).await;
    let error = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap_err();
    assert_eq!(error.error_type(), "AccessDenied");
}

#[tokio::test(start_paused = true)]
async fn as_the_quotas_tighten_looks_become_rarer() {
    let looks = async |throttled: f64| {
        let (aws, _) = with_fleet().await;
        aws.fault(Fault::on("DescribeContainerInstances").probability(throttled).throttle());
        evacuate(&aws, EVACUATE).await;
        assert_all_well(&aws, "throttled");
        aws.calls_to("DescribeContainerInstances").iter().filter(|call| call.is_ok()).count()
    };
    let (usual, throttled) = (looks(0.0).await, looks(0.7).await);
    assert!(throttled < usual, "{throttled} instead of {usual}");
}
