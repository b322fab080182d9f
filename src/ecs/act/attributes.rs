//! `PutAttributes` and `DeleteAttributes`: the mark on what this function drained.

use std::collections::HashMap;

use aws_sdk_ecs::types::{Attribute, TargetType, builders::AttributeBuilder};

use crate::{
    aws::{Calls, Regional},
    ecs::{
        ClusterName, ContainerInstanceArn,
        mark::{ATTRIBUTE, Mark},
    },
    error::{Class, Error},
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
    each_ten(marks, async |marks: &[(ContainerInstanceArn, Mark)]| {
        let attributes = marks.iter().filter_map(|(arn, mark)| attribute(arn, |built| built.value(mark.value())));
        let request = aws.ecs.put_attributes().cluster(cluster.as_str()).set_attributes(Some(attributes.collect()));
        calls.make("PutAttributes", cluster, || request.clone().send()).await.map(drop)
    })
    .await
    .into_iter()
    .map(|((arn, _), error)| (arn, error))
    .collect()
}

/// Takes the mark off container instances of a cluster.
pub(super) async fn delete(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    marked: &[ContainerInstanceArn],
) -> Failures {
    each_ten(marked, async |marked: &[ContainerInstanceArn]| {
        let attributes = marked.iter().filter_map(|arn| attribute(arn, |built| built));
        let request = aws.ecs.delete_attributes().cluster(cluster.as_str()).set_attributes(Some(attributes.collect()));
        calls.make("DeleteAttributes", cluster, || request.clone().send()).await.map(drop)
    })
    .await
    .into_iter()
    .collect()
}

/// Makes a call for each ten items; gives those that failed. A call is refused for all its items if one of their targets
/// is gone: then they are tried one by one.
async fn each_ten<T: Clone>(items: &[T], call: impl AsyncFn(&[T]) -> Result<(), Error>) -> Vec<(T, Error)> {
    let mut failed = Vec::new();
    let mut chunks: Vec<_> = items.chunks(PUT).collect();
    while let Some(items) = chunks.pop() {
        match call(items).await {
            Ok(()) => {}
            Err(Error::Call { class: Class::Rejected, .. }) if items.len() > 1 => chunks.extend(items.chunks(1)),
            Err(error) => failed.extend(items.iter().map(|item| (item.clone(), error.clone()))),
        }
    }
    failed
}

/// It always can be built, as it has a name.
fn attribute(arn: &ContainerInstanceArn, with: impl FnOnce(AttributeBuilder) -> AttributeBuilder) -> Option<Attribute> {
    let built = Attribute::builder().name(ATTRIBUTE).target_type(TargetType::ContainerInstance).target_id(arn.as_str());
    with(built).build().ok()
}
