//! Target groups, and the tasks and instances in them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{PlacedTask, Resources, runs_mut};
use crate::history::History;
use crate::model::{Target, TargetGroup};

/// Target groups by name.
pub(crate) type TargetGroups = BTreeMap<String, PlacedTargetGroup>;

/// A target group with its targets.
#[derive(Clone, Debug)]
pub(crate) struct PlacedTargetGroup {
    pub(crate) model: TargetGroup,
    /// Targets by id and port, with the time until which they drain.
    targets: BTreeMap<(String, u16), Option<Instant>>,
}

impl PlacedTargetGroup {
    pub(crate) fn new(model: TargetGroup) -> Self {
        Self { model, targets: BTreeMap::new() }
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = Target> {
        let target = |((id, port), drains): (&(String, u16), &Option<Instant>)| Target {
            id: id.clone(),
            port: *port,
            draining: drains.is_some(),
        };
        self.targets.iter().map(target)
    }

    pub(super) fn register(&mut self, id: &str, port: u16) {
        self.targets.insert((id.to_owned(), port), None);
    }

    /// Makes a target drain. Nothing happens to one that drains or is not registered.
    fn deregister(&mut self, id: &str, port: u16, now: Instant, history: &mut History) {
        let delay = self.model.deregistration_delay;
        if let Some(drains @ None) = self.targets.get_mut(&(id.to_owned(), port)) {
            *drains = Some(now + delay);
            history.note(now, &self.model.name, format!("{id}:{port} drains"));
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.targets.values().flatten().min().copied()
    }

    pub(super) fn advance(&mut self, now: Instant) {
        self.targets.retain(|_, drains| drains.is_none_or(|until| until > now));
    }
}

impl Resources {
    /// Adds the target groups that a service names and that are not there yet.
    pub(crate) fn add_target_groups(&mut self, names: &[String], delay: Duration) {
        for name in names {
            let group = || PlacedTargetGroup::new(TargetGroup::new(name).deregistration_delay(delay));
            self.target_groups.entry(name.clone()).or_insert_with(group);
        }
    }

    /// Registers a target, and a task with that address as behind the load balancer. `false` where there is no such
    /// target group.
    pub(crate) fn register_target(&mut self, group: &str, id: &str, port: u16) -> bool {
        let Some(placed) = self.target_groups.get_mut(group) else { return false };
        placed.register(id, port);
        for run in runs_mut(&mut self.records, &mut self.fargate).filter(|run| run.has_address(id)) {
            run.join(group, port);
        }
        true
    }

    /// Deregisters a target, as `DeregisterTargets` does.
    pub(crate) fn deregister_target(&mut self, group: &str, id: &str, port: u16) {
        let Self { records, fargate, target_groups, history, now, .. } = self;
        if let Some(placed) = target_groups.get_mut(group) {
            placed.deregister(id, port, *now, history);
        }
        for run in runs_mut(records, fargate).filter(|run| run.has_address(id)) {
            run.part(group, port, *now, history);
        }
    }

    /// Deregisters an instance from a target group, whatever its port.
    pub(super) fn deregister_instance(&mut self, group: &str, instance: &str) {
        let Self { target_groups, history, now, .. } = self;
        if let Some(placed) = target_groups.get_mut(group) {
            let ports: Vec<u16> =
                placed.targets().filter(|target| target.id == instance).map(|target| target.port).collect();
            for port in ports {
                placed.deregister(instance, port, *now, history);
            }
        }
    }

    /// Registers the new tasks of services, and deregisters those that ECS took out.
    pub(super) fn settle_targets(&mut self) {
        let Self { records, fargate, target_groups, services, history, now, .. } = self;
        for run in runs_mut(records, fargate).filter(|run| run.network.is_some()) {
            if let Some(joins) = run.to_join(services) {
                for (group, port) in joins {
                    if let (Some(placed), Some(ip)) = (target_groups.get_mut(&group), run.address()) {
                        placed.register(&ip, port);
                        run.join(&group, port);
                    }
                }
            }
            for (group, port) in run.take_parted() {
                if let (Some(placed), Some(ip)) = (target_groups.get_mut(&group), run.address()) {
                    placed.deregister(&ip, port, *now, history);
                }
            }
        }
    }
}

impl PlacedTask {
    /// The address of its network interface, also after that was deleted.
    fn address(&self) -> Option<String> {
        self.network.as_ref().map(|network| network.private_ip.clone())
    }

    fn has_address(&self, ip: &str) -> bool {
        self.live_network().is_some_and(|network| network.private_ip == ip)
    }
}
