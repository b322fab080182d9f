//! An evacuation: the two minutes of a notice, used.
//!
//! ```text
//!    0 s      DRAINING
//!    :        a look every 10 s: empty? deregister, done
//!  110 s - t  StopTask for what is left: SIGTERM, and t, its stop timeout, until SIGKILL
//!  115 s      deregister, with whatever is left
//!  120 s      EC2 ends the instance
//! ```
//!
//! Where there is more to stop or to deregister than the request quota takes at once, it begins earlier.
//!
//! Nothing is remembered from one invocation to the next: whoever comes in the middle goes on from what is there. Many
//! instances share their looks: one `DescribeContainerInstances` for a hundred of a cluster.

mod clock;
mod step;
mod tracked;
mod tracked_task;

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use self::{
    clock::{CHECK, Clock, DEREGISTER_RUSH, STOP_RUSH, open, poll},
    step::{Completion, Step},
    tracked::Tracked,
};
use super::{
    Ecs,
    change::{Ended, deregister, set_state},
    container_instance::ContainerInstance,
    plan::Evacuation,
};
use crate::{
    aws::{
        calls::Calls,
        deadline::{Now, less_margin},
        operation::Operation::{DeregisterContainerInstance, DescribeContainerInstances, StopTask},
        timestamp,
    },
    error::Error,
    outcome::EndState,
};

/// How long a change is retried, 5 s, before what is most urgent is chosen anew.
const RETRIED: Duration = Duration::from_secs(5);

/// Evacuates a container instance, until its end. Gives how many tasks it stopped, and how many had not gone, too.
///
/// Steps run side by side, so that none waits for another that is slow or fails.
pub(super) async fn evacuate(
    ecs: &Ecs,
    calls: &Calls,
    now: Now,
    found: &ContainerInstance,
    evacuation: Evacuation,
) -> Result<(Ended, usize, usize), Error> {
    let evacuating = ecs.evacuations.begin(&found.cluster);
    let left = now.until(evacuation.deadline).unwrap_or_default();
    // The same instant for all that end together, so that their looks and stops come together.
    let ends = (now.instant + less_margin(left)).min(calls.deadline());
    let deadline = timestamp(evacuation.deadline);
    let reason = format!("EC2 Spot interruption: {} is terminated at {deadline}", found.instance);

    let started = Instant::now();
    let mut tracked = Tracked::new(found, evacuation.standalone_tasks, started);
    let (mut planned_stops, mut deregistration) =
        (calls.announce(StopTask, ends), calls.announce(DeregisterContainerInstance, ends));
    deregistration.set(1);
    let subject = Arc::new(Subject { ecs: ecs.clone(), calls: calls.clone(), found: found.clone(), reason });
    // All of it ends with this.
    let mut under_way = JoinSet::new();
    loop {
        planned_stops.set(open(&tracked, Instant::now()));
        let clock = Clock {
            started,
            ends,
            stop_rush: calls.time_for(StopTask, planned_stops.by_everyone(..=ends + STOP_RUSH)).min(STOP_RUSH),
            deregister_rush: calls
                .time_for(DeregisterContainerInstance, deregistration.by_everyone(ends..=ends + DEREGISTER_RUSH))
                .min(DEREGISTER_RUSH),
            poll: poll(evacuating.clusters(), calls.slowness(DescribeContainerInstances)),
            epoch: ecs.evacuations.epoch,
        };
        let (steps, wakes) = clock.tick(&mut tracked, Instant::now());
        for step in steps {
            under_way.spawn(take(Arc::clone(&subject), step));
        }
        tokio::select! {
            Some(Ok(completion)) = under_way.join_next() => match completion {
                // What is empty has time.
                Completion::Deregistered(Err(error)) if !error.is_transient() || Instant::now() + CHECK >= ends => {
                    return Err(error);
                }
                completion => {
                    if let Some(ended) = tracked.record(completion, Instant::now()) {
                        return tracked.conclude(ended);
                    }
                }
            },
            () = sleep_until(wakes) => {}
        }
    }
}

/// What steps are taken with.
struct Subject {
    ecs: Ecs,
    calls: Calls,
    found: ContainerInstance,
    reason: String,
}

/// Reads are attempted once: they are tried again by the clock.
async fn take(subject: Arc<Subject>, step: Step) -> Completion {
    let Subject { ecs, calls, found, reason } = &*subject;
    let ContainerInstance { cluster, arn, .. } = found;
    let retried = || calls.retried_for(RETRIED);
    match step {
        Step::Drain => {
            let now = retried().due(Instant::now());
            Completion::Drained(set_state(ecs, &now, found, EndState::Draining).await)
        }
        Step::Count => Completion::Counted(ecs.container_instance(&calls.once(), cluster, arn).await),
        Step::ListRunning { counted } => Completion::ListedRunning(ecs.tasks_on(calls, cluster, arn, counted).await),
        Step::ListStopping => Completion::ListedStopping(ecs.stopping_tasks_on(calls, cluster, arn).await),
        Step::Describe(task) => {
            let described = ecs.task(calls, cluster, &task).await;
            Completion::Described(task, described)
        }
        Step::ReadStopTimeout { task, definition } => {
            Completion::StopTimeout(task, ecs.stop_timeout(calls, &definition).await)
        }
        Step::ReadService { task, service } => Completion::Daemon(task, ecs.is_daemon(calls, cluster, &service).await),
        Step::Stop { task, due } => {
            let stopped = ecs.stop_task(&retried().due(due), cluster, &task, reason).await;
            Completion::Stopped(task, stopped)
        }
        Step::Deregister { until: Some(until), due } => {
            Completion::Deregistered(deregister(ecs, &calls.insistent(until).due(due), found).await)
        }
        Step::Deregister { until: None, due } => {
            Completion::Deregistered(deregister(ecs, &retried().due(due), found).await)
        }
    }
}
