//! What a warm process knows of an account and Region.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    capacity_provider::{CapacityProvider, ProviderName},
    cluster_list::ClusterList,
    container_instance::ContainerInstance,
};
use crate::identifier::{ClusterName, InstanceId};

/// How many entries of a kind are kept, 1,000: a name each, some 100 kB. Past that all are dropped, and read again.
const ENTRIES: usize = 1_000;

/// How long a cluster's container instances are cached, 30 s: of which EC2 instance one is never changes, and a status
/// that has is seen when the change is refused.
const ROSTER: Duration = Duration::from_secs(30);

/// How long a capacity provider's settings are cached, 5 minutes: whoever switches managed draining on or off sees the
/// old setting respected no longer than this.
const PROVIDER: Duration = Duration::from_mins(5);

/// What was read of an account and Region, shared by all invocations of a process.
///
/// Where an instance is, is confirmed before anything is changed; that a cluster is AWS Batch's and how a capacity
/// provider is set is taken as known while it is current.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: Mutex<Entries>,
    /// Whether there are instances here that are a part of something else than ECS.
    has_others: AtomicBool,
}

#[derive(Debug, Default)]
struct Entries {
    clusters: Option<ClusterList>,
    /// By what launched the instance: the cluster where the last one was found.
    groups: HashMap<String, ClusterName>,
    rosters: HashMap<ClusterName, Roster>,
    capacity_providers: HashMap<ProviderName, (Instant, CapacityProvider)>,
    /// By task definition's ARN, which stands for one revision: it never changes.
    stop_timeouts: HashMap<String, Duration>,
    /// Clusters whose tasks are listed by container instance, since they can't be as a whole.
    by_instance: HashSet<ClusterName>,
    /// By cluster and service: whether it is a daemon, which never changes either.
    daemons: HashMap<(ClusterName, String), bool>,
    /// Whether a cluster that is not in the list carries AWS Batch's tag.
    batch_tags: HashMap<ClusterName, bool>,
}

/// A cluster's container instances that nobody has asked for yet, as they were at a time.
#[derive(Debug)]
struct Roster {
    read: Instant,
    by_instance: HashMap<InstanceId, Vec<ContainerInstance>>,
}

impl Cache {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Each change is one insertion or removal: there is no half-made state to fear.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clusters(&self) -> Option<ClusterList> {
        self.lock().clusters.clone().filter(ClusterList::is_current)
    }

    pub(crate) fn set_clusters(&self, clusters: ClusterList) {
        self.lock().clusters = Some(clusters);
    }

    pub(crate) fn group(&self, group: &str) -> Option<ClusterName> {
        self.lock().groups.get(group).cloned()
    }

    pub(crate) fn insert_group(&self, group: String, cluster: ClusterName) {
        insert(&mut self.lock().groups, group, cluster);
    }

    /// Removes a group that led to the wrong cluster.
    pub(crate) fn remove_group(&self, group: &str, wrong: &ClusterName) {
        let groups = &mut self.lock().groups;
        if groups.get(group) == Some(wrong) {
            groups.remove(group);
        }
    }

    pub(crate) fn has_groups(&self) -> bool {
        !self.lock().groups.is_empty()
    }

    pub(crate) fn has_others(&self) -> bool {
        self.has_others.load(Relaxed)
    }

    pub(crate) fn set_has_others(&self) {
        self.has_others.store(true, Relaxed);
    }

    /// Takes the container instances of an instance out of the clusters that were read a moment ago: each serves once,
    /// since it is changed then. Those that were not in service before a time may be by now: their clusters are to be read
    /// again.
    pub(crate) fn take_registrations(
        &self,
        instance: &InstanceId,
        began: Instant,
    ) -> (Vec<ContainerInstance>, Vec<ClusterName>) {
        let mut entries = self.lock();
        entries.rosters.retain(|_, roster| roster.read.elapsed() < ROSTER);
        let (mut found, mut doubtful) = (Vec::new(), Vec::new());
        for (cluster, roster) in &mut entries.rosters {
            let taken = roster.by_instance.remove(instance).unwrap_or_default();
            if roster.read >= began || taken.iter().all(ContainerInstance::is_in_service) {
                found.extend(taken);
            } else {
                doubtful.push(cluster.clone());
            }
        }
        (found, doubtful)
    }

