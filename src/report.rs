//! The answer to Lambda, the line in the log and the line of metrics.

mod metrics;

use serde::Serialize;

use self::metrics::Measured;
use crate::{
    aws::Calls,
    ecs::{
        ClusterName, ContainerInstanceArn,
        act::{self, Done},
        locate::Machine,
        plan::EndState,
    },
    error::Error,
    interruption::{AccountId, InstanceAction, InstanceId, Interruption, Kind, Region},
};

/// What the function answers.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// To an event by itself.
    Answer(Answer),
    /// To a batch from a queue.
    Batch(Batch),
}

/// Which messages of a batch are handed back.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    batch_item_failures: Vec<BatchItemFailure>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}

impl Response {
    /// Hands these messages back.
    #[must_use]
    pub fn batch(failed: impl IntoIterator<Item = String>) -> Self {
        let failed = failed.into_iter().map(|item_identifier| BatchItemFailure { item_identifier });
        Self::Batch(Batch { batch_item_failures: failed.collect() })
    }
}

/// The answer to an event. What there is nothing to say about is left out.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<InstanceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_action: Option<InstanceAction>,
    /// What happened, where it was no notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    outcome: Outcome,
    /// Whole seconds until EC2 acts; 0 when that is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<u64>,
    /// The stable kind of the error, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    container_instances: Vec<ContainerInstanceReport>,
}

/// What came of an event: what is told of it, and the error that Lambda is answered with, if it is one.
#[derive(Clone, Debug)]
pub struct Told {
    /// What is told.
    pub answer: Answer,
    /// Why it failed.
    pub error: Option<Error>,
}

impl From<Told> for Result<Answer, Error> {
    fn from(told: Told) -> Self {
        told.error.map_or(Ok(told.answer), Err)
    }
}

/// What became of one container instance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerInstanceReport {
    cluster_name: ClusterName,
    container_instance_arn: ContainerInstanceArn,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Before anything was changed.
    running_tasks_count: i32,
    /// In an evacuation, how many tasks were asked to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks_stopped: Option<usize>,
    /// In an evacuation, how many tasks had not gone when it was deregistered.
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks_left: Option<usize>,
}

/// The outcomes, least telling first: the most telling of several stands for the notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Ignored,
    NotFound,
    Skipped,
    DryRun,
    Reactivated,
    Draining,
    Deregistered,
    Failed,
}

/// What an invocation cost in an account and Region.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Requests to AWS, each attempt counted.
    pub calls: u32,
    /// Those that AWS throttled.
    pub throttles: u32,
    /// Reading, in milliseconds.
    pub locate_ms: u64,
    /// Writing, in milliseconds.
    pub act_ms: u64,
}

impl Cost {
    /// The calls that were made.
    #[must_use]
    pub fn of(calls: &Calls) -> Self {
        Self { calls: calls.made(), throttles: calls.throttled(), ..Self::default() }
    }
}

/// Tells of an event that could not be read.
#[must_use]
pub fn invalid(error: Error) -> Told {
    tracing::error!(errorType = error.error_type(), %error, "failed");
    let answer = Answer { error_type: Some(error.error_type()), ..Answer::of_no_instance(Outcome::Failed) };
    metrics::write(Measured::of(&answer));
    Told { answer, error: Some(error) }
}

/// Tells of an event that nothing is done about: a warning, since no rule should deliver it.
#[must_use]
pub fn ignored(event: String, account: Option<AccountId>, region: Option<Region>) -> Told {
    tracing::warn!(event, "ignored: not an event for this function, as it is set");
    let answer = Answer { event: Some(event), account, region, ..Answer::of_no_instance(Outcome::Ignored) };
    metrics::write(Measured::of(&answer));
    Told { answer, error: None }
}

/// Tells of what happened to an instance: one line that sums it up, and one of metrics.
///
/// The first line of metrics takes what is not measured yet of the cost: it is counted once for all.
#[must_use]
pub fn handled(
    interruption: &Interruption,
    done: Result<&[Done], &Error>,
    machine: Option<&Machine>,
    cost: Cost,
    unmeasured: &mut Option<Cost>,
) -> Told {
    let error = match done {
        Ok(done) => done.iter().find_map(|done| done.outcome.as_ref().err()),
        Err(error) => Some(error),
    };
    let done = done.unwrap_or_default();
    let answer = Answer::new(interruption, done, error);
    answer.log(cost);
    if !answer.is_ordinary_launch() {
        metrics::write(Measured {
            interruption: Some(interruption),
            machine,
            changed: done.iter().filter(|done| done.is_change()).map(|done| done.at).max(),
            cost: unmeasured.take(),
            ..Measured::of(&answer)
        });
    }
    Told { answer, error: error.cloned() }
}

impl Answer {
    fn of_no_instance(outcome: Outcome) -> Self {
        Self {
            instance_id: None,
            instance_action: None,
            event: None,
            account: None,
            region: None,
            outcome,
            seconds_left: None,
            error_type: None,
            error: None,
            container_instances: Vec::new(),
        }
    }

