//! The outcome of an event, in one type for all reactions.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::{
    ec2::instance::CapacityPool,
    error::Error,
    identifier::{ClusterName, ContainerInstanceArn, TaskArn},
    interrupted_task::Recalled,
};

/// The outcomes, in ascending order of significance: of several, the most significant one stands for the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The function does not react to such an event.
    #[default]
    Ignored,
    /// The instance is in no cluster.
    NotFound,
    /// The container instance, node or task was left alone.
    Skipped,
    /// The task had ended by itself.
    Ended,
    /// `DRY_RUN` is set: nothing was changed.
    DryRun,
    /// The container instance is `ACTIVE` again, or the node is schedulable again.
    Reactivated,
    /// The node is cordoned, and pods were left on it.
    Cordoned,
    /// The container instance is `DRAINING`.
    Draining,
    /// The node is cordoned, and all its pods were asked to stop.
    Drained,
    /// The container instance is no longer registered.
    Deregistered,
    /// The address of the task was taken out of the target groups of its service.
    TargetDeregistered,
    /// The task was started again.
    RunAgain,
    /// Handling goes on in another invocation.
    Waiting,
    /// Handling failed with an error.
    Failed,
}

/// The state that a container instance is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndState {
    /// It is no longer registered.
    Deregistered,
    /// `DRAINING`
    Draining,
    /// `ACTIVE`
    Active,
}

/// The outcome of a container instance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerInstanceOutcome {
    /// Its cluster.
    pub cluster_name: ClusterName,
    /// Its ARN.
    pub container_instance_arn: ContainerInstanceArn,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason why nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The running tasks before anything was changed.
    pub running_tasks_count: i32,
    /// In an evacuation, the number of tasks that were asked to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_stopped: Option<usize>,
    /// In an evacuation, the number of tasks that had not stopped when it was deregistered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_left: Option<usize>,
    /// In an evacuation, the number of tasks that were started again, if that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_run_again: Option<usize>,
    /// The time of the change, if there was one.
    #[serde(skip)]
    pub changed: Option<SystemTime>,
}

/// The outcome of a Kubernetes node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeOutcome {
    /// Its cluster.
    pub cluster_name: ClusterName,
    /// Its name, if it was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason why nothing was changed, or why pods are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What became of its pods, if it was drained.
    #[serde(flatten)]
    pub pods: Option<PodCounts>,
    /// The time of the change, if there was one.
    #[serde(skip)]
    pub changed: Option<SystemTime>,
}

/// The numbers of pods on a node, without those that stay in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PodCounts {
    /// Of a drained node.
    #[serde(rename_all = "camelCase")]
    Drained {
        /// Pods that were evicted.
        pods_evicted: usize,
        /// Pods that were deleted because their grace period would no longer have fitted into the notice.
        pods_deleted: usize,
        /// Pods that were not asked to stop.
        pods_left: usize,
    },
    /// Of a node that would be drained.
    #[serde(rename_all = "camelCase")]
    DryRun {
        /// Pods that would be evicted.
        pods_to_evict: usize,
        /// Those that can't be evicted at present.
        pods_blocked: usize,
    },
}

impl NodeOutcome {
    /// A node whose pods were not touched.
    pub(crate) fn new(
        cluster_name: ClusterName,
        node_name: Option<String>,
        outcome: Outcome,
        reason: Option<String>,
    ) -> Self {
        Self { cluster_name, node_name, outcome, reason, pods: None, changed: None }
    }
}

/// The replacement of an instance by its Auto Scaling group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replacement {
    /// The group, if the instance is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_scaling_group: Option<String>,
    /// Whether the group was made to launch it.
    pub is_started: bool,
    /// The reason why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is left on an instance that is being drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remaining {
    /// Tasks that run or are about to.
    pub(crate) running: usize,
    /// Tasks and pods that were asked to stop and have not stopped yet.
    pub(crate) stopping: usize,
    /// Pods that were not asked to stop.
    pub(crate) blocked: usize,
}

impl std::ops::Add for Remaining {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            running: self.running + other.running,
            stopping: self.stopping + other.stopping,
            blocked: self.blocked + other.blocked,
        }
    }
}

impl std::fmt::Display for Remaining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { running, stopping, blocked } = self;
        write!(f, "{running} tasks run, {stopping} tasks or pods are stopping, {blocked} pods can't be evicted")
    }
}

