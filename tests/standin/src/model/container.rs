//! The containers of a task.

use std::time::Duration;

/// The default time between SIGTERM and SIGKILL.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A container of a task definition, and its reaction to SIGTERM.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its name, unique in its task definition.
    pub name: String,
    /// Seconds between SIGTERM and SIGKILL; 30 where unset.
    pub stop_timeout: Option<u32>,
    /// How long after SIGTERM it exits; `None` if it waits for SIGKILL.
    pub exits_after: Option<Duration>,
    /// The containers that it depends on, with their conditions.
    pub depends_on: Vec<(String, String)>,
    /// The containers that it is linked to, each with an alias if it has one.
    pub links: Vec<String>,
    /// The containers whose volumes it mounts.
    pub volumes_from: Vec<String>,
    /// Where its logs go.
    pub log_driver: Option<String>,
    /// Whether it is a `FireLens` log router.
    pub log_router: bool,
    /// Whether its end ends its task, as it does by default; only descriptions show it.
    pub essential: bool,
    /// Its exit code where it ends by itself, without SIGTERM.
    pub exit_code: i32,
    /// Its exit code where it exits after SIGTERM: 143 unless set, as without a handler.
    pub sigterm_exit_code: i32,
}

impl Container {
    /// A container that exits one second after SIGTERM.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            stop_timeout: None,
            exits_after: Some(Duration::from_secs(1)),
            depends_on: Vec::new(),
            links: Vec::new(),
            volumes_from: Vec::new(),
            log_driver: None,
            log_router: false,
            essential: true,
            exit_code: 0,
            sigterm_exit_code: 143,
        }
    }

    /// Makes it depend on another container: `START`, `HEALTHY`, `COMPLETE` or `SUCCESS`.
    #[must_use]
    pub fn depends_on(mut self, name: impl Into<String>, condition: impl Into<String>) -> Self {
        self.depends_on.push((name.into(), condition.into()));
        self
    }

    /// Links it to another container: `NAME` or `NAME:ALIAS`.
    #[must_use]
    pub fn link(mut self, link: impl Into<String>) -> Self {
        self.links.push(link.into());
        self
    }

    /// Mounts another container's volumes.
    #[must_use]
    pub fn volumes_from(mut self, name: impl Into<String>) -> Self {
        self.volumes_from.push(name.into());
        self
    }

    /// Sets where its logs go: `awslogs`, `awsfirelens` and so on.
    #[must_use]
    pub fn log_driver(mut self, driver: impl Into<String>) -> Self {
        self.log_driver = Some(driver.into());
        self
    }

    /// Makes it a `FireLens` log router.
    #[must_use]
    pub fn log_router(mut self) -> Self {
        self.log_router = true;
        self
    }

    /// Makes it one whose end does not end its task.
    #[must_use]
    pub fn not_essential(mut self) -> Self {
        self.essential = false;
        self
    }

    /// Sets its exit code where it ends by itself.
    #[must_use]
    pub fn exit_code(mut self, code: i32) -> Self {
        self.exit_code = code;
        self
    }

    /// Sets its exit code where it exits after SIGTERM.
    #[must_use]
    pub fn sigterm_exit_code(mut self, code: i32) -> Self {
        self.sigterm_exit_code = code;
        self
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
    pub(crate) fn time_to_stop(&self) -> Duration {
        self.stop_timeout.map_or(STOP_TIMEOUT, |seconds| Duration::from_secs(seconds.into()))
    }
}
