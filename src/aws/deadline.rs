//! Deadlines, and the clocks that they are computed from.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The time that is reserved for the answer, 2 s or a quarter of what is left: Lambda kills a function at its timeout,
/// without an answer.
const MARGIN: Duration = Duration::from_secs(2);

/// The time for an event whose two minutes have passed, 15 s: enough for three attempts that hang.
const LATE: Duration = Duration::from_secs(15);

/// How much later than all others an expired event is served, 1 h.
const LAST: Duration = Duration::from_hours(1);

/// The present time on both clocks. Instants that are computed from one `Now` are equal for equal times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) system: SystemTime,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self { instant: Instant::now(), system: SystemTime::now() }
    }

    /// The present time later in the same invocation.
    pub(crate) fn later(self) -> Self {
        let instant = Instant::now();
        Self { instant, system: self.system + (instant - self.instant) }
    }

    /// The time since a time that has passed.
    pub(crate) fn since(self, time: SystemTime) -> Duration {
        self.system.duration_since(time).unwrap_or_default()
    }

    /// The time until `end`; `None` if that has passed. For the end of an invocation, `None` means that it is not
    /// known: local runtimes send the timeout in place of the time, which is then in 1970.
    pub(crate) fn until(self, end: SystemTime) -> Option<Duration> {
        end.duration_since(self.system).ok()
    }
}

/// The time at which calls are no longer retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    pub(super) at: Instant,
    /// Callers that wait for a token are served in this order.
    pub(super) urgency: Instant,
}

impl Deadline {
    /// The notice's end or the function's, whichever is earlier, less a margin. An expired notice gets some time, after
    /// all notices that can still be handled in time.
    pub(crate) fn new(now: Now, notice_ends: SystemTime, function_ends: SystemTime) -> Self {
        let notice = now.until(notice_ends).map(less_margin);
        let urgency = notice.unwrap_or(LAST);
        let notice = notice.unwrap_or_default().max(LATE);
        let left = now.until(function_ends).map_or(notice, |function| less_margin(function).min(notice));
        Self { at: now.instant + left, urgency: now.instant + urgency }
    }

    /// The same deadline, served after all urgent calls.
    pub(crate) fn without_urgency(self) -> Self {
        Self { urgency: self.urgency + LAST, ..self }
    }

    /// A deadline this long from now.
    pub(crate) fn after(time: Duration) -> Self {
        let at = Instant::now() + time;
        Self { at, urgency: at }
    }
}

/// The time that is left, less the margin for the answer.
pub(crate) fn less_margin(left: Duration) -> Duration {
    left.saturating_sub(MARGIN.min(left / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_is_the_earlier_end_less_a_margin() {
        let now = Now::read();
        let in_seconds = |seconds| now.system + Duration::from_secs(seconds);
        for (notice, function, expected) in [
            (in_seconds(120), in_seconds(60), 58),
            (in_seconds(90), in_seconds(120), 88),
            (in_seconds(120), SystemTime::UNIX_EPOCH + Duration::from_mins(10), 118),
            (SystemTime::UNIX_EPOCH, in_seconds(60), 15),
            (SystemTime::UNIX_EPOCH, in_seconds(10), 8),
            (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH, 15),
        ] {
            let left = Deadline::new(now, notice, function).at - now.instant;
            assert_eq!(left.as_secs(), expected, "{notice:?} {function:?}");
        }
        let left = Deadline::new(now, in_seconds(90), in_seconds(2)).at - now.instant;
        assert_eq!(left, Duration::from_millis(1_500));
    }

    #[test]
    fn expired_notice_is_served_last() {
        let now = Now::read();
        let urgency = |age: u64| {
            let ends = now.system - Duration::from_secs(age) + Duration::from_mins(2);
            Deadline::new(now, ends, now.system + Duration::from_mins(1)).urgency
        };
        assert!(urgency(100) < urgency(10) && urgency(10) < urgency(0) && urgency(0) < urgency(121));
    }
}
