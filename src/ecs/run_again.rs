//! Interrupted standalone tasks, which are started again when they have stopped.
//!
//! Nothing is stored. What a stopped task no longer shows is read while it is stopping; that a task is started only
//! once follows from the client token, which every process derives from the ARN of the old task.

pub(crate) mod request;
pub(crate) mod terms;

use std::{sync::Arc, time::Duration};

use aws_sdk_ecs::types::Task;
use tokio::time::sleep;

use self::{
    request::{Network, client_token, network_interface, request, started_by},
    terms::{TAG, Terms, tag},
};
use super::{Ecs, run_task::Answer};
use crate::{
    aws::calls::Calls,
    config::{RunAgainOn, RunAgainPolicy},
    ec2::Ec2,
    error::Error,
    identifier::{ClusterName, TaskArn},
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

/// What it takes to start a task again, read while the task is there.
#[derive(Clone)]
pub(crate) struct Recalled {
    pub(crate) task: Arc<Task>,
    network: Network,
    pub(crate) terms: Terms,
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

impl Recalled {
    /// Whether it belongs to a service, which replaces it.
    pub(crate) fn is_of_service(&self) -> bool {
        self.task.group().is_some_and(|group| group.starts_with("service:"))
    }
}

impl RunAgain {
    /// Reads what it takes to start the task again. The inner error is the reason not to.
    pub(crate) async fn recall(&self, calls: &Calls) -> Result<Result<Recalled, String>, Error> {
        let Some(task) = self.ecs.described_task(calls, &self.cluster, &self.task).await? else {
            return Ok(Err("ECS no longer knows it".to_owned()));
        };
        if self.policy == RunAgainPolicy::All && self.ecs.is_batch(calls, &self.cluster).await {
            return Ok(Err("AWS Batch decides whether to start it again".to_owned()));
        }
        let mut terms = Terms::decide(&task, None, self.policy);
        if tag(task.tags(), TAG).is_none()
            && let Some(definition) = task.task_definition_arn()
            && let Some(tag) = &self.ecs.definition(calls, definition).await?.run_again
        {
            terms = Terms::decide(&task, Some(tag), self.policy);
        }
        let terms = match terms {
            Ok(terms) => terms,
            Err(reason) => return Ok(Err(reason)),
        };
        let network = match network_interface(&task) {
            None => Network::None,
            Some(id) => self.ec2.network_interface(calls, id).await?.map_or(Network::Gone, Network::Known),
        };
        Ok(Ok(Recalled { task, network, terms }))
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

    /// Whether the task can no longer be started again as it was; the error is the reason.
    pub(crate) fn check(&self, recalled: &Recalled) -> Result<(), String> {
        let Recalled { task, network, terms } = recalled;
        request(&self.cluster, &self.task, task, network, *terms, self.on).map(drop)
    }

    /// Starts the task again, at most once: whoever asks second, with the same token, is answered with the same task or
    /// with a conflict.
    ///
    /// It is not known whether ECS remembers, under a token, that there was no capacity. If it does, a request that
    /// differs is a conflict without a task, and shows that everyone has to use the next token.
    pub(crate) async fn start(&self, calls: &Calls, recalled: &Recalled, age: Duration) -> Result<Started, Error> {
        let Recalled { task, network, terms } = recalled;
        let request = request(&self.cluster, &self.task, task, network, *terms, self.on)
            .map_err(|reason| self.not_run_again(reason))?;
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
                if calls.left() < PAUSE + POLL {
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
