//! ECS tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// A task on a container instance, or on Fargate as a [`FargateTask`](crate::FargateTask).
#[derive(Clone, Debug)]
pub struct Task {
    /// Its ARN, set when it is placed.
    pub arn: String,
    /// `service:NAME` for a service's task, `family:NAME` otherwise.
    pub group: String,
    /// `ecs-svc/…` for a service's task.
    pub started_by: Option<String>,
    /// `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// Its status, between `PROVISIONING` and `STOPPED`.
    pub last_status: String,
    /// The stop code: `UserInitiated`, `ServiceSchedulerInitiated` and so on.
    pub stop_code: Option<String>,
    /// The reason for the stop.
    pub stopped_reason: Option<String>,
    /// The family of its task definition; that of its service where unset, or else `app`.
    pub task_definition: Option<String>,
    /// How long after its start it ends by itself.
    pub finishes_after: Option<Duration>,
    /// The overrides that it was started with, as in `RunTask`.
    pub overrides: Value,
    /// Its tags, which `StopTask` deletes.
    pub tags: BTreeMap<String, String>,
    /// Whether ECS Exec is turned on for it.
    pub enable_execute_command: bool,
}

impl Task {
    /// A running task of a service.
    #[must_use]
    pub fn of_service(name: &str) -> Self {
        Self { started_by: Some("ecs-svc/0123456789012345678".to_owned()), ..Self::of_group(format!("service:{name}")) }
    }

    /// A running task that belongs to no service.
    #[must_use]
    pub fn standalone(family: &str) -> Self {
        Self::of_group(format!("family:{family}"))
    }

    fn of_group(group: String) -> Self {
        Self {
            arn: String::new(),
            group,
            started_by: None,
            desired_status: "RUNNING".to_owned(),
            last_status: "RUNNING".to_owned(),
            stop_code: None,
            stopped_reason: None,
            task_definition: None,
            finishes_after: None,
            overrides: json!({"containerOverrides": [], "inferenceAcceleratorOverrides": []}),
            tags: BTreeMap::new(),
            enable_execute_command: false,
        }
    }

    /// Sets the family of its task definition.
    #[must_use]
    pub fn task_definition(mut self, family: impl Into<String>) -> Self {
        self.task_definition = Some(family.into());
        self
    }

    /// Sets who started it, such as `events-rule/nightly`.
    #[must_use]
    pub fn started_by(mut self, starter: impl Into<String>) -> Self {
        self.started_by = Some(starter.into());
        self
    }

    /// Sets its group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Sets the overrides, as in `RunTask`.
    #[must_use]
    pub fn overrides(mut self, overrides: Value) -> Self {
        self.overrides = overrides;
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Turns on ECS Exec.
    #[must_use]
    pub fn enable_execute_command(mut self) -> Self {
        self.enable_execute_command = true;
        self
    }

    /// Makes it end by itself.
    #[must_use]
    pub fn finishes_after(mut self, time: Duration) -> Self {
        self.finishes_after = Some(time);
        self
    }

    /// Whether it runs and is meant to run.
    pub(crate) fn is_running(&self) -> bool {
        self.desired_status == "RUNNING" && self.last_status == "RUNNING"
    }

    /// Whether it is pending.
    pub(crate) fn is_pending(&self) -> bool {
        self.desired_status == "RUNNING"
            && matches!(self.last_status.as_str(), "PROVISIONING" | "PENDING" | "ACTIVATING")
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.last_status == "STOPPED"
    }
}
