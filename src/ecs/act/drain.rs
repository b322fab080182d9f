//! Draining, with a mark on what may come back.

use std::time::Duration;

use super::{
    Done, Outcome, attributes,
    set_state::{State, set_state},
};
use crate::{
    aws::{Calls, Regional},
    ecs::{ClusterName, ContainerInstance, mark::Mark, plan::EndState},
    error::Error,
};

/// How long marking may keep draining waiting, 3 s.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sets container instances of a cluster to `DRAINING`, and marks those of which that is asked.
pub(super) async fn drain(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    planned: Vec<(ContainerInstance, Option<Mark>)>,
) -> Vec<Done> {
    let marks: Vec<_> = planned.iter().filter_map(|(found, mark)| Some((found.arn.clone(), (*mark)?))).collect();
    let found = planned.into_iter().map(|(found, _)| found).collect();
    // First, since nobody can tell afterwards who drained it: a process may die between the two. But not for long.
    let unmarked = attributes::put(aws, &calls.impatient(PATIENCE), cluster, &marks).await;
    let mut outcomes = set_state(aws, calls, cluster, found, State::Draining).await;
    let again: Vec<_> =
        marks.into_iter().filter(|(arn, _)| unmarked.get(arn).is_some_and(Error::is_transient)).collect();
    let still_unmarked = attributes::put(aws, calls, cluster, &again).await;
    for done in &mut outcomes {
        let arn = &done.found.arn;
        if let Some(error) = still_unmarked.get(arn) {
            // A retry may do it.
            done.outcome = done.outcome.clone().and(Err(error.clone()));
        } else if let Some(error) = unmarked.get(arn).filter(|error| !error.is_transient()) {
            // It is drained all the same, which is what the notice asks for.
            tracing::warn!(containerInstance = %arn, %error, "it can't be marked, and stays DRAINING when it comes back");
        }
    }
    outcomes
}

/// Sets container instances of a cluster to `ACTIVE`, and takes their marks off.
pub(super) async fn reactivate(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    found: Vec<ContainerInstance>,
) -> Vec<Done> {
    let mut outcomes = set_state(aws, calls, cluster, found, State::Active).await;
    let active = outcomes.iter().filter(|done| is_active(&done.outcome)).map(|done| done.found.arn.clone());
    let marked = attributes::delete(aws, calls, cluster, &active.collect::<Vec<_>>()).await;
    for done in &mut outcomes {
        // A mark that stays would undo what an operator drains later.
        if let Some(error) = marked.get(&done.found.arn) {
            done.outcome = Err(error.clone());
        }
    }
    outcomes
}

fn is_active(outcome: &Result<Outcome, Error>) -> bool {
    matches!(outcome, Ok(Outcome::Reached(EndState::Active) | Outcome::Kept(EndState::Active)))
}
