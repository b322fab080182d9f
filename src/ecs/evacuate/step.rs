//! The steps of an evacuation, and their completions.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    ecs::{
        change::ChangeOutcome,
        container_instance::ContainerInstance,
        task::{Listed, Task},
    },
    error::Error,
    identifier::TaskArn,
};

/// A step: one read, or one change.
#[derive(Debug)]
pub(super) enum Step {
    /// Set the container instance to `DRAINING`.
    Drain,
    /// Read how many tasks ECS counts.
    Count,
    /// List the running tasks, of which ECS counts this many.
    ListRunning { counted: usize },
    /// List the tasks that are being stopped.
    ListStopping,
    /// Describe a task.
    Describe(TaskArn),
    /// Read how long a task's containers have between SIGTERM and SIGKILL.
    ReadStopTimeout { task: TaskArn, definition: String, is_standalone: bool },
    /// Read whether a task's service is a daemon.
    ReadService { task: TaskArn, service: String },
    /// Stop a task: its containers get SIGTERM.
    Stop { task: TaskArn, due: Instant, may_be_standalone: bool },
    /// Deregister the container instance. With `until`, the call is retried until that time.
    Deregister { until: Option<Instant>, due: Instant },
}

/// The completion of a step.
#[derive(Debug)]
pub(super) enum Completion {
    Drained(Result<ChangeOutcome, Error>),
    Counted(Result<Option<ContainerInstance>, Error>),
    ListedRunning(Result<Vec<Listed>, Error>),
    ListedStopping(Result<Vec<TaskArn>, Error>),
    Described(TaskArn, Result<Option<Task>, Error>),
    StopTimeout(TaskArn, Result<Duration, Error>),
    Daemon(TaskArn, Result<bool, Error>),
    Stopped(TaskArn, Result<(), Error>),
    Deregistered(Result<ChangeOutcome, Error>),
}
