//! The order in which the ECS agent stops a task's containers, and the time that it takes. Pure.
//!
//! The agent stops a container only when all containers that depend on it have stopped, so the stop timeouts along a
//! path of dependencies add up. Source: `agent/engine/dependencygraph` and `agent/api/task` in aws/amazon-ecs-agent.

use std::time::Duration;

use aws_sdk_ecs::types::{ContainerCondition, ContainerDefinition, ContainerDependency, LogDriver, TaskDefinition};

/// The stop timeout of a container without a `stopTimeout`, 30 s, unless the agent's `ECS_CONTAINER_STOP_TIMEOUT` sets
/// another one.
///
/// Source: "Task definition parameters" in the Amazon ECS Developer Guide.
pub(crate) const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The same for Windows, 60 s: the documents differ, and the latest say 30 s. Too long a timeout does no harm to a
/// container.
const WINDOWS_STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// The time from a task's first SIGTERM to its last SIGKILL: the longest path through the stop order.
pub(crate) fn time_to_stop(definition: &TaskDefinition) -> Duration {
    let family = definition.runtime_platform().and_then(|platform| platform.operating_system_family());
    let default = if family.is_some_and(|family| family.as_str().starts_with("WINDOWS")) {
        WINDOWS_STOP_TIMEOUT
    } else {
        DEFAULT_STOP_TIMEOUT
    };
    let containers = definition.container_definitions();
    let own = containers.iter().map(|container| {
        let seconds = container.stop_timeout().and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map_or(default, Duration::from_secs)
    });
    let router = router(containers);
    let at = |name| containers.iter().position(|container| container.name() == Some(name));
    let next = containers.iter().map(|container| stopped_after(container, router).filter_map(at).collect());
    let order: Vec<(_, Vec<_>)> = own.zip(next).collect();
    let mut times = vec![Duration::ZERO; containers.len()];
    // Each round extends the paths by one container. No path has more containers than there are, so that even a cycle,
    // which ECS rejects, ends.
    for _ in containers {
        let after = |next: &[usize]| next.iter().filter_map(|at| times.get(*at)).max().copied().unwrap_or_default();
        times = order.iter().map(|(own, next)| *own + after(next)).collect();
    }
    times.into_iter().max().unwrap_or(default)
}

/// The `FireLens` router, on which all containers depend whose logs it routes. A router that depends on another
/// container itself does not count, so that there is no cycle.
fn router(containers: &[ContainerDefinition]) -> Option<&str> {
    let router = containers.iter().rfind(|container| container.firelens_configuration().is_some())?;
    let is_first = router.depends_on().is_empty() && router.volumes_from().is_empty() && router.links().is_empty();
    router.name().filter(|_| is_first)
}

