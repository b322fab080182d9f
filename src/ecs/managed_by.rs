//! Who else manages a container instance.

use super::{
    Ecs,
    capacity_provider::{CapacityProvider, ManagedDraining, ProviderName},
    cluster_list::BATCH_TAG,
    container_instance::{ContainerInstance, Status},
};
use crate::{aws::calls::Calls, ec2::instance::Instance, error::Error, identifier::ClusterName};

/// Someone who handles a container instance's tasks without us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ManagedBy {
    /// Amazon ECS Managed Instances: a forced deregistration would terminate the instance at once.
    ManagedInstances,
    /// AWS Batch, which starts interrupted jobs again by itself.
    Batch,
    /// ECS, by the managed draining of this capacity provider.
    ManagedDraining(ProviderName),
}

impl Ecs {
    /// Finds out who else manages a container instance, by what EC2 knows of the instance and ECS of the cluster.
    ///
    /// `instance` is an error if EC2 did not answer. Two marks are missing then: a look at the cluster's tags stands in for
    /// one, and the capacity provider, which has to exist, for the other.
    pub(crate) async fn managed_by(
        &self,
        calls: &Calls,
        found: &ContainerInstance,
        instance: Result<Option<&Instance>, &Error>,
    ) -> Result<Vec<ManagedBy>, Error> {
        // What is gone is not changed, whoever managed it.
        if found.status == Status::Gone {
            return Ok(Vec::new());
        }
        let mut managed_by = Vec::new();
        let known = instance.ok().flatten();
        if known.is_some_and(Instance::is_managed_by_ecs) {
            managed_by.push(ManagedBy::ManagedInstances);
        }
        let is_batch = found.cluster.as_str().contains("_Batch_")
            || known.is_some_and(|instance| instance.tag(BATCH_TAG).is_some())
            || match self.cache.clusters().as_ref().and_then(|known| known.get(&found.cluster)) {
                Some(cluster) => cluster.has_batch_tag,
                None if instance.is_err() => self.has_batch_tag(calls, &found.cluster).await,
                None => false,
            };
        if is_batch {
            managed_by.push(ManagedBy::Batch);
        }
        if let Some(name) = &found.capacity_provider {
            match (self.capacity_provider(calls, &found.cluster, name).await?, instance) {
                (CapacityProvider::ManagedInstances, _) => managed_by.push(ManagedBy::ManagedInstances),
                (CapacityProvider::AutoScalingGroup { managed_draining: ManagedDraining::Enabled, .. }, _) => {
                    managed_by.push(ManagedBy::ManagedDraining(name.clone()));
                }
                // It may have been one of ECS Managed Instances.
                (CapacityProvider::Missing, Err(error)) => return Err(error.clone()),
                (CapacityProvider::AutoScalingGroup { .. } | CapacityProvider::Missing, _) => {}
            }
        }
        Ok(managed_by)
    }

    async fn has_batch_tag(&self, calls: &Calls, cluster: &ClusterName) -> bool {
        let described = self.describe_named(calls, vec![cluster.clone()]).await;
        described.iter().any(|described| described.name == *cluster && described.has_batch_tag)
    }
}
