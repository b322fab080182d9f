//! A task, as ECS describes it.

use aws_sdk_ecs::types;

use crate::identifier::TaskArn;

/// A task, reduced to what stopping it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) arn: TaskArn,
    /// The ARN of its container instance.
    pub(crate) container_instance: String,
    pub(crate) progress: Progress,
    /// The ARN of its task definition.
    pub(crate) definition: String,
    /// The service that it belongs to; `None` for a standalone task.
    pub(crate) service: Option<String>,
    /// Who started it, as far as the starter says.
    pub(crate) started_by: Option<String>,
}

/// A task that was listed, with its description if there is one.
pub(crate) type Listed = (TaskArn, Option<Task>);

/// How far a task is on its way to `STOPPED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing has begun to stop it.
    Running,
    /// ECS is stopping it and waits for its load balancer: its containers have not got SIGTERM yet.
    Deactivating,
    /// Its containers have got SIGTERM.
    Stopping,
    /// It has stopped.
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
            started_by: described.started_by,
            service: described.group.as_deref().and_then(|group| group.strip_prefix("service:")).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_follows_desired_and_last_status() {
        for (desired, last, expected) in [
            ("RUNNING", "PROVISIONING", Progress::Running),
            ("RUNNING", "RUNNING", Progress::Running),
            ("STOPPED", "RUNNING", Progress::Stopping),
            ("STOPPED", "DEACTIVATING", Progress::Deactivating),
            ("STOPPED", "STOPPING", Progress::Stopping),
            // Its container exited by itself.
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
