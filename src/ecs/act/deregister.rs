//! `DeregisterContainerInstance`

use super::{Outcome, look_again};
use crate::{
    aws::{Calls, Regional},
    ecs::{ContainerInstance, plan::EndState},
    error::Error,
};

const OPERATION: &str = "DeregisterContainerInstance";

/// Deregisters a container instance with all its tasks.
pub(super) async fn deregister(aws: &Regional, calls: &Calls, found: &ContainerInstance) -> Result<Outcome, Error> {
    let request = aws
        .ecs
        .deregister_container_instance()
        .cluster(found.cluster.as_str())
        .container_instance(found.arn.as_str())
        // Without it, ECS refuses as long as tasks run.
        .force(true);
    let refused = match calls.make(OPERATION, &found.arn, || request.clone().send()).await {
        Ok(answer) => match answer.container_instance.and_then(|answered| answered.status) {
            Some(status) if status == "ACTIVE" || status == "DRAINING" => Error::Unchanged {
                operation: OPERATION,
                about: found.arn.to_string(),
                reason: format!("its status is {status}"),
            },
            _ => return Ok(Outcome::Reached(EndState::Deregistered)),
        },
        Err(error) => error,
    };
    look_again(aws, calls, found, EndState::Deregistered, refused).await
}
