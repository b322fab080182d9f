//! Who else manages a container instance.

use std::{collections::HashMap, time::Duration};

use super::{
    Ecs,
    capacity_provider::{CapacityProvider, CapacityProviderName},
    cluster_list::BATCH_TAG,
    container_instance::{ContainerInstance, Status},
};
use crate::{
    aws::calls::Calls,
    ec2::instance::{ECS, Instance},
    error::Error,
    identifier::ClusterName,
};

/// How long the read of a cluster's tags may delay a change, 3 s.
const BATCH_TAG_TIMEOUT: Duration = Duration::from_secs(3);

/// A manager of a container instance's tasks other than this function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ManagedBy {
    /// Amazon ECS Managed Instances: a forced deregistration would terminate the instance at once.
    ManagedInstances,
    /// Another AWS service, by its principal.
    Operator(String),
    /// AWS Batch, which retries interrupted jobs by itself.
    Batch,
    /// ECS, by the managed draining of this capacity provider.
    ManagedDraining(CapacityProviderName),
}

impl Ecs {
    /// Finds out who else manages a container instance, from EC2's description of the instance and ECS's data on the
    /// cluster.
    ///
    /// `instance` is an error if EC2 did not answer. The capacity provider has to exist then, since a missing one may
    /// have been one of ECS Managed Instances.
    pub(crate) async fn managed_by(
        &self,
        calls: &Calls,
        found: &ContainerInstance,
        instance: Result<Option<&Instance>, &Error>,
    ) -> Result<Vec<ManagedBy>, Error> {
        // A deregistered container instance is never changed.
        if found.status == Status::Gone {
            return Ok(Vec::new());
        }
        let mut managed_by = Vec::new();
        let known = instance.ok().flatten();
        match known.and_then(Instance::operator) {
            Some(ECS) => managed_by.push(ManagedBy::ManagedInstances),
            Some(principal) => managed_by.push(ManagedBy::Operator(principal.to_owned())),
            None => {}
        }
        let is_batch = match known {
            Some(instance) if instance.tag(BATCH_TAG).is_some() => true,
            // Batch tags its instances as well.
            Some(_) => self.is_batch_soon(calls, &found.cluster).await.unwrap_or_default(),
            None => self.is_batch_soon(calls, &found.cluster).await?,
        };
        if is_batch {
            managed_by.push(ManagedBy::Batch);
        }
        if let Some(name) = &found.capacity_provider {
            match (self.capacity_provider(calls, &found.cluster, name).await?, instance) {
                (CapacityProvider::ManagedInstances, _) => managed_by.push(ManagedBy::ManagedInstances),
                (CapacityProvider::AutoScalingGroup { is_drained: true, .. }, _) => {
                    managed_by.push(ManagedBy::ManagedDraining(name.clone()));
                }
                // It may have been a provider of ECS Managed Instances.
                (CapacityProvider::Missing, Err(error)) => return Err(error.clone()),
                (CapacityProvider::AutoScalingGroup { .. } | CapacityProvider::Missing, _) => {}
            }
        }
        Ok(managed_by)
    }

    /// Like [`Ecs::is_batch`], for changes that must not wait for the tags.
    pub(crate) async fn is_batch_soon(&self, calls: &Calls, cluster: &ClusterName) -> Result<bool, Error> {
        self.is_batch(&calls.with_fallback_after(BATCH_TAG_TIMEOUT), cluster).await
    }

    /// Whether a cluster belongs to AWS Batch, by its name or its tag. The tag of an unknown cluster is read once.
    pub(crate) async fn is_batch(&self, calls: &Calls, cluster: &ClusterName) -> Result<bool, Error> {
        let name = cluster.as_str();
        let known = self.cache.clusters().and_then(|known| Some(known.get(cluster)?.has_batch_tag));
        match known.or_else(|| self.cache.has_batch_tag(cluster)) {
            _ if name.starts_with("AWSBatch-") || name.contains("_Batch_") => Ok(true),
            Some(has_batch_tag) => Ok(has_batch_tag),
            None => {
                let tags = &self.coalesced.batch_tags;
                tags.get(self, calls, &(), cluster.clone(), Self::read_batch_tags).await
            }
        }
    }

    async fn read_batch_tags(
        self,
        calls: Calls,
        (): (),
        clusters: Vec<ClusterName>,
    ) -> Result<HashMap<ClusterName, bool>, Error> {
        let ids: Vec<_> = clusters.iter().map(ToString::to_string).collect();
        let described = self.describe_clusters(&calls, &ids).await?.into_iter();
        let tags: HashMap<_, _> = described.map(|cluster| (cluster.name, cluster.has_batch_tag)).collect();
        for (cluster, has_batch_tag) in &tags {
            self.cache.insert_batch_tag(cluster.clone(), *has_batch_tag);
        }
        Ok(tags)
    }
}
