//! The fates of the containers of interrupted instances and tasks.

use std::time::Duration;

use crate::resources::{Interruption, PlacedTask, RunningContainer};

/// If the notice is too short for a stop timeout, SIGTERM within this time counts as graceful.
const AT_ONCE: Duration = Duration::from_secs(5);

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Exited,
    /// By SIGKILL, at its stop timeout.
    Killed,
    /// With its instance.
    InstanceEnded,
}

/// The fate of a container on an interrupted instance, or of an interrupted task of Fargate Spot. All times are since
/// the notice.
#[derive(Clone, Debug)]
pub struct Fate {
    /// The EC2 instance; empty on Fargate.
    pub instance: String,
    /// The ARN of its task.
    pub task: String,
    /// The group of its task: `service:NAME` or `family:NAME`.
    pub group: String,
    /// Its name.
    pub container: String,
    /// The time between SIGTERM and SIGKILL that its definition sets.
    pub stop_timeout: Duration,
    /// When it got SIGTERM; zero if before the notice.
    pub sigterm: Option<Duration>,
    /// When it ended; `None` while it runs.
    pub ended: Option<Duration>,
    /// How it ended; [`Ending::InstanceEnded`] while it runs.
    pub ending: Ending,
    /// Whether a load balancer still sent it requests when it ended, or when its network interface was deleted.
    pub with_traffic: bool,
    /// Whether a load balancer still sent it requests when it got SIGTERM.
    pub sigterm_with_traffic: bool,
    /// When the load balancer's target of its task was deregistered; zero if before the notice.
    pub deregistered: Option<Duration>,
    had: Duration,
    notice: Duration,
}

impl Fate {
    pub(crate) fn new(interruption: &Interruption, run: &PlacedTask, process: &RunningContainer) -> Self {
        let since = |moment: std::time::Instant| moment.saturating_duration_since(interruption.at);
        let ended = process.ended.map(|(at, _)| at);
        let had = process.sigterm.zip(ended).map(|(sigterm, ended)| ended.saturating_duration_since(sigterm));
        Self {
            instance: interruption.instance.clone(),
            task: run.task.arn.clone(),
            group: run.task.group.clone(),
            container: process.model.name.clone(),
            stop_timeout: process.model.time_to_stop(),
            sigterm: process.sigterm.map(since),
            ended: ended.map(since),
            ending: process.ended.map_or(Ending::InstanceEnded, |(_, ending)| ending),
            with_traffic: process.with_traffic,
            sigterm_with_traffic: process.sigterm_with_traffic,
            deregistered: run.deregistered.map(since),
            had: had.unwrap_or_default(),
            notice: since(interruption.ends),
        }
    }

    /// The time between SIGTERM and its end; zero if there was no SIGTERM or no end.
    #[must_use]
    pub fn had(&self) -> Duration {
        self.had
    }

    /// Whether it ended by itself, got SIGTERM and its whole stop timeout, or, if the notice was too short for that, at
    /// least got SIGTERM within the first 5 seconds.
    #[must_use]
    pub fn is_graceful(&self) -> bool {
        let in_time =
            self.stop_timeout + AT_ONCE > self.notice && self.sigterm.is_some_and(|sigterm| sigterm <= AT_ONCE);
        let whole = self.sigterm.is_some() && self.had >= self.stop_timeout;
        self.ended.is_some() && (self.ending == Ending::Exited || whole || in_time)
    }
}
