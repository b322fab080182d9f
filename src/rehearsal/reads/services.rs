//! Services whose tasks run on instances that would be changed.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{DeploymentConfiguration, SchedulingStrategy, Service};
use futures_util::future::join_all;

use crate::{
    aws::{calls::Calls, operation::Operation},
    ecs::{Ecs, limits::SERVICES},
    error::Error,
    identifier::ClusterName,
    rehearsal::{finding::Kind, notes::Notes},
};

/// What matters of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its cluster and name.
    name: String,
    /// Whether it may neither stop a task nor start another one before.
    has_no_room: bool,
    /// The ARNs of its target groups.
    pub(super) target_groups: Vec<String>,
}

/// Reads services.
pub(super) async fn read(
    ecs: &Ecs,
    calls: &Calls,
    services: &BTreeMap<ClusterName, BTreeSet<String>>,
) -> Vec<Result<Vec<Facts>, Error>> {
    let by_cluster = services.iter().map(|(cluster, names)| (cluster, names.iter().cloned().collect::<Vec<_>>()));
    let by_cluster: Vec<_> = by_cluster.collect();
    let pages = by_cluster.iter().flat_map(|(cluster, names)| names.chunks(SERVICES).map(move |page| (cluster, page)));
    join_all(pages.map(async |(cluster, page)| {
        let request = ecs.client.describe_services().cluster(cluster.as_str()).set_services(Some(page.to_vec()));
        let answer = calls.make(Operation::DescribeServices, cluster, || request.clone().send()).await?;
        Ok(answer.services().iter().map(|service| Facts::of(cluster, service)).collect())
    }))
    .await
}

impl Facts {
    fn of(cluster: &ClusterName, service: &Service) -> Self {
        let balancers = service.load_balancers().iter();
        Self {
            name: format!("{cluster}/{}", service.service_name().unwrap_or_default()),
            has_no_room: has_no_room(service),
            target_groups: balancers.filter_map(|of| of.target_group_arn()).map(str::to_owned).collect(),
        }
    }
}

/// Whether the deployment configuration allows neither to stop a task nor to start one beside the desired ones. ECS
/// rounds the minimum up and the maximum down: "Service definition parameters" in the Amazon ECS Developer Guide.
fn has_no_room(service: &Service) -> bool {
    let configuration = service.deployment_configuration();
    let percent = |value: Option<i32>, default: i64| value.map_or(default, i64::from).max(0);
    let minimum = percent(configuration.and_then(DeploymentConfiguration::minimum_healthy_percent), 100);
    let maximum = percent(configuration.and_then(DeploymentConfiguration::maximum_percent), 200);
    let desired = i64::from(service.desired_count());
    let is_daemon = service.scheduling_strategy() == Some(&SchedulingStrategy::Daemon);
    // More than 99 % of the desired tasks: rounded up, none of them may be missing.
    let may_stop = desired * minimum <= (desired - 1) * 100;
    let may_start = desired * maximum >= (desired + 1) * 100;
    desired > 0 && !is_daemon && !may_stop && !may_start
}

/// Finds services without room. Returns the target groups of all of them.
pub(super) fn find_without_room(read: Vec<Result<Vec<Facts>, Error>>, notes: &mut Notes) -> BTreeSet<String> {
    let mut target_groups = BTreeSet::new();
    for service in notes.answers(read).into_iter().flatten() {
        if service.has_no_room {
            notes.add(Kind::ServiceWithoutRoom, &service.name);
        }
        target_groups.extend(service.target_groups);
    }
    target_groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_a_task_that_may_stop_or_start() {
        for (desired, minimum, maximum, expected) in [
            (4, 100, 200, false),
            (4, 100, 100, true),
            (4, 100, 124, true),
            (4, 100, 125, false),
            (4, 75, 100, false),
            (4, 76, 100, true),
            (1, 50, 100, true),
            (1, 0, 100, false),
            (1, 100, 150, true),
            (0, 100, 100, false),
        ] {
            let configuration =
                DeploymentConfiguration::builder().minimum_healthy_percent(minimum).maximum_percent(maximum).build();
            let service = Service::builder().desired_count(desired).deployment_configuration(configuration);
            assert_eq!(has_no_room(&service.clone().build()), expected, "{desired} {minimum} {maximum}");
            assert!(!has_no_room(&service.scheduling_strategy(SchedulingStrategy::Daemon).build()));
        }
        assert!(!has_no_room(&Service::builder().desired_count(1).build()), "100 % and 200 % are the defaults");
    }
}
