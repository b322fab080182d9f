//! Launches of instances by Auto Scaling groups.

use std::time::SystemTime;

use super::{Member, PlacedGroup, Step};
use crate::arn;
use crate::model::Instance;
use crate::resources::Resources;

impl Resources {
    /// Launches an instance if the group has too few.
    pub(super) fn launch_if_needed(&mut self, name: &str) -> bool {
        let is_needed = self.groups.get(name).is_some_and(PlacedGroup::lacks_instance);
        if is_needed {
            self.launch(name);
        }
        is_needed
    }

    fn launch(&mut self, name: &str) {
        let now = self.now;
        let Some(group) = self.groups.get_mut(name) else { return };
        let id = format!("i-{}", arn::hex(17));
        let mut instance = Instance::new(&id).asg(name).state("pending").launched(SystemTime::now());
        instance.tags.extend(group.model.tags.clone());
        self.instances.insert(id.clone(), instance);
        let in_service = (now + group.model.launch_delay, Step::InService);
        group.members.insert(id.clone(), Member { next: Some(in_service), ..Member::new("Pending") });
        group.launches.push((now, id.clone()));
        self.history.note(now, id, format!("launched by {name}"));
    }

    /// Reacts to a notice, or to a recommendation if `waits`: with Capacity Rebalancing, a replacement is launched, and
    /// the instance goes at once, or when the replacement is in service.
    pub(crate) fn rebalance(&mut self, instance: &str, waits: bool) {
        let Some(name) = self.group_of(instance) else { return };
        let Some(group) = self.groups.get_mut(&name).filter(|group| group.model.capacity_rebalance) else { return };
        let (may_launch, delay) = (group.does("Launch"), group.model.launch_delay);
        let Some(member) = group.members.get_mut(instance) else { return };
        let is_first = member.next.is_none();
        if member.state != "InService" || !is_first && waits {
            return;
        }
        if waits {
            member.next = Some((self.now + delay, Step::Replaced));
        } else if group.model.hooks.iter().any(|hook| !hook.launching) {
            member.next = None;
            self.terminate_member(&name, instance);
        } else {
            // EC2 ends it.
            member.next = None;
            "Terminating".clone_into(&mut member.state);
            self.leave_target_groups(&name, instance);
        }
        // It may have been replaced because of the recommendation.
        if may_launch && is_first {
            self.launch(&name);
        }
    }

    /// Detaches an instance, as `DetachInstances` does. It runs on.
    pub(crate) fn detach(&mut self, name: &str, instance: &str, decrement: bool) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.remove(instance);
        if decrement {
            group.model.desired = group.model.desired.saturating_sub(1);
        }
        self.history.note(self.now, instance, format!("detached from {name}"));
        self.leave_target_groups(name, instance);
        self.launch_if_needed(name);
    }
}
