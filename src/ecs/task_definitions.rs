//! `DescribeTaskDefinition`: how long a task's containers have between SIGTERM and SIGKILL. It never changes.

use std::time::Duration;

use aws_sdk_ecs::types::TaskDefinition;

use super::Ecs;
use crate::{
    aws::{calls::Calls, operation::Operation},
    error::Error,
};

/// If a container sets no `stopTimeout`, 30 s, unless the agent's `ECS_CONTAINER_STOP_TIMEOUT` says otherwise.
///
/// Source: "Task definition parameters" in the Amazon ECS Developer Guide.
pub(crate) const DEFAULT: Duration = Duration::from_secs(30);

/// The same for Windows, 60 s: documents differ, the latest have 30 s. A container that has more time than it needs
/// loses nothing.
const WINDOWS_DEFAULT: Duration = Duration::from_mins(1);

impl Ecs {
    /// The longest stop timeout of a task definition's containers. One that can't be read is taken for the default.
    ///
    /// # Errors
    ///
    /// If it may be read later.
    pub(crate) async fn stop_timeout(&self, calls: &Calls, task_definition: &str) -> Result<Duration, Error> {
        if let Some(known) = self.cache.stop_timeout(task_definition) {
            return Ok(known);
        }
        let key = task_definition.to_owned();
        self.shared.stop_timeouts.get_one(self, &calls.once(), &key, Self::read_stop_timeout).await
    }

    async fn read_stop_timeout(self, calls: Calls, task_definition: String) -> Result<Duration, Error> {
        const OPERATION: Operation = Operation::DescribeTaskDefinition;
        let request = self.client.describe_task_definition().task_definition(&task_definition);
        let timeout = match calls.make(OPERATION, &task_definition, || request.clone().send()).await {
            Ok(answer) => answer.task_definition.map_or(DEFAULT, |definition| longest(&definition)),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "its stop timeout is taken for the default");
                return Ok(DEFAULT);
            }
        };
        self.cache.insert_stop_timeout(task_definition, timeout);
        Ok(timeout)
    }
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