    /// As [`Cache::take_registrations`], out of one cluster.
    pub(crate) fn take_from(&self, cluster: &ClusterName, instance: &InstanceId) -> Vec<ContainerInstance> {
        let mut entries = self.lock();
        entries.rosters.get_mut(cluster).and_then(|roster| roster.by_instance.remove(instance)).unwrap_or_default()
    }

    /// When a cluster's container instances were read, if they are cached.
    pub(crate) fn roster_read(&self, cluster: &ClusterName) -> Option<Instant> {
        self.lock().rosters.get(cluster).map(|roster| roster.read).filter(|read| read.elapsed() < ROSTER)
    }

    pub(crate) fn insert_roster(&self, cluster: ClusterName, read: Instant, found: Vec<ContainerInstance>) {
        let mut by_instance: HashMap<_, Vec<_>> = HashMap::new();
        for found in found {
            by_instance.entry(found.instance.clone()).or_default().push(found);
        }
        self.lock().rosters.insert(cluster, Roster { read, by_instance });
    }

    pub(crate) fn capacity_provider(&self, name: &ProviderName) -> Option<CapacityProvider> {
        let entries = self.lock();
        let (read, provider) = entries.capacity_providers.get(name)?;
        (read.elapsed() < PROVIDER).then(|| provider.clone())
    }

    /// The capacity providers whose instances are of this Auto Scaling group.
    pub(crate) fn capacity_providers_of(&self, auto_scaling_group: &str) -> Vec<ProviderName> {
        let entries = self.lock();
        let providers = entries.capacity_providers.iter();
        providers.filter(|(_, (_, of))| of.has_group(auto_scaling_group)).map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn insert_capacity_provider(&self, name: ProviderName, provider: CapacityProvider) {
        self.lock().capacity_providers.insert(name, (Instant::now(), provider));
    }

    pub(crate) fn stop_timeout(&self, task_definition: &str) -> Option<Duration> {
        self.lock().stop_timeouts.get(task_definition).copied()
    }

    pub(crate) fn insert_stop_timeout(&self, task_definition: String, timeout: Duration) {
        insert(&mut self.lock().stop_timeouts, task_definition, timeout);
    }

    pub(crate) fn lists_by_instance(&self, cluster: &ClusterName) -> bool {
        self.lock().by_instance.contains(cluster)
    }

    pub(crate) fn set_lists_by_instance(&self, cluster: ClusterName) {
        self.lock().by_instance.insert(cluster);
    }

    pub(crate) fn has_batch_tag(&self, cluster: &ClusterName) -> Option<bool> {
        self.lock().batch_tags.get(cluster).copied()
    }

    pub(crate) fn insert_batch_tag(&self, cluster: ClusterName, has_batch_tag: bool) {
        insert(&mut self.lock().batch_tags, cluster, has_batch_tag);
    }

    pub(crate) fn is_daemon(&self, cluster: &ClusterName, service: &str) -> Option<bool> {
        self.lock().daemons.get(&(cluster.clone(), service.to_owned())).copied()
    }

    pub(crate) fn insert_daemon(&self, cluster: ClusterName, service: String, is_daemon: bool) {
        insert(&mut self.lock().daemons, (cluster, service), is_daemon);
    }
}

fn insert<K: Eq + Hash, V>(entries: &mut HashMap<K, V>, key: K, value: V) {
    if entries.len() >= ENTRIES {
        entries.clear();
    }
    entries.insert(key, value);
}
