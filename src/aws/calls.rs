//! Calls to AWS: retries, deadlines and counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    ops::RangeBounds,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    deadline::Deadline, failure::call_error, operation::Operation, session::Session, token_bucket::TokenBuckets,
};
use crate::{
    error::{Error, ErrorClass},
    lock::lock,
};

/// The time limit of one attempt, 5 s: ECS and EC2 answer reads and writes within a second. An attempt that takes this
/// long is lost, and there must be time for others.
pub(super) const ATTEMPT: Duration = Duration::from_secs(5);

/// The upper limit of the first backoff, 100 ms; it doubles with every attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// The upper limit of all backoffs, 5 s: most quotas used here refill by 20 requests or more a second.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The upper limit of all backoffs where few callers wait, 0.5 s: for a cluster's own server, and for a slow quota that the
/// two processes of a queue share. Where each task has a process of its own, hundreds wait.
const SHORT_BACKOFF: Duration = Duration::from_millis(500);

/// The upper limit of the first backoff of background calls, 15 s.
const BACKGROUND_BACKOFF: Duration = Duration::from_secs(15);

/// The number of times that a call is signed again after its signature was rejected.
const MAX_RESIGNED: u32 = 2;

/// The error codes for signatures and sessions that are not, or no longer, accepted: "Common errors" in the API
/// references of Amazon ECS, AWS STS and Amazon EC2.
const SIGNATURE_ERRORS: [&str; 9] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// The time after which a failing call is given up if there is an alternative, 3 s.
const FALLBACK_AFTER: Duration = Duration::from_secs(3);

/// How calls are made in an account and Region: their deadline, retries and priority.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    /// When the work that needs the calls started: data that was read since then is as good as read by it.
    work_started: std::time::Instant,
    deadline: Deadline,
    /// For how long a call that fails without being throttled is retried.
    retry_for: Duration,
    /// The upper limit of the first backoff, and of all.
    first_backoff: Duration,
    max_backoff: Duration,
    attempts: Attempts,
    /// Whether there is no hurry: calls that are usually given up early wait for tokens until the deadline.
    is_patient: bool,
    buckets: Arc<TokenBuckets>,
    session: Option<Session>,
    counts: Arc<CallCounts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attempts {
    One,
    /// As many as there is time for.
    Many,
    /// As many as there is time for, and the first one even if no token comes soon.
    AtLeastOne,
}

/// The number of requests that an invocation has sent so far, counting each attempt.
#[derive(Debug, Default)]
pub(crate) struct CallCounts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_operation: BTreeMap<Operation, u32>,
    throttled: u32,
    /// The requests and the throttled ones that the metrics include already, if there are metrics yet.
    reported: Option<(u32, u32)>,
    /// The operations that the role may not call, with the resources.
    denied: BTreeSet<(Operation, String)>,
}

impl Counts {
    fn made(&self) -> u32 {
        self.by_operation.values().sum()
    }
}

/// The most denied calls that are kept, 1,000.
const MAX_DENIED: usize = 1_000;

impl CallCounts {
    /// All requests.
    pub(crate) fn made(&self) -> u32 {
        lock(&self.0).made()
    }

    /// All requests, by operation.
    pub(crate) fn by_operation(&self) -> BTreeMap<Operation, u32> {
        lock(&self.0).by_operation.clone()
    }

    /// Adds the requests of others.
    pub(crate) fn add(&self, others: &Self) {
        let (mut counts, others) = (lock(&self.0), lock(&others.0));
        counts.throttled += others.throttled;
        for (operation, made) in &others.by_operation {
            *counts.by_operation.entry(*operation).or_default() += made;
        }
    }

    /// The operations that were denied, with the resources; those that the caller had an alternative for, too.
    pub(crate) fn denied(&self) -> BTreeSet<(Operation, String)> {
        lock(&self.0).denied.clone()
    }

    fn record_denial(&self, error: &Error) {
        // A Kubernetes API server that answers 401 has no access entry for the role, which is no missing permission.
        let is_known = error.code() != Some("Unauthorized");
        if let Error::Call { operation, resource, class: ErrorClass::Denied, .. } = error
            && is_known
        {
            let denied = &mut lock(&self.0).denied;
            if denied.len() < MAX_DENIED {
                denied.insert((*operation, resource.clone()));
            }
        }
    }

    fn count(&self, operation: Operation) {
        *lock(&self.0).by_operation.entry(operation).or_default() += 1;
    }

    fn count_throttled(&self) {
        lock(&self.0).throttled += 1;
    }

    /// All requests and the throttled requests since the last call of this method; `None` if there were none, except
    /// for the first time.
    pub(crate) fn take_unreported(&self) -> Option<(u32, u32)> {
        let mut counts = lock(&self.0);
        let all = (counts.made(), counts.throttled);
        let before = counts.reported.replace(all);
        let (made, throttled) = before.map_or(all, |before| (all.0 - before.0, all.1 - before.1));
        (before.is_none() || made > 0).then_some((made, throttled))
    }
}

