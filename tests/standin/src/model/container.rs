//! The containers of a task.

use std::time::Duration;

/// How long a container has between SIGTERM and SIGKILL where its definition does not say.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A container of a task definition, and how it takes SIGTERM.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its name, unique in its task definition.
    pub name: String,
    /// Seconds between SIGTERM and SIGKILL; 30 where unset.
    pub stop_timeout: Option<u32>,
    /// How long after SIGTERM it exits; `None`: it waits for SIGKILL.
    pub exits_after: Option<Duration>,
}

impl Container {
    /// A container that exits one second after SIGTERM.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), stop_timeout: None, exits_after: Some(Duration::from_secs(1)) }
    }

    /// Sets the seconds between SIGTERM and SIGKILL.
    #[must_use]
    pub fn stop_timeout(mut self, seconds: u32) -> Self {
        self.stop_timeout = Some(seconds);
        self
    }

    /// Sets how long after SIGTERM it exits.
    #[must_use]
    pub fn exits_after(mut self, time: Duration) -> Self {
        self.exits_after = Some(time);
        self
    }

    /// Makes it run on until SIGKILL.
    #[must_use]
    pub fn ignores_sigterm(mut self) -> Self {
        self.exits_after = None;
        self
    }

    /// The time between SIGTERM and SIGKILL.
    pub(crate) fn patience(&self) -> Duration {
        self.stop_timeout.map_or(STOP_TIMEOUT, |seconds| Duration::from_secs(seconds.into()))
    }
}
