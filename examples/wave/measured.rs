//! The figures of a wave.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::run::{NOTICE, Sent, WaveRun};

/// How many notices were handled, and when.
pub(crate) struct Figures {
    pub(crate) well_formed: usize,
    pub(crate) malformed: usize,
    /// Well-formed notices that were handled in time.
    pub(crate) handled: usize,
    /// Well-formed notices that were not.
    pub(crate) lost: usize,
    /// Containers that got SIGTERM and as much of their stop timeout as they needed, and all containers, if the wave
    /// simulates them.
    pub(crate) graceful: Option<(usize, usize)>,
    /// Since the instance's own notice.
    pub(crate) after_notice: Spread,
    /// Since the first notice.
    pub(crate) after_first: Spread,
}

/// Sorted times.
pub(crate) struct Spread(pub(crate) Vec<Duration>);

impl Figures {
    pub(crate) fn new(run: &WaveRun) -> Self {
        let sent: Vec<_> = run.sent.iter().filter(|sent| sent.well_formed).collect();
        let handled: Vec<_> = sent.iter().filter_map(|sent| in_time(sent).map(|at| (sent.at, at))).collect();
        let first = run.sent.iter().map(|sent| sent.at).min();
        Self {
            well_formed: sent.len(),
            malformed: run.sent.len() - sent.len(),
            handled: handled.len(),
            lost: sent.len() - handled.len(),
            graceful: (!run.fates.is_empty())
                .then(|| (run.fates.iter().filter(|fate| fate.is_graceful()).count(), run.fates.len())),
            after_notice: Spread::of(handled.iter().map(|(sent, at)| *at - *sent)),
            after_first: Spread::of(handled.iter().filter_map(|(_, at)| Some(*at - first?))),
        }
    }
}

fn in_time(sent: &Sent) -> Option<Instant> {
    sent.handled.filter(|at| *at - sent.at <= NOTICE)
}

impl Spread {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.collect();
        times.sort();
        Self(times)
    }

    /// The time in seconds within which this percentage was handled; 0 if there were none.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).map_or(0.0, Duration::as_secs_f64)
    }

    /// The minimum, the median, 99 % and the maximum.
    pub(crate) fn row(&self) -> [f64; 4] {
        let first = self.0.first().map_or(0.0, Duration::as_secs_f64);
        [first, self.percentile(50), self.percentile(99), self.percentile(100)]
    }

    pub(crate) fn json(&self) -> Value {
        let [first, half, p99, last] = self.row().map(|seconds| (seconds * 1e3).round() / 1e3);
        json!({ "first": first, "p50": half, "p99": p99, "max": last })
    }
}
