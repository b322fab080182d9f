//! The search for one instance: where it was looked for, and what could not be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::{FutureExt, future::select_all};
use tokio::time::{Instant, timeout_at};

use super::user_data::{Mention, mention};
use crate::{
    aws::calls::Calls,
    config::Config,
    ec2::{Ec2, instance::Instance},
    ecs::{Ecs, cluster_list::ClusterList, container_instance::ContainerInstance},
    error::Error,
    identifier::{ClusterName, InstanceId},
    interruption::{Interruption, Kind},
};

/// Up to this many lists are as cheap as a hint.
pub(super) const CHEAP_SCAN: usize = 2;

/// So many instances at the same time are many.
const MANY: usize = 20;

/// From this many lists on, a scan in each of a hundred environments uses up the quota of a whole notice.
const MANY_LISTS: usize = 20;

/// For how long, after its start, an instance may be one that registers: the clusters' counts leave that out, 10 min.
const YOUNG: Duration = Duration::from_mins(10);

/// How long to wait, when an instance is found, for the lists that are under way, 250 ms: one may show another
/// registration.
const UNDER_WAY: Duration = Duration::from_millis(250);

/// How many clusters are looked at at the same time: enough to scan tens of clusters in a few round trips, few enough
/// that a hit saves calls and that one cold notice doesn't open connections by the dozen.
const WIDTH: usize = 8;

