//! The answer to Lambda, the summary line in the log and the line of metrics.

mod metrics;

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use self::metrics::Measurement;
use crate::{
    aws::calls::CallCounts,
    error::Error,
    event::{Event, IgnoredEvent},
    identifier::{AccountId, ClusterName, ContainerInstanceArn, InstanceId, Region, TaskArn},
    interrupted_task::{Cause, InterruptedTask, Recalled},
    interruption::{InstanceAction, Kind},
    outcome::{
        ContainerInstanceOutcome, EventOutcome, LifecycleActionOutcome, NodeOutcome, Outcome, PodCounts, Replacement,
        TaskOutcome,
    },
    rehearsal,
};

/// The function's answer.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// The answer to a single event.
    Answer(Box<Answer>),
    /// The answer to a rehearsal.
    Rehearsal(Box<rehearsal::report::Report>),
    /// The answer to a batch from a queue: the messages that failed, for SQS to deliver again.
    Batch(Value),
}

impl Response {
    /// The answer to a batch of which these messages failed.
    pub(crate) fn batch(failed: impl IntoIterator<Item = String>) -> Self {
        let failed: Vec<_> = failed.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
        Self::Batch(json!({ "batchItemFailures": failed }))
    }
}

/// The answer to an event. Fields without a value are left out.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<InstanceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_action: Option<InstanceAction>,
    /// The kind of event, if it was not a notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    outcome: Outcome,
    /// The reason why the event was ignored, or why no cluster was searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whole seconds until EC2 acts; 0 once the deadline has passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<u64>,
    /// The stable type of the error, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    container_instances: Vec<ContainerInstanceOutcome>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<NodeOutcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement: Option<Replacement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle_action: Option<LifecycleActionOutcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskAnswer>,
}

/// The part of an answer that concerns a task.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskAnswer {
    task_arn: TaskArn,
    cluster_name: ClusterName,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    cause: Cause,
    /// The ARNs of the target groups that its address was taken out of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    target_groups: Vec<String>,
    /// The task that runs in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_task_arn: Option<TaskArn>,
}

impl TaskAnswer {
    fn new(task: &InterruptedTask, of: Option<&TaskOutcome>) -> Self {
        let detail = &task.detail;
        Self {
            task_arn: detail.task.clone(),
            cluster_name: detail.cluster.clone(),
            service_name: detail.service.clone(),
            cause: detail.cause,
            target_groups: of.map(|of| of.target_groups.clone()).unwrap_or_default(),
            new_task_arn: of.and_then(|of| of.new_task.clone()),
        }
    }
}

/// The report on an event, with the error that Lambda is answered with, if there was one.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The answer.
    pub answer: Answer,
    /// The answer, if the event was a rehearsal.
    pub rehearsal: Option<Box<rehearsal::report::Report>>,
    /// The error, if handling failed.
    pub error: Option<Error>,
    /// If handling goes on in another invocation, the time until then.
    pub again_after: Option<Duration>,
    /// What that invocation has to know.
    pub recalled: Option<Recalled>,
}

impl Report {
    /// Whether the event has to be delivered again.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.error.as_ref().is_some_and(|error| !error.is_final()) || self.again_after.is_some()
    }
}

impl From<Report> for Result<Response, Error> {
    fn from(report: Report) -> Self {
        match (report.error, report.again_after, report.rehearsal) {
            (Some(error), ..) => Err(error),
            (None, Some(_), _) => Err(Error::Unfinished),
            (None, None, Some(rehearsal)) => Ok(Response::Rehearsal(rehearsal)),
            (None, None, None) => Ok(Response::Answer(Box::new(report.answer))),
        }
    }
}

/// Reports an invalid event, with the message that it came in.
pub(crate) fn invalid(error: Error, message: Option<&str>) -> Report {
    tracing::error!(
        messageId = message,
        errorType = error.error_type(),
        %error,
        "failed"
    );
    let answer = Answer { error_type: Some(error.error_type()), outcome: Outcome::Failed, ..Answer::default() };
    metrics::write(answer.measurement());
    Report { answer, error: Some(error), ..Report::default() }
}

/// Reports a rehearsal, which is in the log and in the metrics already.
pub(crate) fn rehearsed(rehearsal: rehearsal::report::Report) -> Report {
    Report { rehearsal: Some(Box::new(rehearsal)), ..Report::default() }
}

/// Reports an ignored event, as a warning if no rule should deliver it.
pub(crate) fn ignored(event: &IgnoredEvent, message: Option<&str>) -> Report {
    let IgnoredEvent { event, reason, account, region, is_expected } = event.clone();
    if is_expected {
        tracing::info!(messageId = message, event, reason, "ignored");
    } else {
        tracing::warn!(
            messageId = message,
            event,
            reason,
            "ignored: this function, as it is configured, does not handle such events"
        );
    }
    let (event, reason) = (Some(event), Some(reason));
    let answer = Answer { event, account, region, outcome: Outcome::Ignored, reason, ..Answer::default() };
    if !is_expected {
        metrics::write(answer.measurement());
    }
    Report { answer, ..Report::default() }
}

