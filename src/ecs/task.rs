//! A task, as ECS describes it.

use aws_sdk_ecs::types;

use crate::identifier::TaskArn;

/// A task, as far as stopping it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) arn: TaskArn,
    /// The ARN of the container instance that it runs on.
    pub(crate) container_instance: String,
    pub(crate) progress: Progress,
    /// The ARN of its task definition.
    pub(crate) definition: String,
    /// The service that it belongs to; a standalone task belongs to none.
    pub(crate) service: Option<String>,
}

/// A task that was listed, and described if it could be.
pub(crate) type Listed = (TaskArn, Option<Task>);

/// How far a task is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nobody stops it.
    Running,
    /// ECS stops it, and waits for its load balancer: its containers have not been sent SIGTERM.
    Deactivating,
    /// Its containers have been sent SIGTERM.
    Stopping,
    /// It is over.
    Stopped,
}

impl Task {
    /// `None` without ARNs: such a task can't be stopped, or is on no container instance.
    pub(crate) fn new(described: types::Task) -> Option<Self> {
        Some(Self {
            arn: described.task_arn?.try_into().ok()?,
            container_instance: described.container_instance_arn?,
            progress: match (described.desired_status.as_deref(), described.last_status.as_deref()) {
                (_, Some("STOPPED" | "DELETED")) => Progress::Stopped,
                (_, Some("DEACTIVATING")) => Progress::Deactivating,
                (Some("STOPPED"), _) | (_, Some("STOPPING" | "DEPROVISIONING")) => Progress::Stopping,
                _ => Progress::Running,
            },
            definition: described.task_definition_arn.unwrap_or_default(),
            service: described.group.as_deref().and_then(|group| group.strip_prefix("service:")).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_task_is() {
        for (desired, last, expected) in [
            ("RUNNING", "PROVISIONING", Progress::Running),
            ("RUNNING", "RUNNING", Progress::Running),
            ("STOPPED", "RUNNING", Progress::Stopping),
            ("STOPPED", "DEACTIVATING", Progress::Deactivating),
            ("STOPPED", "STOPPING", Progress::Stopping),
            // Its container ended by itself.
            ("RUNNING", "DEPROVISIONING", Progress::Stopping),
            ("STOPPED", "STOPPED", Progress::Stopped),
        ] {
            let arn = |kind| format!("arn:aws:ecs:us-east-1:123456789012:{kind}/web/1");
            let described = types::Task::builder()
                .task_arn(arn("task"))
                .container_instance_arn(arn("container-instance"))
                .desired_status(desired)
                .last_status(last)
                .build();
            assert_eq!(Task::new(described).map(|task| task.progress), Some(expected), "{desired} {last}");
        }
    }
}
