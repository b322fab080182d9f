//! The stages in which a task starts and stops.

use std::time::{Duration, Instant};

use super::traffic::Traffic;
use super::{PlacedTask, RunningContainer};
use crate::fate::Ending;
use crate::history::History;

/// The time that the agent takes from the decision to stop a task until SIGTERM.
pub(super) const SIGNAL: Duration = Duration::from_secs(1);

/// The time that cleaning up after the last container takes.
const DEPROVISIONING: Duration = Duration::from_secs(1);

/// How long ECS remembers a stopped task.
const REMEMBERED: Duration = Duration::from_hours(1);

/// The next stage of a task.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The deregistration delay has passed.
    Deactivated,
    /// It runs.
    Started,
    /// An interrupted task of Fargate Spot shows that it stops.
    Stopping,
    /// The agent sends SIGTERM.
    Signal,
    /// It is cleaned up.
    Stopped,
    /// ECS forgets it.
    Forgotten,
}

impl PlacedTask {
    /// Makes the changes that are due.
    pub(in crate::resources) fn advance(&mut self, now: Instant, history: &mut History) {
        if matches!(self.traffic, Traffic::Until(until) if until <= now) {
            self.deregister_target(now, history);
        }
        if let Some((_, step)) = self.next.take_if(|(at, _)| *at <= now) {
            self.step(step, now, history);
        }
        let (subject, finish) = (self.subject(), self.finish());
        for process in &mut self.containers {
            if let Some((at, ending)) = process.end(finish).filter(|(at, _)| *at <= now) {
                process.ended = Some((at, ending));
                process.with_traffic |= self.traffic != Traffic::Off;
                let how = if ending == Ending::Killed { "was killed" } else { "exited" };
                history.note(now, subject.clone(), format!("{} {how}", process.model.name));
            }
        }
        if self.is_signalled {
            self.signal(now, history);
        }
        let has_ended = self.containers.iter().all(|process| process.ended.is_some());
        if has_ended && !self.left && !matches!(self.task.last_status.as_str(), "DEPROVISIONING" | "STOPPED") {
            let reason = "Essential container in task exited";
            self.stop("DEPROVISIONING", Some("EssentialContainerExited"), reason, now);
            self.next = Some((now + DEPROVISIONING, Step::Stopped));
        }
    }

    pub(super) fn step(&mut self, step: Step, now: Instant, history: &mut History) {
        match step {
            Step::Started => {
                self.version += 1;
                "RUNNING".clone_into(&mut self.task.last_status);
                history.note(now, self.subject(), "RUNNING");
            }
            Step::Stopping => {
                self.version += 1;
                "STOPPING".clone_into(&mut self.task.last_status);
            }
            Step::Deactivated => {
                "STOPPING".clone_into(&mut self.task.last_status);
                self.next = Some((now + SIGNAL, Step::Signal));
            }
            Step::Signal => {
                self.is_signalled = true;
                self.signal(now, history);
            }
            Step::Stopped => {
                self.version += 1;
                self.stopped_at = Some(now);
                "STOPPED".clone_into(&mut self.task.last_status);
                self.next = Some((now + REMEMBERED, Step::Forgotten));
                history.note(now, self.subject(), "STOPPED");
            }
            Step::Forgotten => self.left = true,
        }
    }

    /// Sends SIGTERM to the containers that no other running container depends on.
    pub(super) fn signal(&mut self, now: Instant, history: &mut History) {
        let waits = |name: &str| self.containers.iter().any(|other| other.is_stopped_before(name));
        let is_next = |process: &RunningContainer| process.ended.is_none() && process.sigterm.is_none();
        let next = self.containers.iter().map(|process| is_next(process) && !waits(&process.model.name));
        let next: Vec<_> = next.collect();
        if next.contains(&true) {
            history.note(now, self.subject(), "SIGTERM");
        }
        for (process, _) in self.containers.iter_mut().zip(next).filter(|(_, next)| *next) {
            process.sigterm = Some(now);
            process.sigterm_with_traffic = self.traffic != Traffic::Off;
        }
    }
}
