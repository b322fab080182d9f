//! The flow of an interrupted task: the targets of a service's task are deregistered, a standalone task is started
//! again.

use std::time::{Duration, SystemTime};

use aws_sdk_ecs::types::Task;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Ecs,
    run_again::{RunAgain, Started, has_stopped},
    target_group::TargetGroup,
};
use crate::{
    aws::calls::Calls,
    config::{Config, Mode, Verdict},
    ec2::Ec2,
    error::Error,
    identifier::TaskArn,
    interrupted_task::{Cause, InterruptedTask, Network, Recalled},
    interruption::NOTICE,
    load_balancing::{LoadBalancing, Target},
    outcome::{EventOutcome, Outcome, TaskOutcome},
};

/// The age of an event up to which a task is started again, 55 minutes: a client token is valid for an hour at least,
/// and a later duplicate would start the task a second time.
///
/// Source: "Ensuring idempotency" in the Amazon ECS API Reference.
const MAX_AGE: Duration = Duration::from_mins(55);

/// How long an invocation waits for one that saw more of the task, before or while it was stopping, 6 s.
const HEAD_START: Duration = Duration::from_secs(6);

/// The time until another invocation goes on, 5 s while the task is stopping and 30 s while there is no capacity.
const AGAIN_SOON: Duration = Duration::from_secs(5);
const AGAIN_LATER: Duration = Duration::from_secs(30);

/// The time until another invocation finds out whether a task was started that this one can't start, 5 min, if that is
/// not soon after its end.
const AGAIN_LAST: Duration = Duration::from_mins(5);

/// How long an address is the task's own: 25 s from its event on, since containers have 30 s to stop unless their stop
/// timeout says otherwise, and 5 s after ECS has said that it is still stopping.
const OWN_AFTER_EVENT: Duration = Duration::from_secs(25);
const OWN_AFTER_LOOK: Duration = Duration::from_secs(5);

/// Handles an interrupted task, in an invocation after which another one can continue or not.
pub(crate) async fn handle(
    (ecs, ec2, load_balancing): (&Ecs, &Ec2, &LoadBalancing),
    config: &Config,
    calls: &Calls,
    task: &InterruptedTask,
    can_continue: bool,
) -> Result<EventOutcome, Error> {
    let detail = &task.detail;
    let outcome = match (config.clusters.verdict(&detail.cluster), &detail.service) {
        (Verdict::NotIncluded, _) => TaskOutcome::unchanged(Outcome::Skipped, "CLUSTERS does not name its cluster"),
        (Verdict::Excluded, _) => TaskOutcome::unchanged(Outcome::Skipped, "EXCLUDE_CLUSTERS names its cluster"),
        (Verdict::Included, Some(service)) => {
            deregister_targets((ecs, load_balancing), config, calls, task, service, can_continue).await?
        }
        (Verdict::Included, None) => {
            let run_again = RunAgain {
                ecs: ecs.clone(),
                ec2: ec2.clone(),
                cluster: detail.cluster.clone(),
                task: detail.task.clone(),
                policy: config.run_again,
                on: config.run_again_on,
            };
            return start_again(&run_again, config, calls, task, can_continue).await;
        }
    };
    Ok(done(outcome))
}

/// The error of an event that is too old for another attempt is final.
pub(crate) fn final_if_old(event: &InterruptedTask, error: Error) -> Error {
    if event.detail.service.is_none() && event.age() > MAX_AGE && !error.is_final() {
        return Error::NotRunAgain { task: event.detail.task.clone(), reason: error.to_string() };
    }
    error
}

fn done(task: TaskOutcome) -> EventOutcome {
    EventOutcome { task: Some(task), ..EventOutcome::default() }
}

/// Takes the address of a service's task out of the service's target groups.
async fn deregister_targets(
    (ecs, load_balancing): (&Ecs, &LoadBalancing),
    config: &Config,
    calls: &Calls,
    event: &InterruptedTask,
    service: &str,
    is_from_queue: bool,
) -> Result<TaskOutcome, Error> {
    let task = &event.detail;
    if task.addresses.is_empty() {
        return Ok(TaskOutcome::unchanged(Outcome::Skipped, "it has no address of its own"));
    }
    if ecs.cache.is_deregistered(&task.task) {
        return Ok(TaskOutcome::repeated("its targets were deregistered with an earlier event"));
    }
    if event.age() > NOTICE {
        return Ok(TaskOutcome::unchanged(Outcome::Skipped, "the event is older than its notice"));
    }
    let groups = ecs.target_groups(calls, &task.cluster, service).await?;
    if groups.is_empty() {
        return Ok(TaskOutcome::unchanged(Outcome::Skipped, "its service has no target group"));
    }
    if config.mode == Mode::DryRun {
        return Ok(TaskOutcome::unchanged(Outcome::DryRun, "its targets would be deregistered"));
    }
    // A queue has few processes, unless the function is long-running.
    let changes = &if is_from_queue && !config.is_long_running() { calls.retrying_soon() } else { calls.clone() };
    let deregister = async |changes: &Calls, group: &TargetGroup| {
        // A target group has addresses of one family, and deregistering one of the other has no effect.
        let id = match &task.addresses[..] {
            [_, v6] if load_balancing.is_ipv6(calls, &group.arn).await? => v6.clone(),
            addresses => addresses.first().cloned().unwrap_or_default(),
        };
        load_balancing.deregister(changes, &group.arn, [Target { id, port: group.port }]).await
    };
    let mut own_until = Instant::now() + OWN_AFTER_EVENT.saturating_sub(event.age());
    loop {
        if own_until <= Instant::now() {
            own_until = Instant::now() + OWN_AFTER_LOOK;
            let described = ecs.described_task(calls, &task.cluster, &task.task).await?;
            if !described.is_some_and(|described| has_address(&described)) {
                let reason = "it has stopped: its address may be that of another task";
                return Ok(TaskOutcome::unchanged(Outcome::Skipped, reason));
            }
        }
        let changes = &changes.until(own_until);
        let deregistered = join_all(groups.iter().map(|group| deregister(changes, group))).await;
        match deregistered.into_iter().collect::<Result<(), Error>>() {
            Ok(()) => break,
            Err(error) if error.is_transient() && own_until < calls.deadline() => sleep_until(own_until).await,
            Err(error) => return Err(error),
        }
    }
    ecs.cache.insert_deregistered(task.task.clone());
    let target_groups = groups.into_iter().map(|group| group.arn).collect();
    Ok(TaskOutcome { target_groups, changed: Some(SystemTime::now()), ..TaskOutcome::new(Outcome::TargetDeregistered) })
}

