//! When to look at an instance that waits in a lifecycle hook, and when it has waited long enough. Pure.

use std::time::Duration;

use crate::{auto_scaling::hook::Hook, outcome::Remaining};

/// The shortest time between two looks, 4 s: with the look itself, the action is completed within 5 s of the last
/// task's end.
const SHORTEST: Duration = Duration::from_secs(4);

/// The longest time between two looks, 1 min: a look takes some tenths of a second.
const LONGEST: Duration = Duration::from_mins(1);

/// The time between two looks is this fraction of the time since the event, and a smaller one while all that is left is
/// stopping. A message can be received 1,000 times, which is enough for half a day.
const FRACTION: u32 = 20;
const STOPPING_FRACTION: u32 = 60;

/// How often a heartbeat is recorded within the heartbeat timeout, so that one that fails does no harm.
const HEARTBEATS: u32 = 3;

/// The time that two looks take, 5 s, apart from the pauses between them.
const LOOKS: Duration = Duration::from_secs(5);

/// How long before the end of the global timeout the action is completed at the latest, 10 s.
const MARGIN: Duration = Duration::from_secs(10);

/// The clock of an instance that waits in a lifecycle hook.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The time since the event, which is the time that the instance has waited for.
    age: Duration,
    /// The same when the look began.
    looked_at: Duration,
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
        Self { age, looked_at: age, heartbeat_timeout, global_timeout, last_phase: left, is_last_phase }
    }

    /// The time that is left until the heartbeat timeout ends. If it is over and the instance still waits, heartbeats
    /// were recorded in each third of it, and at least a third is left.
    pub(crate) fn left(&self) -> Duration {
        let left = self.heartbeat_timeout.saturating_sub(self.age);
        if left.is_zero() { self.heartbeat_timeout / HEARTBEATS } else { left }
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
            Next::Wait {
                pause,
                is_heartbeat_due: is_extended && (self.is_last_chance(pause) || self.is_heartbeat_due(pause)),
            }
        }
    }

    /// The time until the next look.
    pub(crate) fn pause(&self, remaining: Remaining) -> Duration {
        let is_stopping = remaining.running == 0 && remaining.blocked == 0;
        let fraction = if is_stopping { STOPPING_FRACTION } else { FRACTION };
        let pause = (self.age / fraction).clamp(SHORTEST, LONGEST);
        let until_last_phase = self.heartbeat_timeout.saturating_sub(self.age + self.last_phase);
        let pause = if until_last_phase.is_zero() { pause } else { pause.min(until_last_phase) };
        pause.min(self.heartbeat_timeout / HEARTBEATS).max(Duration::from_secs(1))
    }

    /// Whether the heartbeat timeout may end before the look after the next one. None may have been recorded so far, if
    /// pods were blocked when one was due.
    fn is_last_chance(&self, pause: Duration) -> bool {
        self.age < self.heartbeat_timeout && self.age + pause * 2 + LOOKS >= self.heartbeat_timeout
    }

    /// Whether a third of the heartbeat timeout has ended since the look before the last one began. The last heartbeat is not
    /// stored, and a look may have failed.
    fn is_heartbeat_due(&self, pause: Duration) -> bool {
        let thirds = |age: Duration| age.as_millis() / (self.heartbeat_timeout / HEARTBEATS).as_millis().max(1);
        thirds(self.age) > thirds(self.looked_at.saturating_sub(pause * 2 + LOOKS))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A hook whose heartbeat timeout is that many seconds, as Auto Scaling sets the global one.
    fn clock(age_s: u64, heartbeat_s: u64) -> Clock {
        let (heartbeat_timeout, global_timeout) = (s(heartbeat_s), s(heartbeat_s * 100).min(Duration::from_hours(48)));
        let hook = Hook { name: "drain".to_owned(), is_terminating: true, heartbeat_timeout, global_timeout };
        Clock::new(s(age_s), s(118), &hook)
    }

    const RUNNING: Remaining = Remaining { running: 2, stopping: 0, blocked: 0 };
    const STOPPING: Remaining = Remaining { running: 0, stopping: 2, blocked: 0 };
    const BLOCKED: Remaining = Remaining { running: 0, stopping: 1, blocked: 1 };

    #[test]
    fn pause_grows_with_the_time_since_the_event() {
        for (age_s, heartbeat_s, remaining, expected) in [
            (0, 3_600, RUNNING, s(4)),
            (100, 3_600, RUNNING, s(5)),
            (600, 3_600, RUNNING, s(30)),
            (6_000, 7_200, RUNNING, s(60)),
            // What is stopping ends soon.
            (240, 3_600, STOPPING, s(4)),
            (600, 3_600, STOPPING, s(10)),
            (600, 3_600, BLOCKED, s(30)),
            // A third of the heartbeat timeout.
            (1_000, 30, RUNNING, s(10)),
            // The last phase begins.
            (3_470, 3_600, RUNNING, s(12)),
            (3_482, 3_600, RUNNING, s(60)),
            // Never at once.
            (3_481, 3_600, RUNNING, s(1)),
        ] {
            assert_eq!(clock(age_s, heartbeat_s).pause(remaining), expected, "{age_s} of {heartbeat_s}");
        }
    }

    #[test]
    fn last_phase_begins_when_the_rest_fits_into_an_invocation() {
        for (age_s, heartbeat_s, expected) in [(0, 300, false), (181, 300, false), (182, 300, true), (0, 60, true)] {
            assert_eq!(clock(age_s, heartbeat_s).is_last_phase, expected, "{age_s} of {heartbeat_s}");
        }
    }

    #[test]
    fn action_is_completed_when_nothing_is_left_or_the_time_is_over() {
        let next = |age_s, heartbeat_s, remaining| match clock(age_s, heartbeat_s).next(remaining, false) {
            Next::Complete(reason) => Some(reason.unwrap_or("empty")),
            Next::Wait { .. } => None,
        };
        assert_eq!(next(0, 300, Remaining::default()), Some("empty"));
        for remaining in [RUNNING, STOPPING] {
            assert_eq!(
                (next(0, 300, remaining), next(299, 300, remaining), next(29_000, 300, remaining)),
                (None, None, None)
            );
        }
        assert_eq!((next(181, 300, BLOCKED), next(182, 300, BLOCKED).is_some()), (None, true));
        // 10 s and two pauses before 30,000 s.
        assert_eq!((next(29_869, 300, RUNNING), next(29_870, 300, RUNNING).is_some()), (None, true));
        assert_eq!((next(2_969, 30, RUNNING), next(2_970, 30, RUNNING).is_some()), (None, true));
    }

    #[test]
    fn evacuation_and_blocked_pods_do_not_extend_the_wait() {
        let is_due = |remaining, evacuates| match clock(1_205, 3_600).next(remaining, evacuates) {
            Next::Wait { is_heartbeat_due, .. } => is_heartbeat_due,
            Next::Complete(_) => unreachable!(),
        };
        assert!(is_due(RUNNING, false) && is_due(STOPPING, false));
        assert!(!is_due(RUNNING, true) && !is_due(BLOCKED, false));
    }

    #[test]
    fn heartbeat_that_was_left_out_while_pods_were_blocked_is_made_up() {
        let is_due = |age_s| match clock(age_s, 300).next(STOPPING, false) {
            Next::Wait { is_heartbeat_due, .. } => is_heartbeat_due,
            Next::Complete(_) => unreachable!(),
        };
        assert!(!is_due(260) && is_due(288) && is_due(299));
    }

    #[test]
    fn heartbeat_is_due_if_a_third_ended_during_a_long_look() {
        let stopping = Remaining { stopping: 1, ..Remaining::default() };
        let is_due = |from: u64, to: u64| {
            matches!(clock(from, 300).at(s(to)).next(stopping, false), Next::Wait { is_heartbeat_due: true, .. })
        };
        assert!(is_due(395, 455) && is_due(495, 560) && !is_due(440, 490));
    }

    #[test]
    fn what_is_left_of_an_extended_heartbeat_timeout_is_a_third() {
        let left = [100, 299, 300, 1_000].map(|age| clock(age, 300).left().as_secs());
        assert_eq!(left, [200, 1, 100, 100]);
    }

    proptest! {
        /// Even if one look of three in a row fails, and each takes some time.
        #[test]
        fn heartbeats_are_never_further_apart_than_their_timeout(
            heartbeat_s in 30_u64..7_200,
            look_ms in 10_u64..1_500,
            fails in prop::collection::vec(any::<bool>(), 10..40),
            is_stopping in any::<bool>(),
        ) {
            let remaining = if is_stopping { STOPPING } else { RUNNING };
            let hook = clock(0, heartbeat_s);
            let (mut age, mut last, mut looks, mut has_failed) = (Duration::ZERO, Duration::ZERO, 0, 0);
            while age < s(heartbeat_s * 8) {
                let fails_now = fails[looks % fails.len()] && has_failed == 0;
                has_failed = if fails_now { 2_u32 } else { has_failed.saturating_sub(1) };
                let now = Clock { is_last_phase: age + s(118) >= s(heartbeat_s), ..hook.at(age) };
                let pause = now.pause(remaining);
                if let Next::Wait { is_heartbeat_due: true, .. } = now.next(remaining, false)
                    && !fails_now
                {
                    last = age;
                }
                age += pause + Duration::from_millis(look_ms);
                looks += 1;
                prop_assert!(age.saturating_sub(last) < s(heartbeat_s), "{age:?} {last:?}");
            }
        }
    }
}
