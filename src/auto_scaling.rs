//! Amazon EC2 Auto Scaling: replacements that start when an instance gets its notice.
//!
//! Without Capacity Rebalancing, a group launches the replacement of an interrupted instance only when the instance is
//! gone and has failed its health check. A group that loses the instance by `DetachInstances` launches it at once.

use std::{collections::HashMap, sync::Arc};

use aws_config::SdkConfig;
use aws_sdk_autoscaling::{
    Client,
    types::{AutoScalingGroup, AutoScalingInstanceDetails, LifecycleState, ScalingActivityStatusCode},
};

use crate::{
    aws::{
        calls::Calls,
        coalesce::{Coalesced, bisecting},
        operation::Operation,
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

/// The most groups in a `DescribeAutoScalingGroups` call.
const GROUPS: usize = 100;

/// The most instances in a `DetachInstances` call.
const DETACHED: usize = 20;

/// The process whose suspension keeps a group from launching instances.
const LAUNCH: &str = "Launch";

/// Auto Scaling in one account and Region.
#[derive(Clone, Debug)]
pub(crate) struct AutoScaling {
    client: Client,
    coalesced: Arc<CoalescedCalls>,
}

#[derive(Debug)]
struct CoalescedCalls {
    instances: Coalesced<(), InstanceId, Option<Member>>,
    groups: Coalesced<(), String, Option<Group>>,
    detachments: Coalesced<String, InstanceId, Option<Result<(), Error>>>,
}

/// An instance's membership in a group.
#[derive(Clone, Debug)]
struct Member {
    group: String,
    state: LifecycleState,
}

/// A group, and why its instances are not detached.
#[derive(Clone, Debug)]
struct Group {
    reason_to_leave: Option<&'static str>,
}

impl AutoScaling {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        let coalesced = CoalescedCalls {
            instances: Coalesced::new(Operation::DescribeAutoScalingInstances, INSTANCES),
            groups: Coalesced::new(Operation::DescribeAutoScalingGroups, GROUPS),
            detachments: Coalesced::new(Operation::DetachInstances, DETACHED),
        };
        Self { client: Client::new(sdk), coalesced: Arc::new(coalesced) }
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
        let is_wanted = config.replacement == ReplacementPolicy::Detach
            && config.mode == Mode::Change
            && interruption.kind == Kind::Notice(InstanceAction::Terminate);
        if !is_wanted || instance.auto_scaling_group().is_none() {
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
        let member = self.coalesced.instances.get(self, calls, &(), id.clone(), Self::describe_instances).await?;
        let Some(Member { group, state }) = member else { return left(None, "it is in no Auto Scaling group") };
        if state != LifecycleState::InService {
            return left(Some(&group), &format!("its lifecycle state is {state}"));
        }
        let described = self.coalesced.groups.get(self, calls, &(), group.clone(), Self::describe_groups).await?;
        if let Some(reason) = described.map_or(Some("its group is gone"), |group| group.reason_to_leave) {
            return left(Some(&group), reason);
        }
        let detached = self.coalesced.detachments.get(self, calls, &group, id.clone(), Self::detach).await?;
        match detached.unwrap_or(Ok(())) {
            // Another invocation was faster.
            Err(error) if error.code() == Some("ValidationError") => left(Some(&group), "it is no longer in its group"),
            Err(error) => Err(error),
            Ok(()) => Ok(Some(Replacement { auto_scaling_group: Some(group), is_started: true, reason: None })),
        }
    }

    async fn describe_instances(
        self,
        calls: Calls,
        (): (),
        ids: Vec<InstanceId>,
    ) -> Result<HashMap<InstanceId, Option<Member>>, Error> {
        let resource = format!("{} instances", ids.len());
        let ids = ids.iter().map(ToString::to_string).collect();
        let request = self.client.describe_auto_scaling_instances().set_instance_ids(Some(ids));
        let answer = calls.make(Operation::DescribeAutoScalingInstances, resource, || request.clone().send()).await?;
        let member = |of: AutoScalingInstanceDetails| {
            let group = of.auto_scaling_group_name?;
            let state = LifecycleState::from(of.lifecycle_state.unwrap_or_default().as_str());
            Some((of.instance_id?.try_into().ok()?, Some(Member { group, state })))
        };
        Ok(answer.auto_scaling_instances.unwrap_or_default().into_iter().filter_map(member).collect())
    }

    async fn describe_groups(
        self,
        calls: Calls,
        (): (),
        names: Vec<String>,
    ) -> Result<HashMap<String, Option<Group>>, Error> {
        let resource = names.join(", ");
        let request = self.client.describe_auto_scaling_groups().set_auto_scaling_group_names(Some(names));
        let answer = calls.make(Operation::DescribeAutoScalingGroups, resource, || request.clone().send()).await?;
        let group = |of: AutoScalingGroup| {
            let reason_to_leave = reason_to_leave(&of);
            Some((of.auto_scaling_group_name?, Some(Group { reason_to_leave })))
        };
        Ok(answer.auto_scaling_groups.unwrap_or_default().into_iter().filter_map(group).collect())
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
        let request = self
            .client
            .detach_instances()
            .auto_scaling_group_name(group)
            .set_instance_ids(Some(ids.iter().map(ToString::to_string).collect()))
            .should_decrement_desired_capacity(false);
        let answer = calls.make(Operation::DetachInstances, group, || request.clone().send()).await?;
        let is_failed = |code: &Option<ScalingActivityStatusCode>| {
            matches!(code, Some(ScalingActivityStatusCode::Failed | ScalingActivityStatusCode::Cancelled))
        };
        match answer.activities().iter().find(|activity| is_failed(&activity.status_code)) {
            Some(failed) => {
                let reason = failed.status_message().unwrap_or("its activity failed");
                Err(Error::call(Operation::DetachInstances, group, ErrorClass::Rejected, reason))
            }
            None => Ok(()),
        }
    }
}

/// Why a group's instances are not detached.
fn reason_to_leave(group: &AutoScalingGroup) -> Option<&'static str> {
    let is_suspended = group.suspended_processes().iter().any(|of| of.process_name() == Some(LAUNCH));
    if group.capacity_rebalance() == Some(true) {
        Some("its group launches the replacement by Capacity Rebalancing")
    } else if is_suspended {
        Some("its group may launch no instance: the process Launch is suspended")
    } else if group.operator().is_some() {
        Some("another service manages its group")
    } else {
        None
    }
}
