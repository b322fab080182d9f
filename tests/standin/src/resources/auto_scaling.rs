//! Auto Scaling groups, and their behaviour over time.

mod launches;
mod terminations;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Resources;
use crate::model::AutoScalingGroup;
pub(crate) use terminations::{LifecycleAction, Wait};

/// Auto Scaling groups by name.
pub(crate) type AutoScalingGroups = BTreeMap<String, PlacedGroup>;

/// An Auto Scaling group with its instances.
#[derive(Clone, Debug)]
pub(crate) struct PlacedGroup {
    pub(crate) model: AutoScalingGroup,
    pub(crate) members: BTreeMap<String, Member>,
    /// The instances that wait in a lifecycle hook.
    pub(crate) waits: Vec<Wait>,
    /// All launches of instances, with their times.
    pub(crate) launches: Vec<(Instant, String)>,
    /// Instances that left it.
    former: BTreeSet<String>,
}

/// An instance of an Auto Scaling group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its lifecycle state, such as `InService`.
    pub(crate) state: String,
    pub(crate) is_healthy: bool,
    /// Its next change.
    next: Option<(Instant, Step)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// It is in service.
    InService,
    /// The health check finds that it ended.
    Unhealthy,
    /// It goes, since its replacement is in service.
    Replaced,
}

impl Member {
    fn new(state: &str) -> Self {
        Self { state: state.to_owned(), is_healthy: true, next: None }
    }

    fn is_leaving(&self) -> bool {
        self.state.starts_with("Terminating") || !self.is_healthy
    }
}

impl PlacedGroup {
    pub(crate) fn new(model: AutoScalingGroup) -> Self {
        Self { model, members: BTreeMap::new(), waits: Vec::new(), launches: Vec::new(), former: BTreeSet::new() }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let steps = self.members.values().filter_map(|member| Some(member.next?.0));
        steps.chain(self.waits.iter().map(Wait::due)).min()
    }

    fn remove(&mut self, instance: &str) {
        self.members.remove(instance);
        self.waits.retain(|wait| wait.instance != instance);
        self.former.insert(instance.to_owned());
    }

    fn does(&self, process: &str) -> bool {
        !self.model.suspended.contains(process)
    }

    /// Whether it has fewer instances than it is to have.
    fn lacks_instance(&self) -> bool {
        let staying = self.members.values().filter(|member| !member.is_leaving());
        staying.count() < self.model.desired && self.does("Launch")
    }
}

impl Resources {
    /// Adds the running instances to their groups that are tagged so and not in them yet.
    pub(crate) fn enroll(&mut self) {
        let mut new = Vec::new();
        for instance in self.instances.values() {
            let name = instance.tags.get("aws:autoscaling:groupName");
            let Some(group) = name.and_then(|name| self.groups.get_mut(name)) else { continue };
            let is_known = group.members.contains_key(&instance.id) || group.former.contains(&instance.id);
            if !is_known && matches!(instance.state.as_str(), "running" | "pending") {
                group.members.insert(instance.id.clone(), Member::new("InService"));
                group.model.desired = group.model.desired.max(group.members.len());
                new.push((group.model.name.clone(), instance.id.clone()));
            }
        }
        for (name, instance) in &new {
            self.join_target_groups(name, instance);
        }
    }

    /// The name of the group that an instance is in.
    pub(crate) fn group_of(&self, instance: &str) -> Option<String> {
        let mut groups = self.groups.values();
        groups.find(|group| group.members.contains_key(instance)).map(|group| group.model.name.clone())
    }

    pub(super) fn advance_groups(&mut self) {
        let now = self.now;
        for name in self.groups.keys().cloned().collect::<Vec<_>>() {
            let due: Vec<(String, Step)> = self.groups[&name]
                .members
                .iter()
                .filter_map(|(id, member)| Some((id.clone(), member.next.filter(|(at, _)| *at <= now)?.1)))
                .collect();
            for (instance, step) in due {
                self.member_step(&name, &instance, step);
            }
            self.end_waits(&name);
        }
    }

    fn member_step(&mut self, name: &str, instance: &str, step: Step) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let Some(member) = group.members.get_mut(instance) else { return };
        member.next = None;
        match step {
            Step::InService => {
                "InService".clone_into(&mut member.state);
                if let Some(launched) = self.instances.get_mut(instance) {
                    "running".clone_into(&mut launched.state);
                }
                self.join_target_groups(name, instance);
                self.history.note(self.now, instance, format!("in service in {name}"));
            }
            Step::Unhealthy => {
                member.is_healthy = group.model.suspended.contains("HealthCheck");
                if !member.is_healthy && group.does("ReplaceUnhealthy") {
                    group.remove(instance);
                    self.history.note(self.now, instance, format!("found unhealthy in {name}"));
                    self.launch_if_needed(name);
                }
            }
            Step::Replaced => {
                self.terminate_member(name, instance);
            }
        }
    }

    /// An instance ended: the health check finds it after some time, unless the group ended it.
    pub(super) fn member_ended(&mut self, instance: &str) {
        let Some(name) = self.group_of(instance) else { return };
        let now = self.now;
        let Some(group) = self.groups.get_mut(&name) else { return };
        let delay = group.model.health_check_after;
        if let Some(member) = group.members.get_mut(instance) {
            if member.state.starts_with("Terminating") {
                group.remove(instance);
            } else {
                member.next = Some((now + delay, Step::Unhealthy));
            }
        }
    }

    fn join_target_groups(&mut self, name: &str, instance: &str) {
        for target_group in self.groups[name].model.target_groups.clone() {
            if let Some(placed) = self.target_groups.get_mut(&target_group) {
                placed.register(instance, placed.model.port);
            }
        }
    }

    fn leave_target_groups(&mut self, name: &str, instance: &str) {
        for target_group in self.groups[name].model.target_groups.clone() {
            self.deregister_instance(&target_group, instance);
        }
    }
}
