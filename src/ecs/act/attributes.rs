//! `PutAttributes` and `DeleteAttributes`: the mark on what this function drained.

use std::collections::HashMap;

use aws_sdk_ecs::types::{Attribute, TargetType, builders::AttributeBuilder};

use crate::{
    aws::{Calls, Regional},
    ecs::{
        ClusterName, ContainerInstanceArn,
        mark::{ATTRIBUTE, Mark},
    },
    error::Error,
};

/// The most attributes that one call takes.
const PUT: usize = 10;

/// What could not be marked, or have its mark taken off, and why.
pub(super) type Failures = HashMap<ContainerInstanceArn, Error>;

/// Marks container instances of a cluster.
pub(super) async fn put(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    marks: &[(ContainerInstanceArn, Mark)],
) -> Failures {
    let mut failures = Failures::new();
    for marks in marks.chunks(PUT) {
        let attributes = marks.iter().filter_map(|(arn, mark)| attribute(arn, |built| built.value(mark.value())));
        let request = aws.ecs.put_attributes().cluster(cluster.as_str()).set_attributes(Some(attributes.collect()));
        if let Err(error) = calls.make("PutAttributes", cluster, || request.clone().send()).await {
            failures.extend(marks.iter().map(|(arn, _)| (arn.clone(), error.clone())));
        }
    }
    failures
}

/// Takes the mark off container instances of a cluster.
pub(super) async fn delete(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    marked: &[ContainerInstanceArn],
) -> Failures {
    let mut failures = Failures::new();
    for marked in marked.chunks(PUT) {
        let attributes = marked.iter().filter_map(|arn| attribute(arn, |built| built));
        let request = aws.ecs.delete_attributes().cluster(cluster.as_str()).set_attributes(Some(attributes.collect()));
        if let Err(error) = calls.make("DeleteAttributes", cluster, || request.clone().send()).await {
            failures.extend(marked.iter().map(|arn| (arn.clone(), error.clone())));
        }
    }
    failures
}

/// It always can be built, as it has a name.
fn attribute(arn: &ContainerInstanceArn, with: impl FnOnce(AttributeBuilder) -> AttributeBuilder) -> Option<Attribute> {
    let built = Attribute::builder().name(ATTRIBUTE).target_type(TargetType::ContainerInstance).target_id(arn.as_str());
    with(built).build().ok()
}
