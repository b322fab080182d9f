//! The target groups of services.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{LoadBalancer, Service, TaskSet};

/// A target group in which a service registers the addresses of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TargetGroup {
    pub(crate) arn: String,
    /// The port under which tasks are registered.
    pub(crate) port: u16,
}

impl TargetGroup {
    /// Those of a service and, with another deployment controller than that of ECS, of its task sets.
    pub(crate) fn of(service: &Service) -> BTreeSet<Self> {
        let task_sets = service.task_sets().iter().flat_map(TaskSet::load_balancers);
        service.load_balancers().iter().chain(task_sets).flat_map(both).collect()
    }
}

/// A blue/green service has a second target group, and its tasks may be in either.
fn both(of: &LoadBalancer) -> impl Iterator<Item = TargetGroup> {
    let alternate = of.advanced_configuration().and_then(|more| more.alternate_target_group_arn());
    let port = of.container_port().and_then(|port| u16::try_from(port).ok());
    let arns = [of.target_group_arn(), alternate].into_iter().flatten();
    arns.filter_map(move |arn| Some(TargetGroup { arn: arn.to_owned(), port: port? }))
}
