//! The domain: a task that is interrupted, and why.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{
    identifier::{AccountId, ClusterName, Region, TaskArn},
    interruption::NOTICE,
};

/// The start of the reason for which an evacuation stops a task.
pub(crate) const EVACUATION_REASON: &str = "EC2 Spot interruption: ";

/// The tag of tasks and task definitions that are started again: `true`, `always`, or how many times in a row.
pub(crate) const RUN_AGAIN: &str = "spot-interruption-handler:run-again";

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
    /// What an earlier invocation read of the task.
    pub recalled: Option<Recalled>,
}

/// What has to be read of a standalone task before it has stopped, to start it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recalled {
    /// Its network interface.
    pub network: Network,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The terms on which it is started again.
    pub terms: Terms,
}

/// The network interface of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Network {
    /// It uses that of its container instance.
    Shared,
    /// It has one of its own.
    Own(NetworkInterface),
    /// Its own was gone, and with it the security groups.
    Gone,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInterface {
    /// The id of its subnet.
    pub subnet: String,
    /// The ids of its security groups, in a fixed order.
    pub security_groups: Vec<String>,
    /// Whether it has a public address.
    pub has_public_ip: bool,
}

/// The terms on which a task is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// How many times in a row it is then started again.
    pub count: u32,
    /// Whether it is started again even if its essential containers exited with 0.
    pub even_if_ended: bool,
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
    /// Its own private addresses, if it has a network interface: IPv4, then IPv6.
    pub addresses: Vec<String>,
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
    /// Whether it is handled in the place of another event of the same task: the one of which an earlier invocation has
    /// read the network interface, otherwise the earlier one, while the task has not stopped. Its network interface is
    /// there then.
    pub(crate) fn is_more_decisive(&self, than: &Self) -> bool {
        let is_read = |of: &Self| of.recalled.as_ref().is_some_and(|recalled| recalled.network != Network::Gone);
        let order = is_read(than).cmp(&is_read(self)).then(self.detail.has_stopped.cmp(&than.detail.has_stopped));
        order.then(self.time.cmp(&than.time)).is_lt()
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
