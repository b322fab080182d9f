//! When to look at an instance that waits in a lifecycle hook, and when it has waited long enough. Pure.

use std::time::Duration;

use crate::{auto_scaling::hook::Hook, outcome::Remaining};

/// The shortest time between two looks, 4 s: with the look itself, the action is completed within 5 s of the last
/// task's end.
const SHORTEST: Duration = Duration::from_secs(4);

/// The longest time between two looks, 1 min: a look takes some tenths of a second.
const LONGEST: Duration = Duration::from_mins(1);

/// The time between two looks is this fraction of the time since the event.
const FRACTION: u32 = 20;

/// How often a heartbeat is recorded within the heartbeat timeout, so that one that fails does no harm.
const HEARTBEATS: u32 = 3;

/// How long before the end of the global timeout the action is completed at the latest, 10 s.
const MARGIN: Duration = Duration::from_secs(10);

/// The clock of an instance that waits in a lifecycle hook.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The time since the event, which is the time that the instance has waited for.
    age: Duration,
    heartbeat_timeout: Duration,
    global_timeout: Duration,
    /// The time that is left of the heartbeat timeout when its last phase begins.
    last_phase: Duration,
    /// Whether what is left of the heartbeat timeout fits into the invocation.
    pub(crate) is_last_phase: bool,
}

/// What to do with the lifecycle action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Complete it. The reason is given if the instance is not empty.
    Complete(Option<&'static str>),
    /// Look again after this time, and record a heartbeat if it is due.
    Wait { pause: Duration, is_heartbeat_due: bool },
}

impl Clock {
    /// The clock of an instance that has waited for `age`, in an invocation that has `left`.
    pub(crate) fn new(age: Duration, left: Duration, hook: &Hook) -> Self {
        let (heartbeat_timeout, global_timeout) = (hook.heartbeat_timeout, hook.global_timeout);
        let is_last_phase = age + left >= heartbeat_timeout;
        Self { age, heartbeat_timeout, global_timeout, last_phase: left, is_last_phase }
    }

    /// The same clock later in the same look.
    pub(crate) fn at(self, age: Duration) -> Self {
        Self { age, ..self }
    }

    /// Decides what to do. An evacuation and pods end with the heartbeat timeout; tasks that leave by themselves extend
    /// it.
    pub(crate) fn next(&self, remaining: Remaining, evacuates: bool) -> Next {
        let pause = self.pause(remaining);
        if remaining == Remaining::default() {
            Next::Complete(None)
        } else if self.is_last_phase && remaining.blocked > 0 {
            Next::Complete(Some("pods were left at the end of the heartbeat timeout"))
        } else if self.age + pause * 2 + MARGIN >= self.global_timeout {
            Next::Complete(Some("tasks or pods were left at the end of the global timeout"))
        } else {
            let is_extended = !evacuates && remaining.blocked == 0;
            Next::Wait { pause, is_heartbeat_due: is_extended && self.is_heartbeat_due(pause) }
        }
    }

    /// The time until the next look.
    pub(crate) fn pause(&self, remaining: Remaining) -> Duration {
        let ends_soon = remaining.running == 0 && remaining.blocked == 0;
        let pause = if ends_soon { SHORTEST } else { (self.age / FRACTION).clamp(SHORTEST, LONGEST) };
        let until_last_phase = self.heartbeat_timeout.saturating_sub(self.age + self.last_phase);
        let pause = if until_last_phase.is_zero() { pause } else { pause.min(until_last_phase) };
        pause.min(self.heartbeat_timeout / HEARTBEATS).max(Duration::from_secs(1))
    }

    /// Whether a third of the heartbeat timeout has ended since the look before the last one. The last heartbeat is not
    /// stored, and a look may have failed.
    fn is_heartbeat_due(&self, pause: Duration) -> bool {
        let thirds = |age: Duration| age.as_millis() / (self.heartbeat_timeout / HEARTBEATS).as_millis().max(1);
        thirds(self.age) > thirds(self.age.saturating_sub(pause * 2))
    }
}
