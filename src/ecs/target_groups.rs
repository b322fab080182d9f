//! `DescribeServices`: the target groups in which the tasks of a service are registered.

use std::collections::{BTreeSet, HashMap};

use super::{Ecs, none_failed, target_group::TargetGroup};
use crate::{
    aws::{calls::Calls, operation::Operation},
    error::Error,
    identifier::ClusterName,
};

impl Ecs {
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
