//! The ways in which a task is stopped.

use std::time::{Duration, Instant};

use super::step::{SIGNAL, Step};
use super::{PlacedTask, Traffic};
use crate::fate::Ending;
use crate::history::History;

/// How long requests still come after the SIGTERM of `StopTask`: the load balancer is notified only then
/// (aws/containers-roadmap issue 708).
const TARGET_DEREGISTRATION: Duration = Duration::from_secs(5);

impl PlacedTask {
    /// Sets its status. The first reason stays, with its stop code.
    pub(super) fn stop(&mut self, last_status: &str, code: Option<&str>, reason: &str, now: Instant) {
        self.version += 1;
        self.stopping_at.get_or_insert(now);
        "STOPPED".clone_into(&mut self.task.desired_status);
        last_status.clone_into(&mut self.task.last_status);
        if self.task.stopped_reason.is_none() {
            self.task.stop_code = code.map(str::to_owned);
            self.task.stopped_reason = Some(reason.to_owned());
        }
    }

    /// Stops it as the service scheduler does: SIGTERM waits for the load balancer.
    pub(in crate::resources) fn stop_by_scheduler(
        &mut self,
        delay: Option<Duration>,
        now: Instant,
        history: &mut History,
    ) {
        let reason = "Scaling activity initiated by (deployment ecs-svc/0123456789012345678)";
        history.note(now, self.subject(), "stopped by the scheduler");
        let (status, next) = match delay {
            Some(delay) => ("DEACTIVATING", (now + delay, Step::Deactivated)),
            None => ("STOPPING", (now + SIGNAL, Step::Signal)),
        };
        self.stop(status, Some("ServiceSchedulerInitiated"), reason, now);
        self.deregister_target(now, history);
        self.next = Some(next);
    }

    /// Interrupts it as Fargate Spot does: SIGTERM comes at once, and the load balancer is notified only then. `false`
    /// if it is stopping already.
    pub(in crate::resources) fn interrupt(&mut self, code: Option<&str>, now: Instant, history: &mut History) -> bool {
        if self.left || self.task.desired_status == "STOPPED" {
            return false;
        }
        history.note(now, self.subject(), "interrupted by Fargate Spot");
        self.interrupted = Some(now);
        let last_status = self.task.last_status.clone();
        self.stop(&last_status, code, "Your Spot Task was interrupted.", now);
        self.is_signalled = true;
        self.signal(now, history);
        if self.traffic == Traffic::On {
            self.traffic = Traffic::Until(now + TARGET_DEREGISTRATION);
        }
        self.next = Some((now + SIGNAL, Step::Stopping));
        true
    }

    /// Stops it as `StopTask` does: SIGTERM does not wait. Its tags are deleted.
    pub(crate) fn stop_by_user(&mut self, reason: &str, now: Instant, history: &mut History) {
        if matches!(self.task.last_status.as_str(), "STOPPING" | "DEPROVISIONING" | "STOPPED") {
            return;
        }
        history.note(now, self.subject(), format!("StopTask: {reason}"));
        (self.task.stop_code, self.task.stopped_reason) = (None, None);
        self.task.tags.clear();
        self.stop("STOPPING", Some("UserInitiated"), reason, now);
        if self.traffic == Traffic::On {
            self.traffic = Traffic::Until(now + SIGNAL + TARGET_DEREGISTRATION);
        }
        self.next = Some((now + SIGNAL, Step::Signal));
    }

    /// Removes it from ECS with its container instance: its containers get no signal, and its own network interface is
    /// deleted.
    pub(in crate::resources) fn leave(&mut self, now: Instant, history: &mut History) {
        let cut = self.awsvpc && self.traffic != Traffic::Off;
        for process in self.containers.iter_mut().filter(|process| process.ended.is_none()) {
            process.with_traffic |= cut;
        }
        self.deregister_target(now, history);
        self.next = None;
        self.left = true;
    }

    /// Follows a change by hand: a stopped task has no running containers.
    pub(crate) fn follow(&mut self, now: Instant) {
        if self.task.is_stopped() {
            self.stopping_at.get_or_insert(now);
            self.stopped_at.get_or_insert(now);
            self.next = None;
            for process in self.containers.iter_mut().filter(|process| process.ended.is_none()) {
                process.ended = Some((now, Ending::Exited));
            }
        }
    }

    /// Ends it with its instance.
    pub(in crate::resources) fn end_with_instance(&mut self, freezes: bool, now: Instant, history: &mut History) {
        let subject = self.subject();
        for process in self.containers.iter_mut().filter(|process| process.ended.is_none()) {
            process.ended = Some((now, Ending::InstanceEnded));
            process.with_traffic |= self.traffic != Traffic::Off;
            history.note(now, subject.clone(), format!("{} died with its instance", process.model.name));
        }
        self.traffic = Traffic::Off;
        if self.left || self.task.is_stopped() || freezes && self.task.is_running() {
            return;
        }
        let reason = format!("Host EC2 (instance {}) terminated.", self.instance);
        self.stop("DEPROVISIONING", Some("TerminationNotice"), &reason, now);
        self.step(Step::Stopped, now, history);
    }
}
