//! Tasks that are placed just before draining, and that lists and counts show late.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use standin::{Service, Standin, Task};
use tokio::time::{Instant, sleep};

use crate::{EVACUATE, ID, assert_all_well, fate, fleet, in_process::Process, register, s, standalone, start};

/// Evacuates with a notice of this age. A task is placed between the description of the container instance and
/// draining, beside others that have run for a while. Returns when its first container gets SIGTERM.
async fn sigterm_at(aws: &Arc<Standin>, age_s: u64, others: Vec<Task>) -> Duration {
    let arn = register(aws, others);
    let home = aws.home();
    sleep(s(60)).await;
    let process = Process::start(aws, EVACUATE).await;
    aws.forget_calls();
    home.interrupt_at(ID, "terminate", s(120 - age_s));
    let notice = standin::notice(&home, ID, "terminate", SystemTime::now() - s(age_s));
    let place = async {
        while aws.calls_to("DescribeContainerInstances").is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(aws.writes().is_empty());
        home.task(&arn, standalone("report")).unwrap();
    };
    let started = Instant::now();
    let (answer, ()) = tokio::join!(process.invoke(&notice), place);
    assert_eq!(answer.unwrap()["outcome"], "deregistered");
    assert!(started.elapsed() < s(120 - age_s));
    sleep(s(121)).await;
    fate(aws, "report").sigterm.unwrap_or(Duration::MAX)
}

#[tokio::test(start_paused = true)]
async fn task_placed_just_before_draining_gets_sigterm_despite_lagging_lists() {
    for (lists_s, counts_s) in [(3, 0), (3, 3), (1, 5), (8, 0), (8, 9), (25, 0)] {
        for others in [vec![], vec![standalone("report").finishes_after(s(1))], vec![standalone("import")]] {
            let case = format!("lists {lists_s} s, counts {counts_s} s, beside {others:?}");
            let aws = start(Standin::builder().lists_lag(s(lists_s)).counts_lag(s(counts_s))).await;
            sigterm_at(&aws, 0, others).await;
            assert_all_well(&aws, &case);
            assert!(aws.calls().len() <= 40, "{case}: {:?}", aws.calls_by_api());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn daemon_waits_for_a_task_that_lists_do_not_show_yet() {
    let aws = start(Standin::builder().lists_lag(s(3))).await;
    aws.home().service(fleet::CLUSTER, Service::new("logs", 1).daemon().task_definition("logs"));
    let sigterm_at = sigterm_at(&aws, 0, vec![Task::of_service("logs")]).await;
    assert_all_well(&aws, "a daemon");
    assert!(sigterm_at <= fate(&aws, "logs").sigterm.unwrap(), "{:?}", aws.home().fates());
}

#[tokio::test(start_paused = true)]
async fn late_notice_finds_an_unlisted_task_within_seconds() {
    let aws = start(Standin::builder().lists_lag(s(3))).await;
    let sigterm_at = sigterm_at(&aws, 100, vec![]).await;
    assert!(sigterm_at < s(6), "after {sigterm_at:?}");
    assert_eq!(aws.home().registered(ID), 0);
}
