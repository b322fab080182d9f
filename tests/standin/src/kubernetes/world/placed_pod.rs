//! Placed pods.

use std::time::{Duration, Instant};

use crate::model::Pod;

/// How a pod was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRequest {
    /// By an eviction.
    Evicted,
    /// By a deletion.
    Deleted,
    /// It was not.
    Not,
}

/// How a pod ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodEnding {
    /// It runs.
    Running,
    /// By itself.
    Exited,
    /// By SIGKILL, at the end of its grace period.
    Killed,
    /// With its instance, during its grace period.
    KilledInGracePeriod,
    /// With its instance, without SIGTERM.
    KilledUntold,
}

/// A pod, as it is now.
#[derive(Clone, Debug)]
pub(crate) struct PlacedPod {
    pub(crate) pod: Pod,
    pub(crate) node: String,
    /// The instance of its node.
    pub(crate) instance: Option<String>,
    pub(crate) created: Instant,
    /// Whether the API server has it.
    pub(crate) exists: bool,
    /// Whether a controller created it in the place of another one.
    pub(crate) is_replacement: bool,
    pub(crate) stop_request: StopRequest,
    pub(crate) sigterm: Option<Instant>,
    /// The grace period that it has been given.
    pub(crate) grace: Option<Duration>,
    /// Its `deletionTimestamp`.
    pub(crate) deletion: Option<Instant>,
    pub(crate) ended: Option<(Instant, PodEnding)>,
    pub(in crate::kubernetes) version: u64,
}

impl PlacedPod {
    pub(super) fn new(pod: Pod, node: String, instance: Option<String>, version: u64, created: Instant) -> Self {
        Self {
            pod,
            node,
            instance,
            created,
            exists: true,
            is_replacement: false,
            stop_request: StopRequest::Not,
            sigterm: None,
            grace: None,
            deletion: None,
            ended: None,
            version,
        }
    }

    /// Whether its controller and its budget count on it.
    pub(super) fn is_active(&self) -> bool {
        self.exists && self.deletion.is_none() && !self.pod.is_finished()
    }

    pub(in crate::kubernetes) fn is_healthy(&self) -> bool {
        self.is_active() && self.pod.ready && self.ended.is_none()
    }

    /// When it ends, once it has SIGTERM, and how.
    pub(super) fn end(&self) -> Option<(Instant, PodEnding)> {
        let (sigterm, kill) = (self.sigterm?, self.deletion?);
        match self.pod.stops_after.map(|time| sigterm + time).filter(|exit| *exit <= kill) {
            Some(exit) => Some((exit, PodEnding::Exited)),
            None => Some((kill, PodEnding::Killed)),
        }
    }

    /// How the history names it.
    pub(super) fn subject(&self) -> String {
        self.pod.key()
    }
}
