//! The account's request quotas, kept to before AWS has to say so.

use std::{
    collections::BTreeMap,
    ops::RangeBounds,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::operation::{Operation, Quota};

/// How much of a quota is used: clocks differ, and others have a need as well.
const KEPT: f64 = 0.95;

/// How many calls of a quota are under way at the same time: at 0.2 s each, twice as many as 40 a second ask for.
const WIDTH: usize = 16;

/// By how much of the full rate a rate recovers with each call that is answered.
const RECOVERY: f64 = 0.012;

/// How long to wait, after a rate was halved, for that to show, 1 s.
const ROUND: Duration = Duration::from_secs(1);

/// The least rate, as a part of the full one: others may use the quota up, but not for ever.
const LEAST: f64 = 0.05;

/// The same with a batch: the share of one of the two processes that a queue is handled by. In a bad hour, calls are
/// throttled however few there are.
const LEAST_OF_BATCH: f64 = 0.5;

/// So many callers wait with a batch: a single notice has eight at most.
const BATCH: usize = 9;

/// How long a bucket is empty before that alone shows that the quota may be a larger one, 10 s.
const PROOF: Duration = Duration::from_secs(10);

/// With so many tokens nobody waits any more.
const ENOUGH: f64 = 2.0;

/// By how much of the documented quota a bucket grows that was emptied without being throttled: until it is throttled
/// for the first time, and after that.
const STEPS: [f64; 2] = [3.0, 0.1];

/// The largest multiple of the documented quota that is tried.
const LARGEST: f64 = 50.0;

/// The token buckets of an account and Region, and what was learned about them.
#[derive(Debug)]
pub(crate) struct TokenBuckets([TokenBucket; Quota::ALL.len()]);

impl Default for TokenBuckets {
    fn default() -> Self {
        Self(Quota::ALL.map(|quota| TokenBucket::new(quota.limits())))
    }
}

impl TokenBuckets {
    /// The bucket that an operation draws on.
    pub(super) fn of(&self, operation: Operation) -> &TokenBucket {
        &self.0[operation.quota() as usize]
    }
}

/// A token bucket. Who waits is served by urgency. The rate halves when AWS throttles, and recovers slowly: so callers
/// come to share a quota. An account may have a larger quota than the documented one: a bucket that was emptied without
/// being throttled grows.
#[derive(Debug)]
pub(super) struct TokenBucket {
    burst: f64,
    full_rate: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    rate: f64,
    /// The quota as a multiple of the documented one: what is tried, and what was used up without being throttled.
    scale: f64,
    proven: f64,
    refilled: Instant,
    throttled: Option<Instant>,
    /// When throttling was last reacted to.
    slowed: Option<Instant>,
    /// Since when there are fewer tokens than callers, apart from throttling.
    short: Option<Instant>,
    in_flight: usize,
    waiting: BTreeMap<Turn, Arc<Notify>>,
    turns: u64,
    /// Calls that are known to come, by the time by which they have to be made.
    announced: BTreeMap<(Operation, Instant), usize>,
}

/// A place in the queue: by urgency, then by arrival.
type Turn = (Instant, u64);

/// A call under way.
pub(super) struct Permit<'a>(&'a TokenBucket);

/// The place of a caller that waits; it is given up on drop.
struct Waiting<'a> {
    bucket: &'a TokenBucket,
    turn: Turn,
    notify: Arc<Notify>,
}

/// What a caller waits for.
enum Next {
    Go,
    Token(Instant),
    Turn,
}

impl TokenBucket {
    fn new((burst, per_second): (f64, f64)) -> Self {
        let (burst, per_second) = (burst * KEPT, per_second * KEPT);
        let state = State {
            tokens: burst,
            rate: per_second,
            scale: 1.0,
            proven: 1.0,
            refilled: Instant::now(),
            throttled: None,
            slowed: None,
            short: None,
            in_flight: 0,
            waiting: BTreeMap::new(),
            turns: 0,
            announced: BTreeMap::new(),
        };
        Self { burst, full_rate: per_second, state: Mutex::new(state) }
    }

