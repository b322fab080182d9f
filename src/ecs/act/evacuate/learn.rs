//! `DescribeTaskDefinition` and `DescribeServices`: how long a task's containers have between SIGTERM and SIGKILL, and
//! which services are daemons, whose tasks are to outlive the others. Neither ever changes.

use std::time::Duration;

use aws_sdk_ecs::types::{SchedulingStrategy, TaskDefinition};

use crate::{
    aws::{Calls, Regional},
    ecs::ClusterName,
    error::Error,
};

/// The most services that one call takes.
pub(super) const SERVICES: usize = 10;

/// Where a container sets no `stopTimeout`, 30 s, unless the agent's `ECS_CONTAINER_STOP_TIMEOUT` says otherwise.
///
/// Source: "Task definition parameters" in the Amazon ECS Developer Guide.
pub(super) const DEFAULT: Duration = Duration::from_secs(30);

/// The same for Windows, 60 s: documents differ, the latest have 30 s. A container that has more time than it needs
/// loses nothing.
const WINDOWS_DEFAULT: Duration = Duration::from_mins(1);

/// The longest stop timeout of a task definition's containers. One that can't be read is taken for the default.
///
/// # Errors
///
/// If it may be read later.
pub(super) async fn stop_timeout(aws: &Regional, calls: &Calls, task_definition: &str) -> Result<Duration, Error> {
    if let Some(known) = aws.knowledge.stop_timeout(task_definition) {
        return Ok(known);
    }
    let request = aws.ecs.describe_task_definition().task_definition(task_definition);
    let timeout = match calls.make("DescribeTaskDefinition", task_definition, || request.clone().send()).await {
        Ok(answer) => answer.task_definition.map_or(DEFAULT, |definition| longest(&definition)),
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => {
            tracing::warn!(%error, "its stop timeout is taken for the default");
            return Ok(DEFAULT);
        }
    };
    aws.knowledge.learn_stop_timeout(task_definition.to_owned(), timeout);
    Ok(timeout)
}

/// Which of these services of a cluster are daemons. One that is gone, or can't be read, is taken for none.
///
/// # Errors
///
/// If they may be read later.
pub(super) async fn daemons(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    services: &[String],
) -> Result<Vec<(String, bool)>, Error> {
    let known = |name: &String| Some((name.clone(), aws.knowledge.is_daemon(cluster, name)?));
    if let Some(known) = services.iter().map(known).collect() {
        return Ok(known);
    }
    let request = aws.ecs.describe_services().cluster(cluster.as_str()).set_services(Some(services.to_vec()));
    let described = match calls.make("DescribeServices", cluster, || request.clone().send()).await {
        Ok(answer) => answer.services.unwrap_or_default(),
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => {
            tracing::warn!(%error, "its services are taken for no daemons");
            Vec::new()
        }
    };
    let daemons = services.iter().map(|name| {
        let described = described.iter().find(|service| service.service_name() == Some(name));
        let is_daemon = described.is_some_and(|service| {
            let is_daemon = service.scheduling_strategy() == Some(&SchedulingStrategy::Daemon);
            aws.knowledge.learn_daemon(cluster.clone(), name.clone(), is_daemon);
            is_daemon
        });
        (name.clone(), is_daemon)
    });
    Ok(daemons.collect())
}

fn longest(definition: &TaskDefinition) -> Duration {
    let family = definition.runtime_platform().and_then(|platform| platform.operating_system_family());
    let default =
        if family.is_some_and(|family| family.as_str().starts_with("WINDOWS")) { WINDOWS_DEFAULT } else { DEFAULT };
    let timeouts = definition.container_definitions().iter().map(|container| {
        let seconds = container.stop_timeout().and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map_or(default, Duration::from_secs)
    });
    timeouts.max().unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{ContainerDefinition, OsFamily, RuntimePlatform};

    use super::*;

    #[test]
    fn the_longest_counts_and_what_is_not_set_has_a_default() {
        for (timeouts, family, expected) in [
            (&[][..], None, 30),
            (&[None], None, 30),
            (&[Some(10)], None, 10),
            (&[Some(10), None], None, 30),
            (&[Some(10), Some(90), Some(2)], None, 90),
            (&[Some(0)], None, 0),
            (&[None], Some(OsFamily::Linux), 30),
            (&[None], Some(OsFamily::WindowsServer2022Core), 60),
            (&[Some(20)], Some(OsFamily::WindowsServer2022Core), 20),
        ] {
            let containers = timeouts.iter().map(|t| ContainerDefinition::builder().set_stop_timeout(*t).build());
            let platform =
                family.clone().map(|family| RuntimePlatform::builder().operating_system_family(family).build());
            let definition = TaskDefinition::builder()
                .set_container_definitions(Some(containers.collect()))
                .set_runtime_platform(platform)
                .build();
            assert_eq!(longest(&definition).as_secs(), expected, "{timeouts:?} {family:?}");
        }
    }
}
