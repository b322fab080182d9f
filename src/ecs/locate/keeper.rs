//! Who else looks after a container instance.

use super::{
    capacity_provider::{self, Kind, ManagedDraining},
    clusters::{self, Cluster},
    instances::Instance,
};
use crate::{
    aws::{Calls, Regional},
    ecs::{ClusterName, ContainerInstance, Status},
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

/// Finds out who else looks after a container instance, by what EC2 knows of the instance and ECS of the cluster.
///
/// `instance` is an error where EC2 did not answer; then two marks are missing, and are made up for by a look at the
/// cluster's tags, and by insisting on the capacity provider.
pub(super) async fn keepers(
    aws: &Regional,
    calls: &Calls,
    found: &ContainerInstance,
    instance: &Result<Option<Instance>, Error>,
    cluster: Option<&Cluster>,
) -> Result<Vec<Keeper>, Error> {
    // What is gone is not changed, whoever kept it.
    if found.status == Status::Gone {
        return Ok(Vec::new());
    }
    let mut keepers = Vec::new();
    let known = instance.as_ref().ok().and_then(Option::as_ref);
    if known.is_some_and(|instance| instance.is_managed) {
        keepers.push(Keeper::ManagedInstances);
    }
    let is_batch = found.cluster.as_str().contains("_Batch_")
        || known.is_some_and(|instance| instance.has_batch_tag)
        || match cluster {
            Some(cluster) => cluster.has_batch_tag,
            None if instance.is_err() => has_batch_tag(aws, calls, &found.cluster).await,
            None => false,
        };
    if is_batch {
        keepers.push(Keeper::Batch);
    }
    if let Some(name) = &found.capacity_provider {
        match (capacity_provider::of(aws, calls, &found.cluster, name).await?, instance) {
            (Kind::ManagedInstances, _) => keepers.push(Keeper::ManagedInstances),
            (Kind::AutoScalingGroup { managed_draining: ManagedDraining::Enabled, .. }, _) => {
                keepers.push(Keeper::ManagedDraining(name.clone()));
            }
            // It may have been one of ECS Managed Instances.
            (Kind::Missing, Err(error)) => return Err(error.clone()),
            (Kind::AutoScalingGroup { .. } | Kind::Missing, _) => {}
        }
    }
    Ok(keepers)
}

async fn has_batch_tag(aws: &Regional, calls: &Calls, cluster: &ClusterName) -> bool {
    let described = clusters::describe_named(aws, calls, std::slice::from_ref(cluster)).await;
    described.get(cluster).is_some_and(|cluster| cluster.has_batch_tag)
}
