//! Others who manage the same instance. Each may act before, during or after the function, and the result is the same.

use std::{sync::Arc, time::Duration};

use standin::{CapacityProvider, Cluster, ContainerInstance, Instance, Standin};
use tokio::time::sleep;

use crate::{EVACUATE, ID, aged, assert_all_well, fleet, in_process::Process, s, standalone, standin, with_fleet};

/// Moments before, during and at the end of an evacuation, since the notice.
const MOMENTS: [Duration; 6] =
    [Duration::ZERO, Duration::from_millis(25), s(5), s(30), s(60), Duration::from_millis(114_990)];

/// Evacuates while someone else does something at a moment.
async fn evacuate_while(aws: &Arc<Standin>, moment: Duration, act: impl AsyncFnOnce()) {
    let notice = aws.home().interrupt(ID, "terminate");
    let process = Process::start(aws, EVACUATE).await;
    let someone_else = async {
        sleep(moment).await;
        act().await;
    };
    let function = async {
        // The other one goes first at moment zero.
        sleep(Duration::from_millis(1)).await;
        process.invoke(&notice).await.unwrap()
    };
    let (answer, ()) = tokio::join!(function, someone_else);
    assert!(matches!(answer["outcome"].as_str(), Some("deregistered" | "not-found")), "{moment:?}: {answer}");
    sleep(s(121)).await;
}

/// `ECS_ENABLE_SPOT_INSTANCE_DRAINING=true`, or ECS's managed draining: it is set to `DRAINING`.
#[tokio::test(start_paused = true)]
async fn draining_by_someone_else_does_not_matter() {
    for moment in MOMENTS {
        let (aws, arn) = with_fleet().await;
        let home = aws.home();
        evacuate_while(&aws, moment, async || {
            if home.status(&arn).as_deref() == Some("ACTIVE") {
                home.set_status(&arn, "DRAINING");
            }
        })
        .await;
        assert_all_well(&aws, &format!("drained by someone else after {moment:?}"));
    }
}

/// A handler of an Auto Scaling lifecycle hook, which deregisters the instance at some time.
#[tokio::test(start_paused = true)]
async fn deregistration_by_a_lifecycle_hook_is_final() {
    for moment in MOMENTS {
        let (aws, arn) = with_fleet().await;
        let home = aws.home();
        let deregister = async || {
            let other = Process::start(&aws, &[("STRATEGY", "deregister")]).await;
            let _ =
                other.invoke(&aged(&standin::notice(&home, ID, "terminate", std::time::SystemTime::now()), s(0))).await;
        };
        Box::pin(evacuate_while(&aws, moment, deregister)).await;
        assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"), "{moment:?}");
        assert_eq!(home.registered(ID), 0);
    }
}

/// Someone sets it to `ACTIVE` during the evacuation, as if draining were a mistake.
#[tokio::test(start_paused = true)]
async fn instance_set_to_active_is_drained_again() {
    let (aws, arn) = with_fleet().await;
    let home = aws.home();
    evacuate_while(&aws, s(5), async || home.set_status(&arn, "ACTIVE")).await;
    assert_all_well(&aws, "set to ACTIVE");
    assert_eq!(aws.calls_to("UpdateContainerInstancesState").len(), 2);
}

/// A second copy of the function, or a second delivery of the notice.
#[tokio::test(start_paused = true)]
async fn second_copy_of_the_function_does_no_harm() {
    for moment in MOMENTS {
        let (aws, _) = with_fleet().await;
        let notice = aws.home().interrupt(ID, "terminate");
        let (one, other) = (Process::start(&aws, EVACUATE).await, Process::start(&aws, EVACUATE).await);
        let later = async {
            sleep(moment).await;
            other.invoke(&aged(&notice, moment)).await
        };
        let (one, other) = tokio::join!(one.invoke(&notice), later);
        for answer in [one.unwrap(), other.unwrap()] {
            assert!(matches!(answer["outcome"].as_str(), Some("deregistered" | "not-found")), "{moment:?}: {answer}");
        }
        sleep(s(121)).await;
        assert_all_well(&aws, &format!("a copy {moment:?} later"));
        assert_eq!(aws.writes().iter().filter(|call| call.is_write() && call.api == "PutAttributes").count(), 0);
    }
}

/// Instances of a capacity provider with managed draining are left to ECS by default.
#[tokio::test(start_paused = true)]
async fn managed_draining_is_skipped_unless_overridden() {
    for (managed_draining, outcome) in [("respect", "skipped"), ("override", "deregistered")] {
        let aws = standin().await;
        let home = aws.home();
        fleet::task_definitions(&home);
        home.cluster(Cluster::new(fleet::CLUSTER).capacity_provider("cp"))
            .capacity_provider(CapacityProvider::asg("cp", "group"))
            .instance(Instance::new(ID));
        let arn = home.container_instance(fleet::CLUSTER, ContainerInstance::new(ID).capacity_provider("cp"));
        home.task(&arn, standalone("report"));
        // ECS has drained it.
        home.set_status(&arn, "DRAINING");
        let process = Process::start(&aws, &[("STRATEGY", "evacuate"), ("MANAGED_DRAINING", managed_draining)]).await;
        let answer = process.invoke(&home.interrupt(ID, "terminate")).await.unwrap();
        assert_eq!(answer["outcome"], outcome);
        assert_eq!(aws.writes().is_empty(), managed_draining == "respect");
    }
}
