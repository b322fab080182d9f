//! ECS tasks on AWS Fargate.

use super::Task;

/// A task on Fargate, with a network interface of its own.
#[derive(Clone, Debug)]
pub struct FargateTask {
    /// What it runs, and for whom.
    pub task: Task,
    /// Its capacity provider: `FARGATE_SPOT` unless set; `None` if it was started by launch type.
    pub capacity_provider: Option<String>,
    /// Its platform version.
    pub platform_version: String,
    /// The subnet of its network interface.
    pub subnet: String,
    /// The security groups of its network interface.
    pub security_groups: Vec<String>,
    /// Whether its network interface has a public address.
    pub public_ip: bool,
}

impl FargateTask {
    /// A task on Fargate Spot.
    #[must_use]
    pub fn new(task: Task) -> Self {
        Self {
            task,
            capacity_provider: Some("FARGATE_SPOT".to_owned()),
            platform_version: "1.4.0".to_owned(),
            subnet: "subnet-0123456789abcdef0".to_owned(),
            security_groups: vec!["sg-0123456789abcdef0".to_owned()],
            public_ip: false,
        }
    }

    /// Sets the capacity provider, `FARGATE` or `FARGATE_SPOT`; `None` if it was started by launch type.
    #[must_use]
    pub fn capacity_provider(mut self, name: Option<&str>) -> Self {
        self.capacity_provider = name.map(str::to_owned);
        self
    }

    /// Sets the platform version.
    #[must_use]
    pub fn platform_version(mut self, version: impl Into<String>) -> Self {
        self.platform_version = version.into();
        self
    }

    /// Sets the subnet.
    #[must_use]
    pub fn subnet(mut self, subnet: impl Into<String>) -> Self {
        self.subnet = subnet.into();
        self
    }

    /// Sets the security groups.
    #[must_use]
    pub fn security_groups<T: Into<String>>(mut self, groups: impl IntoIterator<Item = T>) -> Self {
        self.security_groups = groups.into_iter().map(Into::into).collect();
        self
    }

    /// Gives it a public address.
    #[must_use]
    pub fn public_ip(mut self) -> Self {
        self.public_ip = true;
        self
    }
}
