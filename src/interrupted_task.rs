//! The domain: a task that is interrupted, and why.

use std::{
    cmp::Ordering,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    identifier::{AccountId, ClusterName, Region, TaskArn},
    interruption::NOTICE,
};

/// The start of the reason for which an evacuation stops a task.
pub(crate) const EVACUATION_REASON: &str = "EC2 Spot interruption: ";

/// A task that is being stopped, or has stopped, because of an interruption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptedTask {
    /// The task.
    pub detail: TaskDetail,
    /// The account of the task.
    pub account: AccountId,
    /// The Region of the task.
    pub region: Region,
    /// The time of the event; never in the future.
    pub time: SystemTime,
}

/// What an event says about an interrupted task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDetail {
    /// The task.
    pub task: TaskArn,
    /// Its cluster.
    pub cluster: ClusterName,
    /// The service that it belongs to; `None` for a standalone task.
    pub service: Option<String>,
    /// What interrupted it.
    pub cause: Cause,
    /// Whether it has stopped.
    pub has_stopped: bool,
    /// Its own private address, if it has a network interface.
    pub address: Option<String>,
}

/// What interrupted a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Fargate Spot needed the capacity back.
    FargateSpot,
    /// An evacuation of this function stopped it.
    Evacuation,
    /// Its EC2 instance ended.
    Host,
}

impl InterruptedTask {
    /// Chooses between two events of one task: the earlier one, while the task has not stopped. Its network interface is
    /// there then.
    pub(crate) fn more_decisive<'a>(&'a self, other: &'a Self) -> &'a Self {
        match self.detail.has_stopped.cmp(&other.detail.has_stopped).then(self.time.cmp(&other.time)) {
            Ordering::Less => self,
            _ => other,
        }
    }

    /// When the task is gone at the latest.
    pub(crate) fn deadline(&self) -> SystemTime {
        self.time + NOTICE
    }

    /// The age of the event.
    pub(crate) fn age(&self) -> Duration {
        self.time.elapsed().unwrap_or_default()
    }
}
