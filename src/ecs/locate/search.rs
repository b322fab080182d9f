//! The search for one instance.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::{FutureExt, future::select_all};
use tokio::time::{Instant, timeout_at};

use super::{
    user_data::{ConfiguredCluster, configured_cluster},
    way::Way,
};
use crate::{
    aws::{calls::Calls, operation::Operation},
    config::{Config, Verdict},
    ec2::{Ec2, instance::Instance},
    ecs::{
        Ecs,
        cluster_list::ClusterList,
        container_instance::{ContainerInstance, Status},
    },
    error::{Error, ErrorClass},
    identifier::{ClusterName, InstanceId},
    interruption::{Interruption, Kind},
};

/// A scan of up to this many lists takes no more calls than a hint.
pub(super) const CHEAP_SCAN: usize = 2;

/// From this many concurrent searches on, reading the clusters takes fewer calls than a hint for each.
const MANY_SEARCHES: usize = 20;

/// From this many lists on, a scan in each of a hundred execution environments uses up the quota for the whole time of
/// a notice.
const MANY_LISTS: usize = 20;

/// How long after its start an instance may still be registering, 10 min. The clusters' counts do not include such an
/// instance.
const YOUNG: Duration = Duration::from_mins(10);

/// How long lists in flight are waited for when the instance is found, 250 ms: one of them may show another
/// registration.
const IN_FLIGHT_GRACE: Duration = Duration::from_millis(250);

/// The most clusters that are searched at the same time, 8: enough to scan tens of clusters in a few round trips, and
/// few enough that a hit saves calls and that one cold notice does not open connections by the dozen.
const MAX_LISTS_IN_FLIGHT: usize = 8;

/// A container instance, and how its cluster was found.
type Found = (ContainerInstance, Way);

/// Whether instances of other platforms are interrupted.
pub(super) fn expects_other_platforms(ecs: &Ecs, config: &Config) -> bool {
    ecs.cache.has_other_platforms() || !config.eks_clusters.is_empty()
}

