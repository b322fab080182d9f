//! The metrics of an event, in one line. An instance's id is a property, which can be searched, and not a dimension: each
//! value of a dimension is a metric of its own.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use serde_json::json;

use crate::{
    ec2::instance::CapacityPool,
    emf::{self, Directive},
    event::Event,
    identifier::ClusterName,
    interruption::{InstanceAction, Kind},
    outcome::Outcome,
};

/// Whether this process has written metrics before.
static IS_WARM: AtomicBool = AtomicBool::new(false);

/// The metrics, by their dimensions.
const DIRECTIVES: [Directive<'_>; 5] = [
    (&[&[], &["Outcome"]], &[("Outcomes", "Count"), ("SecondsToAct", "Seconds"), ("SecondsToSpare", "Seconds")]),
    (&[&[], &["Account", "Region"], &["Cluster"]], &[("Interruptions", "Count")]),
    (&[&[], &["Cluster"], &["Cluster", "Service"]], &[("InterruptedTasks", "Count")]),
    (&[&[], &["Cluster"]], &[("TasksRunAgain", "Count")]),
    (&[&[]], &[("Calls", "Count"), ("Throttles", "Count"), ("ColdStarts", "Count")]),
];

/// The measurements of an event.
#[derive(Clone, Copy, Debug, Default)]
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

/// Writes the line of an event.
pub(super) fn write(measurement: Measurement<'_>) {
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
    let line = json!({
        "Outcomes": 1,
        "Interruptions": is_notice.then_some(1),
        "InterruptedTasks": is_task.then_some(1),
        "TasksRunAgain": (outcome == Outcome::RunAgain).then_some(1),
        "SecondsToAct": changed.and_then(since_event).as_ref().map(Duration::as_secs_f64),
        "SecondsToSpare": changed.and_then(to_spare).as_ref().map(Duration::as_secs_f64),
        "Calls": calls.map(|(made, _)| made),
        "Throttles": calls.map(|(_, throttled)| throttled),
        "ColdStarts": calls.map(|_| u32::from(!IS_WARM.swap(true, Relaxed))),
        "Outcome": outcome,
        "ErrorType": error_type,
        "Event": interruption.map(|interruption| interruption.kind.to_string()),
        "InstanceId": interruption.map(|interruption| &interruption.instance),
        "Task": task.map(|task| &task.detail.task),
        "Service": task.and_then(|task| task.detail.service.as_deref()),
        "InstanceType": pool.and_then(|pool| pool.instance_type.as_deref()),
        "AvailabilityZone": pool.and_then(|pool| pool.availability_zone.as_deref()),
        "Cluster": cluster,
        "Account": interruption.map(|of| &of.account).or(task.map(|of| &of.account)),
        "Region": interruption.map(|of| &of.region).or(task.map(|of| &of.region)),
    });
    emf::write(line, &DIRECTIVES);
}
