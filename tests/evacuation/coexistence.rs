//! Others who look after the same instance: each may act before, during or after the function, and the end is the same.

use std::{sync::Arc, time::Duration};

use standin::{CapacityProvider, Cluster, ContainerInstance, Instance, Standin};
use tokio::time::sleep;

use crate::{EVACUATE, ID, aged, assert_all_well, fleet, in_process::Process, s, standalone, standin, with_fleet};

/// Moments before, during and at the end of an evacuation, since the notice.
const MOMENTS: [Duration; 6] =
    [Duration::ZERO, Duration::from_millis(25), s(5), s(30), s(60), Duration::from_millis(114_990)];

/// Evacuates while someone else does something at a moment.
async fn beside(aws: &Arc<Standin>, moment: Duration, act: impl AsyncFnOnce()) {
    let notice = aws.home().interrupt(ID, "terminate");
    let process = Process::start(aws, EVACUATE).await;
    let someone_else = async {
        sleep(moment).await;
        act().await;
    };
    let function = async {
        // After what is to come before.
        sleep(Duration::from_millis(1)).await;
        process.invoke(&notice).await.unwrap()
    };
    let (answer, ()) = tokio::join!(function, someone_else);
    assert!(matches!(answer["outcome"].as_str(), Some("deregistered" | "not-found")), "{moment:?}: {answer}");
    sleep(s(121)).await;
}

/// `ECS_ENABLE_SPOT_INSTANCE_DRAINING=true`, or ECS's managed draining: it is set to `DRAINING`.
#[tokio::test(start_paused = true)]
async fn another_drainer() {
    for moment in MOMENTS {
        let (aws, arn) = with_fleet().await;
        let home = aws.home();
        beside(&aws, moment, async || {
            if home.status(&arn).as_deref() == Some("ACTIVE") {
                home.set_status(&arn, "DRAINING");
            }
        })
        .await;
        assert_all_well(&aws, &format!("drained by someone else after {moment:?}"));
    }
}

/// A handler of an Auto Scaling lifecycle hook, which deregisters the instance when it thinks that it is time.
#[tokio::test(start_paused = true)]
async fn a_lifecycle_hook_that_deregisters() {
    for moment in MOMENTS {
        let (aws, arn) = with_fleet().await;
        let home = aws.home();
        let deregister = async || {
            let other = Process::start(&aws, &[("STRATEGY", "deregister")]).await;
            let _ =
                other.invoke(&aged(&standin::notice(&home, ID, "terminate", std::time::SystemTime::now()), s(0))).await;
        };
        Box::pin(beside(&aws, moment, deregister)).await;
        assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"), "{moment:?}");
        assert_eq!(home.registered(ID), 0);
    }
}

/// Someone who sets it to `ACTIVE` in the middle, as if it were a mistake.
#[tokio::test(start_paused = true)]
async fn what_is_undone_is_done_again() {
    let (aws, arn) = with_fleet().await;
    let home = aws.home();
    beside(&aws, s(5), async || home.set_status(&arn, "ACTIVE")).await;
    assert_all_well(&aws, "set to ACTIVE");
    assert_eq!(aws.calls_to("UpdateContainerInstancesState").len(), 2);
}

/// A second copy of the function, or a second delivery of the notice.
#[tokio::test(start_paused = true)]
async fn a_second_copy_of_this_function() {
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

/// Instances of a capacity provider with managed draining are ECS's, unless told otherwise.
#[tokio::test(start_paused = true)]
async fn managed_draining() {
    for (managed_draining, outcome) in [("respect", "skipped"), ("override", "deregistered")] {
        let aws = standin().await;
        let home = aws.home();
        fleet::definitions(&home);
        home.cluster(Cluster::new(fleet::CLUSTER).capacity_provider("cp"))
            .capacity_provider(CapacityProvider::asg("cp", "group"))
            .instance(Instance::new(ID));
        let arn = home.container_instance(fleet::CLUSTER, ContainerInstance::new(ID).capacity_provider("cp"));
        home.task(&arn, standalone("report"));
        // ECS has done so.
        home.set_status(&arn, "DRAINING");
        let process = Process::start(&aws, &[("STRATEGY", "evacuate"), ("MANAGED_DRAINING", managed_draining)]).await;
        let answer = process.invoke(&home.interrupt(ID, "terminate")).await.unwrap();
        assert_eq!(answer["outcome"], outcome);
        assert_eq!(aws.writes().is_empty(), managed_draining == "respect");
    }
}
