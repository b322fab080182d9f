//! Token buckets that keep calls within the account's request quotas, before AWS has to throttle them.

use std::{
    collections::BTreeMap,
    ops::RangeBounds,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::operation::{Operation, Quota};
use crate::lock::lock;

/// The share of a quota that is used, 98 %: clocks differ, and others call the same APIs. A slow quota is used up, since a
/// call that is throttled costs less than one that is not made.
const USED_SHARE: f64 = 0.98;

/// The share that [`Share::Half`] uses, 45 %: calls arrive closer together than they were made.
const HALF_SHARE: f64 = 0.45;

/// The most calls of a quota in flight at the same time, 16: at 0.2 s each, twice as many as 40 calls a second need.
const MAX_IN_FLIGHT: usize = 16;

/// The part of the full rate by which a reduced rate recovers with each call that AWS answers: of a quota that many
/// calls draw on, and of a slow one.
const RECOVERY: [f64; 2] = [0.012, 0.05];

/// The time for a halved rate to take effect, 1 s.
const SLOWDOWN_INTERVAL: Duration = Duration::from_secs(1);

/// The lowest rate, as a part of the full rate: others may use up the quota, but not for ever.
const MIN_RATE: f64 = 0.05;

/// The lowest rate while a batch is handled: the share of one of the two processes that serve a queue. In a bad hour,
/// calls are throttled however few there are.
const MIN_BATCH_RATE: f64 = 0.5;

/// The number of queued callers that indicates a batch: a single notice has eight at most.
const BATCH_CALLERS: usize = 9;

/// The rate below which a quota is slow, 6 calls a second: its callers share calls, so that few of them wait.
const SLOW: f64 = 6.0;

/// The lowest rate for a slow quota: with less, a process that is left alone with the last calls makes them too slowly.
/// In simulated waves of two processes, three quarters ended first: after 10 to 14 s, 14 to 16 s with half, 14 to 15 s with all.
const MIN_SLOW_RATE: f64 = 0.75;

/// How long a bucket is empty before that alone suggests a larger quota, 10 s.
const PROBE_AFTER: Duration = Duration::from_secs(10);

/// The number of tokens with which no caller has to wait.
const UNCONTENDED: f64 = 2.0;

/// The part of the documented quota by which a bucket grows that was emptied without being throttled: before it is
/// throttled for the first time, and after that.
const GROWTH: [f64; 2] = [3.0, 0.1];

/// The largest multiple of the documented quota that is tried.
const MAX_SCALE: f64 = 50.0;

/// The part of the quotas that is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Share {
    /// All of them, and more where the account has larger ones.
    #[default]
    All,
    /// Half of the documented ones, however large the account's are.
    Half,
}

/// The token buckets of an account and Region, with what was measured about its quotas.
#[derive(Debug, Default)]
pub(crate) struct TokenBuckets {
    share: Share,
    buckets: [OnceLock<TokenBucket>; Quota::COUNT],
}

impl TokenBuckets {
    pub(crate) fn new(share: Share) -> Self {
        Self { share, ..Self::default() }
    }

    /// The bucket that an operation draws on.
    pub(super) fn of(&self, operation: Operation) -> &TokenBucket {
        let (quota, limits) = (operation.quota(), operation.limits());
        self.buckets[quota as usize].get_or_init(|| match self.share {
            Share::All if limits.1 < SLOW => TokenBucket { is_slow: true, ..TokenBucket::new(limits, 1.0) },
            Share::All => TokenBucket::new(limits, USED_SHARE),
            Share::Half => TokenBucket { max_scale: 1.0, ..TokenBucket::new(limits, HALF_SHARE) },
        })
    }
}

