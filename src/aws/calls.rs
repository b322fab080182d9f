//! Calls to AWS: until when they are retried, and how many there were.

use std::{
    fmt::Display,
    ops::RangeBounds,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use tokio::time::{Instant, sleep, timeout_at};

use super::{deadline::Deadline, failure::failed, operation::Operation, session::Session, token_bucket::TokenBuckets};
use crate::error::{Error, ErrorClass};

/// How long one attempt of a call may take, 5 s: ECS and EC2 answer reads and writes within a second; an attempt
/// that takes this long is lost, and there must be time for others.
pub(super) const ATTEMPT: Duration = Duration::from_secs(5);

/// The first pause before another attempt is at most this long, 100 ms; it doubles with every attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// No pause is longer than this, 5 s: every quota used here refills by 20 requests or more a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The same where nobody waits, 15 s.
const RELAXED_PAUSE: Duration = Duration::from_secs(15);

/// How often a call is made again with another signature.
const CORRECTIONS: u32 = 2;

/// The error codes of signatures and sessions that are not accepted, or no longer: "Common errors" in the API references
/// of Amazon ECS, AWS STS and Amazon EC2.
const OUT_OF_DATE: [&str; 9] = [
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

/// How long one of several ways is tried while it fails, 3 s: then the next one.
const PATIENCE: Duration = Duration::from_secs(3);

/// How calls are made in an account and Region: until when, how often, and how urgent they are.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    /// When whoever makes them began: what was read since is as good as read by them.
    began: std::time::Instant,
    deadline: Deadline,
    /// How long a call that is not answered, or not well, is retried.
    patience: Duration,
    /// The first pause before another attempt is at most this long.
    first_pause: Duration,
    attempts: Attempts,
    buckets: Arc<TokenBuckets>,
    session: Option<Session>,
    counts: Arc<Counts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attempts {
    /// One.
    One,
    /// As many as there is time for.
    Many,
    /// As many, and the first even if there is no token soon.
    AtLeastOne,
}

/// How many requests an invocation has sent so far, each attempt counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    made: AtomicU32,
    throttled: AtomicU32,
    /// How many of them are in the metrics already, and whether anything is.
    reported: (AtomicU32, AtomicU32),
    is_reported: AtomicBool,
}

impl Counts {
    /// All requests.
    pub(crate) fn made(&self) -> u32 {
        self.made.load(Relaxed)
    }

    /// Requests, and those that were throttled, since this was asked last; `None` if there are none. The first time there
    /// may be none.
    pub(crate) fn take_unreported(&self) -> Option<(u32, u32)> {
        let take = |all: &AtomicU32, reported: &AtomicU32| {
            let all = all.load(Relaxed);
            all - reported.swap(all, Relaxed)
        };
        let (made, throttled) = (take(&self.made, &self.reported.0), take(&self.throttled, &self.reported.1));
        let is_first = !self.is_reported.swap(true, Relaxed);
        (is_first || made > 0).then_some((made, throttled))
    }
}

impl Calls {
    /// Calls that are retried until the deadline; in another account, with a session of its role.
    pub(crate) fn new(
        deadline: Deadline,
        buckets: Arc<TokenBuckets>,
        session: Option<Session>,
        counts: Arc<Counts>,
    ) -> Self {
        let (patience, first_pause, attempts) = (Duration::MAX, FIRST_PAUSE, Attempts::Many);
        let began = std::time::Instant::now();
        Self { began, deadline, patience, first_pause, attempts, buckets, session, counts }
    }

    /// The same calls, where nobody waits: what fails is retried after longer pauses.
    pub(crate) fn relaxed(self) -> Self {
        Self { first_pause: RELAXED_PAUSE, ..self }
    }

    /// The same calls, where there is something else to try: what is throttled is retried for no longer than this, since
    /// that else would be throttled too; what fails otherwise, for no longer than [`PATIENCE`].
    pub(crate) fn impatient(&self, throttled: Duration) -> Self {
        Self { patience: PATIENCE, ..self.until(Instant::now() + throttled) }
    }

    /// The same calls, where what fails is retried for no longer than this.
    pub(crate) fn retried_for(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// The same calls, each attempted once, for as long as an attempt takes.
    pub(crate) fn once(&self) -> Self {
        Self { patience: Duration::ZERO, attempts: Attempts::One, ..self.until(Instant::now() + ATTEMPT) }
    }

    /// The same calls until then, but none is given up without an attempt.
    pub(crate) fn insistent(&self, until: Instant) -> Self {
        Self { attempts: Attempts::AtLeastOne, ..self.until(until) }
    }

    /// The same calls, which wait for tokens as if they had to be made by then.
    pub(crate) fn due(&self, urgency: Instant) -> Self {
        Self { deadline: Deadline { urgency, ..self.deadline }, ..self.clone() }
    }

    fn until(&self, at: Instant) -> Self {
        Self { deadline: Deadline { at: self.deadline.at.min(at), ..self.deadline }, ..self.clone() }
    }

    /// Makes them as patient as the less patient of the two, and as urgent as the more urgent.
    pub(super) fn adapt_to(&mut self, other: &Self) {
        self.began = self.began.max(other.began);
        self.deadline.at = self.deadline.at.min(other.deadline.at);
        self.deadline.urgency = self.deadline.urgency.min(other.deadline.urgency);
        self.patience = self.patience.min(other.patience);
        self.first_pause = self.first_pause.min(other.first_pause);
        self.attempts = self.attempts.min(other.attempts);
    }

    /// Whether these may still succeed when the others have given up.
    pub(super) fn is_more_patient_than(&self, other: &Self) -> bool {
        let has_time = self.left() > FIRST_PAUSE && self.attempts != Attempts::One;
        has_time
            && (self.deadline.at > other.deadline.at + FIRST_PAUSE
                || self.patience > other.patience
                || self.attempts > other.attempts)
    }

    /// When whoever makes them began.
    pub(crate) fn began(&self) -> std::time::Instant {
        self.began
    }

    /// When they are given up.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline.at
    }

    /// How long there is still.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.at.saturating_duration_since(Instant::now())
    }

    /// How long so many calls take at the quota, beside those that wait for a token.
    pub(crate) fn time_for(&self, operation: Operation, calls: usize) -> Duration {
        self.buckets.of(operation).time_for(calls)
    }

    /// How many times slower than usual calls have to be, since AWS throttles them.
    pub(crate) fn slowness(&self, operation: Operation) -> f64 {
        self.buckets.of(operation).slowness()
    }

    /// Whether AWS has throttled such calls since then.
    pub(crate) fn were_throttled_since(&self, operation: Operation, then: Instant) -> bool {
        self.buckets.of(operation).was_throttled_since(then)
    }

    /// Announces calls that have to be made by a time, for as long as the announcement lives.
    pub(crate) fn announce(&self, operation: Operation, by: Instant) -> Announced {
        Announced { buckets: Arc::clone(&self.buckets), operation, by, calls: 0 }
    }

    /// Makes a call, again after a failure that may pass, until the deadline.
    ///
    /// # Errors
    ///
    /// The last attempt's.
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
        let attempt = || async { attempt().await.map_err(|error| failed(operation, &resource, &error)) };
        self.repeat(operation, &resource, attempt).await
    }

    /// As [`Calls::make`], where it is known already what kind of failure one is.
    pub(super) async fn repeat<T, F>(
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
        let mut longest = self.first_pause;
        let mut last = None;
        let mut corrections = 0;
        let started = Instant::now();
        loop {
            let left = self.left();
            let insists = self.attempts == Attempts::AtLeastOne && last.is_none();
            let until = if insists { Instant::now() + left / 8 } else { self.deadline.at };
            let permit = bucket.acquire(self.deadline.urgency, until).await;
            if permit.is_none() && (!insists || left.is_zero()) {
                let cause = "its request quota was used up until the deadline";
                return Err(last.unwrap_or_else(|| Error::call(operation, resource, ErrorClass::Throttled, cause)));
            }
            self.counts.made.fetch_add(1, Relaxed);
            let signed = Instant::now();
            // In a box, since the SDK's futures are large, and most callers wait for a token.
            let error = match timeout_at(self.deadline.at, Box::pin(attempt())).await {
                Ok(Ok(answer)) => {
                    permit.as_ref().inspect(|permit| permit.answered());
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_) => return Err(last.unwrap_or_else(|| unanswered(ErrorClass::Unavailable))),
            };
            let Some(class) = error.class() else { return Err(error) };
            // The SDK takes the clock from the answer, and the role is assumed again.
            let is_corrected = corrections < CORRECTIONS && is_out_of_date(&error);
            if is_corrected {
                corrections += 1;
                if let Some(session) = &self.session {
                    session.end(signed).await;
                }
            }
            let patience = if class == ErrorClass::Throttled {
                self.counts.throttled.fetch_add(1, Relaxed);
                permit.as_ref().inspect(|permit| permit.throttled());
                Duration::MAX
            } else {
                self.patience.saturating_sub(started.elapsed())
            };
            // While it waits for another attempt, others may make their calls.
            drop(permit);
            let left = self.left().min(patience);
            let is_retried = class.is_transient() && self.attempts != Attempts::One || is_corrected;
            if !is_retried || left < FIRST_PAUSE {
                return Err(error);
            }
            // Full jitter: clients that were throttled together do not come back together.
            let pause = longest.min(left).mul_f64(fastrand::f64());
            tracing::debug!(%error, "trying again");
            last = Some(error);
            sleep(pause).await;
            longest = LONGEST_PAUSE.max(self.first_pause).min(longest * 2);
        }
    }
}

/// Whether AWS refused a signature that may have been right once: a clock is off, or the session has ended.
fn is_out_of_date(error: &Error) -> bool {
    error.code().is_some_and(|code| OUT_OF_DATE.contains(&code))
}

/// Calls that are known to come: who plans calls to the same quota leaves time for them.
#[derive(Debug)]
pub(crate) struct Announced {
    buckets: Arc<TokenBuckets>,
    operation: Operation,
    by: Instant,
    calls: usize,
}

impl Announced {
    /// Announces so many.
    pub(crate) fn set(&mut self, calls: usize) {
        self.buckets.of(self.operation).announce(self.operation, self.by, self.calls, calls);
        self.calls = calls;
    }

    /// How many everyone together has announced for these times.
    pub(crate) fn by_everyone(&self, times: impl RangeBounds<Instant>) -> usize {
        self.buckets.of(self.operation).announced(self.operation, &times)
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.set(0);
    }
}
