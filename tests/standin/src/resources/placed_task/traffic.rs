//! The load balancer of a task.

use std::time::Instant;

use super::PlacedTask;
use crate::history::History;
use crate::resources::Services;

/// Whether a load balancer sends it requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    Off,
    On,
    Until(Instant),
}

impl PlacedTask {
    pub(super) fn deregister_target(&mut self, now: Instant, history: &mut History) {
        if self.traffic != Traffic::Off {
            self.traffic = Traffic::Off;
            self.deregistered = Some(now);
            history.note(now, self.subject(), "target deregistered");
        }
    }

    /// Where its service registers it, if it runs and that was not done yet.
    pub(in crate::resources) fn to_join(&self, services: &Services) -> Option<Vec<(String, u16)>> {
        if self.targets.is_some() || self.traffic != Traffic::On || !self.is_running() {
            return None;
        }
        let name = self.task.group.strip_prefix("service:")?;
        let service = services.get(&(self.cluster.clone(), name.to_owned()))?;
        let balancers = service.model.load_balancers().into_iter();
        Some(balancers.map(|balancer| (balancer.target_group, balancer.port)).collect())
    }

    /// Its address is registered there.
    pub(in crate::resources) fn join(&mut self, group: &str, port: u16) {
        let targets = self.targets.get_or_insert_default();
        if !targets.iter().any(|(other, at)| other == group && *at == port) {
            targets.push((group.to_owned(), port));
        }
        if self.traffic == Traffic::Off {
            (self.traffic, self.deregistered) = (Traffic::On, None);
        }
    }

    /// Its address was deregistered there. Once it is registered nowhere, it gets no more requests.
    pub(in crate::resources) fn part(&mut self, group: &str, port: u16, now: Instant, history: &mut History) {
        let Some(targets) = &mut self.targets else { return };
        let before = targets.len();
        targets.retain(|(other, at)| other != group || *at != port);
        if targets.is_empty() && before > 0 {
            self.deregister_target(now, history);
        }
    }

    /// Where ECS has to deregister it, once.
    pub(in crate::resources) fn take_parted(&mut self) -> Vec<(String, u16)> {
        let is_out = self.traffic == Traffic::Off || self.left || self.task.is_stopped();
        if is_out { self.targets.as_mut().map(std::mem::take).unwrap_or_default() } else { Vec::new() }
    }
}
