//! What happened in a Region, in order.

use std::time::{Duration, Instant};

/// Something that happened, by itself or because it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time since the Region's first notice, or since the start where there was none; zero for what was before.
    pub at: Duration,
    /// What it happened to: an EC2 instance, a service, or a task by its service or family and the start of its id.
    pub subject: String,
    /// What happened, in a few words.
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
