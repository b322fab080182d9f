//! Calls to AWS: until when they are tried again, and how many there were.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use tokio::time::{Instant, sleep, timeout_at};

use super::{ATTEMPT, pace::Paces};
use crate::error::{Class, Error};

/// What is kept of the time for the answer, 2 s or a quarter: a function that runs into its timeout is killed unheard.
const MARGIN: Duration = Duration::from_secs(2);

/// What a notice gets that comes when its two minutes are over, 15 s: time for three attempts that hang.
const LATE: Duration = Duration::from_secs(15);

/// The first pause before another attempt is at most this long, 100 ms; it doubles with every attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// No pause is longer than this, 5 s: every quota used here refills by 20 requests or more a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long one of several ways is tried while it fails, 3 s: then the next one.
const PATIENCE: Duration = Duration::from_secs(3);

/// When calls are no longer tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The earlier of the notice's and the function's end, less a margin; a notice that is over gets one good attempt.
    #[must_use]
    pub fn new(notice_ends: SystemTime, function_ends: SystemTime) -> Self {
        let notice = left_until(notice_ends).map(less_margin).unwrap_or_default().max(LATE);
        let function = left_until(function_ends).map(less_margin);
        Self(Instant::now() + function.map_or(notice, |function| function.min(notice)))
    }

    /// A deadline from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// What is left until then. Nothing if that is over, which for the end of an invocation means that it is not known: local
/// runtimes give the timeout for the time, which is in 1970.
pub(crate) fn left_until(end: SystemTime) -> Option<Duration> {
    end.duration_since(SystemTime::now()).ok()
}

/// What is left less a margin for the answer.
pub(crate) fn less_margin(left: Duration) -> Duration {
    left.saturating_sub(MARGIN.min(left / 4))
}

/// The calls of one invocation in one account and Region.
#[derive(Debug)]
pub struct Calls {
    deadline: Deadline,
    /// How long a call that is not answered, or not well, is tried again.
    patience: Duration,
    attempts: Attempts,
    paces: Arc<Paces>,
    counts: Arc<Counts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempts {
    /// As many as there is time for.
    Many,
    /// One.
    One,
    /// As many, and the first even if it is not the call's turn soon.
    AtLeastOne,
}

#[derive(Debug, Default)]
struct Counts {
    made: AtomicU32,
    throttled: AtomicU32,
}

impl Calls {
    /// Calls that are tried again until the deadline.
    pub(super) fn until(deadline: Deadline, paces: Arc<Paces>) -> Self {
        Self { deadline, patience: Duration::MAX, attempts: Attempts::Many, paces, counts: Arc::default() }
    }

    /// The same calls, where there is something else to try: what is throttled is tried again for no longer than this,
    /// since that else would be throttled too; what fails otherwise, for no longer than [`PATIENCE`].
    pub(crate) fn impatient(&self, throttled: Duration) -> Self {
        let deadline = self.deadline.min(Deadline::after(throttled));
        Self { deadline, patience: PATIENCE, ..self.share() }
    }

    /// The same calls, each attempted once, for as long as an attempt takes.
    pub(crate) fn once(&self) -> Self {
        let deadline = self.deadline.min(Deadline::after(ATTEMPT));
        Self { deadline, patience: Duration::ZERO, attempts: Attempts::One, ..self.share() }
    }

    /// The same calls until then, but none is given up without an attempt: turns may be promised to others that are.
    pub(crate) fn insistent(&self, until: Instant) -> Self {
        Self { deadline: self.deadline.min(Deadline(until)), attempts: Attempts::AtLeastOne, ..self.share() }
    }

    fn share(&self) -> Self {
        let (paces, counts) = (Arc::clone(&self.paces), Arc::clone(&self.counts));
        Self { deadline: self.deadline, patience: self.patience, attempts: self.attempts, paces, counts }
    }

    /// How long there is still.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.left()
    }

    /// How long so many calls of an operation take at its usual pace.
    pub(crate) fn time_for(&self, operation: &'static str, calls: usize) -> Duration {
        self.paces.of(operation).time_for(now(), calls)
    }

    /// How many times slower than usual calls of an operation have to be, since AWS throttles them.
    pub(crate) fn slowness(&self, operation: &'static str) -> f64 {
        self.paces.of(operation).slowness(now())
    }

    /// How many requests were sent, each attempt counted.
    pub(crate) fn made(&self) -> u32 {
        self.counts.made.load(Relaxed)
    }

