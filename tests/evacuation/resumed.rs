//! Instances that come back with a second registration beside the old one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use standin::{ContainerInstance, Instance, Standin};
use tokio::time::{Instant, sleep};

use crate::{ID, in_process::Process, s, standin};

const MARK: &str = "spot-interruption-handler.drained";

/// A registration that this function drained.
fn drained() -> ContainerInstance {
    ContainerInstance::new(ID).status("DRAINING").attribute(MARK, "2026-01-01T00:00:00Z").agent_connected(false)
}

/// Registers an instance that came back in these clusters. Returns the ARNs.
async fn back(registrations: Vec<(&str, ContainerInstance)>) -> (Arc<Standin>, Vec<String>) {
    let aws = standin().await;
    let home = aws.home();
    let launched = SystemTime::now();
    home.instance(Instance::new(ID).launched(launched).attached(launched - Duration::from_hours(5)));
    let arns = registrations.into_iter().map(|(cluster, found)| home.container_instance(cluster, found));
    let arns = arns.collect();
    (aws, arns)
}

async fn handle(aws: &Arc<Standin>) -> Value {
    let process = Process::start(aws, &[]).await;
    process.invoke(&standin::state_change(&aws.home(), ID, "running", SystemTime::now())).await.unwrap()
}

fn statuses(aws: &Standin, arns: &[String]) -> Vec<String> {
    arns.iter().map(|arn| aws.home().status(arn).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn only_the_connected_registration_becomes_active() {
    let connected = || drained().agent_connected(true);
    for (registrations, outcome, expected) in [
        (vec![("web", drained()), ("web", connected())], "reactivated", vec!["DRAINING", "ACTIVE"]),
        (
            vec![("web", connected()), ("web", drained()), ("web", drained())],
            "reactivated",
            vec!["ACTIVE", "DRAINING", "DRAINING"],
        ),
        // The new registration was not drained by anyone.
        (vec![("web", drained()), ("web", ContainerInstance::new(ID))], "skipped", vec!["DRAINING", "ACTIVE"]),
        (vec![("web", connected()), ("web", connected())], "reactivated", vec!["ACTIVE", "ACTIVE"]),
        (vec![("web", drained())], "reactivated", vec!["ACTIVE"]),
    ] {
        let (aws, arns) = back(registrations).await;
        let started = Instant::now();
        let answer = handle(&aws).await;
        assert_eq!(answer["outcome"], outcome, "{answer}");
        assert_eq!(statuses(&aws, &arns), expected);
        assert!(started.elapsed() < s(1), "none has to be waited for: {:?}", started.elapsed());
        let is_marked = |arn: &String| aws.home().attributes(arn).contains_key(MARK);
        assert!(arns.iter().all(|arn| is_marked(arn) == (aws.home().status(arn).as_deref() == Some("DRAINING"))));
    }
}

#[tokio::test(start_paused = true)]
async fn first_agent_to_connect_is_waited_for() {
    for connects_s in [1, 30, 90] {
        let (aws, arns) = back(vec![("web", drained()), ("web", drained())]).await;
        let connect = async {
            sleep(s(connects_s)).await;
            assert_eq!(statuses(&aws, &arns), ["DRAINING", "DRAINING"]);
            aws.home().connect_agent(&arns[1], true);
        };
        let started = Instant::now();
        let (answer, ()) = tokio::join!(handle(&aws), connect);
        assert_eq!(answer["outcome"], "reactivated", "{answer}");
        assert_eq!(statuses(&aws, &arns), ["DRAINING", "ACTIVE"], "after {connects_s} s");
        assert!(started.elapsed() < s(connects_s + 6), "{:?}", started.elapsed());
        assert!(aws.calls().len() <= 30, "{:?}", aws.calls_by_api());
    }
}

#[tokio::test(start_paused = true)]
async fn all_registrations_become_active_if_no_agent_connects() {
    let (aws, arns) = back(vec![("web", drained()), ("web", drained())]).await;
    let started = Instant::now();
    assert_eq!(handle(&aws).await["outcome"], "reactivated");
    assert_eq!(statuses(&aws, &arns), ["ACTIVE", "ACTIVE"]);
    assert!((s(100)..s(115)).contains(&started.elapsed()), "{:?}", started.elapsed());
}

/// Neither registration is to be reactivated: there is nothing to wait for.
#[tokio::test(start_paused = true)]
async fn registrations_drained_by_someone_else_are_not_waited_for() {
    let other = || ContainerInstance::new(ID).status("DRAINING").agent_connected(false);
    let (aws, arns) = back(vec![("web", other()), ("web", other())]).await;
    let started = Instant::now();
    assert_eq!(handle(&aws).await["outcome"], "skipped");
    assert_eq!(statuses(&aws, &arns), ["DRAINING", "DRAINING"]);
    assert!(started.elapsed() < s(1));
}
