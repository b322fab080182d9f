//! Amazon ECS: find the container instance, decide, act.

pub mod act;
pub mod locate;
pub mod mark;
pub mod plan;

use self::mark::Mark;
use crate::{identifier::identifier, interruption::InstanceId};

identifier!(
    /// The name of an ECS cluster.
    ClusterName,
    "the name of an ECS cluster (1 to 255 letters, digits, - and _)",
    |name| (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
);

identifier!(
    /// The ARN of an ECS task.
    TaskArn,
    "the ARN of an ECS task",
    |arn| arn.starts_with("arn:") && arn.contains(":task/")
);

identifier!(
    /// The ARN of an ECS container instance.
    ContainerInstanceArn,
    "the ARN of an ECS container instance",
    |arn| arn.starts_with("arn:") && arn.contains(":container-instance/")
);

impl ClusterName {
    /// Reads a cluster's name or its full ARN.
    #[must_use]
    pub fn from_name_or_arn(text: &str) -> Option<Self> {
        let name = if text.starts_with("arn:") { text.split_once(":cluster/")?.1 } else { text };
        Self::try_from(name.to_owned()).ok()
    }
}

/// An EC2 instance's registration in a cluster, as `DescribeContainerInstances` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerInstance {
    /// The cluster it is registered in.
    pub cluster: ClusterName,
    /// Its ARN.
    pub arn: ContainerInstanceArn,
    /// The EC2 instance behind it: the proof that this is the right one.
    pub instance: InstanceId,
    /// Whether tasks are placed on it.
    pub status: Status,
    /// How many tasks run on it; those that are being stopped do not count.
    pub running_tasks: i32,
    /// How many tasks are on their way to running.
    pub pending_tasks: i32,
    /// The capacity provider it belongs to.
    pub capacity_provider: Option<String>,
    /// Whether this function drained it, for as long as it has not come back.
    pub mark: Option<Mark>,
}

/// Whether tasks are placed on a container instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `ACTIVE`, or on its way there.
    Active,
    /// `DRAINING`
    Draining,
    /// `INACTIVE`, or on its way there: it is no longer registered.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_named_by_its_name_or_its_arn() {
        let name = |text| ClusterName::from_name_or_arn(text).map(|name| name.to_string());
        assert_eq!(name("web_1-a").as_deref(), Some("web_1-a"));
        assert_eq!(name("arn:aws-cn:ecs:cn-north-1:123456789012:cluster/web").as_deref(), Some("web"));
        for bad in
            ["", "arn:aws:ecs:us-east-1:123456789012:service/web", "a b", "web/api", "arn:x:cluster/", &"x".repeat(256)]
        {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
