//! What a warm process knows of an account and Region.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{capacity_provider::CapacityProvider, clusters::KnownClusters};
use crate::{
    ecs::{ClusterName, ContainerInstance},
    interruption::InstanceId,
};

/// How many entries of a kind are remembered, 1,000: a name each, some 100 kB. Past that all are forgotten, and learned
/// again.
const ENTRIES: usize = 1_000;

/// How long a cluster's container instances are taken for known, 30 s: of which EC2 instance one is never changes, and a
/// status that has is seen when the change is refused.
const REGISTRATIONS: Duration = Duration::from_secs(30);

/// What was learned about an account and Region, shared by all invocations of a process.
///
/// Where an instance is, is confirmed before anything is changed; that a cluster is AWS Batch's and how a capacity
/// provider is set is taken as known while it is current.
#[derive(Debug, Default)]
pub struct Knowledge(Mutex<Learned>);

#[derive(Debug, Default)]
struct Learned {
    clusters: Option<KnownClusters>,
    /// By what started the instance: the cluster where the last one was found.
    groups: HashMap<String, ClusterName>,
    /// By cluster: its container instances that nobody has asked for yet, as they were at a time.
    registrations: HashMap<ClusterName, (Instant, Vec<ContainerInstance>)>,
    /// By name.
    capacity_providers: HashMap<String, CapacityProvider>,
    /// By task definition's ARN, which stands for one revision: it never changes.
    stop_timeouts: HashMap<String, Duration>,
    /// By cluster and service: whether it is a daemon, which never changes either.
    daemons: HashMap<(ClusterName, String), bool>,
}

impl Knowledge {
    fn lock(&self) -> MutexGuard<'_, Learned> {
        // Each change is one insertion or removal: there is no half-made state to fear.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clusters(&self) -> Option<KnownClusters> {
        self.lock().clusters.clone().filter(KnownClusters::is_current)
    }

    pub(super) fn learn_clusters(&self, clusters: KnownClusters) {
        self.lock().clusters = Some(clusters);
    }

    pub(super) fn group(&self, group: &str) -> Option<ClusterName> {
        self.lock().groups.get(group).cloned()
    }

    pub(super) fn learn_group(&self, group: String, cluster: ClusterName) {
        remember(&mut self.lock().groups, group, cluster);
    }

    pub(super) fn forget_group(&self, group: &str) {
        self.lock().groups.remove(group);
    }

    /// Takes out the container instances of these instances, from clusters that were read as a whole a moment ago: each
    /// serves once, since it is changed then.
    pub(super) fn take_registrations(&self, instances: &BTreeSet<InstanceId>) -> Vec<ContainerInstance> {
        let mut learned = self.lock();
        learned.registrations.retain(|_, (read, _)| read.elapsed() < REGISTRATIONS);
        let of_cluster = learned.registrations.values_mut();
        of_cluster.flat_map(|(_, found)| found.extract_if(.., |found| instances.contains(&found.instance))).collect()
    }

    pub(super) fn has_registrations(&self, cluster: &ClusterName) -> bool {
        self.lock().registrations.contains_key(cluster)
    }

    pub(super) fn learn_registrations(&self, cluster: ClusterName, found: Vec<ContainerInstance>) {
        self.lock().registrations.insert(cluster, (Instant::now(), found));
    }

    pub(super) fn capacity_provider(&self, name: &str) -> Option<CapacityProvider> {
        self.lock().capacity_providers.get(name).filter(|provider| provider.is_current()).cloned()
    }

    /// The names of the capacity providers whose instances are of this Auto Scaling group.
    pub(super) fn capacity_providers_of(&self, auto_scaling_group: &str) -> Vec<String> {
        let learned = self.lock();
        let of_group = learned.capacity_providers.iter().filter(|(_, provider)| provider.has_group(auto_scaling_group));
        of_group.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn learn_capacity_provider(&self, name: String, provider: CapacityProvider) {
        self.lock().capacity_providers.insert(name, provider);
    }

    pub(crate) fn stop_timeout(&self, task_definition: &str) -> Option<Duration> {
        self.lock().stop_timeouts.get(task_definition).copied()
    }

    pub(crate) fn learn_stop_timeout(&self, task_definition: String, timeout: Duration) {
        remember(&mut self.lock().stop_timeouts, task_definition, timeout);
    }

    pub(crate) fn is_daemon(&self, cluster: &ClusterName, service: &str) -> Option<bool> {
        self.lock().daemons.get(&(cluster.clone(), service.to_owned())).copied()
    }

    pub(crate) fn learn_daemon(&self, cluster: ClusterName, service: String, is_daemon: bool) {
        remember(&mut self.lock().daemons, (cluster, service), is_daemon);
    }

    /// How many tasks a cluster has, as far as that is known.
    pub(crate) fn tasks_of(&self, cluster: &ClusterName) -> Option<usize> {
        self.clusters()?.tasks_of(cluster)
    }

    pub(super) fn has_groups(&self) -> bool {
        !self.lock().groups.is_empty()
    }
}

fn remember<K: Eq + Hash, V>(entries: &mut HashMap<K, V>, key: K, value: V) {
    if entries.len() >= ENTRIES {
        entries.clear();
    }
    entries.insert(key, value);
}
