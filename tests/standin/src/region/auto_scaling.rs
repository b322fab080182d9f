//! Auto Scaling groups.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::Region;
use crate::model::AutoScalingGroup;
use crate::notice;
use crate::resources::PlacedGroup;

/// The launch of an instance by an Auto Scaling group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The time since the Region's first notice, or since the start if there was none; zero for earlier launches.
    pub at: Duration,
    /// The group.
    pub group: String,
    /// The new instance.
    pub instance: String,
}

impl Region {
    /// Adds an Auto Scaling group or replaces its description. Instances that are tagged as launched by it are in it,
    /// whether they are added before or after.
    ///
    /// Without Capacity Rebalancing, an instance is replaced when the health check has found that it ended. With it, a
    /// replacement is launched with the notice. After `DetachInstances` without a decrement, one is launched at once.
    pub fn auto_scaling_group(&self, group: AutoScalingGroup) -> &Self {
        self.with(|resources| {
            match resources.groups.get_mut(&group.name) {
                Some(placed) => placed.model = group,
                None => drop(resources.groups.insert(group.name.clone(), PlacedGroup::new(group))),
            }
            resources.enroll();
        });
        self
    }

    /// An Auto Scaling group as it is now.
    #[must_use]
    pub fn auto_scaling_group_at(&self, name: &str) -> Option<AutoScalingGroup> {
        self.with(|resources| resources.groups.get(name).map(|group| group.model.clone()))
    }

    /// The lifecycle state of an instance, such as `InService`; `None` where it is in no group.
    #[must_use]
    pub fn lifecycle_state(&self, instance: &str) -> Option<String> {
        self.with(|resources| {
            let group = resources.group_of(instance)?;
            Some(resources.groups[&group].members[instance].state.clone())
        })
    }

    /// Sets the lifecycle state of an instance, such as `Standby` or `Warmed:Stopped`; nothing happens where it is in no
    /// group.
    pub fn set_lifecycle_state(&self, instance: &str, state: &str) {
        self.with(|resources| {
            let members = resources.groups.values_mut().filter_map(|group| group.members.get_mut(instance));
            members.for_each(|member| state.clone_into(&mut member.state));
        });
    }

    /// Terminates an instance by its group, as scale-in does, and returns the event of the first lifecycle hook; `None`
    /// if there is no hook, so that it ends at once, or if it is in no group or on its way already.
    ///
    /// It leaves its target groups, then waits in each hook until that is completed or its time is over, and ends. Its
    /// containers' fates are among [`fates`](Region::fates).
    pub fn begin_termination(&self, instance: &str) -> Option<Value> {
        let before = self.with(|resources| resources.lifecycle_actions.len());
        self.with(|resources| resources.scale_in(instance));
        self.lifecycle_actions().into_iter().nth(before)
    }

    /// Recommends to rebalance an instance and returns the event. With Capacity Rebalancing, its group launches a
    /// replacement, and terminates the instance when that is in service.
    pub fn recommend_rebalance(&self, instance: &str) -> Value {
        self.with(|resources| resources.rebalance(instance, true));
        notice::rebalance_recommendation(self, instance, SystemTime::now())
    }

    /// The event of each wait in a lifecycle hook so far, in order, dated now.
    #[must_use]
    pub fn lifecycle_actions(&self) -> Vec<Value> {
        let actions = self.with(|resources| resources.lifecycle_actions.clone());
        actions.iter().map(|action| notice::lifecycle_action(self, action)).collect()
    }

    /// All launches by Auto Scaling groups so far, in order.
    #[must_use]
    pub fn launches(&self) -> Vec<Launch> {
        let started = self.shared.lock().clock.started();
        self.with(|resources| {
            let zero = resources.first_notice().unwrap_or(started);
            let groups = resources.groups.values();
            let launches = groups.flat_map(|group| group.launches.iter().map(|launch| (&group.model.name, launch)));
            let mut launches: Vec<Launch> = launches
                .map(|(group, (at, instance))| Launch {
                    at: at.saturating_duration_since(zero),
                    group: group.clone(),
                    instance: instance.clone(),
                })
                .collect();
            launches.sort_by_key(|launch| launch.at);
            launches
        })
    }
}
