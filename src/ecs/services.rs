//! `DescribeServices`: which services are daemons, whose tasks are stopped last, and in which target groups the tasks of
//! a service are registered.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_ecs::types::SchedulingStrategy;

use super::{Ecs, none_failed, target_group::TargetGroup};
use crate::{
    aws::{calls::Calls, operation::Operation},
    error::Error,
    identifier::ClusterName,
};

impl Ecs {
    /// Whether a service of a cluster is a daemon, which never changes. A service that is gone, or can't be read, counts
    /// as none, unless the error is transient or a failure in the answer.
    pub(crate) async fn is_daemon(&self, calls: &Calls, cluster: &ClusterName, service: &str) -> Result<bool, Error> {
        if let Some(known) = self.cache.is_daemon(cluster, service) {
            return Ok(known);
        }
        self.coalesced.daemons.get(self, &calls.once(), cluster, service.to_owned(), Self::read_daemons).await
    }

    async fn read_daemons(
        self,
        calls: Calls,
        cluster: ClusterName,
        services: Vec<String>,
    ) -> Result<HashMap<String, bool>, Error> {
        let request = self.client.describe_services().cluster(cluster.as_str()).set_services(Some(services));
        let described = match calls.make(Operation::DescribeServices, &cluster, || request.clone().send()).await {
            Ok(answer) => {
                none_failed(Operation::DescribeServices, cluster.as_str(), answer.failures(), &["MISSING"])?;
                answer.services.unwrap_or_default()
            }
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "services could not be described: none of them is treated as a daemon");
                Vec::new()
            }
        };
        let daemons = described.into_iter().filter_map(|service| {
            let is_daemon = service.scheduling_strategy() == Some(&SchedulingStrategy::Daemon);
            let name = service.service_name?;
            self.cache.insert_daemon(cluster.clone(), name.clone(), is_daemon);
            Some((name, is_daemon))
        });
        Ok(daemons.collect())
    }

    /// The target groups of a service; both of a blue/green service, and none of a service that is gone.
    pub(crate) async fn target_groups(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        service: &str,
    ) -> Result<BTreeSet<TargetGroup>, Error> {
        self.coalesced.target_groups.get(self, calls, cluster, service.to_owned(), Self::read_target_groups).await
    }

    async fn read_target_groups(
        self,
        calls: Calls,
        cluster: ClusterName,
        services: Vec<String>,
    ) -> Result<HashMap<String, BTreeSet<TargetGroup>>, Error> {
        let request = self.client.describe_services().cluster(cluster.as_str()).set_services(Some(services));
        let answer = calls.make(Operation::DescribeServices, &cluster, || request.clone().send()).await?;
        none_failed(Operation::DescribeServices, cluster.as_str(), answer.failures(), &["MISSING"])?;
        let described = answer.services.unwrap_or_default().into_iter();
        Ok(described.filter_map(|of| Some((of.service_name.clone()?, TargetGroup::of(&of)))).collect())
    }
}
