//! The world's time.

use std::time::{Instant, SystemTime};

/// The world's clock, which can be faster than the real one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    date: SystemTime,
    speed: f64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl Clock {
    pub(crate) fn new(speed: f64) -> Self {
        Self { started: now(), date: SystemTime::now(), speed }
    }

    /// When the world began.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The world's time.
    pub(crate) fn now(&self) -> Instant {
        self.started + now().saturating_duration_since(self.started).mul_f64(self.speed)
    }

    /// The date at a moment.
    pub(crate) fn date(&self, moment: Instant) -> SystemTime {
        self.date + moment.saturating_duration_since(self.started)
    }

    /// Seconds since 1970 at a moment, as ECS gives times.
    pub(crate) fn epoch_s(&self, moment: Instant) -> f64 {
        self.date(moment).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }
}

/// The time of calls: tokio's, so that pausing it pauses the stand-in, too.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
