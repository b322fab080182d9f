//! `DeregisterContainerInstance`

use super::{Outcome, look_again};
use crate::{
    aws::{Calls, Regional},
    ecs::{ContainerInstance, plan::EndState},
    error::Error,
};

pub(super) const OPERATION: &str = "DeregisterContainerInstance";

/// Deregisters a container instance with all its tasks.
pub(super) async fn deregister(aws: &Regional, calls: &Calls, found: &ContainerInstance) -> Result<Outcome, Error> {
    let request = aws
        .ecs
        .deregister_container_instance()
        .cluster(found.cluster.as_str())
        .container_instance(found.arn.as_str())
        // Without it, ECS refuses as long as tasks run.
        .force(true);
    let answer = match calls.make(OPERATION, &found.arn, || request.clone().send()).await {
        Ok(answer) => answer,
        Err(refused) => return look_again(aws, calls, found, EndState::Deregistered, refused).await,
    };
    if let Some(status @ ("ACTIVE" | "DRAINING")) = answer.container_instance().and_then(|answered| answered.status()) {
        let (about, reason) = (found.arn.to_string(), format!("its status is {status}"));
        let unchanged = Error::Unchanged { operation: OPERATION, about, reason };
        look_again(aws, calls, found, EndState::Deregistered, unchanged).await?;
    }
    Ok(Outcome::Reached(EndState::Deregistered))
}
