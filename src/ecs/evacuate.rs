//! An evacuation uses the two minutes of a notice to stop tasks gracefully.
//!
//! ```text
//!    0 s      DRAINING
//!    :        poll every 10 s; deregister as soon as it is empty
//!  110 s - t  StopTask for each task that is left: SIGTERM, then t, its stop timeout, until SIGKILL
//!  115 s      deregister, whatever is left
//!  120 s      EC2 ends the instance
//! ```
//!
//! Stopping and deregistering begin earlier where there is more to do than the request quota admits at once.
//!
//! No state is carried from one invocation to the next: an invocation that comes in the middle continues from what it
//! finds. Evacuations share their polls: one `DescribeContainerInstances` serves a hundred instances of a cluster.

mod clock;
mod reruns;
mod step;
mod tracked;
mod tracked_task;

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use self::{
    clock::{CHECK, Clock, MAX_DEREGISTER_BACKLOG, MAX_STOP_BACKLOG, open_stops, poll_interval},
    reruns::Reruns,
    step::{Completion, Step},
    tracked::Tracked,
};
use super::{
    Ecs,
    change::{ChangeOutcome, deregister, set_state},
    container_instance::ContainerInstance,
    plan::Evacuation,
    task::Task,
};
use crate::{
    aws::{
        calls::Calls,
        deadline::{Now, less_margin},
        operation::Operation::{DeregisterContainerInstance, DescribeContainerInstances, StopTask},
        timestamp,
    },
    ec2::Ec2,
    error::Error,
    interrupted_task::EVACUATION_REASON,
    outcome::EndState,
};

/// How long a change is retried, 5 s, before the most urgent step is chosen again.
const WRITE_RETRY_FOR: Duration = Duration::from_secs(5);

/// The result of an evacuation.
#[derive(Debug)]
pub(super) struct Evacuated {
    /// The state that the container instance reached.
    pub(super) reached: ChangeOutcome,
    pub(super) tasks_stopped: usize,
    pub(super) tasks_left: usize,
    /// The number of tasks that were started again, if that is asked for.
    pub(super) tasks_run_again: Option<usize>,
}

/// Evacuates a container instance until it is deregistered.
///
/// Steps run concurrently, so that none waits for another one that is slow or fails.
pub(super) async fn evacuate(
    (ecs, ec2): (&Ecs, &Ec2),
    calls: &Calls,
    now: Now,
    found: &ContainerInstance,
    evacuation: Evacuation,
) -> Result<Evacuated, Error> {
    let evacuation_guard = ecs.evacuations.begin(&found.cluster);
    let left = now.until(evacuation.deadline).unwrap_or_default();
    // All instances of one notice time have the same end, so that their polls and stops coincide.
    let ends = (now.instant + less_margin(left)).min(calls.deadline());
    let deadline = timestamp(evacuation.deadline);
    let reason = format!("{EVACUATION_REASON}{} is terminated at {deadline}", found.instance);

    let started = Instant::now();
    let mut tracked = Tracked::new(found, evacuation.standalone_tasks, started);
    let (mut planned_stops, mut deregistration) =
        (calls.announce(StopTask, ends), calls.announce(DeregisterContainerInstance, ends));
    deregistration.set(1);
    let target = Arc::new(Target {
        ecs: ecs.clone(),
        calls: calls.clone(),
        found: found.clone(),
        reason,
        reruns: Reruns::new((ecs, ec2), calls, found.cluster.clone(), evacuation),
    });
    // Dropping the set aborts all steps.
    let mut in_flight = JoinSet::new();
    loop {
        planned_stops.set(open_stops(&tracked, Instant::now()));
        let to_stop = planned_stops.in_total(..=ends + MAX_STOP_BACKLOG);
        let to_deregister = deregistration.in_total(ends..=ends + MAX_DEREGISTER_BACKLOG);
        let clock = Clock {
            started,
            ends,
            stop_backlog: calls.time_for(StopTask, to_stop + to_deregister).min(MAX_STOP_BACKLOG),
            deregister_backlog: calls.time_for(DeregisterContainerInstance, to_deregister).min(MAX_DEREGISTER_BACKLOG),
            poll_interval: poll_interval(evacuation_guard.clusters(), calls.slowdown(DescribeContainerInstances)),
            epoch: ecs.evacuations.epoch,
        };
        let (steps, wakes) = clock.tick(&mut tracked, Instant::now());
        for step in steps {
            in_flight.spawn(perform(Arc::clone(&target), step));
        }
        tokio::select! {
            Some(Ok(completion)) = in_flight.join_next() => match completion {
                // The deregistration of an empty instance is retried while there is time.
                Completion::Deregistered(Err(error)) if !error.is_transient() || Instant::now() + CHECK >= ends => {
                    target.reruns.finish().await;
                    return Err(error);
                }
                completion => {
                    if let Some(reached) = tracked.record(completion, Instant::now()) {
                        let tasks_run_again = target.reruns.finish().await;
                        let (reached, tasks_stopped, tasks_left) = tracked.conclude(reached)?;
                        return Ok(Evacuated { reached, tasks_stopped, tasks_left, tasks_run_again });
                    }
                }
            },
            () = sleep_until(wakes) => {}
        }
    }
}

/// What a step needs.
struct Target {
    ecs: Ecs,
    calls: Calls,
    found: ContainerInstance,
    reason: String,
    reruns: Reruns,
}

/// Performs a step. Reads are attempted once: the clock repeats them.
async fn perform(target: Arc<Target>, step: Step) -> Completion {
    let Target { ecs, calls, found, reason, reruns } = &*target;
    let ContainerInstance { cluster, arn, .. } = found;
    let retried = || calls.retrying_for(WRITE_RETRY_FOR);
    match step {
        Step::Drain => {
            let now = retried().due_at(Instant::now());
            Completion::Drained(set_state(ecs, &now, found, EndState::Draining).await)
        }
        Step::Count => Completion::Counted(ecs.container_instance(&calls.once(), cluster, arn).await),
        Step::ListRunning { counted } => Completion::ListedRunning(ecs.tasks_on(calls, cluster, arn, counted).await),
        Step::ListStopping => Completion::ListedStopping(ecs.stopping_tasks_on(calls, cluster, arn).await),
        Step::Describe(task) => {
            // A task that is not on the container instance is not stopped, whatever a list says.
            let is_on_it = |task: &Task| task.container_instance == arn.as_str();
            let described = ecs.task(calls, cluster, &task).await;
            Completion::Described(task, described.map(|described| described.filter(is_on_it)))
        }
        Step::ReadStopTimeout { task, definition, is_standalone } => {
            if is_standalone {
                reruns.prepare(&task);
            }
            Completion::StopTimeout(task, ecs.stop_timeout(calls, &definition).await)
        }
        Step::ReadService { task, service } => Completion::Daemon(task, ecs.is_daemon(calls, cluster, &service).await),
        Step::Stop { task, due, may_be_standalone } => {
            let recalled = if may_be_standalone { reruns.recall(&task).await } else { None };
            let marker = recalled.as_ref().map(|(_, recalled)| recalled.terms.marker()).unwrap_or_default();
            let stopped = ecs.stop_task(&retried().due_at(due), cluster, &task, &format!("{reason}{marker}")).await;
            if let Some(recalled) = recalled.filter(|_| stopped.is_ok()) {
                reruns.start(task.clone(), recalled);
            }
            Completion::Stopped(task, stopped)
        }
        Step::Deregister { until, due } => {
            let calls = until.map_or_else(retried, |until| calls.at_least_once(until)).due_at(due);
            Completion::Deregistered(deregister(ecs, &calls, found).await)
        }
    }
}
