//! ECS tasks.

/// A task on a container instance.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its ARN, given when it is placed.
    pub arn: String,
    /// `service:NAME` for a service's task, `family:NAME` otherwise.
    pub group: String,
    /// `ecs-svc/…` for a service's task.
    pub started_by: Option<String>,
    /// `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// Where it is between `PROVISIONING` and `STOPPED`.
    pub last_status: String,
    /// Why it was stopped.
    pub stopped_reason: Option<String>,
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
            stopped_reason: None,
        }
    }
}
