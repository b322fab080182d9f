//! Containers of placed tasks.

use std::time::{Duration, Instant};

use crate::fate::Ending;
use crate::model::Container;

/// A container of a placed task.
#[derive(Clone, Debug)]
pub(crate) struct RunningContainer {
    pub(crate) model: Container,
    /// The containers that it depends on, with their conditions.
    depends_on: Vec<(String, String)>,
    pub(crate) sigterm: Option<Instant>,
    pub(crate) ended: Option<(Instant, Ending)>,
    pub(crate) with_traffic: bool,
    /// Whether a load balancer still sent it requests at SIGTERM.
    pub(crate) sigterm_with_traffic: bool,
}

impl RunningContainer {
    pub(super) fn new(model: Container, depends_on: Vec<(String, String)>) -> Self {
        Self { model, depends_on, sigterm: None, ended: None, with_traffic: false, sigterm_with_traffic: false }
    }

    /// Its exit code, once it has one.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        match self.ended?.1 {
            Ending::Exited if self.sigterm.is_some() => Some(self.model.sigterm_exit_code),
            Ending::Exited => Some(self.model.exit_code),
            Ending::Killed => Some(137),
            Ending::InstanceEnded => None,
        }
    }

    /// Whether the agent stops it before `other`.
    pub(super) fn is_stopped_before(&self, other: &str) -> bool {
        self.ended.is_none() && self.depends_on.iter().any(|(name, _)| name == other)
    }

    /// Whether it could start only after `other` had ended.
    pub(super) fn needs_end_of(&self, other: &str) -> bool {
        let is_end = |condition: &str| matches!(condition, "COMPLETE" | "SUCCESS");
        self.depends_on.iter().any(|(name, condition)| name == other && is_end(condition))
    }

    /// When the container ends, and how, unless something else happens first.
    pub(super) fn end(&self, finish: Option<Instant>) -> Option<(Instant, Ending)> {
        if self.ended.is_some() {
            return None;
        }
        let after_sigterm = |time: Option<Duration>| Some(self.sigterm? + time?);
        let exits = [finish, after_sigterm(self.model.exits_after)].into_iter().flatten().min();
        let killed = after_sigterm(Some(self.model.time_to_stop()));
        let ends = [(exits, Ending::Exited), (killed, Ending::Killed)];
        ends.into_iter().filter_map(|(at, ending)| Some((at?, ending))).min_by_key(|(at, _)| *at)
    }
}