impl Calls {
    /// Calls that are retried until the deadline. In another account they use a session of its role.
    pub(crate) fn new(
        deadline: Deadline,
        buckets: Arc<TokenBuckets>,
        session: Option<Session>,
        counts: Arc<CallCounts>,
    ) -> Self {
        Self {
            work_started: std::time::Instant::now(),
            deadline,
            retry_for: Duration::MAX,
            first_backoff: FIRST_BACKOFF,
            max_backoff: MAX_BACKOFF,
            attempts: Attempts::Many,
            is_patient: false,
            buckets,
            session,
            counts,
        }
    }

    /// The same calls without hurry: those with one attempt have as many as there is time for.
    pub(crate) fn patiently(self) -> Self {
        Self { is_patient: true, ..self }
    }

    /// The same calls with short backoffs: a quota that few processes use is not left unused.
    pub(crate) fn retrying_soon(&self) -> Self {
        Self { max_backoff: SHORT_BACKOFF, ..self.clone() }
    }

    /// The same calls, made in the background: failures are retried after longer backoffs.
    pub(crate) fn in_background(self) -> Self {
        Self { first_backoff: BACKGROUND_BACKOFF, max_backoff: BACKGROUND_BACKOFF, ..self }
    }

    /// The same calls, where there is an alternative. Throttled calls are retried for this long, since the alternative
    /// would be throttled too; other failures are retried for [`FALLBACK_AFTER`].
    pub(crate) fn with_fallback_after(&self, throttled: Duration) -> Self {
        let throttled = if self.is_patient { self.left() } else { throttled };
        Self { retry_for: FALLBACK_AFTER, ..self.within(throttled) }
    }

    /// The same calls, where failures other than throttling are retried for this long.
    pub(crate) fn retrying_for(&self, retry_for: Duration) -> Self {
        Self { retry_for, ..self.clone() }
    }

    /// The same calls with one attempt each, for as long as an attempt may take.
    pub(crate) fn once(&self) -> Self {
        if self.is_patient {
            return self.clone();
        }
        Self { retry_for: Duration::ZERO, attempts: Attempts::One, ..self.within(ATTEMPT) }
    }

    /// The same calls with this deadline, but at least one attempt each.
    pub(crate) fn at_least_once(&self, until: Instant) -> Self {
        Self { attempts: Attempts::AtLeastOne, ..self.until(until) }
    }

    /// The same calls, which queue for tokens as if they had to be made by this time.
    pub(crate) fn due_at(&self, urgency: Instant) -> Self {
        Self { deadline: Deadline { urgency, ..self.deadline }, ..self.clone() }
    }

    /// The same calls to a server of one cluster, which has request quotas of its own.
    pub(crate) fn to_server(&self, buckets: &Arc<TokenBuckets>) -> Self {
        Self { buckets: Arc::clone(buckets), ..self.retrying_soon() }
    }

    /// The same calls, given up at this time at the latest.
    pub(crate) fn until(&self, at: Instant) -> Self {
        Self { deadline: Deadline { at: self.deadline.at.min(at), ..self.deadline }, ..self.clone() }
    }

    /// The same calls, given up after this time at the latest.
    pub(crate) fn within(&self, time: Duration) -> Self {
        self.until(Instant::now() + time)
    }

    /// Takes the stricter limits and the higher priority of the two.
    pub(super) fn tighten(&mut self, other: &Self) {
        self.work_started = self.work_started.max(other.work_started);
        self.deadline.at = self.deadline.at.min(other.deadline.at);
        self.deadline.urgency = self.deadline.urgency.min(other.deadline.urgency);
        self.retry_for = self.retry_for.min(other.retry_for);
        self.first_backoff = self.first_backoff.min(other.first_backoff);
        self.max_backoff = self.max_backoff.min(other.max_backoff);
        self.attempts = self.attempts.min(other.attempts);
    }

    /// Whether these calls may still succeed when the others have been given up.
    pub(super) fn retries_longer_than(&self, other: &Self) -> bool {
        let has_time = self.left() > FIRST_BACKOFF && self.attempts != Attempts::One;
        has_time
            && (self.deadline.at > other.deadline.at + FIRST_BACKOFF
                || self.retry_for > other.retry_for
                || self.attempts > other.attempts)
    }

    /// When the work that needs the calls started.
    pub(crate) fn work_started(&self) -> std::time::Instant {
        self.work_started
    }

