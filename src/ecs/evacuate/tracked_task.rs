//! What is known of a task on a container instance under evacuation.

use std::time::Duration;

use tokio::time::Instant;

use crate::ecs::{
    stop_order::DEFAULT,
    task::{Progress, Task},
};

/// A task of the container instance.
#[derive(Debug, Default)]
pub(super) struct TrackedTask {
    /// `None` if it was only listed.
    pub(super) task: Option<Task>,
    pub(super) is_being_described: bool,
    /// Whether ECS could not say more of it.
    pub(super) is_obscure: bool,
    /// Whether it was being stopped when ECS counted last.
    pub(super) is_uncounted: bool,
    pub(super) stop: StopRequest,
    /// How long its containers have after SIGTERM.
    pub(super) stop_timeout: Detail<Duration>,
    /// Whether its service runs one task on each instance.
    pub(super) is_daemon: Detail<bool>,
    /// Since when these have been read.
    pub(super) read_since: Option<Instant>,
}

/// Whether a task is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StopRequest {
    #[default]
    No,
    UnderWay,
    /// It was, or ECS refused it.
    Over,
}

/// What has to be read beside the task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Detail<T> {
    #[default]
    Unknown,
    UnderWay,
    Known(T),
}

impl TrackedTask {
    /// Whether it may have to be stopped. What was only listed is described first, if it can be.
    pub(super) fn is_open(&self) -> bool {
        let is_running = self.task.as_ref().map_or(self.is_obscure, |task| task.progress != Progress::Stopping);
        is_running && self.stop == StopRequest::No
    }

    pub(super) fn timeout(&self) -> Duration {
        if let Detail::Known(timeout) = self.stop_timeout { timeout } else { DEFAULT }
    }

    /// Since when it has been read what is not known of it yet.
    pub(super) fn unknown_since(&self) -> Option<Instant> {
        let is_known = matches!(self.stop_timeout, Detail::Known(_))
            && (self.may_be_standalone() || matches!(self.is_daemon, Detail::Known(_)));
        self.read_since.filter(|_| !is_known)
    }

    pub(super) fn is_daemon(&self) -> bool {
        self.is_daemon == Detail::Known(true)
    }

    /// Whether it is one of no service; one that was only listed may be.
    pub(super) fn may_be_standalone(&self) -> bool {
        self.task.as_ref().is_none_or(|task| task.service.is_none())
    }
}
