//! `DescribeServices`: which services are daemons, whose tasks are to outlive the others.

use aws_sdk_ecs::types::SchedulingStrategy;

use crate::{
    aws::{Calls, Regional},
    ecs::ClusterName,
};

/// The most services that one call takes.
pub(super) const DESCRIBED: usize = 10;

/// Learns which of these services of a cluster are daemons. One that is gone, or can't be read, is taken for none.
pub(super) async fn learn(aws: &Regional, calls: &Calls, cluster: &ClusterName, services: &[String]) {
    let request = aws.ecs.describe_services().cluster(cluster.as_str()).set_services(Some(services.to_vec()));
    let described = match calls.make("DescribeServices", cluster, || request.clone().send()).await {
        Ok(answer) => answer.services.unwrap_or_default(),
        Err(error) if error.is_transient() => return,
        Err(error) => {
            tracing::warn!(%error, "its services are taken for no daemons");
            Vec::new()
        }
    };
    for name in services {
        let described = described.iter().find(|service| service.service_name() == Some(name));
        let strategy = described.and_then(|service| service.scheduling_strategy());
        aws.knowledge.learn_daemon(cluster.clone(), name.clone(), strategy == Some(&SchedulingStrategy::Daemon));
    }
}
