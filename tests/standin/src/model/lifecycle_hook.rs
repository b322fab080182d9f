//! Lifecycle hooks of Auto Scaling groups.

use std::time::Duration;

/// The longest time that an instance waits in a hook, however often its heartbeat is recorded.
const LONGEST: Duration = Duration::from_hours(48);

/// A lifecycle hook.
#[derive(Clone, Debug)]
pub struct LifecycleHook {
    /// Its name, unique in its group.
    pub name: String,
    /// Whether it is for launches; for terminations otherwise.
    pub launching: bool,
    /// How long an instance waits without a heartbeat.
    pub heartbeat_timeout: Duration,
    /// What happens when the time is over: `ABANDON` or `CONTINUE`.
    pub default_result: String,
    /// What the events carry along.
    pub metadata: Option<String>,
}

impl LifecycleHook {
    /// A hook for terminations, with a heartbeat timeout of an hour and the default result `ABANDON`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            launching: false,
            heartbeat_timeout: Duration::from_hours(1),
            default_result: "ABANDON".to_owned(),
            metadata: None,
        }
    }

    /// Makes it one for launches, in which nothing waits here.
    #[must_use]
    pub fn launching(mut self) -> Self {
        self.launching = true;
        self
    }

    /// Sets how long an instance waits without a heartbeat: 30 to 7,200 seconds in AWS.
    #[must_use]
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// Sets what happens when the time is over: `ABANDON` or `CONTINUE`.
    #[must_use]
    pub fn default_result(mut self, result: impl Into<String>) -> Self {
        self.default_result = result.into();
        self
    }

    /// Sets what the events carry along.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// How long an instance waits at most: 48 hours or 100 heartbeat timeouts, whichever is shorter.
    #[must_use]
    pub fn global_timeout(&self) -> Duration {
        LONGEST.min(self.heartbeat_timeout * 100)
    }

    pub(crate) fn transition(&self) -> &'static str {
        if self.launching { "autoscaling:EC2_INSTANCE_LAUNCHING" } else { "autoscaling:EC2_INSTANCE_TERMINATING" }
    }
}
