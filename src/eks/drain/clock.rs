//! When a pod is evicted, deleted or left. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    aws::deadline::Now,
    config::BudgetPolicy,
    eks::{connection::Sent, plan::Drain},
};

/// How long before its grace period no longer fits a pod is deleted, 10 s: 2 s for the answer, the rest for the kubelet.
const DELETE_BEFORE: Duration = Duration::from_secs(10);

/// The time that an answer takes at most, 2 s.
const ANSWER: Duration = Duration::from_secs(2);

/// How long before the end blocked pods are tried for the last time, 1 s. An eviction that the end cuts off would be an
/// error, although the pod is only blocked.
const LAST_TRY: Duration = Duration::from_secs(1);

/// How long an eviction may wait for its turn, 10 s: as long as 1,000 of them take.
const TURN: Duration = Duration::from_secs(10);

/// The shortest grace period, 1 s.
const MIN_GRACE: Duration = Duration::from_secs(1);

/// For how long pods are evicted after a rebalance recommendation, 1 min.
const RECOMMENDATION: Duration = Duration::from_mins(1);

/// The times of a draining.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When EC2 ends the instance; `None` if it may not.
    ends: Option<Instant>,
    /// When blocked pods are given up.
    give_up: Instant,
    /// Whether blocked pods are deleted.
    deletes: bool,
    /// Whether a blocked pod is not tried again, since there is no time, or a later invocation does it.
    is_once: bool,
}

/// How far a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has to be evicted.
    Due,
    /// An eviction waits for its turn since then, or is in flight.
    Evicting { since: Instant, sent: Sent },
    /// Its eviction was rejected, and is tried again once the pods were read.
    Blocked,
    /// Its eviction was rejected for good.
    Refused,
    /// A deletion is in flight.
    Deleting,
    /// It is asked to stop or gone.
    Done,
    /// It is not asked to stop.
    Left,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Evict the pod, with this grace period if its own is too long. The pods that have to be deleted first go first.
    Evict { grace: Option<Duration>, due: Instant, sent: Sent },
    /// Delete the pod with this grace period.
    Delete(Duration),
    /// Give it up.
    Leave,
    /// Read the node's pods again.
    Read,
    /// Nothing before this time.
    Wait(Instant),
}

impl Clock {
    pub(super) fn new(plan: Drain, now: Now, deadline: Instant) -> Self {
        let left = plan.ends.map(|ends| now.until(ends).unwrap_or_default());
        Self {
            ends: left.map(|left| now.instant + left),
            give_up: if left.is_none() { deadline.min(now.instant + RECOMMENDATION) } else { deadline },
            deletes: plan.budgets == BudgetPolicy::UntilDeadline && left.is_some(),
            is_once: plan.is_repeated || left.is_some_and(|left| left.is_zero()),
        }
    }

    /// What to do with a pod of this grace period.
    pub(super) fn step(&self, state: &State, grace: Duration, now: Instant) -> Step {
        let due = self.ends.filter(|_| self.deletes).map(|ends| self.delete_at(ends, grace));
        match (state, due) {
            (State::Due, due) if now < self.give_up => {
                let (grace, due) = (self.shortened(grace, now), due.unwrap_or(self.give_up));
                Step::Evict { grace, due, sent: Sent::default() }
            }
            (State::Due | State::Blocked | State::Refused, _) if now >= self.give_up => Step::Leave,
            (State::Evicting { since, sent }, Some(due)) => {
                let answered = sent.get().map_or(*since + TURN, |sent| *sent + ANSWER);
                self.delete_or_wait(due.max(answered), grace, now)
            }
            (State::Due | State::Blocked | State::Refused, Some(due)) => self.delete_or_wait(due, grace, now),
            (State::Blocked, None) if !self.is_once => Step::Wait(self.give_up),
            (State::Due | State::Blocked | State::Refused, None) => Step::Leave,
            (State::Evicting { .. }, None) | (State::Deleting | State::Done | State::Left, _) => {
                Step::Wait(now + RECOMMENDATION)
            }
        }
    }

    /// When requests are given up.
    pub(super) fn gives_up(&self) -> Instant {
        self.give_up
    }

    /// Whether blocked pods are tried again.
    pub(super) fn tries_again(&self, now: Instant) -> bool {
        !self.is_once && now + LAST_TRY <= self.give_up
    }

    /// When a pod has to be deleted at the latest.
    fn delete_at(&self, ends: Instant, grace: Duration) -> Instant {
        let latest = self.give_up.checked_sub(ANSWER).unwrap_or(self.give_up);
        ends.checked_sub(grace.saturating_add(DELETE_BEFORE)).unwrap_or(latest).min(latest)
    }

    fn delete_or_wait(&self, at: Instant, grace: Duration, now: Instant) -> Step {
        if now >= at { Step::Delete(self.shortened(grace, now).unwrap_or(grace)) } else { Step::Wait(at) }
    }