/// A token bucket that serves its queue by urgency.
///
/// The rate halves when AWS throttles, and recovers slowly, so that several processes come to share a quota; that of a slow
/// quota falls to three quarters. An account
/// may have a larger quota than the documented one: a bucket that was emptied without being throttled grows.
#[derive(Debug)]
pub(super) struct TokenBucket {
    burst: f64,
    full_rate: f64,
    max_scale: f64,
    /// Whether it refills by few calls a second.
    is_slow: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    rate: f64,
    /// The quota as a multiple of the documented one: the one in use, and the one that was used up without being
    /// throttled.
    scale: f64,
    proven: f64,
    refilled_at: Instant,
    throttled_at: Option<Instant>,
    answered: u64,
    /// When the rate was last halved.
    slowed_at: Option<Instant>,
    /// Since when there are fewer tokens than callers for another reason than throttling.
    short_since: Option<Instant>,
    in_flight: usize,
    waiting: BTreeMap<Ticket, Arc<Notify>>,
    arrivals: u64,
    /// The announced calls, by the time by which they have to be made.
    announced: BTreeMap<(Operation, Instant), usize>,
}

/// A position in the queue: by urgency, then by arrival.
type Ticket = (Instant, u64);

/// A call in flight.
pub(super) struct Permit<'a>(&'a TokenBucket);

/// A caller in the queue; it leaves the queue on drop.
struct QueuedCaller<'a> {
    bucket: &'a TokenBucket,
    ticket: Ticket,
    notify: Arc<Notify>,
}

/// Whether a caller is admitted, or what it waits for.
enum Admission {
    Granted,
    NextToken(Instant),
    Queued,
}

impl TokenBucket {
    fn new((burst, per_second): (f64, f64), used: f64) -> Self {
        let (burst, per_second) = (burst * used, per_second * used);
        let state = State {
            tokens: burst,
            rate: per_second,
            scale: 1.0,
            proven: 1.0,
            refilled_at: Instant::now(),
            throttled_at: None,
            answered: 0,
            slowed_at: None,
            short_since: None,
            in_flight: 0,
            waiting: BTreeMap::new(),
            arrivals: 0,
            announced: BTreeMap::new(),
        };
        Self { burst, full_rate: per_second, max_scale: MAX_SCALE, is_slow: false, state: Mutex::new(state) }
    }