/// Reports the outcome of an event: a summary line and a line of metrics.
///
/// The log counts the calls of the invocation so far; the metrics count the calls since the last line of metrics.
pub(crate) fn handled(event: &Event, outcome: &EventOutcome, counts: &CallCounts) -> Report {
    let answer = Answer::new(event, outcome);
    answer.log(outcome, counts);
    if !answer.is_ordinary_launch() {
        metrics::write(Measurement {
            event: Some(event),
            is_repeated: outcome.task.as_ref().is_some_and(|task| task.is_repeated),
            pool: outcome.pool.as_ref(),
            changed: outcome.changed(),
            calls: counts.take_unreported(),
            ..answer.measurement()
        });
    }
    let EventOutcome { error, again_after, recalled, .. } = outcome.clone();
    Report { answer, error, again_after, recalled, ..Report::default() }
}

impl Answer {
    fn new(event: &Event, of: &EventOutcome) -> Self {
        let outcome = Self {
            outcome: of.outcome(),
            error_type: of.error.as_ref().map(Error::error_type),
            error: of.error.as_ref().map(ToString::to_string),
            ..Self::default()
        };
        match event {
            Event::Interruption(interruption) => {
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
                    reason: of.reason.clone(),
                    seconds_left: interruption.seconds_left(),
                    container_instances: of.container_instances.clone(),
                    nodes: of.nodes.clone(),
                    replacement: of.replacement.clone(),
                    lifecycle_action: of.lifecycle_action.clone(),
                    ..outcome
                }
            }
            Event::Task(task) => Self {
                event: Some("task-interruption".to_owned()),
                account: Some(task.account.clone()),
                region: Some(task.region.clone()),
                reason: of.task.as_ref().and_then(|of| of.reason.clone()),
                task: Some(TaskAnswer::new(task, of.task.as_ref())),
                ..outcome
            },
            Event::Rehearsal(_) | Event::Ignored(_) => outcome,
        }
    }

    /// Whether this is the launch of an instance that is in no cluster yet. There are many.
    fn is_ordinary_launch(&self) -> bool {
        self.outcome == Outcome::NotFound && self.event.as_deref() == Some("running")
    }

    /// Whether the answer is put on the outcome bus.
    pub(crate) fn is_published(&self) -> bool {
        (self.instance_id.is_some() || self.task.is_some()) && !self.is_ordinary_launch()
    }

    /// The ARNs of its container instances.
    pub(crate) fn container_instances(&self) -> impl Iterator<Item = &ContainerInstanceArn> {
        self.container_instances.iter().map(|of| &of.container_instance_arn)
    }

    fn clusters(&self) -> impl Iterator<Item = &ClusterName> {
        let container_instances = self.container_instances.iter().map(|of| &of.cluster_name);
        let nodes = self.nodes.iter().map(|of| &of.cluster_name);
        container_instances.chain(nodes).chain(self.task.iter().map(|of| &of.cluster_name))
    }

    /// The measurements that the answer holds.
    fn measurement(&self) -> Measurement<'_> {
        Measurement {
            outcome: self.outcome,
            error_type: self.error_type,
            cluster: self.clusters().next(),
            ..Measurement::default()
        }
    }

    fn log(&self, of: &EventOutcome, counts: &CallCounts) {
        let all = &self.container_instances;
        let clusters: Vec<_> = self.clusters().map(ClusterName::as_str).collect();
        let mut reasons = all.iter().map(|of| &of.reason).chain(self.nodes.iter().map(|of| &of.reason));
        let action = self.lifecycle_action.as_ref().and_then(|action| action.reason.as_deref());
        let reason = self.reason.as_deref().or_else(|| reasons.find_map(Option::as_deref)).or(action);
        let (node, task) = (self.nodes.first(), self.task.as_ref());
        let (pods_evicted, pods_deleted, pods_left) = match node.and_then(|node| node.pods) {
            Some(PodCounts::Drained { pods_evicted, pods_deleted, pods_left }) => {
                (Some(pods_evicted), Some(pods_deleted), Some(pods_left))
            }
            _ => (None, None, None),
        };
        let sum =
            |count: fn(&ContainerInstanceOutcome) -> Option<usize>| all.iter().filter_map(count).reduce(|a, b| a + b);
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
                    reason,
                    errorType = self.error_type,
                    error = self.error,
                    tasksStopped = sum(|of| of.tasks_stopped),
                    tasksLeft = sum(|of| of.tasks_left),
                    node = node.and_then(|node| node.node_name.as_deref()),
                    podsEvicted = pods_evicted,
                    podsDeleted = pods_deleted,
                    podsLeft = pods_left,
                    task = task.map(|task| task.task_arn.as_str()),
                    service = task.and_then(|task| task.service_name.as_deref()),
                    newTask = task.and_then(|task| task.new_task_arn.as_ref()).map(TaskArn::as_str),
                    replaced = self.replacement.as_ref().map(|replacement| replacement.is_started),
                    lifecycleActionCompleted = self.lifecycle_action.as_ref().map(|action| action.is_completed),
                    secondsLeft = self.seconds_left,
                    calls = counts.made(),
                    locateMs = of.locate_ms,
                    actMs = of.act_ms,
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
