//! Amazon EC2 Auto Scaling: replacements that start when an instance gets its notice.
//!
//! Without Capacity Rebalancing, a group launches the replacement of an interrupted instance only when the instance is
//! gone and has failed its health check. A group that loses the instance by `DetachInstances` launches it at once.

pub(crate) mod hook;
mod hook_cache;
mod hooks;
mod lifecycle;

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_config::SdkConfig;

use self::{hook::VALIDATION_ERROR, hook_cache::HookCache};
use crate::{
    aws::{
        calls::Calls,
        coalesce::{Coalesced, bisecting},
        operation::Operation,
        query::{
            Client, Parameters, Service,
            answer::{List, Record},
        },
    },
    config::{Config, Mode, ReplacementPolicy},
    ec2::instance::{Instance, NodeManager},
    error::{Error, ErrorClass},
    identifier::InstanceId,
    interruption::{InstanceAction, Interruption, Kind},
    outcome::Replacement,
};

/// The most instances in a `DescribeAutoScalingInstances` call.
const INSTANCES: usize = 50;

/// The most groups in a `DescribeAutoScalingGroups` call without `MaxRecords`.
const GROUPS: usize = 50;

/// The most instances in a `DetachInstances` call.
const DETACHED: usize = 20;

/// The lifecycle state of an instance that serves.
const IN_SERVICE: &str = "InService";

/// How long the description of an instance that is to be replaced may keep its batch waiting, 20 s.
pub(crate) const DESCRIBE_FOR: Duration = Duration::from_secs(20);

/// The process whose suspension keeps a group from launching instances.
const LAUNCH: &str = "Launch";

/// Why instances of a group are not detached that can't launch others.
const SUSPENDED: &str = "its group may launch no instance: the process Launch is suspended";

const SERVICE: Service = Service { id: "Auto Scaling", name: "autoscaling", version: "2011-01-01" };

const INSTANCE_LIST: List =
    List::new("*/AutoScalingInstances/member", &["InstanceId", "AutoScalingGroupName", "LifecycleState"]);

const GROUP_LIST: List = List::new(
    "*/AutoScalingGroups/member",
    &["AutoScalingGroupName", "CapacityRebalance", "SuspendedProcesses/member/ProcessName", "Operator/Principal"],
);

const ACTIVITY_LIST: List = List::new("*/Activities/member", &["StatusCode", "StatusMessage"]);

/// Auto Scaling in one account and Region.
#[derive(Clone, Debug)]
pub(crate) struct AutoScaling {
    client: Client,
    coalesced: Arc<CoalescedCalls>,
    hooks: Arc<HookCache>,
}

#[derive(Debug)]
struct CoalescedCalls {
    instances: Coalesced<(), InstanceId, Option<Member>>,
    groups: Coalesced<(), String, Option<Group>>,
    detachments: Coalesced<String, InstanceId, Option<Result<(), Error>>>,
}

/// An instance's membership in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) group: String,
    /// The lifecycle state, such as `InService` or `Terminating:Wait`.
    pub(crate) state: String,
}

/// A group, and why its instances are not detached.
#[derive(Clone, Debug)]
struct Group {
    reason_to_leave: Option<&'static str>,
}

/// Whether an interrupted instance that is in a group is to be replaced at once.
pub(crate) fn replaces_at_once(config: &Config, interruption: &Interruption) -> bool {
    config.replacement == ReplacementPolicy::Detach
        && config.mode == Mode::Change
        && interruption.kind == Kind::Notice(InstanceAction::Terminate)
}

