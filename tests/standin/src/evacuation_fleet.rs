//! Instances with a task of each kind that an evacuation has to distinguish.

use std::time::Duration;

use crate::model::{Container, ContainerInstance, Instance, Service, Task, TaskDefinition};
use crate::region::Region;

/// The name of the cluster.
pub const CLUSTER: &str = "web";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Adds the definitions of the tasks that run on each instance:
///
/// | task | of | stop timeout | needs after SIGTERM | |
/// |---|---|---|---|---|
/// | front | service, minimum health 50 %, load balancer | 30 s | 12 s | |
/// | api | service, minimum health 100 %, load balancer | 30 s | 12 s | its replacement is healthy after 40 s |
/// | search | service, minimum health 100 %, load balancer | 90 s | 80 s | there is no capacity for a replacement |
/// | report | no service | 30 s | 25 s | |
/// | import | no service | 120 s | more | no notice is long enough for it |
/// | logs | daemon | 30 s | 5 s | |
pub fn task_definitions(home: &Region) {
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

/// Creates instances with all these tasks in a cluster. Returns the ARNs of their container instances.
pub fn instances(home: &Region, cluster: &str, ids: &[String]) -> Vec<String> {
    task_definitions(home);
    let count = ids.len();
    for service in [
        // As many tasks run elsewhere as here, so that half of them can stop at once.
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
