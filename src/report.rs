//! The answer to Lambda and the line in the log.

use serde::Serialize;

use crate::{
    ecs::{ClusterName, ContainerInstance, ContainerInstanceArn, act, plan::EndState},
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    container_instances: Vec<ContainerInstanceReport>,
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
}

/// Writes the line of an event that could not be read.
pub fn log_invalid(error: &Error) {
    tracing::error!(errorType = error.error_type(), %error, "failed");
}

/// Writes the one line that sums a notice up.
pub fn log(interruption: &Interruption, answer: &Result<Answer, Error>, cost: Cost) {
    match answer {
        Ok(answer) => answer.log(interruption.kind, cost),
        Err(error) => tracing::error!(
            instanceId = %interruption.instance,
            instanceAction = action(interruption.kind).map(tracing::field::display),
            event = event(interruption.kind),
            account = %interruption.account,
            region = %interruption.region,
            outcome = "failed",
            errorType = error.error_type(),
            %error,
            secondsLeft = interruption.seconds_left(),
            calls = cost.calls,
            locate_ms = cost.locate_ms,
            act_ms = cost.act_ms,
            "failed",
        ),
    }
}

/// What an invocation cost, for its line in the log.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Requests to AWS, each attempt counted.
    pub calls: u32,
    /// Reading, in milliseconds.
    pub locate_ms: u64,
    /// Writing, in milliseconds.
    pub act_ms: u64,
}

impl Answer {
    /// The answer to what happened to an instance.
    #[must_use]
    pub fn handled(interruption: Interruption, outcomes: Vec<(ContainerInstance, act::Outcome)>) -> Self {
        let seconds_left = interruption.seconds_left();
        let container_instances: Vec<_> = outcomes.into_iter().map(ContainerInstanceReport::from).collect();
        Self {
            instance_id: Some(interruption.instance),
            instance_action: action(interruption.kind),
            event: event(interruption.kind),
            account: Some(interruption.account),
            region: Some(interruption.region),
            outcome: container_instances.iter().map(|report| report.outcome).max().unwrap_or(Outcome::NotFound),
            seconds_left,
            container_instances,
        }
    }

    /// The answer to an event that nothing is done about; it is logged as a warning, since no rule should deliver it.
    #[must_use]
    pub fn ignored(event: String, account: Option<AccountId>, region: Option<Region>) -> Self {
        tracing::warn!(event, "ignored: not an event for this function, as it is set");
        Self {
            instance_id: None,
            instance_action: None,
            event: Some(event),
            account,
            region,
            outcome: Outcome::Ignored,
            seconds_left: None,
            container_instances: Vec::new(),
        }
    }

    fn log(&self, kind: Kind, cost: Cost) {
        let reports = &self.container_instances;
        let clusters: Vec<_> = reports.iter().map(|report| report.cluster_name.as_str()).collect();
        let sum = |count: fn(&ContainerInstanceReport) -> Option<usize>| {
            reports.iter().filter_map(count).reduce(|a, b| a + b)
        };
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    instanceId = self.instance_id.as_ref().map(InstanceId::as_str),
                    instanceAction = self.instance_action.as_ref().map(tracing::field::display),
                    event = self.event,
                    account = self.account.as_ref().map(AccountId::as_str),
                    region = self.region.as_ref().map(Region::as_str),
                    cluster = clusters.join(","),
                    outcome = %self.outcome,
                    reason = reports.iter().find_map(|report| report.reason.as_deref()),
                    tasksStopped = sum(|report| report.tasks_stopped),
                    tasksLeft = sum(|report| report.tasks_left),
                    secondsLeft = self.seconds_left,
                    calls = cost.calls,
                    locate_ms = cost.locate_ms,
                    act_ms = cost.act_ms,
                    "handled",
                )
            };
        }
        // Ordinary launches, of which there are many.
        if kind == Kind::Running && reports.is_empty() { line!(debug) } else { line!(info) }
    }
}

impl From<(ContainerInstance, act::Outcome)> for ContainerInstanceReport {
    fn from((found, outcome): (ContainerInstance, act::Outcome)) -> Self {
        let (mut tasks_stopped, mut tasks_left) = (None, None);
        let (outcome, reason) = match outcome {
            act::Outcome::Reached(end_state) => (end_state.into(), None),
            act::Outcome::Kept(end_state) => (end_state.into(), Some(format!("it was {} already", word(end_state)))),
            act::Outcome::Announced(end_state) => (Outcome::DryRun, Some(format!("it would end {}", word(end_state)))),
            act::Outcome::Left(reason) => (Outcome::Skipped, Some(reason.to_string())),
            act::Outcome::Evacuated { stopped, left } => {
                (tasks_stopped, tasks_left) = (Some(stopped), Some(left));
                (Outcome::Deregistered, None)
            }
        };
        Self {
            cluster_name: found.cluster,
            container_instance_arn: found.arn,
            outcome,
            reason,
            running_tasks_count: found.running_tasks,
            tasks_stopped,
            tasks_left,
        }
    }
}

fn action(kind: Kind) -> Option<InstanceAction> {
    if let Kind::Notice(action) = kind { Some(action) } else { None }
}

/// What happened, where it was no notice.
fn event(kind: Kind) -> Option<String> {
    action(kind).is_none().then(|| kind.to_string())
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
