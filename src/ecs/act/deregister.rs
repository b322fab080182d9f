//! `DeregisterContainerInstance`

use super::{Done, Outcome, look_again};
use crate::{
    aws::{Calls, Regional},
    ecs::{ContainerInstance, plan::EndState},
    error::Error,
};

pub(super) const OPERATION: &str = "DeregisterContainerInstance";

/// Deregisters a container instance with all its tasks.
pub(super) async fn deregister(aws: &Regional, calls: &Calls, found: ContainerInstance) -> Done {
    let request = aws
        .ecs
        .deregister_container_instance()
        .cluster(found.cluster.as_str())
        .container_instance(found.arn.as_str())
        // Without it, ECS refuses as long as tasks run.
        .force(true);
    let (refused, is_answered) = match calls.make(OPERATION, &found.arn, || request.clone().send()).await {
        Ok(answer) => match answer.container_instance().and_then(|answered| answered.status()) {
            Some(status @ ("ACTIVE" | "DRAINING")) => {
                let (about, reason) = (found.arn.to_string(), format!("its status is {status}"));
                (Error::Unchanged { operation: OPERATION, about, reason }, true)
            }
            _ => return Done::now(found, Ok(Outcome::Reached(EndState::Deregistered))),
        },
        Err(refused) => (refused, false),
    };
    let cluster = found.cluster.clone();
    let looked = look_again(aws, calls, &cluster, vec![(found.clone(), refused.clone())], EndState::Deregistered).await;
    let outcome = looked.into_iter().next().map_or(Err(refused), |done| done.outcome);
    // It was this call that did it, though it did not say so.
    Done::now(found, outcome.map(|kept| if is_answered { Outcome::Reached(EndState::Deregistered) } else { kept }))
}