    /// Waits for a token. Returns `None` if there is none for this caller before `until`; at once if that can be
    /// predicted.
    pub(super) async fn acquire(&self, urgency: Instant, until: Instant) -> Option<Permit<'_>> {
        let queued = self.enqueue(urgency, until)?;
        // All concurrent callers are queued before the first is served.
        yield_now().await;
        loop {
            let wakes = match self.try_admit(&queued.ticket) {
                Admission::Granted => return Some(Permit(self)),
                Admission::NextToken(at) => at.min(until),
                Admission::Queued => until,
            };
            tokio::select! {
                () = queued.notify.notified() => {}
                () = sleep_until(wakes) => {}
            }
            if Instant::now() >= until {
                return None;
            }
        }
    }

    fn enqueue(&self, urgency: Instant, until: Instant) -> Option<QueuedCaller<'_>> {
        let now = Instant::now();
        let mut state = self.refilled(now);
        state.arrivals += 1;
        let ticket = (urgency, state.arrivals);
        let before = state.waiting.range(..ticket).count();
        if now >= until || now + state.time_for(before + 1) > until {
            return None;
        }
        let notify = Arc::new(Notify::new());
        state.waiting.insert(ticket, Arc::clone(&notify));
        Some(QueuedCaller { bucket: self, ticket, notify })
    }

    fn try_admit(&self, ticket: &Ticket) -> Admission {
        let now = Instant::now();
        let mut state = self.refilled(now);
        if state.waiting.first_key_value().is_none_or(|(first, _)| first != ticket) || state.in_flight >= MAX_IN_FLIGHT
        {
            return Admission::Queued;
        }
        // The tolerance is for rounding errors.
        if state.tokens < 1.0 - 1e-6 {
            // A halved rate says nothing about the quota.
            if state.rate >= self.full_rate * state.scale {
                state.short_since.get_or_insert(now);
            }
            return Admission::NextToken(now + state.time_for(1));
        }
        // The next caller is woken when this one leaves the queue.
        state.tokens -= 1.0;
        state.in_flight += 1;
        Admission::Granted
    }

    /// The time that this many calls take from now on, behind the queued ones. It is computed at the full rate: a
    /// halved rate has recovered by then.
    pub(super) fn time_for(&self, calls: usize) -> Duration {
        let state = self.refilled(Instant::now());
        let short = (count(calls + state.waiting.len()) - state.tokens.max(0.0)).max(0.0);
        Duration::from_secs_f64(short / (self.full_rate * state.scale))
    }

    /// The factor by which calls are slowed down at present.
    pub(super) fn slowdown(&self) -> f64 {
        let state = self.refilled(Instant::now());
        self.full_rate * state.scale / state.rate
    }

    /// Whether AWS has throttled a call since a time.
    pub(super) fn throttled_since(&self, then: Instant) -> bool {
        lock(&self.state).throttled_at.is_some_and(|throttled| throttled >= then)
    }

    /// The number of calls that AWS has answered so far.
    pub(super) fn answered(&self) -> u64 {
        lock(&self.state).answered
    }

    /// Announces calls that have to be made by a time, in place of the number that was announced before.
    pub(super) fn announce(&self, operation: Operation, by: Instant, before: usize, calls: usize) {
        let mut state = lock(&self.state);
        let announced = state.announced.entry((operation, by)).or_default();
        *announced = *announced + calls - before;
        if *announced == 0 {
            state.announced.remove(&(operation, by));
        }
    }

    /// The number of calls that are announced for a range of times.
    pub(super) fn announced(&self, operation: Operation, times: &impl RangeBounds<Instant>) -> usize {
        let state = lock(&self.state);
        let announced = state.announced.iter().filter(|((of, by), _)| *of == operation && times.contains(by));
        announced.map(|(_, calls)| calls).sum()
    }

    fn refilled(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let elapsed = now.saturating_duration_since(state.refilled_at).as_secs_f64();
        if let Some(since) = state.short_since {
            let is_over = state.tokens + elapsed * state.rate >= UNCONTENDED;
            if is_over || now.saturating_duration_since(since) >= PROBE_AFTER {
                state.short_since = (!is_over).then_some(now);
                state.proven = state.scale;
                state.scale = (state.scale + GROWTH[usize::from(state.throttled_at.is_some())]).min(self.max_scale);
                state.rate = self.full_rate * state.scale;
            }
        }
        state.tokens = (state.tokens + elapsed * state.rate).min(self.burst * state.scale);
        state.refilled_at = state.refilled_at.max(now);
        state
    }
}

impl State {
    /// The time until this many more tokens are available, beside those in the bucket.
    fn time_for(&self, tokens: usize) -> Duration {
        Duration::from_secs_f64((count(tokens) - self.tokens).max(0.0) / self.rate)
    }

    fn wake_first(&self) {
        if let Some(first) = self.waiting.first_key_value() {
            first.1.notify_one();
        }
    }
}

impl Permit<'_> {
    /// Records that AWS throttled the call.
    pub(super) fn throttled(&self) {
        let now = Instant::now();
        let TokenBucket { full_rate, .. } = self.0;
        let mut state = self.0.refilled(now);
        let tokens = state.tokens;
        state.tokens = tokens.min(0.0);
        (state.short_since, state.throttled_at) = (None, Some(now));
        // Calls that were in flight together are throttled together, which counts once.
        if state.slowed_at.is_none_or(|slowed| now.saturating_duration_since(slowed) >= SLOWDOWN_INTERVAL) {
            state.slowed_at = Some(now);
            // Other callers have used up the burst, which says nothing about the rate.
            if tokens >= UNCONTENDED && state.scale <= 1.0 {
                return;
            }
            // A scale that was only tried was too large; one that was proven no longer holds.
            state.scale = if state.scale > state.proven { state.proven } else { (state.scale / 2.0).max(1.0) };
            state.proven = state.proven.min(state.scale);
            let least = match state.waiting.len() {
                _ if self.0.is_slow => MIN_SLOW_RATE,
                BATCH_CALLERS.. => MIN_BATCH_RATE,
                _ => MIN_RATE,
            };
            state.rate = (state.rate / 2.0).min(full_rate * state.scale).max(full_rate * least);
        }
    }

    /// Records that AWS answered the call.
    pub(super) fn answered(&self) {
        let full_rate = self.0.full_rate;
        let recovery = RECOVERY[usize::from(self.0.is_slow)];
        let mut state = lock(&self.0.state);
        state.answered += 1;
        state.rate = (state.rate + full_rate * recovery).min(full_rate * state.scale);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.in_flight -= 1;
        state.wake_first();
    }
}