    /// Waits for a token. `None` if there is none for this caller before `until`, at once if that can be foreseen.
    pub(super) async fn acquire(&self, urgency: Instant, until: Instant) -> Option<Permit<'_>> {
        let waiting = self.join(urgency, until)?;
        // All that ask at the same time are in the queue before the first is served.
        yield_now().await;
        loop {
            let wakes = match self.next(&waiting.turn) {
                Next::Go => return Some(Permit(self)),
                Next::Token(at) => at.min(until),
                Next::Turn => until,
            };
            tokio::select! {
                () = waiting.notify.notified() => {}
                () = sleep_until(wakes) => {}
            }
            if Instant::now() >= until {
                return None;
            }
        }
    }

    fn join(&self, urgency: Instant, until: Instant) -> Option<Waiting<'_>> {
        let now = Instant::now();
        let mut state = self.refilled(now);
        state.turns += 1;
        let turn = (urgency, state.turns);
        let before = state.waiting.range(..turn).count();
        if now >= until || now + state.time_for(before + 1) > until {
            return None;
        }
        let notify = Arc::new(Notify::new());
        state.waiting.insert(turn, Arc::clone(&notify));
        Some(Waiting { bucket: self, turn, notify })
    }

    fn next(&self, turn: &Turn) -> Next {
        let now = Instant::now();
        let mut state = self.refilled(now);
        if state.waiting.first_key_value().is_none_or(|(first, _)| first != turn) || state.in_flight >= WIDTH {
            return Next::Turn;
        }
        // Less a rounding error.
        if state.tokens < 1.0 - 1e-6 {
            // A rate that was halved says nothing of the quota.
            if state.rate >= self.full_rate * state.scale {
                state.short.get_or_insert(now);
            }
            return Next::Token(now + state.time_for(1));
        }
        // The next one is woken when this one's place is given up.
        state.tokens -= 1.0;
        state.in_flight += 1;
        Next::Go
    }

    /// How long so many calls take from now on, beside those that wait. At the full rate: a rate that has been halved
    /// has recovered before it comes to that.
    pub(super) fn time_for(&self, calls: usize) -> Duration {
        let state = self.refilled(Instant::now());
        let short = (count(calls + state.waiting.len()) - state.tokens.max(0.0)).max(0.0);
        Duration::from_secs_f64(short / (self.full_rate * state.scale))
    }

    /// How many times slower than usual it goes.
    pub(super) fn slowness(&self) -> f64 {
        let state = self.refilled(Instant::now());
        self.full_rate * state.scale / state.rate
    }

    /// Whether AWS has throttled since then.
    pub(super) fn was_throttled_since(&self, then: Instant) -> bool {
        self.lock().throttled.is_some_and(|throttled| throttled >= then)
    }

    /// Announces calls that have to be made by a time, in place of so many that were announced before.
    pub(super) fn announce(&self, operation: Operation, by: Instant, before: usize, calls: usize) {
        let mut state = self.lock();
        let announced = state.announced.entry((operation, by)).or_default();
        *announced = *announced + calls - before;
        if *announced == 0 {
            state.announced.remove(&(operation, by));
        }
    }

    /// How many calls are announced for a time.
    pub(super) fn announced(&self, operation: Operation, times: &impl RangeBounds<Instant>) -> usize {
        let state = self.lock();
        let announced = state.announced.iter().filter(|((of, by), _)| *of == operation && times.contains(by));
        announced.map(|(_, calls)| calls).sum()
    }

    fn refilled(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let elapsed = now.saturating_duration_since(state.refilled).as_secs_f64();
        if let Some(since) = state.short {
            let is_over = state.tokens + elapsed * state.rate >= ENOUGH;
            if is_over || now.saturating_duration_since(since) >= PROOF {
                state.short = (!is_over).then_some(now);
                state.proven = state.scale;
                state.scale = (state.scale + STEPS[usize::from(state.throttled.is_some())]).min(LARGEST);
                state.rate = self.full_rate * state.scale;
            }
        }
        state.tokens = (state.tokens + elapsed * state.rate).min(self.burst * state.scale);
        state.refilled = state.refilled.max(now);
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long it takes until so many more tokens have come, beside those that are there.
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
    /// AWS says that the quota is used up.
    pub(super) fn throttled(&self) {
        let now = Instant::now();
        let TokenBucket { full_rate, .. } = self.0;
        let mut state = self.0.refilled(now);
        let tokens = state.tokens;
        state.tokens = tokens.min(0.0);
        (state.short, state.throttled) = (None, Some(now));
        // Calls that were under way together are throttled together: that counts once.
        if state.slowed.is_none_or(|slowed| now.saturating_duration_since(slowed) >= ROUND) {
            state.slowed = Some(now);
            // Others have spent the burst, which says nothing of the rate.
            if tokens >= ENOUGH && state.scale <= 1.0 {
                return;
            }
            // What was only tried was too much; what was proven is not any more.
            state.scale = if state.scale > state.proven { state.proven } else { (state.scale / 2.0).max(1.0) };
            state.proven = state.proven.min(state.scale);
            let least = if state.waiting.len() >= BATCH { LEAST_OF_BATCH } else { LEAST };
            state.rate = (state.rate / 2.0).min(full_rate * state.scale).max(full_rate * least);
        }
    }

    /// AWS answered.
    pub(super) fn answered(&self) {
        let full_rate = self.0.full_rate;
        let mut state = self.0.lock();
        state.rate = (state.rate + full_rate * RECOVERY).min(full_rate * state.scale);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight -= 1;
        state.wake_first();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.bucket.lock();
        state.waiting.remove(&self.turn);
        state.wake_first();
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody makes 2^52 calls")]
fn count(calls: usize) -> f64 {
    calls as f64
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, join_all};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn bucket(burst: f64, rate: f64) -> TokenBucket {
        TokenBucket::new((burst / KEPT, rate / KEPT))
    }

    /// Makes so many calls, each of which is answered at once; gives when the last one was.
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
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let bucket = bucket(100.0, 40.0);
        assert_eq!(bucket.time_for(140), Duration::from_secs(1));
        assert_eq!(make(&bucket, 100).await, Duration::ZERO);
        assert_about(make(&bucket, 40).await, 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_comes_too_late_is_not_waited_for() {
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
    async fn the_most_urgent_caller_is_served_first() {
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
    async fn a_caller_that_gives_up_holds_nobody_up() {
        let bucket = &bucket(1.0, 1.0);
        make(bucket, 1).await;
        let now = Instant::now();
        let gives_up = tokio::time::timeout(Duration::from_millis(500), bucket.acquire(now, now + HOUR));
        let (gave_up, permit) = join(gives_up, bucket.acquire(now, now + HOUR)).await;
        assert!(gave_up.is_err() && permit.is_some());
        assert_about(now.elapsed(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_calls_and_no_more_are_under_way() {
        let bucket = &bucket(100.0, 40.0);
        let now = Instant::now();
        let call = async |_| {
            let permit = bucket.acquire(now, now + HOUR).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(permit);
        };
        join_all((0..3 * WIDTH).map(call)).await;
        assert_about(now.elapsed(), 3_000);
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_halves_the_rate_and_answers_bring_it_back() {
        let bucket = bucket(100.0, 40.0);
        let now = Instant::now();
        make(&bucket, 100).await;
        let permits: Vec<_> = join_all((0..5).map(|_| bucket.acquire(now, now + HOUR))).await;
        permits.iter().flatten().for_each(Permit::throttled);
        drop(permits);
        assert!((bucket.slowness() - 2.0).abs() < 0.01, "once for all that were under way");
        make(&bucket, 100).await;
        assert!((bucket.slowness() - 1.0).abs() < 0.01);
        for _ in 0..20 {
            tokio::time::sleep(ROUND).await;
            bucket.acquire(now, now + HOUR).await.unwrap().throttled();
        }
        assert!(make(&bucket, 1).await < Duration::from_secs(1), "it never stops");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_that_others_have_spent_is_not_held_against_the_rate() {
        let bucket = bucket(100.0, 40.0);
        let now = Instant::now();
        bucket.acquire(now, now + HOUR).await.unwrap().throttled();
        assert!((bucket.slowness() - 1.0).abs() < 0.01);
        assert!(make(&bucket, 40).await >= Duration::from_secs(1), "nothing of the burst is left");
    }

    /// The seconds that each of several floods of 400 calls takes, where AWS admits a multiple of the documented quota.
    async fn floods(bucket: &TokenBucket, multiple: f64) -> Vec<(u64, usize)> {
        let quota = TokenBucket::new((100.0 / KEPT * multiple, 40.0 / KEPT * multiple));
        let mut floods = Vec::new();
        for _ in 0..6 {
            let (started, mut throttled) = (Instant::now(), 0);
            let mut made = 0;
            while made < 400 {
                let permit = bucket.acquire(started, started + HOUR).await.unwrap();
                if quota.refilled(Instant::now()).tokens < 1.0 {
                    permit.throttled();
                    throttled += 1;
                } else {
                    quota.lock().tokens -= 1.0;
                    permit.answered();
                    made += 1;
                }
            }
            floods.push((started.elapsed().as_secs(), throttled));
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        floods
    }

    #[tokio::test(start_paused = true)]
    async fn a_larger_quota_is_found_and_remembered() {
        let floods = floods(&TokenBucket::new((100.0, 40.0)), 5.0).await;
        assert!((7..=9).contains(&floods[0].0), "the documented one is never exceeded at first: {floods:?}");
        assert!(floods[1].0 <= 3 && floods[4].0 <= 1, "{floods:?}");
        assert!(floods.iter().all(|(_, throttled)| *throttled == 0), "{floods:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_documented_quota_is_hardly_exceeded() {
        let floods = floods(&TokenBucket::new((100.0, 40.0)), 1.0).await;
        assert!(floods.iter().all(|(seconds, _)| (7..=9).contains(seconds)), "{floods:?}");
        assert_eq!(floods[0].1, 0, "{floods:?}");
        assert!(floods[1].1 <= 30, "it is probed once: {floods:?}");
        assert!(floods[2..].iter().all(|(_, throttled)| *throttled <= 2), "and hardly after that: {floods:?}");
    }
}
