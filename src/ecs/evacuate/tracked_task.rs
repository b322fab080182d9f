//! A task of a container instance under evacuation, as far as it is known.

use std::time::Duration;

use tokio::time::Instant;

use crate::ecs::{
    stop_order::DEFAULT_STOP_TIMEOUT,
    task::{Progress, Task},
};

/// A task of the container instance.
#[derive(Debug, Default)]
pub(super) struct TrackedTask {
    /// `None` if it was listed but not described.
    pub(super) task: Option<Task>,
    pub(super) is_being_described: bool,
    /// Whether ECS could not describe it.
    pub(super) is_undescribable: bool,
    /// Whether it was being stopped, and so not counted, when ECS counted last.
    pub(super) is_uncounted: bool,
    pub(super) stop: StopRequest,
    /// The time between SIGTERM and SIGKILL of its containers.
    pub(super) stop_timeout: Detail<Duration>,
    /// Whether its service is a daemon, which runs one task on each instance.
    pub(super) is_daemon: Detail<bool>,
    /// Since when these details have been read.
    pub(super) read_since: Option<Instant>,
}

/// Whether a task was asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StopRequest {
    #[default]
    NotSent,
    InFlight,
    /// ECS accepted or refused it.
    Done,
}

/// A detail of a task that takes another call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Detail<T> {
    #[default]
    Unknown,
    InFlight,
    Known(T),
}

impl TrackedTask {
    /// Whether it may have to be stopped. A task that was only listed is described first, if possible.
    pub(super) fn is_open(&self) -> bool {
        let is_running = self.task.as_ref().map_or(self.is_undescribable, |task| task.progress != Progress::Stopping);
        is_running && self.stop == StopRequest::NotSent
    }

    pub(super) fn timeout(&self) -> Duration {
        if let Detail::Known(timeout) = self.stop_timeout { timeout } else { DEFAULT_STOP_TIMEOUT }
    }

    /// Since when missing details have been read; `None` if none is missing.
    pub(super) fn unknown_since(&self) -> Option<Instant> {
        let is_known = matches!(self.stop_timeout, Detail::Known(_))
            && (self.may_be_standalone() || matches!(self.is_daemon, Detail::Known(_)));
        self.read_since.filter(|_| !is_known)
    }

    pub(super) fn is_daemon(&self) -> bool {
        self.is_daemon == Detail::Known(true)
    }

    /// Whether it may belong to no service, as a task that was only listed may.
    pub(super) fn may_be_standalone(&self) -> bool {
        self.task.as_ref().is_none_or(|task| task.service.is_none())
    }
}
