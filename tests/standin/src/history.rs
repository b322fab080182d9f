//! The history of a Region.

use std::time::{Duration, Instant};

/// A change, by itself or by a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time since the Region's first notice, or since the start if there was none; zero for earlier changes.
    pub at: Duration,
    /// The subject: an EC2 instance, a service, or a task by its service or family and the start of its id.
    pub subject: String,
    /// The change, in a few words.
    pub what: String,
}

/// The history as it is kept.
#[derive(Debug, Default)]
pub(crate) struct History(Vec<(Instant, String, String)>);

impl History {
    pub(crate) fn note(&mut self, at: Instant, subject: impl Into<String>, what: impl Into<String>) {
        self.0.push((at, subject.into(), what.into()));
    }

    pub(crate) fn since(&self, zero: Instant) -> Vec<Moment> {
        let moment = |(at, subject, what): &(Instant, String, String)| Moment {
            at: at.saturating_duration_since(zero),
            subject: subject.clone(),
            what: what.clone(),
        };
        self.0.iter().map(moment).collect()
    }
}
