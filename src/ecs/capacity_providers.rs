//! `DescribeCapacityProviders`: who manages an instance, and which Auto Scaling group belongs to which provider.

use std::collections::BTreeSet;

use super::{
    Ecs,
    capacity_provider::{CapacityProvider, CapacityProviderName},
    none_failed,
};
use crate::{
    aws::{calls::Calls, next, operation::Operation},
    error::Error,
    identifier::ClusterName,
};

/// The most providers in a page.
const PAGE: usize = 10;

impl Ecs {
    /// Reads the account's providers of these names into the cache.
    ///
    /// Providers of ECS Managed Instances are missing from the answer: ECS returns them only to requests that name
    /// their cluster.
    pub(crate) async fn read_capacity_providers(
        &self,
        calls: &Calls,
        names: BTreeSet<&CapacityProviderName>,
    ) -> Result<(), Error> {
        let names: Vec<_> = names.into_iter().filter(|name| self.cache.capacity_provider(name).is_none()).collect();
        for names in names.chunks(PAGE) {
            for (name, provider) in self.describe_capacity_providers(calls, names, None).await? {
                self.cache.insert_capacity_provider(name, provider);
            }
        }
        Ok(())
    }

    /// Reads the capacity provider of a container instance.
    ///
    /// The first request names `cluster`, since ECS returns a provider of ECS Managed Instances only then. The second
    /// one does not, since the answer to the first lacks a provider that the cluster no longer lists but whose
    /// instances still run.
    pub(crate) async fn capacity_provider(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        name: &CapacityProviderName,
    ) -> Result<CapacityProvider, Error> {
        if let Some(provider) = self.cache.capacity_provider(name) {
            return Ok(provider);
        }
        let key = (cluster.clone(), name.clone());
        self.coalesced.capacity_providers.get_one(self, calls, &key, Self::read_capacity_provider).await
    }

    async fn read_capacity_provider(
        self,
        calls: Calls,
        (cluster, name): (ClusterName, CapacityProviderName),
    ) -> Result<CapacityProvider, Error> {
        for cluster in [Some(&cluster), None] {
            let found = self.describe_capacity_providers(&calls, &[&name], cluster).await?;
            if let Some((_, provider)) = found.into_iter().find(|(found, _)| *found == name) {
                self.cache.insert_capacity_provider(name, provider.clone());
                return Ok(provider);
            }
        }
        Ok(CapacityProvider::Missing)
    }

    async fn describe_capacity_providers(
        &self,
        calls: &Calls,
        names: &[&CapacityProviderName],
        cluster: Option<&ClusterName>,
    ) -> Result<Vec<(CapacityProviderName, CapacityProvider)>, Error> {
        const OPERATION: Operation = Operation::DescribeCapacityProviders;
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let resource = names.join(", ");
        let request = self.client.describe_capacity_providers().set_capacity_providers(Some(names));
        let mut request = request.set_cluster(cluster.map(ToString::to_string));
        let mut providers = Vec::new();
        loop {
            let page = calls.make(OPERATION, &resource, || request.clone().send()).await?;
            none_failed(OPERATION, &resource, page.failures(), &["MISSING"])?;
            providers.extend(page.capacity_providers().iter().filter_map(|described| {
                Some((CapacityProviderName::from_name_or_arn(described.name()?), CapacityProvider::new(described)?))
            }));
            match next(page.next_token) {
                Some(token) => request = request.next_token(token),
                None => return Ok(providers),
            }
        }
    }
}
