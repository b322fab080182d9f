//! Metrics: a line of JSON on standard output for each outcome, from which `CloudWatch` makes metrics.
//!
//! The format is the "Embedded metric format specification" of the Amazon `CloudWatch` User Guide. What names an instance
//! is a property, to be searched, and no dimension, each value of which would be a metric of its own.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    aws::timestamp,
    ec2::instance::CapacityPool,
    identifier::{AccountId, ClusterName, InstanceId, Region},
    interruption::{InstanceAction, Interruption, Kind},
    log,
    outcome::Outcome,
};

/// Whether this process has measured anything before.
static IS_WARM: AtomicBool = AtomicBool::new(false);

const NAMESPACE: &str = "SpotInterruptionHandler";

/// What came of an event, as far as it is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured<'a> {
    pub(super) outcome: Outcome,
    pub(super) error_type: Option<&'a str>,
    pub(super) interruption: Option<&'a Interruption>,
    pub(super) pool: Option<&'a CapacityPool>,
    pub(super) cluster: Option<&'a ClusterName>,
    /// When the change was made.
    pub(super) changed: Option<SystemTime>,
    /// Requests, and those that were throttled, that no line has yet.
    pub(super) calls: Option<(u32, u32)>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata,
    #[serde(rename = "timestamp")]
    timestamp: String,
    /// Lambda drops lines below the function's log level, and takes those without a level for INFO.
    #[serde(rename = "level")]
    level: &'a str,

    outcomes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruptions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_to_act: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_to_spare: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttles: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cold_starts: Option<u32>,

    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a InstanceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    availability_zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a ClusterName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a Region>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    /// In milliseconds since 1970.
    timestamp: u64,
    cloud_watch_metrics: Vec<Directive>,
}

/// Metrics, and the sets of properties that each is counted by. A set without any counts all.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: Vec<&'static [&'static str]>,
    metrics: Vec<Metric>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

/// Writes the line of an outcome.
pub(super) fn write(measured: Measured<'_>) {
    if let Ok(line) = serde_json::to_string(&line(measured, SystemTime::now())) {
        log::print(&line);
    }
}

fn line(measured: Measured<'_>, now: SystemTime) -> Line<'_> {
    let Measured { outcome, error_type, interruption, pool, cluster, changed, calls } = measured;
    let is_notice = interruption.is_some_and(|interruption| matches!(interruption.kind, Kind::Notice(_)));
    let since_event = |changed: SystemTime| changed.duration_since(interruption?.time).ok();
    // A hibernation has no two minutes to spare.
    let with_time = interruption.filter(|interruption| interruption.kind != Kind::Notice(InstanceAction::Hibernate));
    let to_spare = |changed: SystemTime| Some(with_time?.deadline()?.duration_since(changed).unwrap_or_default());
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut line = Line {
        aws: Metadata {
            timestamp: since_1970.as_millis().try_into().unwrap_or(u64::MAX),
            cloud_watch_metrics: Vec::with_capacity(3),
        },
        timestamp: timestamp(now),
        level: log::level(),
        outcomes: 1,
        interruptions: is_notice.then_some(1),
        seconds_to_act: changed.and_then(since_event).as_ref().map(Duration::as_secs_f64),
        seconds_to_spare: changed.and_then(to_spare).as_ref().map(Duration::as_secs_f64),
        calls: calls.map(|(made, _)| made),
        throttles: calls.map(|(_, throttled)| throttled),
        cold_starts: calls.map(|_| u32::from(!IS_WARM.swap(true, Relaxed))),
        outcome,
        error_type,
        event: interruption.map(|interruption| interruption.kind.to_string()),
        instance_id: interruption.map(|interruption| &interruption.instance),
        instance_type: pool.and_then(|pool| pool.instance_type.as_deref()),
        availability_zone: pool.and_then(|pool| pool.availability_zone.as_deref()),
        cluster,
        account: interruption.map(|interruption| &interruption.account),
        region: interruption.map(|interruption| &interruption.region),
    };
    line.direct();
    line
}

impl Line<'_> {
    /// Says which of its members are metrics, by what. Only those that are there may be named.
    fn direct(&mut self) {
        let directives = &mut self.aws.cloud_watch_metrics;
        let mut direct = |dimensions: Vec<&'static [&'static str]>, metrics: &[(bool, &'static str, &'static str)]| {
            let there = metrics.iter().filter(|(is_there, ..)| *is_there);
            let metrics: Vec<_> = there.map(|&(_, name, unit)| Metric { name, unit }).collect();
            if !metrics.is_empty() {
                directives.push(Directive { namespace: NAMESPACE, dimensions, metrics });
            }
        };
        direct(
            vec![&[], &["Outcome"]],
            &[
                (true, "Outcomes", "Count"),
                (self.seconds_to_act.is_some(), "SecondsToAct", "Seconds"),
                (self.seconds_to_spare.is_some(), "SecondsToSpare", "Seconds"),
            ],
        );
        let mut by: Vec<&'static [&'static str]> = vec![&[], &["Account", "Region"]];
        if self.cluster.is_some() {
            by.push(&["Cluster"]);
        }
        direct(by, &[(self.interruptions.is_some(), "Interruptions", "Count")]);
        let is_there = self.calls.is_some();
        direct(
            vec![&[]],
            &[(is_there, "Calls", "Count"), (is_there, "Throttles", "Count"), (is_there, "ColdStarts", "Count")],
        );
    }
}
