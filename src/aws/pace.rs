//! The account's request quotas, kept to before AWS has to say so.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How much of a quota is used: clocks differ, and others have a need as well.
const KEPT: f64 = 0.95;

/// By how much of the full rate a rate recovers with each call that is answered.
const RECOVERY: f64 = 0.02;

/// How long to wait, after a rate was halved, for that to show, 1 s.
const ROUND: Duration = Duration::from_secs(1);

/// The least rate, as a part of the full one: others may use the quota up, but not for ever.
const LEAST: f64 = 0.05;

/// The request quotas of an account and Region that this function uses: token buckets that all its callers share.
///
/// Sources: "Request throttling for the Amazon ECS API" in the Amazon ECS API Reference, "Request throttling for the
/// Amazon EC2 API" in the Amazon EC2 Developer Guide.
#[derive(Debug)]
pub(crate) struct Paces {
    cluster_read: Pace,
    cluster_resource_read: Pace,
    cluster_resource_modify: Pace,
    capacity_provider_read: Pace,
    service_read: Pace,
    task_definition_read: Pace,
    ec2_read: Pace,
    assume_role: Pace,
    put_events: Pace,
}

impl Default for Paces {
    fn default() -> Self {
        Self {
            cluster_read: Pace::new(50.0, 20.0),
            cluster_resource_read: Pace::new(100.0, 20.0),
            cluster_resource_modify: Pace::new(100.0, 40.0),
            capacity_provider_read: Pace::new(50.0, 20.0),
            service_read: Pace::new(100.0, 20.0),
            // Not confirmed: the least of the others.
            task_definition_read: Pace::new(50.0, 20.0),
            ec2_read: Pace::new(100.0, 20.0),
            // "Quotas" in the IAM User Guide, and the least of "Amazon EventBridge quotas" for any Region.
            assume_role: Pace::new(600.0, 600.0),
            put_events: Pace::new(600.0, 600.0),
        }
    }
}

impl Paces {
    /// The quota that an operation counts against.
    pub(super) fn of(&self, operation: &str) -> &Pace {
        match operation {
            "ListClusters" | "DescribeClusters" => &self.cluster_read,
            "DeregisterContainerInstance"
            | "UpdateContainerInstancesState"
            | "StopTask"
            | "PutAttributes"
            | "DeleteAttributes" => &self.cluster_resource_modify,
            "DescribeServices" => &self.service_read,
            "DescribeTaskDefinition" => &self.task_definition_read,
            "DescribeCapacityProviders" => &self.capacity_provider_read,
            "DescribeInstances" | "DescribeInstanceAttribute" => &self.ec2_read,
            "AssumeRole" => &self.assume_role,
            "PutEvents" => &self.put_events,
            _ => &self.cluster_resource_read,
        }
    }
}

/// A token bucket whose rate halves when AWS throttles, and recovers slowly: so callers come to share a quota.
#[derive(Debug)]
pub(super) struct Pace {
    burst: f64,
    full_rate: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Below zero for turns that were promised.
    tokens: f64,
    rate: f64,
    at: Instant,
    /// When the rate was last halved.
    halved: Option<Instant>,
}

impl Pace {
    fn new(burst: f64, per_second: f64) -> Self {
        let (burst, per_second) = (burst * KEPT, per_second * KEPT);
        let state = State { tokens: burst, rate: per_second, at: Instant::now(), halved: None };
        Self { burst, full_rate: per_second, state: Mutex::new(state) }
    }

    /// Takes the next turn; gives how long to wait for it. Nothing if that is longer than `patience`: then no turn is
    /// taken.
    pub(super) fn turn(&self, now: Instant, patience: Duration) -> Option<Duration> {
        let mut state = self.refilled(now);
        let wait = Duration::from_secs_f64((1.0 - state.tokens).max(0.0) / state.rate);
        (wait <= patience).then(|| {
            state.tokens -= 1.0;
            wait
        })
    }

    /// How long so many calls take from now on, if nobody else makes any.
    ///
    /// At the full rate: a rate that has been halved has recovered before it comes to that.
    pub(super) fn time_for(&self, now: Instant, calls: usize) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "nobody makes 2^52 calls")]
        let calls = calls as f64;
        let tokens = self.refilled(now).tokens.max(0.0);
        Duration::from_secs_f64((calls - tokens).max(0.0) / self.full_rate)
    }

    /// How many times slower than usual it goes.
    pub(super) fn slowness(&self, now: Instant) -> f64 {
        self.full_rate / self.refilled(now).rate
    }

    /// AWS says that the quota is used up.
    pub(super) fn throttled(&self, now: Instant) {
        let mut state = self.refilled(now);
        state.tokens = state.tokens.min(0.0);
        // Calls that were on their way together are throttled together: that counts once.
        if state.halved.is_none_or(|halved| now.saturating_duration_since(halved) >= ROUND) {
            state.halved = Some(now);
            state.rate = (state.rate / 2.0).max(self.full_rate * LEAST);
        }
    }

    /// AWS answered.
    pub(super) fn answered(&self, now: Instant) {
        let mut state = self.refilled(now);
        state.rate = (state.rate + self.full_rate * RECOVERY).min(self.full_rate);
    }

    fn refilled(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let refill = now.saturating_duration_since(state.at).as_secs_f64() * state.rate;
        state.tokens = (state.tokens + refill).min(self.burst);
        state.at = state.at.max(now);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_at_once_and_the_rest_at_the_rate() {
        let (pace, now) = (Pace::new(100.0 / KEPT, 40.0 / KEPT), Instant::now());
        drop(pace.refilled(now));
        assert_eq!(pace.time_for(now, 140), Duration::from_secs(1));
        let waits: Vec<_> = (0..140).map(|_| turn(&pace, now)).collect();
        assert!(waits[..100].iter().all(Duration::is_zero));
        assert_eq!(waits[100], Duration::from_millis(25));
        assert_eq!(waits[139], Duration::from_secs(1));
        assert!(turn(&pace, now + Duration::from_secs(2)).is_zero());
    }

    #[test]
    fn a_turn_that_comes_too_late_is_not_taken() {
        let (pace, now) = (Pace::new(1.0 / KEPT, 1.0 / KEPT), Instant::now());
        drop(pace.refilled(now));
        assert_eq!(turn(&pace, now), Duration::ZERO);
        for _ in 0..3 {
            assert_eq!(pace.turn(now, Duration::from_millis(900)), None);
        }
        assert_eq!(turn(&pace, now), Duration::from_secs(1));
    }

    fn turn(pace: &Pace, now: Instant) -> Duration {
        pace.turn(now, Duration::MAX).unwrap()
    }

    #[test]
    fn throttling_halves_the_rate_and_answers_bring_it_back() {
        let (pace, now) = (Pace::new(100.0 / KEPT, 40.0 / KEPT), Instant::now());
        drop(pace.refilled(now));
        for _ in 0..5 {
            pace.throttled(now);
        }
        assert_eq!(turn(&pace, now), Duration::from_millis(50));
        for _ in 0..100 {
            pace.answered(now);
        }
        assert_eq!(turn(&pace, now), Duration::from_millis(50), "two turns at the full rate");
        for second in 1..20 {
            pace.throttled(now + second * ROUND);
        }
        let now = now + 20 * ROUND;
        assert!(turn(&pace, now) < Duration::from_secs(3), "it never stops");
    }
}
