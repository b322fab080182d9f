//! What became of an event: one type, whoever acted.

use std::time::SystemTime;

use serde::Serialize;

use crate::{
    ec2::instance::CapacityPool,
    error::Error,
    identifier::{ClusterName, ContainerInstanceArn},
};

/// The outcomes, the least telling first: the most telling of several stands for the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing is done about such an event.
    Ignored,
    /// The instance is in no cluster.
    NotFound,
    /// It was left alone.
    Skipped,
    /// `DRY_RUN` kept it as it was.
    DryRun,
    /// It is `ACTIVE` again.
    Reactivated,
    /// It is `DRAINING`.
    Draining,
    /// It is no longer registered.
    Deregistered,
    /// An error.
    Failed,
}

/// How a container instance ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndState {
    /// No longer registered.
    Deregistered,
    /// `DRAINING`
    Draining,
    /// `ACTIVE`
    Active,
}

/// What became of a container instance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerInstanceOutcome {
    /// Its cluster.
    pub cluster_name: ClusterName,
    /// Its ARN.
    pub container_instance_arn: ContainerInstanceArn,
    /// What became of it.
    pub outcome: Outcome,
    /// Why nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Before anything was changed.
    pub running_tasks_count: i32,
    /// In an evacuation, how many tasks were asked to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_stopped: Option<usize>,
    /// In an evacuation, how many tasks had not gone when it was deregistered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_left: Option<usize>,
    /// When it was changed, if it was.
    #[serde(skip)]
    pub changed: Option<SystemTime>,
}

/// What became of an instance.
#[derive(Clone, Debug, Default)]
pub struct InstanceOutcome {
    /// Its container instances, without those that failed.
    pub container_instances: Vec<ContainerInstanceOutcome>,
    /// Why it is not looked for in any cluster.
    pub reason: Option<String>,
    /// What failed.
    pub error: Option<Error>,
    /// Its capacity pool, if EC2 has said so.
    pub pool: Option<CapacityPool>,
    /// How long it took to find it, in milliseconds.
    pub locate_ms: u64,
    /// How long it took to change it, in milliseconds.
    pub act_ms: u64,
}

impl InstanceOutcome {
    /// That nothing could be done.
    #[must_use]
    pub fn failed(error: Error) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// In a word.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.error {
            Some(_) => Outcome::Failed,
            None => self.container_instances.iter().map(|of| of.outcome).max().unwrap_or(Outcome::NotFound),
        }
    }
}

impl EndState {
    /// As in "it was … already".
    #[must_use]
    pub fn word(self) -> &'static str {
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
