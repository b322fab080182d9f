//! An instance's last two minutes, and what follows, with time paused: the function in this process, real SDK clients,
//! and the stand-in's world.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

mod coexistence;
mod faults;
mod hooks;
#[path = "../support/in_process.rs"]
mod in_process;
mod lag;
mod many;
mod nodes;
mod phases;
mod replacements;
mod resumed;
mod run_again;
mod scans;
mod slow_searches;
mod stop_order;
mod successors;
mod targets;
mod unrelated_events;

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use serde_json::Value;
use standin::{
    Builder, ContainerInstance, Fate, Instance, Standin, Task, evacuation_fleet as fleet, sqs_batch as batch,
};

use in_process::Process;

/// The instance that most tests interrupt.
const ID: &str = "i-1234567890abcdef0";

/// Another one, which must never be touched.
const OTHER: &str = "i-0fedcba9876543210";

const EVACUATE: &[(&str, &str)] = &[("STRATEGY", "evacuate")];

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn standin() -> Arc<Standin> {
    start(Standin::builder()).await
}

async fn start(builder: Builder) -> Arc<Standin> {
    Arc::new(builder.latency(Duration::from_millis(10)).start().await.unwrap())
}

/// A stand-in with the example's fleet of one instance.
async fn with_fleet() -> (Arc<Standin>, String) {
    let aws = standin().await;
    let arn = fleet::instances(&aws.home(), fleet::CLUSTER, &[ID.to_owned()]).remove(0);
    (aws, arn)
}

/// Registers an instance with these tasks.
fn register(aws: &Standin, tasks: impl IntoIterator<Item = Task>) -> String {
    let home = aws.home();
    fleet::task_definitions(&home);
    home.instance(Instance::new(ID));
    let arn = home.container_instance(fleet::CLUSTER, ContainerInstance::new(ID));
    for task in tasks {
        home.task(&arn, task).unwrap();
    }
    arn
}

fn standalone(family: &str) -> Task {
    Task::standalone(family).task_definition(family)
}

/// Tokio's time is paused, but the wall clock is not: an event that is handled later has to be older.
fn aged(event: &Value, age: Duration) -> Value {
    let mut event = event.clone();
    let time = DateTime::parse_from_rfc3339(event["time"].as_str().unwrap()).unwrap() - age;
    event["time"] = time.to_rfc3339().into();
    event
}

/// Evacuates `ID` from its notice to the end of its two minutes.
async fn evacuate(aws: &Arc<Standin>, settings: &[(&str, &str)]) -> Value {
    let process = Process::start(aws, settings).await;
    let notice = aws.home().interrupt(ID, "terminate");
    let answer = process.invoke(&notice).await.unwrap();
    tokio::time::sleep(s(121)).await;
    answer
}

fn fate(aws: &Standin, container: &str) -> Fate {
    aws.home().fates().into_iter().find(|fate| fate.container == container).unwrap()
}

/// Every container got SIGTERM in time, none died with traffic, and nothing stays registered.
fn assert_all_well(aws: &Standin, case: &str) {
    let fates = aws.home().fates();
    assert!(!fates.is_empty());
    for fate in &fates {
        assert!(fate.is_graceful() && !fate.with_traffic, "{case}: {fate:?}\n{:#?}", aws.home().history());
    }
    assert_eq!(aws.home().registered(ID), 0, "{case}");
}
