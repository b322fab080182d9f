//! Interruptions of instances, and their effects.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::Region;
use crate::fate::Fate;
use crate::history::Moment;
use crate::notice::notice;
use crate::reservation::{Reservation, reservation_interruption};

/// How long an instance has from its notice.
const NOTICE: Duration = Duration::from_mins(2);

impl Region {
    /// Interrupts an EC2 instance and returns the notice. Two minutes later, or at once where the action is `hibernate`,
    /// the instance is `terminated` or `stopped`, and whatever still runs on it dies.
    pub fn interrupt(&self, instance: &str, action: &str) -> Value {
        let left = if action == "hibernate" { Duration::ZERO } else { NOTICE };
        self.with(|resources| resources.interrupt(instance, action, left));
        notice(self, instance, action, SystemTime::now())
    }

    /// Like [`interrupt`](Region::interrupt), but with this much time left: the notice is backdated, as if it were
    /// late.
    pub fn interrupt_at(&self, instance: &str, action: &str, left: Duration) -> Value {
        self.with(|resources| resources.interrupt(instance, action, left));
        notice(self, instance, action, SystemTime::now() - NOTICE.saturating_sub(left))
    }

    /// Terminates an instance with its reservation after this time, and returns the warning.
    pub fn interrupt_reservation(&self, instance: &str, reservation: Reservation, left: Duration) -> Value {
        self.with(|resources| resources.interrupt(instance, "terminate", left));
        reservation_interruption(self, instance, reservation, Some(SystemTime::now() + left))
    }

    /// Starts an instance that was stopped, as EC2 does when it has capacity again. Its agent connects, and its
    /// container instance is unchanged.
    pub fn start_again(&self, instance: &str) {
        self.with(|resources| resources.start_again(instance, SystemTime::now()));
    }

    /// The fate of each container that was on an interrupted instance, so far.
    #[must_use]
    pub fn fates(&self) -> Vec<Fate> {
        self.with(|resources| resources.fates())
    }

    /// All changes so far, in order.
    #[must_use]
    pub fn history(&self) -> Vec<Moment> {
        let started = self.shared.lock().clock.started();
        self.with(|resources| resources.history.since(resources.first_notice().unwrap_or(started)))
    }

    /// The number of an EC2 instance's registered container instances.
    #[must_use]
    pub fn registered(&self, instance: &str) -> usize {
        let all = self.container_instances();
        all.iter().filter(|other| other.ec2_instance_id == instance && other.status != "INACTIVE").count()
    }
}
