//! `RunTask`, and the reads that lead to it.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_ecs::{
    operation::run_task::{RunTaskError, RunTaskOutput, builders::RunTaskInputBuilder},
    types::{Task, TaskDefinitionField, TaskField},
};

use super::{Ecs, definition::Definition};
use crate::{
    aws::{calls::Calls, coalesce::bisecting, next, operation::Operation},
    error::Error,
    identifier::{ClusterName, TaskArn},
};

/// The answer of `RunTask`.
#[derive(Debug)]
pub(crate) enum Answer {
    Started(TaskArn),
    /// The client token is in use, with other parameters, for these tasks.
    Conflict(Vec<TaskArn>),
    /// Nothing was started, for this reason.
    NoCapacity(String),
}

impl Ecs {
    /// Describes a task with its tags; `None` if it is no longer known, since it stopped more than an hour ago. Its
    /// overrides may hold secrets.
    pub(crate) async fn described_task(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        task: &TaskArn,
    ) -> Result<Option<Arc<Task>>, Error> {
        self.coalesced.tasks_with_tags.get(self, calls, cluster, task.clone(), Self::describe_with_tags).await
    }

    async fn describe_with_tags(
        self,
        calls: Calls,
        cluster: ClusterName,
        arns: Vec<TaskArn>,
    ) -> Result<HashMap<TaskArn, Option<Arc<Task>>>, Error> {
        let tags = Some(vec![TaskField::Tags]);
        let describe = |arns| self.describe_together(&calls, &cluster, arns, tags.clone());
        let mut found = HashMap::new();
        for (_, described) in bisecting(arns, describe).await {
            for task in described? {
                if let Some(arn) = task.task_arn.clone().and_then(|arn| TaskArn::try_from(arn).ok()) {
                    found.insert(arn, Some(Arc::new(task)));
                }
            }
        }
        Ok(found)
    }

    /// Describes a task definition, with its tags.
    pub(crate) async fn definition(&self, calls: &Calls, arn: &str) -> Result<Arc<Definition>, Error> {
        self.coalesced.definitions.get_one(self, calls, &arn.to_owned(), Self::read_definition).await
    }

    async fn read_definition(self, calls: Calls, arn: String) -> Result<Arc<Definition>, Error> {
        let request = self.client.describe_task_definition().task_definition(&arn).include(TaskDefinitionField::Tags);
        let answer = calls.make(Operation::DescribeTaskDefinition, &arn, || request.clone().send()).await?;
        Ok(Arc::new(Definition::new(&answer)))
    }

    /// A running task of a cluster with this `startedBy`.
    pub(crate) async fn task_started_by(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        started_by: &str,
    ) -> Result<Option<TaskArn>, Error> {
        let mut request = self.client.list_tasks().cluster(cluster.as_str()).started_by(started_by);
        loop {
            let page = calls.make(Operation::ListTasks, cluster, || request.clone().send()).await?;
            let listed = page.task_arns.unwrap_or_default();
            let found = listed.into_iter().find_map(|arn| TaskArn::try_from(arn).ok());
            match next(page.next_token) {
                // A page may be empty although another one follows.
                Some(token) if found.is_none() => request = request.next_token(token),
                _ => return Ok(found),
            }
        }
    }

    /// Starts a task in the place of an old one.
    pub(crate) async fn run_task(
        &self,
        calls: &Calls,
        old: &TaskArn,
        request: RunTaskInputBuilder,
    ) -> Result<Answer, Error> {
        let attempt = || async {
            match request.clone().send_with(&self.client).await {
                Ok(answer) => Ok(Answer::of(&answer)),
                Err(error) => match error.as_service_error() {
                    Some(RunTaskError::ConflictException(conflict)) => {
                        let ids = conflict.resource_ids().iter();
                        Ok(Answer::Conflict(ids.filter_map(|id| id.clone().try_into().ok()).collect()))
                    }
                    _ => Err(error),
                },
            }
        };
        match calls.make(Operation::RunTask, old, attempt).await {
            // A cluster without container instances. They may come.
            Err(Error::Call { cause, .. }) if cause.contains("No Container Instances were found") => {
                Ok(Answer::NoCapacity(cause))
            }
            answer => answer,
        }
    }
}

impl Answer {
    fn of(answer: &RunTaskOutput) -> Self {
        let mut arns = answer.tasks().iter().filter_map(|task| task.task_arn.clone());
        if let Some(started) = arns.find_map(|arn| TaskArn::try_from(arn).ok()) {
            return Self::Started(started);
        }
        let failure = answer.failures().first();
        let reason = failure.and_then(|failure| failure.reason()).unwrap_or("no reason given");
        Self::NoCapacity(match failure.and_then(|failure| failure.detail()) {
            Some(detail) => format!("{reason}: {detail}"),
            None => reason.to_owned(),
        })
    }
}