pub(super) struct Search<'a> {
    ec2: &'a Ec2,
    ecs: &'a Ecs,
    config: &'a Config,
    calls: &'a Calls,
    id: &'a InstanceId,
    /// Whether a registration counts only while its agent is connected. That of an instance that is gone can't be.
    is_alive: bool,
    /// What EC2 knows of it, once it was asked.
    described: Option<Result<Option<Arc<Instance>>, Error>>,
    found: Vec<ContainerInstance>,
    /// The clusters that were read.
    read: BTreeSet<ClusterName>,
    /// The clusters that could not be read.
    unread: BTreeMap<ClusterName, Error>,
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
        let (found, read, unread) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        Self { ec2, ecs, config, calls, id, is_alive, described: None, found, read, unread }
    }

    /// Whether the search is over. A registration whose agent is not connected may be a stale one beside another.
    pub(super) fn is_over(&self) -> bool {
        self.found.iter().any(|found| found.is_connected || !self.is_alive)
    }

    /// Takes what was read for other notices. Where that says that nothing is to be done, it is read again.
    pub(super) async fn recall(&mut self) {
        let (found, doubtful) = self.ecs.cache.take_registrations(self.id, self.calls.began());
        self.add(found);
        self.follow(doubtful).await;
    }

    /// The last description of a container instance counts.
    fn add(&mut self, found: Vec<ContainerInstance>) {
        self.found.retain(|known| found.iter().all(|found| found.arn != known.arn));
        self.found.extend(found);
    }

    /// What EC2 knows of the instance, `None` if that is nothing or was not asked, and what was found.
    pub(super) fn into_parts(self) -> (Result<Option<Arc<Instance>>, Error>, Vec<ContainerInstance>) {
        (self.described.unwrap_or(Ok(None)), self.found)
    }

    pub(super) async fn describe(&mut self, calls: &Calls) {
        if self.described.is_none() {
            self.described = Some(self.ec2.instance(calls, self.id).await);
        }
    }

    /// The clusters, if they are known. They are read where many instances are looked for: a hint for each costs more.
    pub(super) async fn known_clusters(&self) -> Option<ClusterList> {
        match self.ecs.cache.clusters() {
            None if self.ecs.seeking.load(Relaxed) >= MANY => self.read_clusters().await.ok(),
            known => known,
        }
    }

    /// The search where a scan is as cheap as a hint.
    pub(super) async fn scan_at_once(&mut self, known: &ClusterList) -> Result<(), Error> {
        let (ec2, id) = (self.ec2, self.id);
        let calls = self.calls.impatient(self.patience(Some(CHEAP_SCAN)));
        let (described, ()) = tokio::join!(ec2.instance(&calls, id), self.scan(known));
        self.described = Some(described);
        if !self.is_over() && !self.is_elsewhere() {
            self.scan_anew(known).await?;
            if self.found.is_empty() && self.config.clusters.plain_names().is_some() {
                // Only to say that it is in a cluster that the settings leave out.
                self.follow_hints(None, Some(CHEAP_SCAN)).await;
            }
        }
        self.conclude()
    }

    /// The search where a hint is cheaper.
    pub(super) async fn follow_hints_then_scan(&mut self, known: Option<ClusterList>) -> Result<(), Error> {
        let scan_lists = known.as_ref().map(|known| known.scan_lists(self.ecs.seeking.load(Relaxed)));
        self.follow_hints(known.as_ref(), scan_lists).await;
        if !self.is_over() && !self.is_elsewhere() {
            let known = if let Some(known) = known {
                known
            } else {
                let known = self.read_clusters().await?;
                self.follow_capacity_providers(&known).await;
                known
            };
            self.scan(&known).await;
            self.scan_anew(&known).await?;
        }
        self.conclude()
    }

    /// That the search is not over is an error if a cluster that may have it could not be read.
    fn conclude(&mut self) -> Result<(), Error> {
        if let Some(names) = self.config.clusters.plain_names() {
            self.unread.retain(|cluster, _| names.contains(cluster));
        }
        match self.unread.values().next() {
            Some(error) if !self.is_over() && !self.is_elsewhere() => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Whether EC2 says that it is a part of something else.
    fn is_elsewhere(&self) -> bool {
        let is_elsewhere = self.known().is_some_and(|instance| instance.elsewhere().is_some());
        if is_elsewhere {
            self.ecs.cache.set_has_others();
        }
        is_elsewhere
    }

    fn known(&self) -> Option<&Instance> {
        self.described.as_ref()?.as_ref().ok()?.as_deref()
    }

    /// Looks for it in all clusters that have container instances.
    async fn scan(&mut self, known: &ClusterList) {
        if self.is_over() {
            return;
        }
        self.ecs.wait_for_turn(self.calls, known, self.ecs.seeking.load(Relaxed)).await;
        self.recall().await;
        let mut clusters: Vec<_> = known.with_instances().cloned().collect();
        // What was read for other notices would have been found.
        clusters.sort_by_key(|cluster| self.ecs.cache.roster_read(cluster).is_some());
        // A cluster that fails must not keep the others waiting ...
        self.look(&self.calls.impatient(self.calls.left()), clusters).await;
        // ... but gets what time is left then.
        let failed = self.unread.iter().filter(|(_, error)| error.is_transient());
        let failed: Vec<_> = failed.map(|(cluster, _)| cluster.clone()).collect();
        self.look(self.calls, failed).await;
    }

    /// Reads the clusters anew if they are not fresh, and looks where there were no container instances before: without
    /// that, no instance is in none.
    async fn scan_anew(&mut self, known: &ClusterList) -> Result<(), Error> {
        if self.is_over() {
            return Ok(());
        }
        let mut known = known.clone();
        if !known.is_fresh() {
            known = self.read_clusters().await?;
            self.scan(&known).await;
        }
        // One that registers is not counted yet.
        let others: Vec<_> = known.without_instances().cloned().collect();
        if self.is_young() || others.len() <= CHEAP_SCAN {
            self.look(self.calls, others).await;
        }
        Ok(())
    }

    fn is_young(&self) -> bool {
        self.known().is_some_and(|instance| instance.is_younger_than(YOUNG))
    }

    async fn read_clusters(&self) -> Result<ClusterList, Error> {
        self.ecs.read_clusters(self.calls, &self.config.clusters).await
    }

    /// Follows what EC2 can tell, cheapest first. EC2 not answering costs the hints, nothing else; hints that cost more
    /// than a scan are left out.
    async fn follow_hints(&mut self, known: Option<&ClusterList>, scan_lists: Option<usize>) {
        let (ec2, ecs, id) = (self.ec2, self.ecs, self.id);
        let calls = &self.calls.impatient(self.patience(scan_lists));
        // Each instance's takes a call of its own, and a list and a description after that.
        let user_data_pays = scan_lists.is_none_or(|lists| 2 * ecs.seeking.load(Relaxed) <= lists);
        // Beside the description, unless that is likely to be enough: a call for a round trip.
        let is_likely_enough = self.config.cluster_tag.is_some() || ecs.cache.has_groups() || ecs.cache.has_others();
        let is_eager = user_data_pays && !is_likely_enough;
        let mut user_data = None;
        if is_eager && self.described.is_none() {
            // Once: it may turn out not to be needed.
            let once = &calls.once();
            let (described, read) = tokio::join!(ec2.instance(calls, id), ec2.user_data(once, id));
            let read = read.inspect_err(|error| tracing::debug!(%error, "trying again if it is needed"));
            (self.described, user_data) = (Some(described), read.ok());
        } else {
            self.describe(calls).await;
        }
        if self.is_elsewhere() {
            return;
        }
        self.follow_group().await;
        self.follow_tag().await;
        if let Some(known) = known {
            self.follow_capacity_providers(known).await;
        }
        if user_data_pays && !self.is_over() {
            let user_data = match user_data {
                Some(user_data) => Ok(user_data),
                None => ec2.user_data(calls, id).await,
            };
            self.follow_user_data(user_data, known).await;
        }
    }

    /// Follows what was cached: the cluster of another instance of the same group.
    async fn follow_group(&mut self) {
        let Some(group) = self.known().and_then(Instance::group) else { return };
        let Some(cluster) = self.ecs.cache.group(&group) else { return };
        self.follow([cluster.clone()]).await;
        if !self.found.iter().any(|found| found.cluster == cluster) {
            self.ecs.cache.remove_group(&group, &cluster);
        }
    }

    async fn follow_tag(&mut self) {
        let tag = self.config.cluster_tag.as_deref();
        let value = tag.and_then(|tag| self.known()?.tag(tag));
        self.follow(value.and_then(ClusterName::from_name_or_arn)).await;
    }

    /// Follows the Auto Scaling group that belongs to a capacity provider to the clusters that list the provider.
    async fn follow_capacity_providers(&mut self, known: &ClusterList) {
        let Some(group) = self.known().and_then(Instance::auto_scaling_group) else { return };
        let providers = self.ecs.cache.capacity_providers_of(group);
        let clusters: Vec<_> = providers.iter().flat_map(|name| known.with_capacity_provider(name)).cloned().collect();
        self.follow(clusters).await;
    }

    async fn follow_user_data(&mut self, user_data: Result<String, Error>, known: Option<&ClusterList>) {
        let is_young = self.is_young();
        let cluster = match user_data.as_deref().map(mention) {
            Ok(Mention::Cluster(cluster)) => Some(cluster),
            // Most instances that name no cluster are in none: `default` is worth a call only if it may be there.
            Ok(Mention::Default) => ClusterName::from_name_or_arn("default").filter(|default| {
                is_young || known.is_some_and(|known| known.with_instances().any(|name| name == default))
            }),
            Ok(Mention::Unknown) => None,
            Err(error) => {
                tracing::warn!(%error, "the user data can't be read");
                None
            }
        };
        self.follow(cluster).await;
    }

    /// Looks where hints lead. Half of what is left is kept for the scan, and a cluster that failed is left to it.
    async fn follow(&mut self, clusters: impl IntoIterator<Item = ClusterName>) {
        let clusters = clusters.into_iter().filter(|cluster| !self.unread.contains_key(cluster)).collect();
        self.look(&self.calls.impatient(self.calls.left() / 2), clusters).await;
    }

    /// Looks for it in clusters, several at a time, until the search is over.
    async fn look(&mut self, calls: &Calls, clusters: Vec<ClusterName>) {
        let (ecs, id) = (self.ecs, self.id);
        let look = |cluster: ClusterName| {
            let look = async move {
                // Whose the cluster is will be asked if the instance is there: here it takes no round trip.
                let (found, _) = tokio::join!(ecs.registrations(calls, &cluster, id), ecs.is_batch(calls, &cluster));
                (cluster, found)
            };
            look.boxed()
        };
        let mut clusters = clusters.into_iter();
        let mut looks = Vec::with_capacity(WIDTH);
        while !self.is_over() {
            let read = &self.read;
            let more = clusters.by_ref().filter(|cluster| !read.contains(cluster)).take(WIDTH - looks.len());
            looks.extend(more.map(look));
            if looks.is_empty() {
                return;
            }
            // Not a `FuturesUnordered`, which wakes whoever polls it: then lines would not run together.
            let ((cluster, found), _, others) = select_all(looks).await;
            looks = others;
            self.record(cluster, found);
        }
        let until = Instant::now() + UNDER_WAY;
        while !looks.is_empty()
            && let Ok(((cluster, found), _, others)) = timeout_at(until, select_all(looks)).await
        {
            looks = others;
            self.record(cluster, found);
        }
    }

    fn record(&mut self, cluster: ClusterName, found: Result<Vec<ContainerInstance>, Error>) {
        match found {
            Ok(found) => {
                self.add(found);
                self.unread.remove(&cluster);
                self.read.insert(cluster);
            }
            Err(error) => drop(self.unread.insert(cluster, error)),
        }
    }

    /// How long throttled EC2 look-ups are retried: a second for each list that they save; half of what is left where
    /// that is many, or not known, since such scans in the middle of a reclaim wave take the quotas of everybody.
    fn patience(&self, scan_lists: Option<usize>) -> Duration {
        let half = self.calls.left() / 2;
        let few = scan_lists.filter(|lists| *lists < MANY_LISTS);
        few.map_or(half, |lists| half.min(Duration::from_secs(lists.max(2) as u64)))
    }
}