    /// The time at which calls are given up.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline.at
    }

    /// The time until the deadline.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.at.saturating_duration_since(Instant::now())
    }

    /// The time that this many calls take at the quota, behind the queued ones.
    pub(crate) fn time_for(&self, operation: Operation, calls: usize) -> Duration {
        self.buckets.of(operation).time_for(calls)
    }

    /// The factor by which calls are slowed down because AWS throttles them.
    pub(crate) fn slowdown(&self, operation: Operation) -> f64 {
        self.buckets.of(operation).slowdown()
    }

    /// Whether AWS has throttled such calls since a time.
    pub(crate) fn throttled_since(&self, operation: Operation, then: Instant) -> bool {
        self.buckets.of(operation).throttled_since(then)
    }

    /// The number of calls at the same quota that AWS has answered so far.
    pub(crate) fn answered(&self, operation: Operation) -> u64 {
        self.buckets.of(operation).answered()
    }

    /// Announces calls that have to be made by a time. The announcement ends when it is dropped.
    pub(crate) fn announce(&self, operation: Operation, by: Instant) -> Announced {
        Announced { buckets: Arc::clone(&self.buckets), operation, by, calls: 0 }
    }

    /// Makes a call, and retries transient failures until the deadline.
    pub(crate) async fn make<T, E, F>(
        &self,
        operation: Operation,
        resource: impl Display,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let attempt = || async { attempt().await.map_err(|error| call_error(operation, &resource, &error)) };
        self.repeat(operation, &resource, attempt).await
    }

    /// Like [`Calls::make`], for attempts whose errors are classified already.
    pub(crate) async fn repeat<T, F>(
        &self,
        operation: Operation,
        resource: &impl Display,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let bucket = self.buckets.of(operation);
        let unanswered = |class| Error::call(operation, resource, class, "no answer before the deadline");
        let mut longest = self.first_backoff;
        let mut last = None;
        let mut resigned = 0;
        let started = Instant::now();
        loop {
            let left = self.left();
            let must_attempt = self.attempts == Attempts::AtLeastOne && last.is_none();
            let until = if must_attempt { Instant::now() + left / 8 } else { self.deadline.at };
            let permit = bucket.acquire(self.deadline.urgency, until).await;
            if permit.is_none() && (!must_attempt || left.is_zero()) {
                let cause = "its request quota was used up until the deadline";
                return Err(last.unwrap_or_else(|| Error::call(operation, resource, ErrorClass::Throttled, cause)));
            }
            self.counts.count(operation);
            let signed = Instant::now();
            // Boxed, since the SDK's futures are large, and most callers wait for a token.
            let error = match timeout_at(self.deadline.at, Box::pin(attempt())).await {
                Ok(Ok(answer)) => {
                    permit.as_ref().inspect(|permit| permit.answered());
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_) => return Err(last.unwrap_or_else(|| unanswered(ErrorClass::Unavailable))),
            };
            let Some(class) = error.class() else { return Err(error) };
            // The SDK corrects its clock from the answer, and the role is assumed again.
            let is_signature_rejected = error.code().is_some_and(|code| SIGNATURE_ERRORS.contains(&code));
            let is_resigned = resigned < MAX_RESIGNED && is_signature_rejected;
            if is_resigned {
                resigned += 1;
                if let Some(session) = &self.session {
                    session.end(signed).await;
                }
            }
            let retry_for = if class == ErrorClass::Throttled {
                self.counts.count_throttled();
                permit.as_ref().inspect(|permit| permit.throttled());
                Duration::MAX
            } else {
                self.retry_for.saturating_sub(started.elapsed())
            };
            // The permit is released during the backoff.
            drop(permit);
            let left = self.left().min(retry_for);
            let is_retried = class.is_transient() && self.attempts != Attempts::One || is_resigned;
            if !is_retried || left < FIRST_BACKOFF {
                self.counts.record_denial(&error);
                return Err(error);
            }
            // Full jitter: clients that were throttled together do not retry together.
            let jitter = longest.min(left).mul_f64(fastrand::f64());
            let pause = (error.retry_after().unwrap_or_default() + jitter).min(left);
            tracing::debug!(%error, "the call is retried");
            last = Some(error);
            sleep(pause).await;
            longest = self.max_backoff.min(longest * 2);
        }
    }
}

/// Calls that are going to be made. Code that plans calls to the same quota leaves time for them.
#[derive(Debug)]
pub(crate) struct Announced {
    buckets: Arc<TokenBuckets>,
    operation: Operation,
    by: Instant,
    calls: usize,
}

impl Announced {
    /// Sets the number of announced calls.
    pub(crate) fn set(&mut self, calls: usize) {
        self.buckets.of(self.operation).announce(self.operation, self.by, self.calls, calls);
        self.calls = calls;
    }

    /// The number of calls that all announcements together have for a range of times.
    pub(crate) fn in_total(&self, times: impl RangeBounds<Instant>) -> usize {
        self.buckets.of(self.operation).announced(self.operation, &times)
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.set(0);
    }
}
