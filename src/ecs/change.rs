//! The changes to a container instance, each with a look at what came of it.

use std::time::Duration;

use super::{
    Ecs,
    container_instance::{ContainerInstance, Status},
    mark::Mark,
};
use crate::{
    aws::{calls::Calls, operation::Operation},
    error::{Error, ErrorClass},
    outcome::EndState,
};

/// How long marking may keep draining waiting, 3 s.
const MARKING: Duration = Duration::from_secs(3);

/// How long to wait before each further look at a container instance whose change was refused: what was written just
/// before may not show at once.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1)];

/// Where a container instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) state: EndState,
    /// Whether this change brought it there. Otherwise someone else was first.
    pub(crate) is_ours: bool,
    /// How many tasks ECS counted on it then, if it said so.
    pub(crate) tasks: Option<usize>,
}

/// Deregisters a container instance with all its tasks.
pub(crate) async fn deregister(ecs: &Ecs, calls: &Calls, found: &ContainerInstance) -> Result<Ended, Error> {
    const OPERATION: Operation = Operation::DeregisterContainerInstance;
    let request = ecs
        .client
        .deregister_container_instance()
        .cluster(found.cluster.as_str())
        .container_instance(found.arn.as_str())
        // Without it, ECS refuses as long as tasks run.
        .force(true);
    let ours = Ended { state: EndState::Deregistered, is_ours: true, tasks: None };
    match calls.make(OPERATION, &found.arn, || request.clone().send()).await {
        Ok(answer) => match answer.container_instance().and_then(|answered| answered.status()) {
            Some(status @ ("ACTIVE" | "DRAINING")) => {
                let (resource, reason) = (found.arn.to_string(), format!("its status is {status}"));
                let unchanged = Error::Unchanged { operation: OPERATION, resource, reason };
                // If it is gone now, it was this call that did it, though it did not say so.
                look_again(ecs, calls, found, unchanged, EndState::Deregistered).await.map(|_| ours)
            }
            _ => Ok(ours),
        },
        Err(refused) => look_again(ecs, calls, found, refused, EndState::Deregistered).await,
    }
}

/// Sets a container instance to `DRAINING`, and marks it if that is asked.
pub(crate) async fn drain(
    ecs: &Ecs,
    calls: &Calls,
    found: &ContainerInstance,
    mark: Option<Mark>,
) -> Result<Ended, Error> {
    let ContainerInstance { cluster, arn, .. } = found;
    let Some(mark) = mark else { return set_state(ecs, calls, found, EndState::Draining).await };
    // First, since nobody can tell afterwards who drained it: a process may die between the two. But not for long.
    let marked = ecs.mark(&calls.impatient(MARKING), cluster, arn, Some(mark)).await;
    let ended = set_state(ecs, calls, found, EndState::Draining).await;
    match marked {
        // A retry may do it.
        Err(error) if error.is_transient() => {
            let marked = ecs.mark(calls, cluster, arn, Some(mark)).await;
            ended.and_then(|ended| marked.map(|()| ended))
        }
        Err(error) => {
            // It is drained all the same, which is what the notice asks for.
            tracing::warn!(containerInstance = %arn, %error, "it can't be marked, and stays DRAINING when it comes back");
            ended
        }
        Ok(()) => ended,
    }
}

/// Sets a container instance to `ACTIVE`, and takes its mark off.
pub(crate) async fn reactivate(ecs: &Ecs, calls: &Calls, found: &ContainerInstance) -> Result<Ended, Error> {
    let ended = set_state(ecs, calls, found, EndState::Active).await?;
    if ended.state == EndState::Active {
        // A mark that stays would undo what an operator drains later.
        ecs.mark(calls, &found.cluster, &found.arn, None).await?;
    }
    Ok(ended)
}

/// Sets a container instance to `ACTIVE` or `DRAINING`.
pub(crate) async fn set_state(
    ecs: &Ecs,
    calls: &Calls,
    found: &ContainerInstance,
    state: EndState,
) -> Result<Ended, Error> {
    match ecs.set_state(calls, &found.cluster, &found.arn, state).await {
        Ok(tasks) => Ok(Ended { state, is_ours: true, tasks }),
        Err(refused) => look_again(ecs, calls, found, refused, state).await,
    }
}

/// Looks at a container instance whose change was refused: someone else may have been there first, or the answer to an
/// attempt of ours was lost. What it should be, or more than that, is success.
async fn look_again(
    ecs: &Ecs,
    calls: &Calls,
    found: &ContainerInstance,
    refused: Error,
    wanted: EndState,
) -> Result<Ended, Error> {
    if refused.class().is_some_and(|class| class != ErrorClass::Rejected) {
        return Err(refused);
    }
    for pause in LOOKS {
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
        return Ok(Ended { state, is_ours: false, tasks: described.map(|now| now.tasks()) });
    }
    Err(refused)
}
