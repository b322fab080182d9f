//! Who else looks after a container instance.

use super::{
    capacity_provider::{self, Kind, ManagedDraining},
    clusters::Cluster,
    instances::Instance,
};
use crate::{
    aws::{Calls, Regional},
    ecs::{ContainerInstance, Status},
    error::Error,
};

/// The tag that AWS Batch puts on its instances and clusters.
pub(super) const BATCH_TAG: &str = "AWSBatchServiceTag";

/// Someone who sees to a container instance's tasks without us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// Amazon ECS Managed Instances: a forced deregistration would terminate the instance at once.
    ManagedInstances,
    /// AWS Batch, which starts interrupted jobs again by itself.
    Batch,
    /// ECS, by the managed draining of this capacity provider.
    ManagedDraining(String),
}

/// Finds out who else looks after a container instance.
pub(super) async fn keepers(
    aws: &Regional,
    calls: &Calls,
    found: &ContainerInstance,
    instance: Option<&Instance>,
    cluster: Option<&Cluster>,
) -> Result<Vec<Keeper>, Error> {
    let mut keepers = Vec::new();
    if instance.is_some_and(|instance| instance.is_managed) {
        keepers.push(Keeper::ManagedInstances);
    }
    if found.cluster.as_str().contains("_Batch_")
        || instance.is_some_and(|instance| instance.has_batch_tag)
        || cluster.is_some_and(|cluster| cluster.has_batch_tag)
    {
        keepers.push(Keeper::Batch);
    }
    // What is gone is not changed, whoever kept it.
    if let Some(name) = &found.capacity_provider
        && found.status != Status::Gone
    {
        match capacity_provider::of(aws, calls, &found.cluster, name).await? {
            Kind::ManagedInstances => keepers.push(Keeper::ManagedInstances),
            Kind::AutoScalingGroup { managed_draining: ManagedDraining::Enabled, .. } => {
                keepers.push(Keeper::ManagedDraining(name.clone()));
            }
            Kind::AutoScalingGroup { .. } | Kind::Missing => {}
        }
    }
    Ok(keepers)
}
