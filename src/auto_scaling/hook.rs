//! Lifecycle hooks of Auto Scaling groups.

use std::time::Duration;

use crate::aws::query::answer::{List, Record};

pub(super) const LIST: List = List::new(
    "*/LifecycleHooks/member",
    &["LifecycleHookName", "LifecycleTransition", "HeartbeatTimeout", "GlobalTimeout"],
);

/// The transition of hooks in which instances wait before they are terminated.
const TERMINATING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";

/// The error code for a lifecycle action that is no longer there, and for an instance, a group or a hook that is not there.
pub(super) const VALIDATION_ERROR: &str = "ValidationError";

/// A lifecycle hook: instances wait in it until their action is completed or a timeout has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) name: String,
    pub(crate) is_terminating: bool,
    /// How long an instance waits, from the last heartbeat on: 30 s to 2 h.
    pub(crate) heartbeat_timeout: Duration,
    /// How long it waits at most, whatever the heartbeats: 48 h, or 100 times the heartbeat timeout if that is shorter.
    pub(crate) global_timeout: Duration,
}

impl Hook {
    /// Reads a member of `LifecycleHooks`; `None` if it has no name or no timeouts.
    pub(super) fn read(record: &Record) -> Option<Self> {
        let seconds = |field| Some(Duration::from_secs(record.get(field)?.parse().ok()?));
        Some(Self {
            name: record.get("LifecycleHookName")?.to_owned(),
            is_terminating: record.get("LifecycleTransition") == Some(TERMINATING),
            heartbeat_timeout: seconds("HeartbeatTimeout")?,
            global_timeout: seconds("GlobalTimeout")?,
        })
    }
}
