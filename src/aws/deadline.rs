//! Until when something makes sense.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// How much of the time is kept for the answer, 2 s or a quarter: a function that runs into its timeout is killed
/// without an answer.
const MARGIN: Duration = Duration::from_secs(2);

/// What an event gets that comes when its two minutes are over, 15 s: time for three attempts that hang.
const LATE: Duration = Duration::from_secs(15);

/// How much later than all others an event that is over is served, 1 h.
const LAST: Duration = Duration::from_hours(1);

/// This moment, on both clocks: what is computed from one pair gives the same instants for the same times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) system: SystemTime,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self { instant: Instant::now(), system: SystemTime::now() }
    }

    /// How long it is until a time. `None` if that is over, which for the end of an invocation means that it is not
    /// known: local runtimes give the timeout for the time, which is in 1970.
    pub(crate) fn until(self, end: SystemTime) -> Option<Duration> {
        end.duration_since(self.system).ok()
    }
}

/// When calls are no longer retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    pub(super) at: Instant,
    /// Who waits for a token is served in this order.
    pub(super) urgency: Instant,
}

impl Deadline {
    /// The earlier of the notice's and the function's end, less a margin. A notice that is over gets one good attempt,
    /// after those that can still be saved.
    pub(crate) fn new(now: Now, notice_ends: SystemTime, function_ends: SystemTime) -> Self {
        let notice = now.until(notice_ends).map(less_margin);
        let urgency = notice.unwrap_or(LAST);
        let notice = notice.unwrap_or_default().max(LATE);
        let left = now.until(function_ends).map_or(notice, |function| less_margin(function).min(notice));
        Self { at: now.instant + left, urgency: now.instant + urgency }
    }

    /// The same, but after all that is urgent.
    pub(crate) fn without_urgency(self) -> Self {
        Self { urgency: self.urgency + LAST, ..self }
    }

    /// A deadline from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        let at = Instant::now() + time;
        Self { at, urgency: at }
    }
}

/// What is left less a margin for the answer.
pub(crate) fn less_margin(left: Duration) -> Duration {
    left.saturating_sub(MARGIN.min(left / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_end_counts_less_a_margin() {
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
    fn a_late_notice_comes_after_those_that_can_be_saved() {
        let now = Now::read();
        let urgency = |age: u64| {
            let ends = now.system - Duration::from_secs(age) + Duration::from_mins(2);
            Deadline::new(now, ends, now.system + Duration::from_mins(1)).urgency
        };
        assert!(urgency(100) < urgency(10) && urgency(10) < urgency(0) && urgency(0) < urgency(121));
    }
}