    /// How many of them were throttled.
    pub(crate) fn throttled(&self) -> u32 {
        self.counts.throttled.load(Relaxed)
    }

    /// Makes a call, again after a failure that may pass, until the deadline.
    ///
    /// # Errors
    ///
    /// The last attempt's.
    pub(crate) async fn make<T, E, F>(
        &self,
        operation: &'static str,
        about: impl Display,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let attempt = || async { attempt().await.map_err(|error| failed(operation, &about, &error)) };
        self.repeat(operation, &about, attempt).await
    }

    /// As [`Calls::make`], where it is known already what kind of failure one is.
    pub(super) async fn repeat<T, F>(
        &self,
        operation: &'static str,
        about: &impl Display,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let pace = self.paces.of(operation);
        let mut longest = FIRST_PAUSE;
        let mut last = None;
        let started = Instant::now();
        loop {
            let left = self.left();
            let insists = self.attempts == Attempts::AtLeastOne && last.is_none();
            let turn = if left.is_zero() { None } else { pace.turn(now(), if insists { left / 8 } else { left }) };
            match turn {
                Some(turn) => sleep(turn).await,
                None if insists && !left.is_zero() => {}
                None => return Err(last.unwrap_or_else(|| unanswered(Class::Throttled, operation, about))),
            }
            self.counts.made.fetch_add(1, Relaxed);
            let error = match timeout_at(self.deadline.0, attempt()).await {
                Ok(Ok(answer)) => {
                    pace.answered(now());
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_) => return Err(last.unwrap_or_else(|| unanswered(Class::Unavailable, operation, about))),
            };
            let Error::Call { class, .. } = &error else { return Err(error) };
            let patience = if *class == Class::Throttled {
                self.counts.throttled.fetch_add(1, Relaxed);
                pace.throttled(now());
                Duration::MAX
            } else {
                self.patience.saturating_sub(started.elapsed())
            };
            let left = self.left().min(patience);
            if !class.is_transient() || left < FIRST_PAUSE || self.attempts == Attempts::One {
                return Err(error);
            }
            // Full jitter: clients that were throttled together do not come back together.
            let pause = longest.min(left).mul_f64(fastrand::f64());
            tracing::debug!(%error, "trying again");
            last = Some(error);
            sleep(pause).await;
            longest = LONGEST_PAUSE.min(longest * 2);
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn unanswered(class: Class, operation: &'static str, about: &impl Display) -> Error {
    Error::Call {
        operation,
        about: about.to_string(),
        class,
        code: None,
        cause: "no answer before the deadline".into(),
    }
}

pub(super) fn failed<E>(operation: &'static str, about: &impl Display, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    Error::Call {
        operation,
        about: about.to_string(),
        class: class(error),
        code: error.code().map(str::to_owned),
        cause: cause(error),
    }
}

/// AWS's own words where there are any, else the chain of causes.
///
/// Not `DisplayErrorContext`: that adds the answer's debug form, and an answer can hold user data.
fn cause<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let Some(code) = error.code() {
        return format!("{code}: {}", error.message().unwrap_or("no message"));
    }
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn class<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Class {
    let SdkError::ServiceError(answer) = error else {
        return match error {
            // Built wrongly or without credentials: it never left.
            SdkError::ConstructionFailure(_) => Class::Rejected,
            _ => Class::Unavailable,
        };
    };
    let status = answer.raw().status().as_u16();
    match error.code().unwrap_or_default() {
        code if THROTTLING_ERRORS.contains(&code) => Class::Throttled,
        code if TRANSIENT_ERRORS.contains(&code) => Class::Unavailable,
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => Class::Denied,
        _ if status == 429 => Class::Throttled,
        _ if status >= 500 => Class::Unavailable,
        _ => Class::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_end_counts_less_a_margin() {
        let in_seconds = |seconds| SystemTime::now() + Duration::from_secs(seconds);
        for (notice, function, expected) in [
            (in_seconds(120), in_seconds(60), 58),
            (in_seconds(90), in_seconds(120), 88),
            (in_seconds(90), in_seconds(2), 1),
            (SystemTime::UNIX_EPOCH, in_seconds(60), 15),
            (SystemTime::UNIX_EPOCH, in_seconds(10), 8),
            (in_seconds(120), SystemTime::UNIX_EPOCH + Duration::from_mins(10), 118),
            (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH, 15),
        ] {
            let left = Deadline::new(notice, function).left().as_secs_f64();
            assert!((left - f64::from(expected)).abs() < 1.0, "{left} instead of {expected}");
        }
    }
}
