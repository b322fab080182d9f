//! Metrics: one line of JSON on standard output for each outcome, from which `CloudWatch` extracts metrics.
//!
//! The format is the "Embedded metric format specification" of the Amazon `CloudWatch` User Guide. An instance's id is
//! a property, which can be searched, and not a dimension: each value of a dimension is a metric of its own.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    aws::timestamp,
    ec2::instance::CapacityPool,
    event::Event,
    identifier::{AccountId, ClusterName, InstanceId, Region, TaskArn},
    interruption::{InstanceAction, Kind},
    log,
    outcome::Outcome,
};

/// Whether this process has written metrics before.
static IS_WARM: AtomicBool = AtomicBool::new(false);

const NAMESPACE: &str = "SpotInterruptionHandler";

/// The measurements of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measurement<'a> {
    pub(super) outcome: Outcome,
    pub(super) error_type: Option<&'a str>,
    pub(super) event: Option<&'a Event>,
    pub(super) is_repeated: bool,
    pub(super) pool: Option<&'a CapacityPool>,
    pub(super) cluster: Option<&'a ClusterName>,
    /// The time of the change.
    pub(super) changed: Option<SystemTime>,
    /// All requests and the throttled requests since the last line.
    pub(super) calls: Option<(u32, u32)>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricsLine<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata,
    #[serde(rename = "timestamp")]
    timestamp: String,
    /// Lambda drops lines below the function's log level, and treats lines without a level as INFO.
    #[serde(rename = "level")]
    level: &'a str,

    outcomes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruptions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interrupted_tasks: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks_run_again: Option<u32>,
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
    task: Option<&'a TaskArn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
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

/// Metrics, and the sets of dimensions for each of them. The empty set aggregates everything.
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
pub(super) fn write(measurement: Measurement<'_>) {
    if let Ok(line) = serde_json::to_string(&line(measurement, SystemTime::now())) {
        log::print(&line);
    }
}

fn line(measurement: Measurement<'_>, now: SystemTime) -> MetricsLine<'_> {
    let Measurement { outcome, error_type, event, is_repeated, pool, cluster, changed, calls } = measurement;
    let (interruption, task) = match event {
        Some(Event::Interruption(interruption)) => (Some(interruption), None),
        Some(Event::Task(task)) => (None, Some(task)),
        Some(Event::Rehearsal(_) | Event::Ignored(_)) | None => (None, None),
    };
    let is_notice = interruption.is_some_and(|interruption| matches!(interruption.kind, Kind::Notice(_)));
    // Several events and invocations concern the same task.
    let is_task = task.is_some() && !is_repeated && outcome != Outcome::Waiting;
    let time = interruption.map(|of| of.time).or(task.map(|of| of.time));
    // A lifecycle action may have hours.
    let is_urgent = interruption.is_none_or(|of| of.kind != Kind::LifecycleAction);
    let since_event = |changed: SystemTime| changed.duration_since(time.filter(|_| is_urgent)?).ok();
    // A hibernation has no two minutes to spare.
    let with_time = interruption.filter(|interruption| interruption.kind != Kind::Notice(InstanceAction::Hibernate));
    let to_spare = |changed: SystemTime| Some(with_time?.deadline()?.duration_since(changed).unwrap_or_default());
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut line = MetricsLine {
        aws: Metadata {
            timestamp: since_1970.as_millis().try_into().unwrap_or(u64::MAX),
            cloud_watch_metrics: Vec::with_capacity(3),
        },
        timestamp: timestamp(now),
        level: log::level(),
        outcomes: 1,
        interruptions: is_notice.then_some(1),
        interrupted_tasks: is_task.then_some(1),
        tasks_run_again: (outcome == Outcome::RunAgain).then_some(1),
        seconds_to_act: changed.and_then(since_event).as_ref().map(Duration::as_secs_f64),
        seconds_to_spare: changed.and_then(to_spare).as_ref().map(Duration::as_secs_f64),
        calls: calls.map(|(made, _)| made),
        throttles: calls.map(|(_, throttled)| throttled),
        cold_starts: calls.map(|_| u32::from(!IS_WARM.swap(true, Relaxed))),
        outcome,
        error_type,
        event: interruption.map(|interruption| interruption.kind.to_string()),
        instance_id: interruption.map(|interruption| &interruption.instance),
        task: task.map(|task| &task.detail.task),
        service: task.and_then(|task| task.detail.service.as_deref()),
        instance_type: pool.and_then(|pool| pool.instance_type.as_deref()),
        availability_zone: pool.and_then(|pool| pool.availability_zone.as_deref()),
        cluster,
        account: interruption.map(|of| &of.account).or(task.map(|of| &of.account)),
        region: interruption.map(|of| &of.region).or(task.map(|of| &of.region)),
    };
    line.declare();
    line
}

impl MetricsLine<'_> {
    /// Declares which members are metrics, with their dimensions. Only members that are present may be declared.
    fn declare(&mut self) {
        let directives = &mut self.aws.cloud_watch_metrics;
        let mut declare = |dimensions: Vec<&'static [&'static str]>, metrics: &[(bool, &'static str, &'static str)]| {
            let there = metrics.iter().filter(|(is_there, ..)| *is_there);
            let metrics: Vec<_> = there.map(|&(_, name, unit)| Metric { name, unit }).collect();
            if !metrics.is_empty() {
                directives.push(Directive { namespace: NAMESPACE, dimensions, metrics });
            }
        };
        declare(
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
        declare(by, &[(self.interruptions.is_some(), "Interruptions", "Count")]);
        let mut by: Vec<&'static [&'static str]> = vec![&[], &["Cluster"]];
        if self.service.is_some() {
            by.push(&["Cluster", "Service"]);
        }
        declare(by, &[(self.interrupted_tasks.is_some(), "InterruptedTasks", "Count")]);
        declare(vec![&[], &["Cluster"]], &[(self.tasks_run_again.is_some(), "TasksRunAgain", "Count")]);
        let is_there = self.calls.is_some();
        declare(
            vec![&[]],
            &[(is_there, "Calls", "Count"), (is_there, "Throttles", "Count"), (is_there, "ColdStarts", "Count")],
        );
    }
}
