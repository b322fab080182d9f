//! `RunTask`, and the reads that lead to it.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_ecs::{
    operation::run_task::{RunTaskError, builders::RunTaskInputBuilder},
    types::{Task, TaskDefinitionField, TaskField},
};

use super::{Ecs, definition::Definition, none_failed};
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
        let describe = async |arns: Vec<TaskArn>| {
            let arns = arns.iter().map(ToString::to_string).collect();
            let request = self.client.describe_tasks().cluster(cluster.as_str()).set_tasks(Some(arns));
            let request = request.include(TaskField::Tags);
            let answer = calls.make(Operation::DescribeTasks, &cluster, || request.clone().send()).await?;
            none_failed(Operation::DescribeTasks, cluster.as_str(), answer.failures(), &["MISSING"])?;
            Ok(answer.tasks.unwrap_or_default())
        };
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
                Ok(answer) => Ok(Ok((answer.tasks.unwrap_or_default(), answer.failures.unwrap_or_default()))),
                Err(error) => match error.as_service_error() {
                    Some(RunTaskError::ConflictException(conflict)) => Ok(Err(conflict.resource_ids().to_vec())),
                    _ => Err(error),
                },
            }
        };
        let (tasks, failures) = match calls.make(Operation::RunTask, old, attempt).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(ids)) => {
                return Ok(Answer::Conflict(ids.into_iter().filter_map(|id| id.try_into().ok()).collect()));
            }
            // A cluster without container instances. They may come.
            Err(Error::Call { cause, .. }) if cause.contains("No Container Instances were found") => {
                return Ok(Answer::NoCapacity(cause));
            }
            Err(error) => return Err(error),
        };
        let started = tasks.into_iter().filter_map(|task| task.task_arn).find_map(|arn| TaskArn::try_from(arn).ok());
        Ok(started.map_or_else(
            || {
                let failure = failures.first();
                let reason = failure.and_then(|failure| failure.reason()).unwrap_or("no reason given");
                Answer::NoCapacity(
                    failure.and_then(|f| f.detail()).map_or(reason.to_owned(), |d| format!("{reason}: {d}")),
                )
            },
            Answer::Started,
        ))
    }
}
