//! Interrupted standalone tasks, which are started again when they have stopped.
//!
//! Nothing is stored. What a stopped task no longer shows is read while it is stopping; that a task is started only
//! once follows from the client token, which every process derives from the ARN of the old task.

pub(crate) mod request;
pub(crate) mod terms;

use std::{sync::Arc, time::Duration};

use aws_sdk_ecs::{operation::run_task::builders::RunTaskInputBuilder, types::Task};
use tokio::time::sleep;

use self::{
    request::{client_token, interface_id, interface_of, request, started_by},
    terms::tag,
};
use super::{Ecs, run_task::Answer};
use crate::{
    aws::calls::Calls,
    config::{RunAgainOn, RunAgainPolicy},
    ec2::Ec2,
    error::Error,
    identifier::{ClusterName, TaskArn},
    interrupted_task::{Network, RUN_AGAIN, Recalled, Terms},
};

/// How often a stopping task is described, every 3 s.
const POLL: Duration = Duration::from_secs(3);

/// The pause before a task is tried to be placed again, 10 s.
const PAUSE: Duration = Duration::from_secs(10);

/// An interrupted standalone task.
#[derive(Clone, Debug)]
pub(crate) struct RunAgain {
    pub(crate) ecs: Ecs,
    pub(crate) ec2: Ec2,
    pub(crate) cluster: ClusterName,
    pub(crate) task: TaskArn,
    pub(crate) policy: RunAgainPolicy,
    pub(crate) on: RunAgainOn,
}

/// The task that runs in the place of the old one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// It was started now, or by an attempt whose answer was lost.
    Now(TaskArn),
    /// Another invocation started it.
    Before(Option<TaskArn>),
    /// There is no capacity, for this reason.
    NoCapacity(String),
}

impl RunAgain {
    /// Describes the task, and reads what it takes to start it again unless an earlier invocation did. The inner error
    /// is the reason not to start it again.
    pub(crate) async fn recall(
        &self,
        calls: &Calls,
        before: Option<&Recalled>,
    ) -> Result<Result<(Arc<Task>, Recalled), String>, Error> {
        let Some(task) = self.ecs.described_task(calls, &self.cluster, &self.task).await? else {
            return Err(self.not_run_again("ECS no longer knows it"));
        };
        if let Some(recalled) = before {
            return Ok(Ok((task, recalled.clone())));
        }
        let terms = match self.terms(calls, &task).await? {
            Ok(terms) => terms,
            Err(reason) => return Ok(Err(reason)),
        };
        let network = match interface_of(&task).map(interface_id) {
            None => Network::Shared,
            Some(None) => Network::Gone,
            Some(Some(id)) => self.ec2.network_interface(calls, id).await?.map_or(Network::Gone, Network::Own),
        };
        let tags =
            task.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))).collect();
        Ok(Ok((task, Recalled { network, tags, terms })))
    }

    async fn terms(&self, calls: &Calls, task: &Task) -> Result<Result<Terms, String>, Error> {
        if self.policy == RunAgainPolicy::All && self.ecs.is_batch(calls, &self.cluster).await? {
            return Ok(Err("AWS Batch decides whether to start it again".to_owned()));
        }
        let tag_of_definition = match task.task_definition_arn() {
            Some(definition) if tag(task.tags(), RUN_AGAIN).is_none() => {
                self.ecs.definition(calls, definition).await?.run_again.clone()
            }
            _ => None,
        };
        Ok(Terms::decide(task, tag_of_definition.as_deref(), self.policy))
    }

    /// Waits until the task has stopped; `None` if that takes longer than the calls may.
    pub(crate) async fn stopped(&self, calls: &Calls, mut task: Arc<Task>) -> Result<Option<Arc<Task>>, Error> {
        while !has_stopped(&task) {
            if calls.left() < POLL * 2 {
                return Ok(None);
            }
            sleep(POLL).await;
            if let Some(described) = self.ecs.described_task(calls, &self.cluster, &self.task).await? {
                task = described;
            }
        }
        Ok(Some(task))
    }

    /// Whether a stopped task had ended by itself: all its essential containers exited with 0.
    pub(crate) async fn has_ended(&self, calls: &Calls, stopped: &Task) -> Result<bool, Error> {
        let ended = |name: &str| {
            let container = stopped.containers().iter().find(|of| of.name() == Some(name));
            container.is_some_and(|container| container.exit_code() == Some(0))
        };
        let may_have_ended = stopped.containers().iter().any(|container| container.exit_code() == Some(0));
        let Some(definition) = stopped.task_definition_arn().filter(|_| may_have_ended) else { return Ok(false) };
        Ok(self.ecs.definition(calls, definition).await?.essential.iter().all(|name| ended(name)))
    }

    /// The task that another invocation has started in its place, if ECS lists it.
    pub(crate) async fn started_before(&self, calls: &Calls) -> Result<Option<TaskArn>, Error> {
        self.ecs.task_started_by(calls, &self.cluster, &started_by(&self.task)).await
    }

    /// The request that starts the task again. The error is the reason why it can't be started again as it was.
    pub(crate) fn request(&self, task: &Task, recalled: &Recalled) -> Result<RunTaskInputBuilder, String> {
        request(&self.cluster, &self.task, task, recalled, self.on)
    }

    /// Starts the task again, at most once: whoever asks second, with the same token, is answered with the same task or
    /// with a conflict. `age` is the age of the event. If `is_patient`, capacity is waited for.
    ///
    /// It is not known whether ECS remembers, under a token, that there was no capacity. If it does, a request that
    /// differs is a conflict without a task, and shows that everyone has to use the next token.
    pub(crate) async fn start(
        &self,
        calls: &Calls,
        request: RunTaskInputBuilder,
        age: Duration,
        is_patient: bool,
    ) -> Result<Started, Error> {
        let (mut generation, mut is_repeated) = (0, false);
        let tried_before = u32::try_from(age.as_secs() / PAUSE.as_secs()).unwrap_or(u32::MAX);
        loop {
            let token = client_token(&self.task, generation);
            let different = is_repeated.then(|| "repeated".to_owned());
            let request = request.clone().client_token(token).set_reference_id(different);
            let reason = match self.ecs.run_task(calls, &self.task, request).await? {
                Answer::Started(task) => return Ok(Started::Now(task)),
                Answer::Conflict(tasks) if is_repeated && tasks.is_empty() => {
                    (generation, is_repeated) = (generation + 1, false);
                    continue;
                }
                Answer::Conflict(tasks) => return Ok(Started::Before(tasks.into_iter().next())),
                Answer::NoCapacity(reason) => reason,
            };
            // What earlier invocations tried is gone through at once.
            if is_repeated || generation >= tried_before {
                if !is_patient || calls.left() < PAUSE + POLL {
                    return Ok(Started::NoCapacity(reason));
                }
                sleep(PAUSE).await;
            }
            is_repeated = true;
        }
    }

    pub(crate) fn not_run_again(&self, reason: impl Into<String>) -> Error {
        Error::NotRunAgain { task: self.task.clone(), reason: reason.into() }
    }
}

pub(crate) fn has_stopped(task: &Task) -> bool {
    matches!(task.last_status(), Some("STOPPED" | "DELETED"))
}
