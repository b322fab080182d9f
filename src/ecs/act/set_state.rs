//! `UpdateContainerInstancesState`

use std::collections::HashMap;

use aws_sdk_ecs::types::ContainerInstanceStatus;
use futures_util::{StreamExt, stream};

use super::{Done, Outcome, WIDTH, look_again};
use crate::{
    aws::{Calls, Regional},
    ecs::{ClusterName, ContainerInstance, plan::EndState},
    error::Error,
};

const OPERATION: &str = "UpdateContainerInstancesState";

/// The most container instances that one call takes.
pub(super) const UPDATED: usize = 10;

/// The two states that ECS can be asked for.
#[derive(Clone, Copy)]
pub(super) enum State {
    Active,
    Draining,
}

impl State {
    fn status(self) -> ContainerInstanceStatus {
        match self {
            Self::Active => ContainerInstanceStatus::Active,
            Self::Draining => ContainerInstanceStatus::Draining,
        }
    }

    fn end_state(self) -> EndState {
        match self {
            Self::Active => EndState::Active,
            Self::Draining => EndState::Draining,
        }
    }
}

/// Brings container instances of a cluster to a state.
pub(super) async fn set_state(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    found: Vec<ContainerInstance>,
    state: State,
) -> Vec<Done> {
    // Side by side: one that fails for a while keeps no other waiting.
    stream::iter(found.chunks(UPDATED))
        .map(async |found| set_state_of_ten(aws, calls, cluster, found, state).await)
        .buffer_unordered(WIDTH)
        .collect::<Vec<_>>()
        .await
        .concat()
}

async fn set_state_of_ten(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    found: &[ContainerInstance],
    state: State,
) -> Vec<Done> {
    let mut done = Vec::with_capacity(found.len());
    let refusals = update(aws, calls, cluster, found, state).await;
    let mut refused = Vec::new();
    for found in found {
        let error = match &refusals {
            Ok(refusals) => refusals.get(found.arn.as_str()).map(|reason| {
                let about = found.arn.to_string();
                Error::Unchanged { operation: OPERATION, about, reason: reason.clone() }
            }),
            Err(error) => Some(error.clone()),
        };
        match error {
            None => done.push(Done::now(found.clone(), Ok(Outcome::Reached(state.end_state())))),
            Some(error) => refused.push((found.clone(), error)),
        }
    }
    done.extend(look_again(aws, calls, cluster, refused, state.end_state()).await);
    done
}

/// Asks for the change, and gives back what was refused, with the reason.
async fn update(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    found: &[ContainerInstance],
    state: State,
) -> Result<HashMap<String, String>, Error> {
    let status = state.status();
    let request = aws
        .ecs
        .update_container_instances_state()
        .cluster(cluster.as_str())
        .set_container_instances(Some(found.iter().map(|found| found.arn.to_string()).collect()))
        .status(status.clone());
    let answer = calls.make(OPERATION, cluster, || request.clone().send()).await?;
    let is_there = |arn: &str| {
        let mut updated = answer.container_instances().iter();
        updated.any(|u| u.container_instance_arn() == Some(arn) && u.status() == Some(status.as_str()))
    };
    let reason = |arn: &str| {
        let failure = answer.failures().iter().find(|failure| failure.arn() == Some(arn));
        let reason = failure.and_then(|failure| failure.reason()).map(str::to_owned);
        reason.unwrap_or_else(|| format!("the answer does not show it as {status}"))
    };
    let refused = found.iter().map(|found| found.arn.as_str()).filter(|arn| !is_there(arn));
    Ok(refused.map(|arn| (arn.to_owned(), reason(arn))).collect())
}