impl AutoScaling {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        let coalesced = CoalescedCalls {
            instances: Coalesced::new(Operation::DescribeAutoScalingInstances, INSTANCES),
            groups: Coalesced::new(Operation::DescribeAutoScalingGroups, GROUPS),
            detachments: Coalesced::new(Operation::DetachInstances, DETACHED),
        };
        Self { client: Client::new(sdk, &SERVICE), coalesced: Arc::new(coalesced), hooks: Arc::default() }
    }

    /// Has the group of an interrupted instance launch the replacement now, if the settings say so and nothing else
    /// launches it; `None` if there is nothing to be done.
    ///
    /// # Errors
    ///
    /// If a call failed. The instance is handled all the same.
    pub(crate) async fn replace(
        &self,
        config: &Config,
        calls: &Calls,
        interruption: &Interruption,
        instance: &Instance,
    ) -> Result<Option<Replacement>, Error> {
        if !replaces_at_once(config, interruption) || instance.auto_scaling_group().is_none() {
            return Ok(None);
        }
        let left = |group: Option<&str>, reason: &str| {
            Ok(Some(Replacement {
                auto_scaling_group: group.map(str::to_owned),
                is_started: false,
                reason: Some(reason.to_owned()),
            }))
        };
        if instance.operator().is_some() || instance.node_manager() == Some(NodeManager::ManagedNodeGroup) {
            return left(instance.auto_scaling_group(), "another service manages the instance");
        }
        let id = &interruption.instance;
        let member = self.membership(calls, id).await?;
        let Some(Member { group, state }) = member else { return left(None, "it is in no Auto Scaling group") };
        if state != IN_SERVICE {
            return left(Some(&group), &format!("its lifecycle state is {state}"));
        }
        let described = self.coalesced.groups.get(self, calls, &(), group.clone(), Self::describe_groups).await?;
        if let Some(reason) = described.map_or(Some("its group is gone"), |group| group.reason_to_leave) {
            return left(Some(&group), reason);
        }
        let detached = self.coalesced.detachments.get(self, calls, &group, id.clone(), Self::detach).await?;
        match detached.unwrap_or(Ok(())) {
            // Another invocation was faster.
            Err(error) if error.code() == Some(VALIDATION_ERROR) => left(Some(&group), "it is no longer in its group"),
            Err(error) => Err(error),
            Ok(()) => Ok(Some(Replacement { auto_scaling_group: Some(group), is_started: true, reason: None })),
        }
    }

    /// Finds the group that an instance is in; `None` if it is in none.
    pub(crate) async fn membership(&self, calls: &Calls, id: &InstanceId) -> Result<Option<Member>, Error> {
        self.coalesced.instances.get(self, calls, &(), id.clone(), Self::describe_instances).await
    }

    /// Whether a group launches the replacement of an interrupted instance only when its health check has found that the
    /// instance is gone, or not at all.
    pub(crate) async fn waits_for_health_check(
        &self,
        calls: &Calls,
        config: &Config,
        group: &str,
    ) -> Result<bool, Error> {
        let described = self.coalesced.groups.get(self, calls, &(), group.to_owned(), Self::describe_groups).await?;
        Ok(described.is_some_and(|group| match group.reason_to_leave {
            None => config.replacement == ReplacementPolicy::Leave,
            Some(reason) => reason == SUSPENDED,
        }))
    }

    async fn describe_instances(
        self,
        calls: Calls,
        (): (),
        ids: Vec<InstanceId>,
    ) -> Result<HashMap<InstanceId, Option<Member>>, Error> {
        let resource = format!("{} instances", ids.len());
        let parameters = Parameters::default().with_list("InstanceIds.member", ids.iter().map(InstanceId::as_str));
        let operation = Operation::DescribeAutoScalingInstances;
        let found = self.client.call(&calls, operation, &resource, &parameters, &INSTANCE_LIST).await?;
        let member = |of: Record| {
            let group = of.get("AutoScalingGroupName")?.to_owned();
            let state = of.get("LifecycleState").unwrap_or_default().to_owned();
            Some((of.get("InstanceId")?.to_owned().try_into().ok()?, Some(Member { group, state })))
        };
        Ok(found.into_iter().filter_map(member).collect())
    }

    async fn describe_groups(
        self,
        calls: Calls,
        (): (),
        names: Vec<String>,
    ) -> Result<HashMap<String, Option<Group>>, Error> {
        let resource = names.join(", ");
        let parameters =
            Parameters::default().with_list("AutoScalingGroupNames.member", names.iter().map(String::as_str));
        let operation = Operation::DescribeAutoScalingGroups;
        let found = self.client.call(&calls, operation, &resource, &parameters, &GROUP_LIST).await?;
        let group = |of: Record| {
            let name = of.get("AutoScalingGroupName")?.to_owned();
            Some((name, Some(Group { reason_to_leave: reason_to_leave(&of) })))
        };
        Ok(found.into_iter().filter_map(group).collect())
    }

    async fn detach(
        self,
        calls: Calls,
        group: String,
        ids: Vec<InstanceId>,
    ) -> Result<HashMap<InstanceId, Option<Result<(), Error>>>, Error> {
        let detached = bisecting(ids, |ids| self.detach_together(&calls, &group, ids)).await;
        let each = |(ids, answer): (Vec<InstanceId>, Result<(), Error>)| {
            ids.into_iter().map(move |id| (id, Some(answer.clone())))
        };
        Ok(detached.into_iter().flat_map(each).collect())
    }

    /// The desired capacity stays, so that the group launches replacements.
    async fn detach_together(&self, calls: &Calls, group: &str, ids: Vec<InstanceId>) -> Result<(), Error> {
        let parameters = Parameters::default()
            .with("AutoScalingGroupName", group)
            .with_list("InstanceIds.member", ids.iter().map(InstanceId::as_str))
            .with("ShouldDecrementDesiredCapacity", "false");
        let operation = Operation::DetachInstances;
        let activities = self.client.call(calls, operation, &group, &parameters, &ACTIVITY_LIST).await?;
        let is_failed = |activity: &&Record| matches!(activity.get("StatusCode"), Some("Failed" | "Cancelled"));
        match activities.iter().find(is_failed) {
            Some(failed) => {
                let reason = failed.get("StatusMessage").unwrap_or("its activity failed");
                Err(Error::call(operation, group, ErrorClass::Rejected, reason))
            }
            None => Ok(()),
        }
    }
}

/// Why a group's instances are not detached.
fn reason_to_leave(group: &Record) -> Option<&'static str> {
    if group.get("CapacityRebalance") == Some("true") {
        Some("its group launches the replacement by Capacity Rebalancing")
    } else if group.all("SuspendedProcesses/member/ProcessName").any(|process| process == LAUNCH) {
        Some(SUSPENDED)
    } else if group.get("Operator/Principal").is_some() {
        Some("another service manages its group")
    } else {
        None
    }
}
