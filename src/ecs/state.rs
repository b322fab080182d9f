//! `UpdateContainerInstancesState`: changes of state, in batches.

use std::collections::HashMap;

use aws_sdk_ecs::types::{self, ContainerInstanceStatus};

use super::{Ecs, ItemAnswer, container_instance::ContainerInstance};
use crate::{
    aws::{calls::Calls, coalesce::bisecting, operation::Operation},
    error::Error,
    identifier::{ClusterName, ContainerInstanceArn},
    outcome::EndState,
};

const OPERATION: Operation = Operation::UpdateContainerInstancesState;

/// The result for each container instance.
type Answers = HashMap<ContainerInstanceArn, ItemAnswer<Option<usize>>>;

impl Ecs {
    /// Sets a container instance to `ACTIVE` or `DRAINING`. Returns the number of tasks that ECS counts on it, if the
    /// answer has it; [`Error::Unchanged`] if the answer does not show the container instance in that state.
    pub(crate) async fn set_state(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arn: &ContainerInstanceArn,
        state: EndState,
    ) -> Result<Option<usize>, Error> {
        let group = (cluster.clone(), state);
        let answer = self.coalesced.states.get(self, calls, &group, arn.clone(), Self::update_each).await?;
        answer.unwrap_or_else(|| Err(unchanged(arn, "the answer does not mention it")))
    }

    async fn update_each(
        self,
        calls: Calls,
        (cluster, state): (ClusterName, EndState),
        arns: Vec<ContainerInstanceArn>,
    ) -> Result<Answers, Error> {
        let updates = bisecting(arns, |arns| self.update(&calls, &cluster, arns, state)).await;
        let answers = updates.into_iter().flat_map(|(arns, answer)| match answer {
            Ok(answers) => answers,
            Err(error) => arns.into_iter().map(|arn| (arn, Some(Err(error.clone())))).collect(),
        });
        Ok(answers.collect())
    }

    async fn update(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arns: Vec<ContainerInstanceArn>,
        state: EndState,
    ) -> Result<Answers, Error> {
        let status = match state {
            EndState::Active => ContainerInstanceStatus::Active,
            EndState::Draining | EndState::Deregistered => ContainerInstanceStatus::Draining,
        };
        let request = self
            .client
            .update_container_instances_state()
            .cluster(cluster.as_str())
            .set_container_instances(Some(arns.iter().map(ToString::to_string).collect()))
            .status(status.clone());
        let answer = calls.make(OPERATION, cluster, || request.clone().send()).await?;
        let result = |arn: &ContainerInstanceArn| {
            let mut updated = answer.container_instances().iter();
            let is_it = |u: &&types::ContainerInstance| u.container_instance_arn() == Some(arn.as_str());
            if let Some(updated) = updated.find(|u| is_it(u) && u.status() == Some(status.as_str())) {
                return Ok(ContainerInstance::new(cluster, updated.clone()).map(|updated| updated.tasks()));
            }
            let failure = answer.failures().iter().find(|failure| failure.arn() == Some(arn.as_str()));
            let reason = failure.and_then(|failure| failure.reason()).map(str::to_owned);
            Err(unchanged(arn, reason.unwrap_or_else(|| format!("the answer does not show it as {status}"))))
        };
        Ok(arns.into_iter().map(|arn| (arn.clone(), Some(result(&arn)))).collect())
    }
}

fn unchanged(arn: &ContainerInstanceArn, reason: impl Into<String>) -> Error {
    Error::Unchanged { operation: OPERATION, resource: arn.to_string(), reason: reason.into() }
}
