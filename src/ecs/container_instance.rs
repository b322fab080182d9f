//! A container instance, as ECS describes it.

use aws_sdk_ecs::types;

use super::capacity_provider::CapacityProviderName;
use crate::{
    identifier::{ClusterName, ContainerInstanceArn, InstanceId},
    mark::Mark,
};

/// The name of the attribute whose value is a [`Mark`].
pub(crate) const MARK: &str = "spot-interruption-handler.drained";

/// An EC2 instance's registration in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerInstance {
    /// The cluster it is registered in.
    pub(crate) cluster: ClusterName,
    pub(crate) arn: ContainerInstanceArn,
    /// The EC2 instance, the proof that this is the right container instance.
    pub(crate) instance: InstanceId,
    pub(crate) status: Status,
    /// Whether its agent is connected. If not, the registration may be stale.
    pub(crate) is_connected: bool,
    /// The number of running tasks; tasks that are being stopped do not count.
    pub(crate) running_tasks: i32,
    /// The number of pending tasks.
    pub(crate) pending_tasks: i32,
    /// The capacity provider that launched it.
    pub(crate) capacity_provider: Option<CapacityProviderName>,
    /// The mark of this function, if it drained the container instance and has not reactivated it.
    pub(crate) mark: Option<Mark>,
}

/// The status of a container instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// `REGISTERING`: ECS can't drain it yet.
    Registering,
    /// `REGISTRATION_FAILED`: no task will ever be placed on it.
    RegistrationFailed,
    /// `ACTIVE`
    Active,
    /// `DRAINING`
    Draining,
    /// `INACTIVE` or `DEREGISTERING`: it is no longer registered.
    Gone,
}

impl ContainerInstance {
    /// `None` without a valid ARN and EC2 instance id, which are the proof that it is the right one.
    pub(crate) fn new(cluster: &ClusterName, described: types::ContainerInstance) -> Option<Self> {
        let mark = described.attributes().iter().find(|attribute| attribute.name() == MARK);
        Some(Self {
            cluster: cluster.clone(),
            mark: mark.map(|mark| Mark::read(mark.value().unwrap_or_default())),
            arn: described.container_instance_arn?.try_into().ok()?,
            instance: described.ec2_instance_id?.try_into().ok()?,
            status: match described.status.as_deref() {
                Some("REGISTERING") => Status::Registering,
                Some("REGISTRATION_FAILED") => Status::RegistrationFailed,
                Some("DRAINING") => Status::Draining,
                Some("INACTIVE" | "DEREGISTERING") => Status::Gone,
                _ => Status::Active,
            },
            is_connected: described.agent_connected,
            running_tasks: described.running_tasks_count,
            pending_tasks: described.pending_tasks_count,
            capacity_provider: described.capacity_provider_name.as_deref().map(CapacityProviderName::from_name_or_arn),
        })
    }

    /// Whether ECS places tasks on it, and its agent is connected to start them.
    pub(crate) fn is_in_service(&self) -> bool {
        self.status == Status::Active && self.is_connected
    }

    /// The number of tasks that ECS counts as running or pending.
    pub(crate) fn tasks(&self) -> usize {
        self.running_tasks.saturating_add(self.pending_tasks).try_into().unwrap_or_default()
    }
}
