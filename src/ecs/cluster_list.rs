//! The clusters of an account and Region at one time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_ecs::types;

use super::{capacity_provider::CapacityProviderName, limits::PAGE};
use crate::{
    config::{ClusterFilter, Verdict},
    identifier::ClusterName,
};

/// The tag that AWS Batch puts on its instances and clusters.
pub(crate) const BATCH_TAG: &str = "AWSBatchServiceTag";

/// How long the clusters are cached, 10 min: they change with deployments, and a miss reads them again.
const MAX_AGE: Duration = Duration::from_mins(10);

/// How long "in none of these clusters" is relied on, 10 s: an instance is in service for longer than this before it is
/// interrupted.
const FRESH: Duration = Duration::from_secs(10);

/// The most instance ids in one filter, 100, which make 2,400 characters. The longest filter that ECS accepts is not
/// documented: a filter that it rejects is split.
pub(crate) const FILTER_IDS: usize = 100;

/// A cluster, reduced to what the function needs.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) name: ClusterName,
    /// `ACTIVE` and `DRAINING` container instances.
    pub(crate) container_instances: usize,
    /// Running and pending tasks.
    pub(crate) tasks: usize,
    pub(crate) capacity_providers: Vec<CapacityProviderName>,
    /// Whether it has AWS Batch's tag.
    pub(crate) has_batch_tag: bool,
}

/// The clusters that the function may act on, in the order in which a scan lists them.
#[derive(Clone, Debug)]
pub(crate) struct ClusterList {
    clusters: Arc<[Cluster]>,
    read: Instant,
}

impl Cluster {
    pub(crate) fn new(described: types::Cluster) -> Option<Self> {
        let count = |counted: i32| usize::try_from(counted).unwrap_or_default();
        Some(Self {
            name: described.cluster_name.and_then(|name| name.try_into().ok())?,
            container_instances: count(described.registered_container_instances_count),
            tasks: count(described.running_tasks_count) + count(described.pending_tasks_count),
            capacity_providers: described
                .capacity_providers
                .unwrap_or_default()
                .iter()
                // Fargate's providers have no instances in the account.
                .filter(|name| *name != "FARGATE" && *name != "FARGATE_SPOT")
                .map(|name| CapacityProviderName::from_name_or_arn(name))
                .collect(),
            has_batch_tag: described.tags.unwrap_or_default().iter().any(|tag| tag.key() == Some(BATCH_TAG)),
        })
    }

    /// A cluster that could not be described. It is assumed to have container instances.
    pub(crate) fn undescribed(name: ClusterName) -> Self {
        Self { name, container_instances: 1, tasks: usize::MAX, capacity_providers: Vec::new(), has_batch_tag: false }
    }

    fn is_described(&self) -> bool {
        self.tasks != usize::MAX
    }

    /// The number of lists that it takes to search the cluster for this many instances: by filter, or all pages and their
    /// descriptions.
    fn lists(&self, instances: usize) -> usize {
        instances.div_ceil(FILTER_IDS).min(self.snapshot_calls())
    }

    /// The number of calls that read all of its container instances: all pages and their descriptions.
    pub(crate) fn snapshot_calls(&self) -> usize {
        2 * self.container_instances.div_ceil(PAGE)
    }
}

impl Default for ClusterList {
    fn default() -> Self {
        Self { clusters: Arc::default(), read: Instant::now() }
    }
}

impl ClusterList {
    /// Sorts the clusters: first those with many container instances, last those that the settings leave alone.
    /// Clusters that are neither described nor included are dropped.
    pub(crate) fn new(mut clusters: Vec<Cluster>, settings: &ClusterFilter, read: Instant) -> Self {
        clusters.retain(|cluster| cluster.is_described() || settings.verdict(&cluster.name) == Verdict::Included);
        clusters.sort_by_cached_key(|cluster| {
            let is_left_alone = settings.verdict(&cluster.name) != Verdict::Included || cluster.has_batch_tag;
            (is_left_alone, std::cmp::Reverse(cluster.container_instances))
        });
        Self { clusters: clusters.into(), read }
    }

    pub(crate) fn is_current(&self) -> bool {
        self.read.elapsed() < MAX_AGE
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.read.elapsed() < FRESH
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.iter()
    }

    pub(crate) fn get(&self, name: &ClusterName) -> Option<&Cluster> {
        self.iter().find(|cluster| cluster.name == *name)
    }

    /// The clusters that a scan has to list.
    pub(crate) fn with_instances(&self) -> impl Iterator<Item = &ClusterName> {
        self.iter().filter(|cluster| cluster.container_instances > 0).map(|cluster| &cluster.name)
    }

    /// The clusters without container instances, except perhaps some that are registering.
    pub(crate) fn without_instances(&self) -> impl Iterator<Item = &ClusterName> {
        self.iter().filter(|cluster| cluster.container_instances == 0).map(|cluster| &cluster.name)
    }

    /// The number of lists that it takes to scan for this many instances.
    pub(crate) fn scan_lists(&self, instances: usize) -> usize {
        self.iter().map(|cluster| cluster.lists(instances)).sum()
    }

    /// The clusters that list this capacity provider.
    pub(crate) fn with_capacity_provider(&self, provider: &CapacityProviderName) -> impl Iterator<Item = &ClusterName> {
        self.iter().filter(|cluster| cluster.capacity_providers.contains(provider)).map(|cluster| &cluster.name)
    }
}