    fn new(interruption: &Interruption, done: &[Done], error: Option<&Error>) -> Self {
        let container_instances: Vec<_> = done.iter().filter_map(ContainerInstanceReport::new).collect();
        let outcome = match error {
            Some(_) => Outcome::Failed,
            None => container_instances.iter().map(|report| report.outcome).max().unwrap_or(Outcome::NotFound),
        };
        let (instance_action, event) = match interruption.kind {
            Kind::Notice(action) => (Some(action), None),
            kind => (None, Some(kind.to_string())),
        };
        Self {
            instance_id: Some(interruption.instance.clone()),
            instance_action,
            event,
            account: Some(interruption.account.clone()),
            region: Some(interruption.region.clone()),
            seconds_left: interruption.seconds_left(),
            error_type: error.map(Error::error_type),
            error: error.map(ToString::to_string),
            container_instances,
            ..Self::of_no_instance(outcome)
        }
    }

    /// One of an instance that is in no cluster yet; there are many.
    fn is_ordinary_launch(&self) -> bool {
        self.outcome == Outcome::NotFound && self.event.as_deref() == Some("running")
    }

    /// Whether someone may want to hear of it.
    #[must_use]
    pub fn is_news(&self) -> bool {
        self.instance_id.is_some() && !self.is_ordinary_launch()
    }

    /// The ARNs of its container instances.
    pub fn container_instances(&self) -> impl Iterator<Item = &ContainerInstanceArn> {
        self.container_instances.iter().map(|report| &report.container_instance_arn)
    }

    fn log(&self, cost: Cost) {
        let reports = &self.container_instances;
        let clusters: Vec<_> = reports.iter().map(|report| report.cluster_name.as_str()).collect();
        let sum = |count: fn(&ContainerInstanceReport) -> Option<usize>| {
            reports.iter().filter_map(count).reduce(|a, b| a + b)
        };
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    instanceId = self.instance_id.as_ref().map(InstanceId::as_str),
                    instanceAction = self.instance_action.as_ref().map(tracing::field::display),
                    event = self.event,
                    account = self.account.as_ref().map(AccountId::as_str),
                    region = self.region.as_ref().map(Region::as_str),
                    cluster = clusters.join(","),
                    outcome = %self.outcome,
                    reason = reports.iter().find_map(|report| report.reason.as_deref()),
                    errorType = self.error_type,
                    error = self.error,
                    tasksStopped = sum(|report| report.tasks_stopped),
                    tasksLeft = sum(|report| report.tasks_left),
                    secondsLeft = self.seconds_left,
                    calls = cost.calls,
                    locate_ms = cost.locate_ms,
                    act_ms = cost.act_ms,
                    $message,
                )
            };
        }
        match self.outcome {
            Outcome::Failed => line!(error, "failed"),
            _ if self.is_ordinary_launch() => line!(debug, "handled"),
            _ => line!(info, "handled"),
        }
    }
}

impl Done {
    /// Whether anything was changed.
    fn is_change(&self) -> bool {
        matches!(self.outcome, Ok(act::Outcome::Reached(_) | act::Outcome::Evacuated { .. }))
    }
}

impl ContainerInstanceReport {
    /// Nothing for a failure, which is told of the whole.
    fn new(done: &Done) -> Option<Self> {
        let (mut tasks_stopped, mut tasks_left) = (None, None);
        let (outcome, reason) = match done.outcome.as_ref().ok()? {
            act::Outcome::Reached(end_state) => ((*end_state).into(), None),
            act::Outcome::Kept(end_state) => {
                ((*end_state).into(), Some(format!("it was {} already", word(*end_state))))
            }
            act::Outcome::Announced(end_state) => (Outcome::DryRun, Some(format!("it would end {}", word(*end_state)))),
            act::Outcome::Left(reason) => (Outcome::Skipped, Some(reason.to_string())),
            act::Outcome::Evacuated { stopped, left } => {
                (tasks_stopped, tasks_left) = (Some(*stopped), Some(*left));
                (Outcome::Deregistered, None)
            }
        };
        Some(Self {
            cluster_name: done.found.cluster.clone(),
            container_instance_arn: done.found.arn.clone(),
            outcome,
            reason,
            running_tasks_count: done.found.running_tasks,
            tasks_stopped,
            tasks_left,
        })
    }
}

fn word(end_state: EndState) -> &'static str {
    match end_state {
        EndState::Deregistered => "deregistered",
        EndState::Draining => "DRAINING",
        EndState::Active => "ACTIVE",
    }
}

impl From<EndState> for Outcome {
    fn from(end_state: EndState) -> Self {
        match end_state {
            EndState::Deregistered => Self::Deregistered,
            EndState::Draining => Self::Draining,
            EndState::Active => Self::Reactivated,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}