/// The containers that are stopped after this one. A container that had to complete before this one started has stopped
/// already, and counts only by itself: the task may be just starting.
fn stopped_after<'a>(container: &'a ContainerDefinition, router: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    let runs_on = |condition| !matches!(condition, &ContainerCondition::Complete | &ContainerCondition::Success);
    let depends_on = container.depends_on().iter().filter(move |dependency| runs_on(dependency.condition()));
    let volumes = container.volumes_from().iter().filter_map(|volume| volume.source_container());
    // A link may have an alias after a colon.
    let links = container.links().iter().filter_map(|link| link.split(':').next());
    let is_routed = container.log_configuration().is_some_and(|log| *log.log_driver() == LogDriver::Awsfirelens);
    let router = router.filter(|router| is_routed && container.name() != Some(router));
    depends_on.map(ContainerDependency::container_name).chain(volumes).chain(links).chain(router)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{
        FirelensConfiguration, FirelensConfigurationType, LogConfiguration, OsFamily, RuntimePlatform, VolumeFrom,
        builders::ContainerDefinitionBuilder,
    };

    use super::*;

    fn definition(containers: impl IntoIterator<Item = ContainerDefinition>) -> TaskDefinition {
        TaskDefinition::builder().set_container_definitions(Some(containers.into_iter().collect())).build()
    }

    fn container(name: &str) -> ContainerDefinitionBuilder {
        ContainerDefinition::builder().name(name)
    }

    fn on(name: &str, condition: &str) -> ContainerDependency {
        ContainerDependency::builder().container_name(name).condition(condition.into()).build().unwrap()
    }

    fn after(name: &str, others: &[(&str, &str)]) -> ContainerDefinition {
        let depends_on = others.iter().map(|(other, condition)| on(other, condition)).collect();
        container(name).set_depends_on(Some(depends_on)).build()
    }

    #[test]
    fn longest_timeout_of_independent_containers_counts() {
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
            assert_eq!(time_to_stop(&definition).as_secs(), expected, "{timeouts:?} {family:?}");
        }
    }

    #[test]
    fn timeouts_add_up_along_a_path_of_dependencies() {
        let app = || container("app").stop_timeout(20);
        let (side, log) = (|| after("side", &[]), || after("log", &[]));
        let cases: &[(&str, Vec<ContainerDefinition>, u64)] = &[
            ("two", vec![after("app", &[("side", "START")]), side()], 60),
            ("in the other order", vec![side(), after("app", &[("side", "HEALTHY")])], 60),
            ("three", vec![after("app", &[("side", "START")]), after("side", &[("log", "HEALTHY")]), log()], 90),
            ("a fork", vec![after("app", &[("side", "START"), ("log", "START")]), side(), log()], 60),
            (
                "a diamond",
                vec![
                    app().depends_on(on("side", "START")).depends_on(on("log", "START")).build(),
                    container("side").stop_timeout(5).depends_on(on("net", "START")).build(),
                    container("log").stop_timeout(50).depends_on(on("net", "START")).build(),
                    container("net").stop_timeout(7).build(),
                ],
                77,
            ),
            ("the longer one beside a path", vec![app().links("side").build(), side(), log()], 50),
            ("a link with an alias", vec![app().links("side:db").build(), side()], 50),
            (
                "volumes",
                vec![app().volumes_from(VolumeFrom::builder().source_container("side").build()).build(), side()],
                50,
            ),
            ("what has completed", vec![after("app", &[("side", "COMPLETE"), ("log", "SUCCESS")]), side(), log()], 30),
            ("an unknown name", vec![after("app", &[("nobody", "START")])], 30),
            ("a cycle", vec![after("app", &[("side", "START")]), after("side", &[("app", "START")])], 60),
            ("itself", vec![after("app", &[("app", "START")])], 30),
        ];
        for (case, containers, expected) in cases {
            assert_eq!(time_to_stop(&definition(containers.clone())).as_secs(), *expected, "{case}");
        }
    }

    #[test]
    fn firelens_router_is_stopped_after_the_containers_that_it_serves() {
        let firelens = FirelensConfiguration::builder().r#type(FirelensConfigurationType::Fluentbit).build().unwrap();
        let router = || container("router").stop_timeout(12).firelens_configuration(firelens.clone());
        let logs = |driver| LogConfiguration::builder().log_driver(driver).build().unwrap();
        let app = |driver| container("app").stop_timeout(20).log_configuration(logs(driver)).build();
        for (case, containers, expected) in [
            ("routed", vec![app(LogDriver::Awsfirelens), router().build()], 32),
            ("not routed", vec![app(LogDriver::Awslogs), router().build()], 20),
            ("no router", vec![app(LogDriver::Awsfirelens)], 20),
            (
                "its own logs",
                vec![app(LogDriver::Awsfirelens), router().log_configuration(logs(LogDriver::Awsfirelens)).build()],
                32,
            ),
            ("depends on the app", vec![app(LogDriver::Awsfirelens), router().links("app").build()], 32),
            (
                "depends on another",
                vec![app(LogDriver::Awsfirelens), router().links("net").build(), container("net").build()],
                42,
            ),
        ] {
            assert_eq!(time_to_stop(&definition(containers)).as_secs(), expected, "{case}");
        }
    }
}
