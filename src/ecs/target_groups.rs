//! `DescribeServices`: the target groups in which the tasks of a service are registered.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_ecs::types::{LoadBalancer, Service};

use super::{Ecs, none_failed};
use crate::{
    aws::{calls::Calls, operation::Operation},
    error::Error,
    identifier::ClusterName,
};

/// A target group in which a service registers the addresses of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TargetGroup {
    pub(crate) arn: String,
    /// The port under which tasks are registered.
    pub(crate) port: u16,
}

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
        Ok(described.filter_map(|of| Some((of.service_name.clone()?, target_groups(&of)))).collect())
    }
}

/// The target groups of a service and, with another deployment controller than that of ECS, of its task sets.
fn target_groups(service: &Service) -> BTreeSet<TargetGroup> {
    let task_sets = service.task_sets().iter().flat_map(|of| of.load_balancers());
    service.load_balancers().iter().chain(task_sets).flat_map(both).collect()
}

/// A blue/green service has a second target group, and its tasks may be in either.
fn both(of: &LoadBalancer) -> impl Iterator<Item = TargetGroup> {
    let alternate = of.advanced_configuration().and_then(|more| more.alternate_target_group_arn());
    let port = of.container_port().and_then(|port| u16::try_from(port).ok());
    let arns = [of.target_group_arn(), alternate].into_iter().flatten();
    arns.filter_map(move |arn| Some(TargetGroup { arn: arn.to_owned(), port: port? }))
}
