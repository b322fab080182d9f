//! Instances that EC2 takes back, and what became of them.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::Region;
use crate::fate::Fate;
use crate::history::Moment;
use crate::notice::notice;

/// How long an instance has from its notice.
const NOTICE: Duration = Duration::from_mins(2);

impl Region {
    /// Interrupts an EC2 instance and returns the notice. Two minutes later, or at once where the action is `hibernate`,
    /// the instance is `terminated` or `stopped`, and whatever still runs on it dies.
    pub fn interrupt(&self, instance: &str, action: &str) -> Value {
        let left = if action == "hibernate" { Duration::ZERO } else { NOTICE };
        self.with(|place| place.interrupt(instance, action, left));
        notice(self, instance, action, SystemTime::now())
    }

    /// Like [`interrupt`](Region::interrupt), but this much time is left: the notice is dated back, as if it came late.
    pub fn interrupt_at(&self, instance: &str, action: &str, left: Duration) -> Value {
        self.with(|place| place.interrupt(instance, action, left));
        notice(self, instance, action, SystemTime::now() - NOTICE.saturating_sub(left))
    }

    /// Starts an instance that was stopped, as EC2 does when it has room again: its agent connects, and its container
    /// instance is as it was.
    pub fn start_again(&self, instance: &str) {
        self.with(|place| place.start_again(instance, SystemTime::now()));
    }

    /// What became of each container that was on an interrupted instance, so far.
    #[must_use]
    pub fn fates(&self) -> Vec<Fate> {
        self.with(|place| place.fates())
    }

    /// What happened so far, in order.
    #[must_use]
    pub fn history(&self) -> Vec<Moment> {
        let started = self.shared.lock().clock.started();
        self.with(|place| place.history.since(place.interruptions.first().map_or(started, |first| first.at)))
    }

    /// How many container instances of an EC2 instance are registered.
    #[must_use]
    pub fn registered(&self, instance: &str) -> usize {
        let all = self.container_instances();
        all.iter().filter(|other| other.ec2_instance_id == instance && other.status != "INACTIVE").count()
    }
}
