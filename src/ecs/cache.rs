//! The cache of a warm process for an account and Region.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    capacity_provider::{CapacityProvider, CapacityProviderName},
    cluster_list::ClusterList,
    container_instance::ContainerInstance,
};
use crate::{
    identifier::{ClusterName, InstanceId, TaskArn},
    lock::lock,
};

/// The most entries of a kind, 1,000: one name each, some 100 kB. A full map is cleared, and its entries are read
/// again.
const MAX_ENTRIES: usize = 1_000;

/// How long a cluster's container instances are cached, 30 s. A container instance never changes its EC2 instance, and
/// a changed status shows when ECS refuses the change.
const SNAPSHOT_AGE: Duration = Duration::from_secs(30);

/// How long a capacity provider's settings are cached, 5 min: the longest time for which a change of managed draining
/// goes unnoticed.
const PROVIDER_AGE: Duration = Duration::from_mins(5);

/// What was read about an account and Region, shared by all invocations of a process.
///
/// The location of an instance is confirmed before anything is changed. The settings of capacity providers, and whether
/// a cluster belongs to AWS Batch, are relied on while they are current.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: Mutex<Entries>,
    /// Whether there are instances that belong to another platform than ECS.
    has_other_platforms: AtomicBool,
}

#[derive(Debug, Default)]
struct Entries {
    clusters: Option<ClusterList>,
    /// The cluster of the last instance that was found, by what launched the instance.
    groups: HashMap<String, ClusterName>,
    snapshots: HashMap<ClusterName, Snapshot>,
    capacity_providers: HashMap<CapacityProviderName, (Instant, CapacityProvider)>,
    /// By the ARN of the task definition, which names one immutable revision.
    stop_timeouts: HashMap<String, Duration>,
    /// Clusters whose tasks are listed by container instance, since listing them all has failed.
    by_instance: HashSet<ClusterName>,
    /// Whether a service is a daemon, by cluster and service. It never changes.
    daemons: HashMap<(ClusterName, String), bool>,
    /// Whether a cluster that is not in the list has AWS Batch's tag.
    batch_tags: HashMap<ClusterName, bool>,
    /// Interrupted tasks whose targets were deregistered.
    deregistered: HashSet<TaskArn>,
}

/// The container instances of a cluster at one time.
#[derive(Debug)]
struct Snapshot {
    read: Instant,
    /// Those that were taken leave an empty entry, since the snapshot does not show them any more.
    by_instance: HashMap<InstanceId, Vec<ContainerInstance>>,
}

impl Entries {
    /// The snapshot of a cluster, unless it is too old.
    fn snapshot(&self, cluster: &ClusterName) -> Option<&Snapshot> {
        self.snapshots.get(cluster).filter(|snapshot| snapshot.read.elapsed() < SNAPSHOT_AGE)
    }
}

impl Snapshot {
    fn take(&mut self, instance: &InstanceId) -> Vec<ContainerInstance> {
        self.by_instance.get_mut(instance).map(std::mem::take).unwrap_or_default()
    }
}

impl Cache {
    pub(crate) fn clusters(&self) -> Option<ClusterList> {
        lock(&self.entries).clusters.clone().filter(ClusterList::is_current)
    }

    pub(crate) fn set_clusters(&self, clusters: ClusterList) {
        lock(&self.entries).clusters = Some(clusters);
    }

    pub(crate) fn group(&self, group: &str) -> Option<ClusterName> {
        lock(&self.entries).groups.get(group).cloned()
    }

    pub(crate) fn insert_group(&self, group: String, cluster: ClusterName) {
        insert(&mut lock(&self.entries).groups, group, cluster);
    }

    /// Removes a group that led to the wrong cluster.
    pub(crate) fn remove_group(&self, group: &str, wrong: &ClusterName) {
        let groups = &mut lock(&self.entries).groups;
        if groups.get(group) == Some(wrong) {
            groups.remove(group);
        }
    }

    pub(crate) fn has_groups(&self) -> bool {
        !lock(&self.entries).groups.is_empty()
    }

    pub(crate) fn has_other_platforms(&self) -> bool {
        self.has_other_platforms.load(Relaxed)
    }

    pub(crate) fn set_has_other_platforms(&self) {
        self.has_other_platforms.store(true, Relaxed);
    }

    /// Takes the container instances of an instance out of the snapshots of all clusters. Each serves once, since it is
    /// changed next.
    ///
    /// A container instance that was not in service before `work_started` may be by now. Its cluster is returned
    /// separately, to be read again.
    pub(crate) fn take_registrations(
        &self,
        instance: &InstanceId,
        work_started: Instant,
    ) -> (Vec<ContainerInstance>, Vec<ClusterName>) {
        let mut entries = lock(&self.entries);
        entries.snapshots.retain(|_, snapshot| snapshot.read.elapsed() < SNAPSHOT_AGE);
        let (mut found, mut outdated) = (Vec::new(), Vec::new());
        for (cluster, snapshot) in &mut entries.snapshots {
            let taken = snapshot.take(instance);
            if snapshot.read >= work_started || taken.iter().all(ContainerInstance::is_in_service) {
                found.extend(taken);
            } else {
                outdated.push(cluster.clone());
            }
        }
        (found, outdated)
    }

