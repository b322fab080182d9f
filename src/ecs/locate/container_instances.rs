//! `ListContainerInstances` and `DescribeContainerInstances`: what is registered in a cluster, and the proof of it.

use std::{collections::BTreeSet, time::Duration};

use super::capacity_provider;
use crate::{
    aws::{Calls, Regional, next, none_failed},
    ecs::{
        ClusterName, ContainerInstance, ContainerInstanceArn, Status,
        mark::{self, Mark},
    },
    error::Error,
    interruption::InstanceId,
};

/// How many instance ids go into one filter, 2,400 characters. The longest filter that ECS takes is not documented:
/// one that it refuses is split.
pub(super) const FILTER_IDS: usize = 100;

/// How many instances make it likely that one of them is in any cluster.
const MANY: usize = 10;

/// The most container instances that `ListContainerInstances` gives in a page and `DescribeContainerInstances` takes.
const PAGE: usize = 100;

/// How long to wait before another look at what ECS does not show alike everywhere, 0.5 s.
const SETTLED: Duration = Duration::from_millis(500);

/// Finds the container instances of these EC2 instances in a cluster, several for one instance if there are several.
///
/// That each belongs to one of the instances is checked with a description, so a list without a filter does as well:
/// it is taken where it needs no more calls, as `registered` container instances are known to be in the cluster, and
/// remembered for the next batch. No such cluster: no container instances.
pub(super) async fn find(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    registered: Option<usize>,
    instances: &BTreeSet<InstanceId>,
) -> Result<Vec<ContainerInstance>, Error> {
    let ids: Vec<_> = instances.iter().collect();
    // One of many is likely to be there, and to be described.
    let filtered_calls = ids.len().div_ceil(FILTER_IDS) + usize::from(ids.len() >= MANY);
    let is_whole = registered.is_some_and(|registered| 2 * registered.div_ceil(PAGE) <= filtered_calls);
    let arns =
        if is_whole { list(aws, calls, cluster, None).await } else { list_filtered(aws, calls, cluster, &ids).await };
    let arns = match arns {
        Err(error) if error.code() == Some("ClusterNotFoundException") => return Ok(Vec::new()),
        arns => arns?,
    };
    let mut found = describe(aws, calls, cluster, &arns).await?;
    if found.len() < arns.len() {
        // What is listed but not described is on its way in or out.
        tokio::time::sleep(SETTLED.min(calls.left())).await;
        found = describe(aws, calls, cluster, &arns).await?;
    }
    let (found, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| instances.contains(&found.instance));
    if is_whole {
        aws.knowledge.learn_registrations(cluster.clone(), others);
    }
    Ok(found)
}

async fn list_filtered(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    ids: &[&InstanceId],
) -> Result<Vec<ContainerInstanceArn>, Error> {
    let mut arns = Vec::new();
    let mut filters: Vec<_> = ids.chunks(FILTER_IDS).collect();
    while let Some(ids) = filters.pop() {
        match list(aws, calls, cluster, Some(filter(ids))).await {
            Err(error) if ids.len() > 1 && error.code() == Some("InvalidParameterException") => {
                let (one, other) = ids.split_at(ids.len() / 2);
                filters.extend([one, other]);
            }
            listed => arns.extend(listed?),
        }
    }
    Ok(arns)
}

/// The filter in the cluster query language. An id holds letters, digits and a hyphen: nothing to escape.
fn filter(ids: &[&InstanceId]) -> String {
    match ids {
        [id] => format!("ec2InstanceId == '{id}'"),
        ids => {
            let quoted: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
            format!("ec2InstanceId in [{}]", quoted.join(", "))
        }
    }
}

async fn list(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    filter: Option<String>,
) -> Result<Vec<ContainerInstanceArn>, Error> {
    let mut request = aws.ecs.list_container_instances().cluster(cluster.as_str()).set_filter(filter);
    let mut arns = Vec::new();
    loop {
        let page = calls.make("ListContainerInstances", cluster, || request.clone().send()).await?;
        arns.extend(page.container_instance_arns.unwrap_or_default().into_iter().filter_map(|arn| arn.try_into().ok()));
        match next(page.next_token) {
            Some(token) => request = request.next_token(token),
            None => return Ok(arns),
        }
    }
}

/// Describes container instances; those that are no longer known are left out.
pub(crate) async fn describe(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    arns: &[ContainerInstanceArn],
) -> Result<Vec<ContainerInstance>, Error> {
    let mut described = Vec::with_capacity(arns.len());
    for arns in arns.chunks(PAGE) {
        let arns = arns.iter().map(ToString::to_string).collect();
        let request =
            aws.ecs.describe_container_instances().cluster(cluster.as_str()).set_container_instances(Some(arns));
        let answer = calls.make("DescribeContainerInstances", cluster, || request.clone().send()).await?;
        none_failed("DescribeContainerInstances", cluster.as_str(), answer.failures(), &["MISSING", "INACTIVE"])?;
        let answered = answer.container_instances.unwrap_or_default();
        described.extend(answered.into_iter().filter_map(|described| container_instance(cluster, described)));
    }
    Ok(described)
}

/// Nothing without an ARN and an EC2 instance id of the right form: it could not be proven to be the right one.
fn container_instance(
    cluster: &ClusterName,
    described: aws_sdk_ecs::types::ContainerInstance,
) -> Option<ContainerInstance> {
    let mark = described.attributes().iter().find(|attribute| attribute.name() == mark::ATTRIBUTE);
    Some(ContainerInstance {
        cluster: cluster.clone(),
        mark: mark.map(|mark| Mark::read(mark.value().unwrap_or_default())),
        arn: described.container_instance_arn?.try_into().ok()?,
        instance: described.ec2_instance_id?.try_into().ok()?,
        status: match described.status.as_deref() {
            Some("DRAINING") => Status::Draining,
            Some("INACTIVE" | "DEREGISTERING") => Status::Gone,
            _ => Status::Active,
        },
        running_tasks: described.running_tasks_count,
        pending_tasks: described.pending_tasks_count,
        capacity_provider: described
            .capacity_provider_name
            .map(|provider| capacity_provider::name(&provider).to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let ids: Vec<InstanceId> =
            ["i-1234abcd", "i-1234567890abcdef0"].map(|id| id.to_owned().try_into().unwrap()).into();
        assert_eq!(filter(&[&ids[0]]), "ec2InstanceId == 'i-1234abcd'");
        assert_eq!(filter(&[&ids[0], &ids[1]]), "ec2InstanceId in ['i-1234abcd', 'i-1234567890abcdef0']");
    }
}
