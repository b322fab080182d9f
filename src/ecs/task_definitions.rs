//! `DescribeTaskDefinition`: how long a task's containers have between SIGTERM and SIGKILL. It never changes.

use std::time::Duration;

use super::{
    Ecs,
    stop_order::{DEFAULT, time_to_stop},
};
use crate::{
    aws::{calls::Calls, operation::Operation},
    error::Error,
};

impl Ecs {
    /// How long the containers of a task definition take to stop, at most. One that can't be read is taken for one container
    /// with the default.
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
            Ok(answer) => answer.task_definition.map_or(DEFAULT, |definition| time_to_stop(&definition)),
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
