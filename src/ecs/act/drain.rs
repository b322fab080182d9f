//! Draining, with a mark on what may come back.

use super::{
    Done, Outcome, attributes,
    set_state::{State, set_state},
};
use crate::{
    aws::{Calls, Regional},
    ecs::{ClusterName, ContainerInstance, mark::Mark, plan::EndState},
    error::Error,
};

/// Sets container instances of a cluster to `DRAINING`, and marks those of which that is asked.
pub(super) async fn drain(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    planned: Vec<(ContainerInstance, Option<Mark>)>,
) -> Vec<Done> {
    let marks: Vec<_> = planned.iter().filter_map(|(found, mark)| Some((found.arn.clone(), (*mark)?))).collect();
    let found = planned.into_iter().map(|(found, _)| found).collect();
    // At the same time, since a hibernation has begun already.
    let (unmarked, outcomes) = tokio::join!(
        attributes::put(aws, calls, cluster, &marks),
        set_state(aws, calls, cluster, found, State::Draining)
    );
    for (arn, error) in unmarked {
        // It is drained all the same, which is what the notice asks for.
        tracing::warn!(containerInstance = %arn, %error, "it can't be marked, and stays DRAINING when it comes back");
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
