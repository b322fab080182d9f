//! Processes that die during an evacuation, and their successors.

use std::time::Duration;

use tokio::time::timeout;

use crate::{EVACUATE, ID, aged, assert_all_well, in_process::Process, s, with_fleet};

#[tokio::test(start_paused = true)]
async fn next_process_continues_from_the_present_state() {
    // In milliseconds: while it searches, drains and lists; then while it waits, stops and deregisters.
    for dies_ms in [5, 15, 35, 55, 75, 95, 5_000, 21_000, 40_000, 82_000, 113_000] {
        let (aws, _) = with_fleet().await;
        let notice = aws.home().interrupt(ID, "terminate");
        let first = Process::start(&aws, EVACUATE).await;
        let dies = Duration::from_millis(dies_ms);
        assert!(timeout(dies, first.invoke(&notice)).await.is_err(), "{dies_ms} ms: it has ended already");
        let stopped = aws.calls_to("StopTask").len();

        let next = Process::start(&aws, EVACUATE).await;
        let answer = next.invoke(&aged(&notice, dies)).await.unwrap();
        assert_eq!(answer["outcome"], "deregistered", "{dies_ms} ms");
        tokio::time::sleep(s(121)).await;
        assert_all_well(&aws, &format!("it dies after {dies_ms} ms"));
        let tasks = aws.calls_to("StopTask").into_iter().map(|call| call.params["task"].to_string());
        let mut tasks: Vec<_> = tasks.collect();
        tasks.sort();
        tasks.dedup();
        assert!(
            aws.calls_to("StopTask").len() <= tasks.len() + stopped.min(1),
            "{dies_ms} ms: stopped twice\n{:#?}",
            aws.home().history()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn repeated_notice_after_an_evacuation_changes_nothing() {
    let (aws, _) = with_fleet().await;
    let notice = aws.home().interrupt(ID, "terminate");
    let process = Process::start(&aws, EVACUATE).await;
    process.invoke(&notice).await.unwrap();
    let writes = aws.writes().len();
    let again = process.invoke(&aged(&notice, s(116))).await.unwrap();
    assert_eq!((again["outcome"].as_str(), aws.writes().len()), (Some("not-found"), writes));
}