impl Drop for QueuedCaller<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.bucket.state);
        state.waiting.remove(&self.ticket);
        state.wake_first();
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody makes 2^52 calls")]
pub(crate) fn count(calls: usize) -> f64 {
    calls as f64
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, join_all};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn bucket(burst: f64, rate: f64) -> TokenBucket {
        TokenBucket::new((burst / USED_SHARE, rate / USED_SHARE), USED_SHARE)
    }

    /// Makes this many calls, each of which is answered at once; returns the time that they took.
    async fn make(bucket: &TokenBucket, calls: usize) -> Duration {
        let started = Instant::now();
        for _ in 0..calls {
            bucket.acquire(started, started + HOUR).await.unwrap().answered();
        }
        started.elapsed()
    }

    fn assert_about(found: Duration, expected_ms: u64) {
        let expected = Duration::from_millis(expected_ms);
        assert!(found.abs_diff(expected) <= expected / 10 + Duration::from_millis(10), "{found:?} {expected:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn burst_is_admitted_at_once_and_the_rest_at_the_rate() {
        let bucket = bucket(100.0, 40.0);
        assert_eq!(bucket.time_for(140), Duration::from_secs(1));
        assert_eq!(make(&bucket, 100).await, Duration::ZERO);
        assert_about(make(&bucket, 40).await, 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn caller_is_refused_at_once_if_its_token_would_come_too_late() {
        let bucket = bucket(1.0, 1.0);
        make(&bucket, 1).await;
        let started = Instant::now();
        for _ in 0..3 {
            assert!(bucket.acquire(started, started + Duration::from_millis(900)).await.is_none());
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_about(make(&bucket, 1).await, 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn most_urgent_caller_is_served_first() {
        let bucket = &bucket(1.0, 1.0);
        make(bucket, 1).await;
        let now = Instant::now();
        let wait = async |urgency: u64| {
            drop(bucket.acquire(now + Duration::from_secs(urgency), now + HOUR).await.unwrap());
            (now.elapsed().as_secs(), urgency)
        };
        let mut served = join_all([30, 10, 20, 10].map(wait)).await;
        served.sort_unstable();
        assert_eq!(served.map_second(), [10, 10, 20, 30]);
    }

    trait MapSecond {
        fn map_second(self) -> Vec<u64>;
    }

    impl MapSecond for Vec<(u64, u64)> {
        fn map_second(self) -> Vec<u64> {
            self.into_iter().map(|(_, second)| second).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_caller_does_not_block_the_queue() {
        let bucket = &bucket(1.0, 1.0);
        make(bucket, 1).await;
        let now = Instant::now();
        let gives_up = tokio::time::timeout(Duration::from_millis(500), bucket.acquire(now, now + HOUR));
        let (gave_up, permit) = join(gives_up, bucket.acquire(now, now + HOUR)).await;
        assert!(gave_up.is_err() && permit.is_some());
        assert_about(now.elapsed(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_in_flight_are_limited() {
        let bucket = &bucket(100.0, 40.0);
        let now = Instant::now();
        let call = async |_| {
            let permit = bucket.acquire(now, now + HOUR).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(permit);
        };
        join_all((0..3 * MAX_IN_FLIGHT).map(call)).await;
        assert_about(now.elapsed(), 3_000);
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_halves_the_rate_and_answers_restore_it() {
        let bucket = bucket(100.0, 40.0);
        let now = Instant::now();
        make(&bucket, 100).await;
        let permits: Vec<_> = join_all((0..5).map(|_| bucket.acquire(now, now + HOUR))).await;
        permits.iter().flatten().for_each(Permit::throttled);
        drop(permits);
        assert!((bucket.slowdown() - 2.0).abs() < 0.01, "calls in flight together count once");
        make(&bucket, 100).await;
        assert!((bucket.slowdown() - 1.0).abs() < 0.01);
        for _ in 0..20 {
            tokio::time::sleep(SLOWDOWN_INTERVAL).await;
            bucket.acquire(now, now + HOUR).await.unwrap().throttled();
        }
        assert!(make(&bucket, 1).await < Duration::from_secs(1), "the rate never drops to zero");
    }

    #[tokio::test(start_paused = true)]
    async fn burst_used_up_by_others_does_not_reduce_the_rate() {
        let bucket = bucket(100.0, 40.0);
        let now = Instant::now();
        bucket.acquire(now, now + HOUR).await.unwrap().throttled();
        assert!((bucket.slowdown() - 1.0).abs() < 0.01);
        assert!(make(&bucket, 40).await >= Duration::from_secs(1), "nothing of the burst is left");
    }

    /// Returns the seconds that each of several bursts of 400 calls takes, and how often it is throttled, where AWS
    /// admits a multiple of the documented quota.
    async fn bursts(bucket: &TokenBucket, multiple: f64) -> Vec<(u64, usize)> {
        let quota = TokenBucket::new((100.0 / USED_SHARE * multiple, 40.0 / USED_SHARE * multiple), USED_SHARE);
        let mut bursts = Vec::new();
        for _ in 0..6 {
            let (started, mut throttled) = (Instant::now(), 0);
            let mut made = 0;
            while made < 400 {
                let permit = bucket.acquire(started, started + HOUR).await.unwrap();
                if quota.refilled(Instant::now()).tokens < 1.0 {
                    permit.throttled();
                    throttled += 1;
                } else {
                    lock(&quota.state).tokens -= 1.0;
                    permit.answered();
                    made += 1;
                }
            }
            bursts.push((started.elapsed().as_secs(), throttled));
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        bursts
    }

    #[tokio::test(start_paused = true)]
    async fn larger_quota_is_discovered_and_kept() {
        let bursts = bursts(&TokenBucket::new((100.0, 40.0), USED_SHARE), 5.0).await;
        assert!((7..=9).contains(&bursts[0].0), "the documented one is never exceeded at first: {bursts:?}");
        assert!(bursts[1].0 <= 3 && bursts[4].0 <= 1, "{bursts:?}");
        assert!(bursts.iter().all(|(_, throttled)| *throttled == 0), "{bursts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn documented_quota_is_hardly_exceeded() {
        let bursts = bursts(&TokenBucket::new((100.0, 40.0), USED_SHARE), 1.0).await;
        assert!(bursts.iter().all(|(seconds, _)| (7..=9).contains(seconds)), "{bursts:?}");
        assert_eq!(bursts[0].1, 0, "{bursts:?}");
        assert!(bursts[1].1 <= 30, "a larger quota is tried once: {bursts:?}");
        assert!(bursts[2..].iter().all(|(_, throttled)| *throttled <= 2), "and hardly ever after that: {bursts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_a_quota_stays_half() {
        let buckets = TokenBuckets::new(Share::Half);
        let bucket = buckets.of(Operation::ListTasks);
        let (burst, per_second) = Operation::ListTasks.limits();
        let started = Instant::now();
        // A full bucket would grow after ten seconds without being throttled.
        for made in 1..1_000 {
            let permit = bucket.acquire(started + HOUR, started + HOUR).await;
            permit.inspect(Permit::answered).unwrap();
            let admitted = 0.5 * (burst + per_second * started.elapsed().as_secs_f64());
            assert!(f64::from(made) <= admitted, "{made} calls after {:?}", started.elapsed());
        }
        assert!(started.elapsed() > Duration::from_secs(90), "{:?}", started.elapsed());
    }
}
