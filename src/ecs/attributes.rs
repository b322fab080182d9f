//! `PutAttributes` and `DeleteAttributes`: the mark on container instances that this function drained.

use std::collections::HashMap;

use aws_sdk_ecs::types::{Attribute, TargetType};

use super::{Ecs, ItemAnswer, container_instance::MARK};
use crate::{
    aws::{calls::Calls, coalesce::bisecting, operation::Operation},
    error::Error,
    identifier::{ClusterName, ContainerInstanceArn},
    mark::Mark,
};

/// A container instance, and the mark to put on it; `None` takes its mark off.
type Marking = (ContainerInstanceArn, Option<Mark>);

impl Ecs {
    /// Puts a mark on a container instance, or takes it off.
    pub(crate) async fn mark(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arn: &ContainerInstanceArn,
        mark: Option<Mark>,
    ) -> Result<(), Error> {
        self.coalesced.marks.get(self, calls, cluster, (arn.clone(), mark), Self::mark_each).await?.unwrap_or(Ok(()))
    }

    async fn mark_each(
        self,
        calls: Calls,
        cluster: ClusterName,
        markings: Vec<Marking>,
    ) -> Result<HashMap<Marking, ItemAnswer<()>>, Error> {
        let (puts, deletes): (Vec<_>, Vec<_>) = markings.into_iter().partition(|(_, mark)| mark.is_some());
        let mut answers = HashMap::new();
        for markings in [puts, deletes] {
            // One missing target has ECS reject a call for all its items.
            for (markings, answer) in bisecting(markings, |some| self.mark_all(&calls, &cluster, some)).await {
                answers.extend(markings.into_iter().map(|marking| (marking, Some(answer.clone()))));
            }
        }
        Ok(answers)
    }

    /// Makes one call for marks that are all to be put, or all to be taken off.
    async fn mark_all(&self, calls: &Calls, cluster: &ClusterName, markings: Vec<Marking>) -> Result<(), Error> {
        let Some((_, first)) = markings.first() else { return Ok(()) };
        let (ecs, cluster, is_put) = (&self.client, cluster.as_str(), first.is_some());
        let attributes = markings.into_iter().filter_map(|(arn, mark)| {
            let attribute = Attribute::builder().name(MARK).set_value(mark.map(Mark::value));
            // An attribute with a name can always be built.
            attribute.target_type(TargetType::ContainerInstance).target_id(arn.as_str()).build().ok()
        });
        let attributes = Some(attributes.collect());
        if is_put {
            let request = ecs.put_attributes().cluster(cluster).set_attributes(attributes);
            calls.make(Operation::PutAttributes, cluster, || request.clone().send()).await.map(drop)
        } else {
            let request = ecs.delete_attributes().cluster(cluster).set_attributes(attributes);
            calls.make(Operation::DeleteAttributes, cluster, || request.clone().send()).await.map(drop)
        }
    }
}
