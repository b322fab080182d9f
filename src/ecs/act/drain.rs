//! `UpdateContainerInstancesState` to `DRAINING`

use std::collections::HashMap;

use aws_sdk_ecs::types::ContainerInstanceStatus;

use super::{Outcome, look_again};
use crate::{
    aws::{Calls, Regional},
    ecs::{ClusterName, ContainerInstance, plan::EndState},
    error::Error,
};

const OPERATION: &str = "UpdateContainerInstancesState";

/// The most container instances that one call takes.
const UPDATED: usize = 10;

/// Sets container instances of a cluster to `DRAINING`.
pub(super) async fn drain(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    found: Vec<ContainerInstance>,
) -> Vec<(ContainerInstance, Result<Outcome, Error>)> {
    let mut outcomes = Vec::with_capacity(found.len());
    for found in found.chunks(UPDATED) {
        let refusals = update(aws, calls, cluster, found).await;
        for found in found {
            let outcome = match &refusals {
                Ok(refusals) => match refusals.get(found.arn.as_str()) {
                    None => Ok(Outcome::Reached(EndState::Draining)),
                    Some(reason) => {
                        let about = found.arn.to_string();
                        Err(Error::Unchanged { operation: OPERATION, about, reason: reason.clone() })
                    }
                },
                Err(error) => Err(error.clone()),
            };
            let outcome = match outcome {
                Err(refused) => look_again(aws, calls, found, EndState::Draining, refused).await,
                reached => reached,
            };
            outcomes.push((found.clone(), outcome));
        }
    }
    outcomes
}

/// Asks for the change, and gives back what was refused, with the reason.
async fn update(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    found: &[ContainerInstance],
) -> Result<HashMap<String, String>, Error> {
    let request = aws
        .ecs
        .update_container_instances_state()
        .cluster(cluster.as_str())
        .set_container_instances(Some(found.iter().map(|found| found.arn.to_string()).collect()))
        .status(ContainerInstanceStatus::Draining);
    let answer = calls.make(OPERATION, cluster, || request.clone().send()).await?;
    let is_draining = |arn: &str| {
        let mut updated = answer.container_instances().iter();
        updated.any(|updated| updated.container_instance_arn() == Some(arn) && updated.status() == Some("DRAINING"))
    };
    let reason = |arn: &str| {
        let failure = answer.failures().iter().find(|failure| failure.arn() == Some(arn));
        failure.and_then(|failure| failure.reason()).unwrap_or("the answer does not show it as DRAINING").to_owned()
    };
    let refused = found.iter().map(|found| found.arn.as_str()).filter(|arn| !is_draining(arn));
    Ok(refused.map(|arn| (arn.to_owned(), reason(arn))).collect())
}