/// A lifecycle action that an instance waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleActionOutcome {
    /// The Auto Scaling group.
    pub auto_scaling_group: String,
    /// The lifecycle hook.
    pub hook: String,
    /// Whether this function completed it.
    pub is_completed: bool,
    /// The reason why it did not, or did before the instance was empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The outcome of an event.
#[derive(Clone, Debug, Default)]
pub struct EventOutcome {
    /// The outcome of its task, if it concerns one.
    pub task: Option<TaskOutcome>,
    /// The outcomes of its container instances, except those that failed.
    pub container_instances: Vec<ContainerInstanceOutcome>,
    /// The outcomes of its Kubernetes nodes, of which there is one at most.
    pub nodes: Vec<NodeOutcome>,
    /// Its replacement, if the settings ask for one.
    pub replacement: Option<Replacement>,
    /// Its lifecycle action, if it waited in a hook.
    pub lifecycle_action: Option<LifecycleActionOutcome>,
    /// Whether it was left alone for `reason`.
    pub is_skipped: bool,
    /// The reason why no cluster was searched for it.
    pub reason: Option<String>,
    /// The error, if there was one.
    pub error: Option<Error>,
    /// Its capacity pool, if EC2 described the instance.
    pub pool: Option<CapacityPool>,
    /// The time that locating took, in milliseconds.
    pub locate_ms: u64,
    /// The time that the change took, in milliseconds.
    pub act_ms: u64,
    /// If handling goes on in another invocation, the time until then.
    pub again_after: Option<Duration>,
    /// What that invocation has to know.
    pub recalled: Option<Recalled>,
}

/// The outcome of an interrupted task.
#[derive(Clone, Debug)]
pub struct TaskOutcome {
    /// The outcome.
    pub outcome: Outcome,
    /// The reason why nothing was changed.
    pub reason: Option<String>,
    /// The target groups that its address was taken out of.
    pub target_groups: Vec<String>,
    /// The task that runs in its place.
    pub new_task: Option<TaskArn>,
    /// The time of the change, if there was one.
    pub changed: Option<SystemTime>,
    /// Whether another event of the same interruption was handled before.
    pub is_repeated: bool,
}

impl TaskOutcome {
    /// An outcome without details.
    pub(crate) fn new(outcome: Outcome) -> Self {
        let (target_groups, is_repeated) = (Vec::new(), false);
        Self { outcome, reason: None, target_groups, new_task: None, changed: None, is_repeated }
    }

    /// The outcome of a task that was not changed.
    pub(crate) fn unchanged(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::new(outcome) }
    }

    /// The outcome of an event after another one that did all there is to do.
    pub(crate) fn repeated(reason: impl Into<String>) -> Self {
        Self { is_repeated: true, ..Self::unchanged(Outcome::Skipped, reason) }
    }
}

impl EventOutcome {
    /// The outcome of an event for which nothing could be done.
    pub(crate) fn failed(error: Error) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// The outcome in one word.
    pub(crate) fn outcome(&self) -> Outcome {
        let container_instances = self.container_instances.iter().map(|of| of.outcome);
        let nodes = self.nodes.iter().map(|of| of.outcome);
        let all = container_instances.chain(nodes).chain(self.task.iter().map(|of| of.outcome));
        match self.error {
            Some(_) => Outcome::Failed,
            None if self.again_after.is_some() => Outcome::Waiting,
            None => all.max().unwrap_or(if self.is_skipped { Outcome::Skipped } else { Outcome::NotFound }),
        }
    }

    /// Adds what became of the replacement.
    pub(crate) fn with_replacement(self, replaced: Result<Option<Replacement>, Error>) -> Self {
        match replaced {
            Ok(replacement) => Self { replacement, ..self },
            Err(error) => Self { error: self.error.or(Some(error)), ..self },
        }
    }

    /// The time of the last change.
    pub(crate) fn changed(&self) -> Option<SystemTime> {
        let container_instances = self.container_instances.iter().filter_map(|of| of.changed);
        let nodes = self.nodes.iter().filter_map(|of| of.changed);
        container_instances.chain(nodes).chain(self.task.iter().filter_map(|of| of.changed)).max()
    }
}

impl EndState {
    /// The word for the state, as in "it was DRAINING already".
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Deregistered => "deregistered",
            Self::Draining => "DRAINING",
            Self::Active => "ACTIVE",
        }
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
