//! `ListContainerInstances` and `DescribeContainerInstances`: the registrations in a cluster, with their EC2 instances.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use aws_sdk_ecs::types;
use futures_util::future::try_join_all;
use tokio::time::sleep;

use super::{
    Ecs,
    cluster_list::FILTER_IDS,
    container_instance::{ContainerInstance, Status},
    limits::PAGE,
    none_failed,
};
use crate::{
    aws::{
        calls::Calls,
        coalesce::bisecting,
        next,
        operation::Operation::{
            self, DescribeContainerInstances, ListContainerInstances, UpdateContainerInstancesState,
        },
    },
    error::Error,
    identifier::{ClusterName, ContainerInstanceArn, InstanceId},
};

/// From this many instances on, one of them is likely to be in any cluster.
const MANY: usize = 10;

/// The delay before container instances that were listed but not described are read again, 0.5 s: ECS is eventually
/// consistent.
const RELIST_DELAY: Duration = Duration::from_millis(500);

/// The interval at which a registering container instance is polled, 2 s: registering takes seconds, and is rare.
const POLL: Duration = Duration::from_secs(2);

/// Container instances, by EC2 instance.
type Registrations = HashMap<InstanceId, Vec<ContainerInstance>>;

impl Ecs {
    /// The container instances of an EC2 instance in a cluster; there may be several. A cluster that does not exist has
    /// none.
    pub(crate) async fn registrations(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        instance: &InstanceId,
    ) -> Result<Vec<ContainerInstance>, Error> {
        self.coalesced.registrations.get(self, calls, cluster, instance.clone(), Self::find_or_warn).await
    }

    /// Describes a container instance; `None` if ECS no longer knows it.
    pub(crate) async fn container_instance(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arn: &ContainerInstanceArn,
    ) -> Result<Option<ContainerInstance>, Error> {
        let load = |ecs: Self, calls: Calls, cluster, arns: Vec<_>| async move {
            let described = ecs.describe(&calls, &cluster, &arns).await?.into_iter();
            let described = described.filter_map(|described| ContainerInstance::new(&cluster, described));
            Ok(described.map(|described| (described.arn.clone(), Some(described))).collect())
        };
        self.coalesced.container_instances.get(self, calls, cluster, arn.clone(), load).await
    }

    /// Waits until a container instance is no longer `REGISTERING`, and returns its description.
    pub(crate) async fn registered(
        &self,
        calls: &Calls,
        found: &ContainerInstance,
    ) -> Result<ContainerInstance, Error> {
        loop {
            sleep(POLL.min(calls.left())).await;
            match self.container_instance(calls, &found.cluster, &found.arn).await? {
                Some(now) if now.status != Status::Registering => return Ok(now),
                None => return Ok(ContainerInstance { status: Status::Gone, ..found.clone() }),
                Some(_) if calls.left().is_zero() => {
                    let (resource, reason) = (found.arn.to_string(), "it is still REGISTERING".to_owned());
                    return Err(Error::Unchanged { operation: UpdateContainerInstancesState, resource, reason });
                }
                Some(_) => {}
            }
        }
    }

    /// Reads all container instances of a cluster into the cache.
    pub(crate) async fn snapshot(&self, calls: &Calls, cluster: &ClusterName) -> Result<(), Error> {
        self.coalesced.snapshots.get_one(self, calls, cluster, Self::read_snapshot).await
    }

    async fn find_or_warn(
        self,
        calls: Calls,
        cluster: ClusterName,
        instances: Vec<InstanceId>,
    ) -> Result<Registrations, Error> {
        let found = self.find(&calls, &cluster, instances).await;
        found.inspect_err(|error| tracing::warn!(%cluster, %error, "a cluster could not be searched"))
    }

    /// Lists the cluster's container instances, with a filter for the instances or without one. Descriptions show which
    /// instance each belongs to, so the list without a filter is as good. It is used where it needs no more calls, and
    /// is cached for the next notices.
    async fn find(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        instances: Vec<InstanceId>,
    ) -> Result<Registrations, Error> {
        let was_read = || self.cache.shows(cluster, &instances, calls.work_started());
        if self.reads_whole_cluster(cluster, instances.len()) || was_read() {
            if !was_read() {
                self.snapshot(calls, cluster).await?;
            }
            let take = |instance| {
                let found = self.cache.take_from(cluster, &instance);
                (instance, found)
            };
            return Ok(instances.into_iter().map(take).collect());
        }
        let chunks = instances.chunks(FILTER_IDS).map(|ids| self.list_filtered(calls, cluster, ids.to_vec()));
        let arns = try_join_all(chunks).await?.concat();
        let mut found = Registrations::new();
        for described in self.describe_listed(calls, cluster, &arns).await? {
            found.entry(described.instance.clone()).or_default().push(described);
        }
        Ok(found)
    }