/// Whether a task still has its network interface.
fn has_address(task: &Task) -> bool {
    matches!(task.last_status(), Some("RUNNING" | "DEACTIVATING" | "STOPPING"))
}

/// Starts a standalone task again when it has stopped.
async fn start_again(
    run_again: &RunAgain,
    config: &Config,
    calls: &Calls,
    event: &InterruptedTask,
    can_continue: bool,
) -> Result<EventOutcome, Error> {
    let (task, recalled) = match run_again.recall(calls, event.recalled.as_ref()).await? {
        Ok(recalled) => recalled,
        Err(reason) => return Ok(done(TaskOutcome::unchanged(Outcome::Skipped, reason))),
    };
    if config.mode == Mode::DryRun {
        return Ok(done(TaskOutcome::unchanged(Outcome::DryRun, "it would be started again")));
    }
    if event.age() > MAX_AGE {
        return not_started(run_again, calls, "the event is older than 55 minutes").await;
    }
    let others_saw_more = match event.detail.cause {
        // Stopping the task deleted its tags.
        Cause::Evacuation => true,
        Cause::FargateSpot => recalled.network == Network::Gone || event.recalled.is_none() && has_stopped(&task),
        Cause::Host => false,
    };
    // Waiting here would keep other events from being read while their tasks are there.
    let stopped =
        if can_continue { Some(task).filter(|task| has_stopped(task)) } else { run_again.stopped(calls, task).await? };
    let Some(task) = stopped else {
        return Ok(again_after(AGAIN_SOON, recalled, "it has not stopped yet"));
    };
    if !recalled.terms.even_if_ended && run_again.has_ended(calls, &task).await? {
        let reason = "its essential containers exited with 0";
        return Ok(done(TaskOutcome::unchanged(Outcome::Ended, reason)));
    }
    if others_saw_more {
        sleep(HEAD_START.min(calls.left() / 2)).await;
    }
    let request = match run_again.request(&task, &recalled) {
        Ok(request) => request,
        Err(reason) => {
            let may_be_waiting = others_saw_more && recalled.network == Network::Gone && event.recalled.is_none();
            return match not_started(run_again, calls, &reason).await {
                // Whoever read the network interface may still be waiting for capacity.
                Err(Error::NotRunAgain { .. })
                    if can_continue && may_be_waiting && event.age() + AGAIN_LAST <= MAX_AGE =>
                {
                    let pause = if event.age() < NOTICE { AGAIN_LATER } else { AGAIN_LAST };
                    Ok(EventOutcome { recalled: None, ..again_after(pause, recalled, &reason) })
                }
                other => other,
            };
        }
    };
    let is_patient = !can_continue;
    Ok(match run_again.start(calls, request, event.age(), is_patient).await? {
        Started::Now(task) => done(TaskOutcome {
            new_task: Some(task),
            changed: Some(SystemTime::now()),
            ..TaskOutcome::new(Outcome::RunAgain)
        }),
        Started::Before(task) => before(task),
        Started::NoCapacity(reason) if event.age() + AGAIN_LATER > MAX_AGE => {
            return Err(Error::NoCapacity { task: event.detail.task.clone(), reason });
        }
        Started::NoCapacity(reason) => again_after(AGAIN_LATER, recalled, &format!("there is no capacity: {reason}")),
    })
}

/// The outcome of a task that can't be started again, unless another invocation has started it.
async fn not_started(run_again: &RunAgain, calls: &Calls, reason: &str) -> Result<EventOutcome, Error> {
    match run_again.started_before(calls).await? {
        Some(task) => Ok(before(Some(task))),
        None => Err(run_again.not_run_again(reason)),
    }
}

fn before(task: Option<TaskArn>) -> EventOutcome {
    done(TaskOutcome { new_task: task, ..TaskOutcome::repeated("it was started again before") })
}

fn again_after(pause: Duration, recalled: Recalled, reason: &str) -> EventOutcome {
    let task = TaskOutcome::unchanged(Outcome::Waiting, reason);
    EventOutcome { again_after: Some(pause), recalled: Some(recalled), ..done(task) }
}