pub(super) struct Search<'a> {
    ec2: &'a Ec2,
    ecs: &'a Ecs,
    config: &'a Config,
    calls: Calls,
    id: &'a InstanceId,
    /// Whether the instance is alive. If so, only a registration with a connected agent ends the search.
    is_alive: bool,
    /// EC2's description, once it was requested.
    described: Option<Result<Option<Arc<Instance>>, Error>>,
    found: Vec<Found>,
    /// Whether a container instance was found that may be changed.
    has_candidate: bool,
    /// The way that is being tried.
    way: Way,
    /// The clusters that were read.
    read: BTreeSet<ClusterName>,
    /// The clusters that could not be read.
    failed: BTreeMap<ClusterName, Error>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        ec2: &'a Ec2,
        ecs: &'a Ecs,
        config: &'a Config,
        calls: &'a Calls,
        Interruption { instance: id, kind, .. }: &'a Interruption,
    ) -> Self {
        let is_alive = *kind != Kind::Terminated;
        let (found, way, read, failed) = (Vec::new(), Way::Cache, BTreeSet::new(), BTreeMap::new());
        Self {
            ec2,
            ecs,
            config,
            calls: calls.clone(),
            id,
            is_alive,
            described: None,
            found,
            has_candidate: false,
            way,
            read,
            failed,
        }
    }

    /// Whether the search is over. A registration without a connected agent may be a stale one, so the search goes on.
    pub(super) fn is_over(&self) -> bool {
        self.found.iter().any(|(found, _)| found.is_connected || !self.is_alive)
    }

    /// Takes registrations from the cache. Clusters where they were not in service are read again.
    pub(super) async fn use_cache(&mut self) {
        let (found, outdated) = self.ecs.cache.take_registrations(self.id, self.calls.work_started());
        self.add(found);
        self.try_clusters(outdated).await;
    }

    /// The latest description of a container instance counts.
    fn add(&mut self, found: Vec<ContainerInstance>) {
        let may_be_changed = |of: &ContainerInstance| {
            of.status != Status::Gone && self.config.clusters.verdict(&of.cluster) == Verdict::Included
        };
        if !self.has_candidate && found.iter().any(may_be_changed) {
            self.has_candidate = true;
            // The rest of the search may be in vain, and must leave time to act on what was found.
            self.calls = self.calls.within(self.calls.left() / 2);
        }
        self.found.retain(|(known, _)| found.iter().all(|found| found.arn != known.arn));
        self.found.extend(found.into_iter().map(|found| (found, self.way)));
    }

    /// EC2's description of the instance, `None` if there is none or it was not requested, and the container instances
    /// that were found.
    pub(super) fn into_parts(self) -> (Result<Option<Arc<Instance>>, Error>, Vec<Found>) {
        (self.described.unwrap_or(Ok(None)), self.found)
    }

    pub(super) async fn describe(&mut self, calls: &Calls) {
        if self.described.is_none() {
            self.described = Some(self.ec2.instance(calls, self.id).await);
        }
    }

    /// Returns the cached clusters. They are read if many searches run and none are cached.
    pub(super) async fn known_clusters(&self) -> Option<ClusterList> {
        match self.ecs.cache.clusters() {
            None if self.ecs.searches.load(Relaxed) >= MANY_SEARCHES => self.read_clusters().await.ok(),
            known => known,
        }
    }

    /// Searches where a scan takes no more calls than a hint.
    pub(super) async fn scan_at_once(&mut self, known: &ClusterList) -> Result<(), Error> {
        let (ec2, id) = (self.ec2, self.id);
        let calls = self.calls.with_fallback_after(self.fallback_after(Some(CHEAP_SCAN)));
        let (described, ()) = tokio::join!(ec2.instance(&calls, id), self.scan(known));
        self.described = Some(described);
        if !self.is_over() && !self.is_on_other_platform() {
            self.rescan(known).await?;
            if self.found.is_empty() && self.config.clusters.plain_names().is_some() {
                // This search only serves to report that the instance is in a cluster that the settings exclude.
                self.try_hints(None, Some(CHEAP_SCAN)).await;
            }
        }
        self.conclude()
    }

    /// Searches where a hint takes fewer calls than a scan.
    pub(super) async fn try_hints_then_scan(&mut self, known: Option<ClusterList>) -> Result<(), Error> {
        let scan_lists = known.as_ref().map(|known| known.scan_lists(self.ecs.searches.load(Relaxed)));
        self.try_hints(known.as_ref(), scan_lists).await;
        if !self.is_over() && !self.is_on_other_platform() {
            let known = if let Some(known) = known {
                known
            } else {
                let known = self.read_clusters().await?;
                self.try_capacity_providers(&known).await;
                known
            };
            self.scan(&known).await;
            self.rescan(&known).await?;
        }
        self.conclude()
    }

    /// Fails if the instance was not found and a cluster that may have it could not be read.
    fn conclude(&mut self) -> Result<(), Error> {
        if let Some(names) = self.config.clusters.plain_names() {
            self.failed.retain(|cluster, _| names.contains(cluster));
        }
        match self.failed.values().next() {
            Some(error) if !self.is_over() && !self.is_on_other_platform() => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Whether the instance belongs to another platform, by EC2's description.
    pub(super) fn is_on_other_platform(&self) -> bool {
        let is_other = self.known().is_some_and(|instance| instance.other_platform().is_some());
        if is_other {
            self.ecs.cache.set_has_other_platforms();
        }
        is_other
    }

    fn known(&self) -> Option<&Instance> {
        self.described.as_ref()?.as_ref().ok()?.as_deref()
    }

    /// Searches all clusters that have container instances.
    async fn scan(&mut self, known: &ClusterList) {
        if self.is_over() {
            return;
        }
        self.way = Way::Scan;
        self.ecs.wait_for_other_scans(&self.calls, known, self.ecs.searches.load(Relaxed)).await;
        self.use_cache().await;
        // A cluster that is cached would have shown the instance, unless it was registered since.
        let (cached, unread) =
            known.with_instances().cloned().partition(|cluster| self.ecs.cache.snapshot_time(cluster).is_some());
        // A failing cluster must not delay the others ...
        let calls = &self.calls.with_fallback_after(self.calls.left());
        self.search_clusters(calls, unread).await;
        self.search_clusters(calls, cached).await;
        // ... but is retried afterwards for the time that is left.
        if self.calls.left().is_zero() {
            return;
        }
        let failed = self.failed.iter().filter(|(_, error)| error.is_transient());
        let failed: Vec<_> = failed.map(|(cluster, _)| cluster.clone()).collect();
        self.search_clusters(&self.calls.clone(), failed).await;
    }

    /// Reads the clusters again unless they are fresh, and searches those that had no container instances before. Only
    /// then is it certain that the instance is in no cluster.
    async fn rescan(&mut self, known: &ClusterList) -> Result<(), Error> {
        let is_given_up = self.has_candidate && !self.failed.is_empty() && self.calls.left().is_zero();
        if self.is_over() || is_given_up {
            return Ok(());
        }
        let mut known = known.clone();
        if !known.is_fresh() {
            known = self.read_clusters().await?;
            self.scan(&known).await;
        }
        // An instance that is still registering is not counted yet.
        self.way = Way::Scan;
        let others: Vec<_> = known.without_instances().cloned().collect();
        if self.is_young() || others.len() <= CHEAP_SCAN {
            self.search_clusters(&self.calls.clone(), others).await;
        }
        Ok(())
    }

    fn is_young(&self) -> bool {
        self.known().is_some_and(|instance| instance.is_younger_than(YOUNG))
    }

    async fn read_clusters(&self) -> Result<ClusterList, Error> {
        self.ecs.read_clusters(&self.calls, &self.config.clusters).await
    }

    /// Tries the hints that EC2 has, cheapest first. An EC2 that does not answer costs the hints and nothing else.
    /// Hints that take more calls than a scan are left out.
    async fn try_hints(&mut self, known: Option<&ClusterList>, scan_lists: Option<usize>) {
        let (ec2, ecs, id) = (self.ec2, self.ecs, self.id);
        let calls = &self.calls.with_fallback_after(self.fallback_after(scan_lists));
        // User data takes a call for each instance, and then a list and a description.
        let user_data_pays = scan_lists.is_none_or(|lists| 2 * ecs.searches.load(Relaxed) <= lists);
        // User data is read concurrently with the description, unless the description is likely to be enough: a call
        // for a round trip.
        let description_may_suffice =
            self.config.cluster_tag.is_some() || ecs.cache.has_groups() || expects_other_platforms(ecs, self.config);
        let is_eager = user_data_pays && !description_may_suffice;
        let mut user_data = None;
        if is_eager && self.described.is_none() {
            // One attempt, since user data may not be needed.
            let once = &calls.once();
            let (described, read) = tokio::join!(ec2.instance(calls, id), ec2.user_data(once, id));
            let read = read.inspect_err(
                |error| tracing::debug!(%error, "user data could not be read: it is read again if it is needed"),
            );
            (self.described, user_data) = (Some(described), read.ok());
        } else {
            self.describe(calls).await;
        }
        if self.is_on_other_platform() {
            return;
        }
        self.try_group().await;
        self.try_tag().await;
        if let Some(known) = known {
            self.try_capacity_providers(known).await;
        }
        if user_data_pays && !self.is_over() {
            let user_data = match user_data {
                Some(user_data) => Ok(user_data),
                None => ec2.user_data(calls, id).await,
            };
            self.try_user_data(user_data, known).await;
        }
    }

    /// Tries the cluster where another instance of the same group was found.
    async fn try_group(&mut self) {
        let Some(group) = self.known().and_then(Instance::group) else { return };
        let Some(cluster) = self.ecs.cache.group(&group) else { return };
        self.way = Way::Cache;
        self.try_clusters([cluster.clone()]).await;
        if !self.found.iter().any(|(found, _)| found.cluster == cluster) {
            self.ecs.cache.remove_group(&group, &cluster);
        }
    }

    async fn try_tag(&mut self) {
        let tag = self.config.cluster_tag.as_deref();
        let value = tag.and_then(|tag| self.known()?.tag(tag));
        let cluster = value.and_then(ClusterName::from_name_or_arn);
        self.way = Way::Tag;
        self.try_clusters(cluster).await;
    }

    /// Tries the clusters that list the capacity provider of the instance's Auto Scaling group.
    async fn try_capacity_providers(&mut self, known: &ClusterList) {
        let Some(group) = self.known().and_then(Instance::auto_scaling_group) else { return };
        let providers = self.ecs.cache.capacity_providers_of(group);
        self.way = Way::CapacityProvider;
        let clusters: Vec<_> = providers.iter().flat_map(|name| known.with_capacity_provider(name)).cloned().collect();
        self.try_clusters(clusters).await;
    }

    async fn try_user_data(&mut self, user_data: Result<String, Error>, known: Option<&ClusterList>) {
        let is_young = self.is_young();
        self.way = Way::UserData;
        let cluster = match user_data.as_deref().map(configured_cluster) {
            Ok(ConfiguredCluster::Cluster(cluster)) => Some(cluster),
            // Most instances whose user data names no cluster are in none: `default` is worth a call only if the
            // instance may be there.
            Ok(ConfiguredCluster::Default) => ClusterName::from_name_or_arn("default").filter(|default| {
                is_young || known.is_some_and(|known| known.with_instances().any(|name| name == default))
            }),
            Ok(ConfiguredCluster::Unknown) => None,
            Err(error) => {
                tracing::warn!(%error, "user data could not be read: it gives no hint");
                None
            }
        };
        self.try_clusters(cluster).await;
    }

    /// Searches the clusters of a hint. Half of the time that is left is reserved for the scan, and a cluster that
    /// failed is left to the scan.
    async fn try_clusters(&mut self, clusters: impl IntoIterator<Item = ClusterName>) {
        let clusters = clusters.into_iter().filter(|cluster| !self.failed.contains_key(cluster)).collect();
        self.search_clusters(&self.calls.with_fallback_after(self.calls.left() / 2), clusters).await;
    }

    /// Searches clusters, several at a time, until the search is over or the quota is used up: each further cluster would be
    /// refused as well.
    async fn search_clusters(&mut self, calls: &Calls, clusters: Vec<ClusterName>) {
        let (ecs, id) = (self.ecs, self.id);
        let search = |cluster: ClusterName| {
            let search = async move {
                // Whether AWS Batch owns the cluster is needed if the instance is there. Asking here takes no extra
                // round trip.
                let is_batch = ecs.is_batch_soon(calls, &cluster);
                let (found, _) = tokio::join!(ecs.registrations(calls, &cluster, id), is_batch);
                (cluster, found)
            };
            search.boxed()
        };
        let all = clusters.clone();
        let mut clusters = clusters.into_iter();
        let mut searches = Vec::with_capacity(MAX_LISTS_IN_FLIGHT);
        while !self.is_over() {
            let read = &self.read;
            let more =
                clusters.by_ref().filter(|cluster| !read.contains(cluster)).take(MAX_LISTS_IN_FLIGHT - searches.len());
            searches.extend(more.map(search));
            if searches.is_empty() {
                return;
            }
            // A `FuturesUnordered` would wake its poller, and concurrent searches would no longer share calls.
            let next = select_all(searches);
            let ((cluster, found), _, others) = if self.has_candidate {
                let Ok(next) = timeout_at(self.calls.deadline() + IN_FLIGHT_GRACE, next).await else {
                    return self.give_up(all);
                };
                next
            } else {
                next.await
            };
            searches = others;
            if found.as_ref().is_err_and(Error::is_unsent) {
                clusters = Vec::new().into_iter();
            }
            self.record(cluster, found);
        }
        let until = Instant::now() + IN_FLIGHT_GRACE;
        while !searches.is_empty()
            && let Ok(((cluster, found), _, others)) = timeout_at(until, select_all(searches)).await
        {
            searches = others;
            self.record(cluster, found);
        }
    }

    /// Records that these clusters could not be read in time, unless they were read.
    fn give_up(&mut self, clusters: Vec<ClusterName>) {
        for cluster in clusters.into_iter().filter(|cluster| !self.read.contains(cluster)) {
            let cause = "it was not read in the time for the rest of the search";
            let error = Error::call(Operation::ListContainerInstances, &cluster, ErrorClass::Unavailable, cause);
            self.failed.entry(cluster).or_insert(error);
        }
    }

    fn record(&mut self, cluster: ClusterName, found: Result<Vec<ContainerInstance>, Error>) {
        match found {
            Ok(found) => {
                self.add(found);
                self.failed.remove(&cluster);
                self.read.insert(cluster);
            }
            Err(error) => drop(self.failed.insert(cluster, error)),
        }
    }

    /// How long throttled EC2 look-ups are retried: one second for each list that they save. If these are many, or
    /// their number is not known, half of the time that is left: such scans in the middle of a reclaim would use up the
    /// quotas of everyone.
    fn fallback_after(&self, scan_lists: Option<usize>) -> Duration {
        let half = self.calls.left() / 2;
        let few = scan_lists.filter(|lists| *lists < MANY_LISTS);
        few.map_or(half, |lists| half.min(Duration::from_secs(lists.max(2) as u64)))
    }
}