    /// The grace period that fits into what is left; `None` if the pod's own does.
    fn shortened(&self, grace: Duration, now: Instant) -> Option<Duration> {
        let left = self.ends?.saturating_duration_since(now).saturating_sub(ANSWER).max(MIN_GRACE);
        (grace > left).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, OnceLock},
        time::SystemTime,
    };

    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A clock for a notice that has this much time left, in an invocation with this much.
    fn clock(notice: Option<u64>, function: u64, budgets: BudgetPolicy) -> (Clock, Instant) {
        let now = Now { instant: Instant::now(), system: SystemTime::UNIX_EPOCH + s(1_000_000) };
        let ends = notice.map(|left| now.system + s(left));
        (Clock::new(Drain { ends, budgets, is_repeated: false }, now, now.instant + s(function)), now.instant)
    }

    fn evicted(clock: &Clock, grace: Duration, now: Instant) -> Option<Duration> {
        match clock.step(&State::Due, grace, now) {
            Step::Evict { grace, .. } => grace,
            step => panic!("{step:?}"),
        }
    }

    #[test]
    fn blocked_pod_is_deleted_while_its_grace_period_fits() {
        let (clock, start) = clock(Some(120), 118, BudgetPolicy::UntilDeadline);
        for (grace, at, left) in [(0, 110, 0), (30, 80, 30), (90, 20, 90), (110, 0, 110)] {
            let step = |now| clock.step(&State::Blocked, s(grace), start + s(now));
            assert_eq!(step(at), Step::Delete(s(left)), "{grace}");
            if at > 0 {
                assert_eq!(step(at - 1), Step::Wait(start + s(at)), "{grace}");
            }
        }
        assert_eq!(clock.step(&State::Blocked, GRACE, start + s(118)), Step::Leave, "there is no time for a request");
        // What never fitted is deleted at once, with what is left.
        assert_eq!(clock.step(&State::Blocked, s(300), start), Step::Delete(s(118)));
        // Its eviction goes first.
        let due = |grace| match clock.step(&State::Due, grace, start) {
            Step::Evict { due, .. } => due,
            step => panic!("{step:?}"),
        };
        assert!(due(s(300)) < due(s(90)) && due(s(90)) < due(s(30)));
    }

    #[test]
    fn grace_period_is_shortened_only_if_it_does_not_fit() {
        let (clock, start) = clock(Some(120), 118, BudgetPolicy::UntilDeadline);
        for (grace, now, expected) in
            [(30, 0, None), (118, 0, None), (119, 0, Some(s(118))), (30, 100, Some(s(18))), (30, 117, Some(s(1)))]
        {
            assert_eq!(evicted(&clock, s(grace), start + s(now)), expected, "{grace} {now}");
        }
    }

    #[test]
    fn function_that_ends_before_the_notice_deletes_earlier() {
        let (clock, start) = clock(Some(120), 58, BudgetPolicy::UntilDeadline);
        assert_eq!(clock.step(&State::Blocked, GRACE, start + s(55)), Step::Wait(start + s(56)));
        assert_eq!(clock.step(&State::Blocked, GRACE, start + s(56)), Step::Delete(GRACE));
    }

    #[test]
    fn slow_eviction_does_not_delay_a_deletion() {
        let (clock, start) = clock(Some(120), 118, BudgetPolicy::UntilDeadline);
        let evicting = |sent| State::Evicting { since: start, sent: Arc::new(OnceLock::from(start + s(sent))) };
        assert_eq!(clock.step(&evicting(0), GRACE, start + s(1)), Step::Wait(start + s(80)));
        assert_eq!(clock.step(&evicting(79), GRACE, start + s(80)), Step::Wait(start + s(81)));
        assert_eq!(clock.step(&evicting(79), GRACE, start + s(81)), Step::Delete(s(30)));
        // Even if it never fitted, the answer counts first.
        assert_eq!(clock.step(&evicting(0), s(300), start + s(1)), Step::Wait(start + s(2)));
        // An eviction that waits for its turn has not been answered.
        let waiting = State::Evicting { since: start, sent: Sent::default() };
        assert_eq!(clock.step(&waiting, s(300), start + s(5)), Step::Wait(start + s(10)));
        assert_eq!(clock.step(&waiting, s(300), start + s(10)), Step::Delete(s(108)));
    }

    #[test]
    fn respected_budget_leaves_pods_at_the_end() {
        let (clock, start) = clock(Some(120), 118, BudgetPolicy::Respect);
        assert_eq!(clock.step(&State::Blocked, GRACE, start + s(117)), Step::Wait(start + s(118)));
        assert!(clock.tries_again(start + s(117)));
        assert!(!clock.tries_again(start + s(117) + Duration::from_millis(1)));
        assert_eq!(clock.step(&State::Blocked, GRACE, start + s(118)), Step::Leave);
        assert_eq!(clock.step(&State::Due, GRACE, start + s(118)), Step::Leave);
        assert_eq!(clock.step(&State::Refused, GRACE, start), Step::Leave);
    }

    #[test]
    fn recommendation_deletes_nothing_and_ends_after_a_minute() {
        let (clock, start) = clock(None, 118, BudgetPolicy::UntilDeadline);
        assert_eq!(evicted(&clock, s(300), start), None);
        assert_eq!(clock.step(&State::Blocked, GRACE, start + s(59)), Step::Wait(start + s(60)));
        assert_eq!(clock.step(&State::Blocked, GRACE, start + s(60)), Step::Leave);
    }

    #[test]
    fn late_notice_tells_everything_once_with_a_second_at_least() {
        for budgets in [BudgetPolicy::UntilDeadline, BudgetPolicy::Respect] {
            let (clock, start) = clock(Some(0), 15, budgets);
            assert_eq!(evicted(&clock, GRACE, start), Some(s(1)));
            assert!(!clock.tries_again(start));
            let expected = if budgets == BudgetPolicy::Respect { Step::Leave } else { Step::Delete(s(1)) };
            assert_eq!(clock.step(&State::Blocked, GRACE, start), expected);
        }
    }
}
