//! The fates of the pods on interrupted instances.

use std::time::{Duration, Instant};

use crate::kubernetes::{PlacedPod, PodEnding, StopRequest};
use crate::resources::Interruption;

/// If the notice is too short for a grace period, SIGTERM within this time counts as graceful.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The fate of a pod on an instance. All times are since the instance's notice, or since the start if there was none.
#[derive(Clone, Debug)]
pub struct PodFate {
    /// The EC2 instance.
    pub instance: String,
    /// The node.
    pub node: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The kind of its controller; `None` for a bare pod.
    pub owner: Option<String>,
    /// Its own `terminationGracePeriodSeconds`.
    pub grace_period: Duration,
    /// How it was asked to stop first.
    pub stop_request: StopRequest,
    /// When it got SIGTERM; zero if before the notice.
    pub sigterm: Option<Duration>,
    /// The grace period that it was given last; `None` if it was not asked to stop.
    pub given: Option<Duration>,
    /// When it ended; `None` while it runs.
    pub ended: Option<Duration>,
    /// How it ended.
    pub ending: PodEnding,
    had: Duration,
    notice: Option<Duration>,
}

impl PodFate {
    /// `None` if it is on no instance.
    pub(crate) fn new(placed: &PlacedPod, interruptions: &[Interruption], started: Instant) -> Option<Self> {
        let instance = placed.instance.clone()?;
        let ended = placed.ended.map(|(at, _)| at);
        // An instance that was started again can be interrupted again.
        let notices = interruptions.iter().filter(|other| other.instance == instance);
        let hit = |other: &&Interruption| placed.created <= other.ends && ended.is_none_or(|at| at >= other.at);
        let notice = notices.into_iter().find(hit);
        let zero = notice.map_or(started, |notice| notice.at);
        let since = |moment: Instant| moment.saturating_duration_since(zero);
        let had = placed.sigterm.zip(ended).map(|(sigterm, ended)| ended.saturating_duration_since(sigterm));
        Some(Self {
            instance,
            node: placed.node.clone(),
            namespace: placed.pod.namespace.clone(),
            name: placed.pod.name.clone(),
            uid: placed.pod.uid.clone(),
            owner: placed.pod.owner.as_ref().map(|owner| owner.kind.clone()),
            grace_period: Duration::from_secs(placed.pod.grace_period_s),
            stop_request: placed.stop_request,
            sigterm: placed.sigterm.map(since),
            given: placed.grace,
            ended: ended.map(since),
            ending: placed.ended.map_or(PodEnding::Running, |(_, ending)| ending),
            had: had.unwrap_or_default(),
            notice: notice.map(|notice| since(notice.ends)),
        })
    }

    /// The time between SIGTERM and its end; zero if there was no SIGTERM or no end.
    #[must_use]
    pub fn had(&self) -> Duration {
        self.had
    }

    /// Whether it ended by itself, got SIGTERM and its whole grace period, or, if the notice was too short for that, at
    /// least got SIGTERM within the first 5 seconds.
    #[must_use]
    pub fn is_graceful(&self) -> bool {
        let Some(sigterm) = self.sigterm.filter(|_| self.ended.is_some()) else { return false };
        let is_too_short = self.notice.is_some_and(|notice| self.grace_period + AT_ONCE > notice);
        self.ending == PodEnding::Exited || self.had >= self.grace_period || is_too_short && sigterm <= AT_ONCE
    }
}