    fn reads_whole_cluster(&self, cluster: &ClusterName, instances: usize) -> bool {
        // One of many instances is likely to be there, which takes a description.
        let filtered = instances.div_ceil(FILTER_IDS) + usize::from(instances >= MANY);
        let known = self.cache.clusters();
        let known = known.as_ref().and_then(|known| known.get(cluster));
        known.is_some_and(|known| known.snapshot_calls() <= filtered) || self.coalesced.snapshots.is_under_way(cluster)
    }

    async fn read_snapshot(self, calls: Calls, cluster: ClusterName) -> Result<(), Error> {
        let read = Instant::now();
        let arns = self.list(&calls, &cluster, None).await?;
        let found = self.describe_listed(&calls, &cluster, &arns).await?;
        self.cache.insert_snapshot(cluster, read, found);
        Ok(())
    }

    async fn list_filtered(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        ids: Vec<InstanceId>,
    ) -> Result<Vec<ContainerInstanceArn>, Error> {
        let listed = bisecting(ids, |ids| self.list(calls, cluster, Some(filter(&ids)))).await;
        Ok(listed.into_iter().map(|(_, arns)| arns).collect::<Result<Vec<_>, _>>()?.concat())
    }

    async fn list(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        filter: Option<String>,
    ) -> Result<Vec<ContainerInstanceArn>, Error> {
        let mut request = self.client.list_container_instances().cluster(cluster.as_str()).set_filter(filter);
        let mut arns = Vec::new();
        loop {
            let page = match calls.make(ListContainerInstances, cluster, || request.clone().send()).await {
                Err(error) if error.code() == Some("ClusterNotFoundException") => return Ok(Vec::new()),
                page => page?,
            };
            let listed = page.container_instance_arns.unwrap_or_default();
            arns.extend(listed.into_iter().filter_map(|arn| arn.try_into().ok()));
            match next(page.next_token) {
                Some(token) => request = request.next_token(token),
                None => return Ok(arns),
            }
        }
    }

    async fn describe_listed(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arns: &[ContainerInstanceArn],
    ) -> Result<Vec<ContainerInstance>, Error> {
        let describe = async || {
            let pages = arns.chunks(PAGE).map(|arns| self.describe(calls, cluster, arns));
            Ok(try_join_all(pages).await?.concat())
        };
        let mut described = describe().await?;
        if described.len() < arns.len() {
            // What is listed but not described is being registered or deregistered.
            sleep(RELIST_DELAY.min(calls.left())).await;
            described = describe().await?;
        }
        Ok(described.into_iter().filter_map(|described| ContainerInstance::new(cluster, described)).collect())
    }

    /// Leaves out container instances that ECS no longer knows.
    async fn describe(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arns: &[ContainerInstanceArn],
    ) -> Result<Vec<types::ContainerInstance>, Error> {
        const OPERATION: Operation = DescribeContainerInstances;
        let arns = arns.iter().map(ToString::to_string).collect();
        let request =
            self.client.describe_container_instances().cluster(cluster.as_str()).set_container_instances(Some(arns));
        let answer = calls.make(OPERATION, cluster, || request.clone().send()).await?;
        none_failed(OPERATION, cluster.as_str(), answer.failures(), &["MISSING", "INACTIVE"])?;
        Ok(answer.container_instances.unwrap_or_default())
    }
}

/// The filter in the cluster query language. Instance ids need no escaping.
fn filter(ids: &[InstanceId]) -> String {
    match ids {
        [id] => format!("ec2InstanceId == '{id}'"),
        ids => {
            let quoted: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
            format!("ec2InstanceId in [{}]", quoted.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_names_one_or_several_instances() {
        let ids: Vec<InstanceId> =
            ["i-1234abcd", "i-1234567890abcdef0"].map(|id| id.to_owned().try_into().unwrap()).into();
        assert_eq!(filter(&ids[..1]), "ec2InstanceId == 'i-1234abcd'");
        assert_eq!(filter(&ids), "ec2InstanceId in ['i-1234abcd', 'i-1234567890abcdef0']");
    }
}
