//! The steps of an evacuation, and what comes of them.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    ecs::{
        change::Ended,
        container_instance::ContainerInstance,
        task::{Listed, Task},
    },
    error::Error,
    identifier::TaskArn,
};

/// A step: one look, or one change.
#[derive(Debug)]
pub(super) enum Step {
    /// Set the container instance to `DRAINING`.
    Drain,
    /// See how many tasks ECS counts.
    Count,
    /// List the tasks that nobody has begun to stop, of which ECS counts so many.
    ListRunning { counted: usize },
    /// List the tasks that are being stopped.
    ListStopping,
    /// See what became of a task.
    Describe(TaskArn),
    /// See how long a task's containers have after SIGTERM.
    ReadStopTimeout { task: TaskArn, definition: String },
    /// See whether a task's service is a daemon.
    ReadService { task: TaskArn, service: String },
    /// Have a task's containers sent SIGTERM.
    Stop { task: TaskArn, due: Instant },
    /// Deregister the container instance; if its time is up, again and again until then.
    Deregister { until: Option<Instant>, due: Instant },
}

/// What came of a step.
#[derive(Debug)]
pub(super) enum Completion {
    Drained(Result<Ended, Error>),
    Counted(Result<Option<ContainerInstance>, Error>),
    ListedRunning(Result<Vec<Listed>, Error>),
    ListedStopping(Result<Vec<Listed>, Error>),
    Described(TaskArn, Result<Option<Task>, Error>),
    StopTimeout(TaskArn, Result<Duration, Error>),
    Daemon(TaskArn, Result<bool, Error>),
    Stopped(TaskArn, Result<(), Error>),
    Deregistered(Result<Ended, Error>),
}
