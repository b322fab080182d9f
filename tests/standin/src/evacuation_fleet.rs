//! An instance with a task of each kind that an evacuation has to tell apart.

use std::time::Duration;

use standin::{Container, ContainerInstance, Instance, Region, Service, Task, TaskDefinition};

/// The cluster.
pub(crate) const CLUSTER: &str = "web";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What runs on each instance:
///
/// | task | of | stop timeout | needs after SIGTERM | |
/// |---|---|---|---|---|
/// | front | service, minimum health 50 %, load balancer | 30 s | 12 s | |
/// | api | service, minimum health 100 %, load balancer | 30 s | 12 s | its replacement is healthy after 40 s |
/// | search | service, minimum health 100 %, load balancer | 90 s | 80 s | there is no room for a replacement |
/// | report | nothing | 30 s | 25 s | |
/// | import | nothing | 120 s | more | no notice is long enough for it |
/// | logs | a daemon | 30 s | 5 s | |
pub(crate) fn definitions(home: &Region) {
    for (family, stop_timeout, needs) in
        [("front", 30, s(12)), ("api", 30, s(12)), ("search", 90, s(80)), ("report", 30, s(25)), ("logs", 30, s(5))]
    {
        let container = Container::new(family).stop_timeout(stop_timeout).exits_after(needs);
        home.task_definition(TaskDefinition::new(family).container(container));
    }
    home.task_definition(
        TaskDefinition::new("import").container(Container::new("import").stop_timeout(120).ignores_sigterm()),
    );
}

/// Makes instances with all these tasks in a cluster; gives the ARNs of their container instances.
pub(crate) fn instances(home: &Region, cluster: &str, ids: &[String]) -> Vec<String> {
    definitions(home);
    let count = ids.len();
    for service in [
        // As many elsewhere as here, so that half of them can go at once.
        Service::new("front", 2 * count).minimum_healthy_percent(50).load_balancer(s(10)),
        Service::new("api", count).load_balancer(s(10)).replaced_after(Some(s(40))),
        Service::new("search", count).load_balancer(s(10)).replaced_after(None),
        Service::new("logs", count).daemon(),
    ] {
        let family = service.name.clone();
        home.service(cluster, service.task_definition(family));
    }
    ids.iter()
        .map(|id| {
            home.instance(Instance::new(id).user_data(format!("#!/bin/sh\necho ECS_CLUSTER={cluster}\n")));
            let arn = home.container_instance(cluster, ContainerInstance::new(id));
            for task in [
                Task::of_service("front"),
                Task::of_service("api"),
                Task::of_service("search"),
                Task::standalone("report").task_definition("report"),
                Task::standalone("import").task_definition("import"),
                Task::of_service("logs"),
            ] {
                home.task(&arn, task);
            }
            arn
        })
        .collect()
}
