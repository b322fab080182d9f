//! What is left on a container instance that is being drained.

use futures_util::future::try_join_all;

use super::{Ecs, task::Progress};
use crate::{
    aws::calls::Calls,
    error::Error,
    identifier::{ClusterName, ContainerInstanceArn},
    outcome::Remaining,
};

impl Ecs {
    /// Counts the tasks of a container instance that have not stopped. The tasks that are being stopped are only counted
    /// once no others are left: ECS does not include them in its own count.
    pub(crate) async fn remaining(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arn: &ContainerInstanceArn,
    ) -> Result<Remaining, Error> {
        let described = self.container_instance(calls, cluster, arn).await?;
        let Some(described) = described else { return Ok(Remaining::default()) };
        let running = described.tasks();
        if running > 0 {
            return Ok(Remaining { running, ..Remaining::default() });
        }
        let listed = self.stopping_tasks_on(calls, cluster, arn).await?;
        let tasks = try_join_all(listed.iter().map(|task| self.task(calls, cluster, task))).await?;
        let stopping = tasks.iter().flatten().filter(|task| task.progress != Progress::Stopped).count();
        Ok(Remaining { stopping, ..Remaining::default() })
    }
}