    /// Like [`Cache::take_registrations`], for one cluster.
    pub(crate) fn take_from(&self, cluster: &ClusterName, instance: &InstanceId) -> Vec<ContainerInstance> {
        lock(&self.entries).snapshots.get_mut(cluster).map(|snapshot| snapshot.take(instance)).unwrap_or_default()
    }

    /// Whether a snapshot of a cluster that was read since then shows these instances, or shows that they are not there.
    pub(crate) fn shows(&self, cluster: &ClusterName, instances: &[InstanceId], since: Instant) -> bool {
        let is_shown = |of: &Snapshot, id| of.by_instance.get(id).is_none_or(|found| !found.is_empty());
        let entries = lock(&self.entries);
        entries.snapshot(cluster).is_some_and(|of| of.read >= since && instances.iter().all(|id| is_shown(of, id)))
    }

    /// The time at which a cluster's container instances were read, if they are cached.
    pub(crate) fn snapshot_time(&self, cluster: &ClusterName) -> Option<Instant> {
        lock(&self.entries).snapshot(cluster).map(|snapshot| snapshot.read)
    }

    pub(crate) fn insert_snapshot(&self, cluster: ClusterName, read: Instant, found: Vec<ContainerInstance>) {
        let mut by_instance: HashMap<_, Vec<_>> = HashMap::new();
        for found in found {
            by_instance.entry(found.instance.clone()).or_default().push(found);
        }
        lock(&self.entries).snapshots.insert(cluster, Snapshot { read, by_instance });
    }

    pub(crate) fn capacity_provider(&self, name: &CapacityProviderName) -> Option<CapacityProvider> {
        let entries = lock(&self.entries);
        let (read, provider) = entries.capacity_providers.get(name)?;
        (read.elapsed() < PROVIDER_AGE).then(|| provider.clone())
    }

    /// The capacity providers of an Auto Scaling group.
    pub(crate) fn capacity_providers_of(&self, auto_scaling_group: &str) -> Vec<CapacityProviderName> {
        let entries = lock(&self.entries);
        let providers = entries.capacity_providers.iter();
        providers.filter(|(_, (_, of))| of.has_group(auto_scaling_group)).map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn insert_capacity_provider(&self, name: CapacityProviderName, provider: CapacityProvider) {
        lock(&self.entries).capacity_providers.insert(name, (Instant::now(), provider));
    }

    pub(crate) fn stop_timeout(&self, task_definition: &str) -> Option<Duration> {
        lock(&self.entries).stop_timeouts.get(task_definition).copied()
    }

    pub(crate) fn insert_stop_timeout(&self, task_definition: String, timeout: Duration) {
        insert(&mut lock(&self.entries).stop_timeouts, task_definition, timeout);
    }

    pub(crate) fn lists_by_instance(&self, cluster: &ClusterName) -> bool {
        lock(&self.entries).by_instance.contains(cluster)
    }

    pub(crate) fn set_lists_by_instance(&self, cluster: ClusterName) {
        lock(&self.entries).by_instance.insert(cluster);
    }

    pub(crate) fn has_batch_tag(&self, cluster: &ClusterName) -> Option<bool> {
        lock(&self.entries).batch_tags.get(cluster).copied()
    }

    pub(crate) fn insert_batch_tag(&self, cluster: ClusterName, has_batch_tag: bool) {
        insert(&mut lock(&self.entries).batch_tags, cluster, has_batch_tag);
    }

    pub(crate) fn is_deregistered(&self, task: &TaskArn) -> bool {
        lock(&self.entries).deregistered.contains(task)
    }

    pub(crate) fn insert_deregistered(&self, task: TaskArn) {
        let deregistered = &mut lock(&self.entries).deregistered;
        if deregistered.len() >= MAX_ENTRIES {
            deregistered.clear();
        }
        deregistered.insert(task);
    }

    pub(crate) fn is_daemon(&self, cluster: &ClusterName, service: &str) -> Option<bool> {
        lock(&self.entries).daemons.get(&(cluster.clone(), service.to_owned())).copied()
    }

    pub(crate) fn insert_daemon(&self, cluster: ClusterName, service: String, is_daemon: bool) {
        insert(&mut lock(&self.entries).daemons, (cluster, service), is_daemon);
    }
}

fn insert<K: Eq + Hash, V>(entries: &mut HashMap<K, V>, key: K, value: V) {
    if entries.len() >= MAX_ENTRIES {
        entries.clear();
    }
    entries.insert(key, value);
}
