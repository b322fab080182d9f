//! The changes to a container instance, each with a check of its effect.

use std::time::Duration;

use super::{
    Ecs,
    container_instance::{ContainerInstance, Status},
};
use crate::{
    aws::{calls::Calls, operation::Operation},
    error::{Error, ErrorClass},
    mark::Mark,
    outcome::EndState,
};

/// How long marking may delay draining, 3 s.
const MARK_TIMEOUT: Duration = Duration::from_secs(3);

/// The delays before each check of a container instance whose change was refused: a recent write may not show at once.
const CHECK_DELAYS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1)];

/// The state that a container instance has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangeOutcome {
    pub(crate) state: EndState,
    /// Whether this change brought it there, and not someone else.
    pub(crate) is_ours: bool,
    /// The number of tasks that ECS counted on it at that time, if the answer says so.
    pub(crate) tasks: Option<usize>,
}

/// Deregisters a container instance, with all its tasks.
pub(crate) async fn deregister(ecs: &Ecs, calls: &Calls, found: &ContainerInstance) -> Result<ChangeOutcome, Error> {
    const OPERATION: Operation = Operation::DeregisterContainerInstance;
    let request = ecs
        .client
        .deregister_container_instance()
        .cluster(found.cluster.as_str())
        .container_instance(found.arn.as_str())
        // Without it, ECS refuses while tasks run.
        .force(true);
    let ours = ChangeOutcome { state: EndState::Deregistered, is_ours: true, tasks: None };
    match calls.make(OPERATION, &found.arn, || request.clone().send()).await {
        Ok(answer) => match answer.container_instance().and_then(|answered| answered.status()) {
            Some(status @ ("ACTIVE" | "DRAINING")) => {
                let (resource, reason) = (found.arn.to_string(), format!("its status is {status}"));
                let unchanged = Error::Unchanged { operation: OPERATION, resource, reason };
                // If it is gone now, this call has deregistered it, although the answer did not say so.
                check_state(ecs, calls, found, unchanged, EndState::Deregistered).await.map(|_| ours)
            }
            _ => Ok(ours),
        },
        Err(refused) => check_state(ecs, calls, found, refused, EndState::Deregistered).await,
    }
}

/// Sets a container instance to `DRAINING`, and marks it if a mark is given.
pub(crate) async fn drain(
    ecs: &Ecs,
    calls: &Calls,
    found: &ContainerInstance,
    mark: Option<Mark>,
) -> Result<ChangeOutcome, Error> {
    let ContainerInstance { cluster, arn, .. } = found;
    let Some(mark) = mark else { return set_state(ecs, calls, found, EndState::Draining).await };
    // The mark comes first: a process may die between the two calls, and it would be unknown who drained the instance.
    // But marking must not take long.
    let marked = ecs.mark(&calls.with_fallback_after(MARK_TIMEOUT), cluster, arn, Some(mark)).await;
    let reached = set_state(ecs, calls, found, EndState::Draining).await;
    match marked {
        // A second attempt may succeed.
        Err(error) if error.is_transient() => {
            let marked = ecs.mark(calls, cluster, arn, Some(mark)).await;
            reached.and_then(|reached| marked.map(|()| reached))
        }
        Err(error) => {
            // It is drained all the same, as the notice demands.
            tracing::warn!(containerInstance = %arn, %error, "the container instance could not be marked: it will stay DRAINING when its instance comes back");
            reached
        }
        Ok(()) => reached,
    }
}

/// Sets a container instance to `ACTIVE`, and takes its mark off.
pub(crate) async fn reactivate(ecs: &Ecs, calls: &Calls, found: &ContainerInstance) -> Result<ChangeOutcome, Error> {
    let reached = set_state(ecs, calls, found, EndState::Active).await?;
    if reached.state == EndState::Active {
        // A leftover mark would undo a later draining by an operator.
        ecs.mark(calls, &found.cluster, &found.arn, None).await?;
    }
    Ok(reached)
}

/// Sets a container instance to `ACTIVE` or `DRAINING`.
pub(crate) async fn set_state(
    ecs: &Ecs,
    calls: &Calls,
    found: &ContainerInstance,
    state: EndState,
) -> Result<ChangeOutcome, Error> {
    match ecs.set_state(calls, &found.cluster, &found.arn, state).await {
        Ok(tasks) => Ok(ChangeOutcome { state, is_ours: true, tasks }),
        Err(refused) => check_state(ecs, calls, found, refused, state).await,
    }
}

/// Checks a container instance whose change was refused: someone else may have been faster, or the answer to an attempt
/// of ours was lost. The wanted state, and any later one, is a success.
async fn check_state(
    ecs: &Ecs,
    calls: &Calls,
    found: &ContainerInstance,
    refused: Error,
    wanted: EndState,
) -> Result<ChangeOutcome, Error> {
    if refused.class().is_some_and(|class| class != ErrorClass::Rejected) {
        return Err(refused);
    }
    for pause in CHECK_DELAYS {
        tokio::time::sleep(pause.min(calls.left())).await;
        let described = match ecs.container_instance(calls, &found.cluster, &found.arn).await {
            Err(error) if error.code() == Some("ClusterNotFoundException") => None,
            described => described?,
        };
        let status = described.as_ref().map_or(Status::Gone, |now| now.status);
        let state = match (status, wanted) {
            (Status::Gone, _) => EndState::Deregistered,
            (Status::Draining, EndState::Draining) | (Status::Active, EndState::Active) => wanted,
            _ => continue,
        };
        return Ok(ChangeOutcome { state, is_ours: false, tasks: described.map(|now| now.tasks()) });
    }
    Err(refused)
}
