//! `DescribeCapacityProviders`: whose instances ECS manages, and which Auto Scaling group is whose.

use std::collections::BTreeSet;

use super::{
    Ecs,
    capacity_provider::{CapacityProvider, ProviderName},
    none_failed,
};
use crate::{
    aws::{calls::Calls, next, operation::Operation},
    error::Error,
    identifier::ClusterName,
};

/// The most providers that come in a page.
const PAGE: usize = 10;

impl Ecs {
    /// Reads the account's providers of these names into the cache.
    ///
    /// Those of ECS Managed Instances are given only to who names their cluster.
    pub(crate) async fn read_capacity_providers(
        &self,
        calls: &Calls,
        names: BTreeSet<&ProviderName>,
    ) -> Result<(), Error> {
        let names: Vec<_> = names.into_iter().filter(|name| self.cache.capacity_provider(name).is_none()).collect();
        for names in names.chunks(PAGE) {
            for (name, provider) in self.describe_capacity_providers(calls, names, None).await? {
                self.cache.insert_capacity_provider(name, provider);
            }
        }
        Ok(())
    }

    /// Reads the provider of a container instance.
    ///
    /// `cluster` is named, so that a provider of ECS Managed Instances is seen; but a provider that the cluster no longer
    /// lists is left out of such an answer while its instances live on, so the account is asked as well.
    pub(crate) async fn capacity_provider(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        name: &ProviderName,
    ) -> Result<CapacityProvider, Error> {
        if let Some(provider) = self.cache.capacity_provider(name) {
            return Ok(provider);
        }
        let key = (cluster.clone(), name.clone());
        self.shared.capacity_providers.get_one(self, calls, &key, Self::read_capacity_provider).await
    }

    async fn read_capacity_provider(
        self,
        calls: Calls,
        (cluster, name): (ClusterName, ProviderName),
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
        names: &[&ProviderName],
        cluster: Option<&ClusterName>,
    ) -> Result<Vec<(ProviderName, CapacityProvider)>, Error> {
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
                Some((ProviderName::from_name_or_arn(described.name()?), CapacityProvider::new(described)?))
            }));
            match next(page.next_token) {
                Some(token) => request = request.next_token(token),
                None => return Ok(providers),
            }
        }
    }
}
