//! `DescribeTaskDefinition`: the time between SIGTERM and SIGKILL of a task's containers. It never changes.

use std::time::Duration;

use super::{
    Ecs,
    stop_order::{DEFAULT_STOP_TIMEOUT, time_to_stop},
};
use crate::{
    aws::{calls::Calls, operation::Operation},
    error::Error,
};

impl Ecs {
    /// The longest time that the containers of a task definition take to stop. A task definition that can't be read
    /// counts as one container with the default stop timeout, unless the error is transient.
    pub(crate) async fn stop_timeout(&self, calls: &Calls, task_definition: &str) -> Result<Duration, Error> {
        if let Some(known) = self.cache.stop_timeout(task_definition) {
            return Ok(known);
        }
        let key = task_definition.to_owned();
        self.coalesced.stop_timeouts.get_one(self, &calls.once(), &key, Self::read_stop_timeout).await
    }

    async fn read_stop_timeout(self, calls: Calls, task_definition: String) -> Result<Duration, Error> {
        const OPERATION: Operation = Operation::DescribeTaskDefinition;
        let request = self.client.describe_task_definition().task_definition(&task_definition);
        let timeout = match calls.make(OPERATION, &task_definition, || request.clone().send()).await {
            Ok(answer) => answer.task_definition.map_or(DEFAULT_STOP_TIMEOUT, |definition| time_to_stop(&definition)),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "a task definition could not be described: the default stop timeout is used");
                return Ok(DEFAULT_STOP_TIMEOUT);
            }
        };
        self.cache.insert_stop_timeout(task_definition, timeout);
        Ok(timeout)
    }
}
