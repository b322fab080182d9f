//! The search for one instance: where it was looked for, and what could not be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::{FutureExt, future::select_all};

use super::user_data::{Mention, mention};
use crate::{
    aws::calls::Calls,
    config::Config,
    ec2::{Ec2, instance::Instance},
    ecs::{Ecs, cluster_list::ClusterList, container_instance::ContainerInstance},
    error::Error,
    identifier::{ClusterName, InstanceId},
};

/// Up to this many lists are as cheap as a hint.
pub(super) const CHEAP_SCAN: usize = 2;

/// From this many lists on, a scan in each of a hundred environments uses up the quota of a whole notice.
const MANY_LISTS: usize = 20;

/// How many clusters are looked at at the same time: enough to scan tens of clusters in a few round trips, few enough
/// that a hit saves calls and that one cold notice doesn't open connections by the dozen.
const WIDTH: usize = 8;

pub(super) struct Search<'a> {
    ec2: &'a Ec2,
    ecs: &'a Ecs,
    config: &'a Config,
    calls: &'a Calls,
    id: &'a InstanceId,
    /// What EC2 knows of it, once it was asked.
    described: Option<Result<Option<Arc<Instance>>, Error>>,
    /// Where it is known not to be.
    missed: BTreeSet<ClusterName>,
    /// The clusters that could not be read.
    unread: BTreeMap<ClusterName, Error>,
}

type Found = Vec<ContainerInstance>;

impl<'a> Search<'a> {
    pub(super) fn new(ec2: &'a Ec2, ecs: &'a Ecs, config: &'a Config, calls: &'a Calls, id: &'a InstanceId) -> Self {
        Self { ec2, ecs, config, calls, id, described: None, missed: BTreeSet::new(), unread: BTreeMap::new() }
    }

    /// What EC2 knows of the instance: `None` if that is nothing, or was not asked.
    pub(super) fn instance(&self) -> Result<Option<Arc<Instance>>, Error> {
        self.described.clone().unwrap_or(Ok(None))
    }

    pub(super) async fn describe(&mut self, calls: &Calls) {
        if self.described.is_none() {
            self.described = Some(self.ec2.instance(calls, self.id).await);
        }
    }

    /// The search where a scan is as cheap as a hint.
    pub(super) async fn scan_at_once(&mut self, known: &ClusterList) -> Result<Found, Error> {
        let (ec2, id) = (self.ec2, self.id);
        let calls = self.calls.impatient(self.patience(Some(CHEAP_SCAN)));
        let (described, mut found) = tokio::join!(ec2.instance(&calls, id), self.scan(known));
        self.described = Some(described);
        if found.is_empty() && !self.is_elsewhere() {
            found = self.scan_anew(known).await?;
            if found.is_empty() && self.config.clusters.plain_names().is_some() {
                // Only to say that it is in a cluster that the settings leave out.
                found = self.follow_hints(None, Some(CHEAP_SCAN)).await;
            }
        }
        self.conclude(found)
    }

    /// The search where a hint is cheaper.
    pub(super) async fn follow_hints_then_scan(&mut self, known: Option<ClusterList>) -> Result<Found, Error> {
        let scan_lists = known.as_ref().map(|known| known.scan_lists(self.ecs.seeking.load(Relaxed)));
        let mut found = self.follow_hints(known.as_ref(), scan_lists).await;
        if found.is_empty() && !self.is_elsewhere() {
            let known = if let Some(known) = known {
                known
            } else {
                let known = self.read_clusters().await?;
                found = self.follow_capacity_providers(&known).await;
                known
            };
            if found.is_empty() {
                found = self.scan(&known).await;
            }
            if found.is_empty() {
                found = self.scan_anew(&known).await?;
            }
        }
        self.conclude(found)
    }

    /// Nothing found is an error if a cluster that may have it could not be read.
    fn conclude(&mut self, found: Found) -> Result<Found, Error> {
        if let Some(names) = self.config.clusters.plain_names() {
            self.unread.retain(|cluster, _| names.contains(cluster));
        }
        match self.unread.values().next() {
            Some(error) if found.is_empty() && !self.is_elsewhere() => Err(error.clone()),
            _ => Ok(found),
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
    async fn scan(&mut self, known: &ClusterList) -> Found {
        self.ecs.wait_for_turn(self.calls, known, self.ecs.seeking.load(Relaxed)).await;
        let cached = self.ecs.cache.take_registrations(self.id);
        if !cached.is_empty() {
            return cached;
        }
        let mut clusters: Vec<_> = known.with_instances().cloned().collect();
        // What was read for other notices would have been found.
        clusters.sort_by_key(|cluster| self.ecs.cache.roster_age(cluster).is_some());
        // A cluster that fails must not keep the others waiting ...
        let found = self.look(&self.calls.impatient(self.calls.left()), clusters).await;
        if !found.is_empty() {
            return found;
        }
        // ... but gets what time is left then.
        let failed = self.unread.iter().filter(|(_, error)| error.is_transient());
        let failed: Vec<_> = failed.map(|(cluster, _)| cluster.clone()).collect();
        self.look(self.calls, failed).await
    }

    /// Reads the clusters anew if they are not fresh, and looks where there were no container instances before: without
    /// that, no instance is in none.
    async fn scan_anew(&mut self, known: &ClusterList) -> Result<Found, Error> {
        if known.is_fresh() {
            return Ok(Vec::new());
        }
        let known = self.read_clusters().await?;
        Ok(self.scan(&known).await)
    }

    async fn read_clusters(&self) -> Result<ClusterList, Error> {
        self.ecs.read_clusters(self.calls, &self.config.clusters).await
    }

    /// Follows what EC2 can tell, cheapest first. EC2 not answering costs the hints, nothing else; hints that cost more
    /// than a scan are left out.
    async fn follow_hints(&mut self, known: Option<&ClusterList>, scan_lists: Option<usize>) -> Found {
        let (ec2, ecs, id) = (self.ec2, self.ecs, self.id);
        let calls = &self.calls.impatient(self.patience(scan_lists));
        // Each instance's takes a call of its own, and a list and a description after that.
        let user_data_pays = scan_lists.is_none_or(|lists| 2 * ecs.seeking.load(Relaxed) <= lists);
        // Beside the description, unless that is likely to be enough: a call for a round trip.
        let is_likely_enough = self.config.cluster_tag.is_some() || ecs.cache.has_groups() || ecs.cache.has_others();
        let is_eager = user_data_pays && !is_likely_enough;
        let mut user_data = None;
        if is_eager && self.described.is_none() {
            let (described, read) = tokio::join!(ec2.instance(calls, id), ec2.user_data(calls, id));
            (self.described, user_data) = (Some(described), Some(read));
        } else {
            self.describe(calls).await;
        }
        if self.is_elsewhere() {
            return Vec::new();
        }
        let mut found = self.follow_group().await;
        if found.is_empty() {
            found = self.follow_tag().await;
        }
        if let Some(known) = known
            && found.is_empty()
        {
            found = self.follow_capacity_providers(known).await;
        }
        if user_data_pays && found.is_empty() {
            let user_data = match user_data {
                Some(user_data) => user_data,
                None => ec2.user_data(calls, id).await,
            };
            found = self.follow_user_data(user_data, known).await;
        }
        found
    }

    /// Follows what was cached: the cluster of another instance of the same group.
    async fn follow_group(&mut self) -> Found {
        let Some(group) = self.known().and_then(Instance::group) else { return Vec::new() };
        let Some(cluster) = self.ecs.cache.group(&group) else { return Vec::new() };
        let found = self.follow([cluster.clone()]).await;
        if found.is_empty() {
            self.ecs.cache.remove_group(&group, &cluster);
        }
        found
    }

    async fn follow_tag(&mut self) -> Found {
        let tag = self.config.cluster_tag.as_deref();
        let value = tag.and_then(|tag| self.known()?.tag(tag));
        self.follow(value.and_then(ClusterName::from_name_or_arn)).await
    }

    /// Follows the Auto Scaling group that belongs to a capacity provider to the clusters that list the provider.
    async fn follow_capacity_providers(&mut self, known: &ClusterList) -> Found {
        let Some(group) = self.known().and_then(Instance::auto_scaling_group) else { return Vec::new() };
        let providers = self.ecs.cache.capacity_providers_of(group);
        let clusters: Vec<_> = providers.iter().flat_map(|name| known.with_capacity_provider(name)).cloned().collect();
        self.follow(clusters).await
    }

    async fn follow_user_data(&mut self, user_data: Result<String, Error>, known: Option<&ClusterList>) -> Found {
        let cluster = match user_data.as_deref().map(mention) {
            Ok(Mention::Cluster(cluster)) => Some(cluster),
            // Most instances that name no cluster are in none: `default` is worth a call only if it may be there.
            Ok(Mention::Default) => ClusterName::from_name_or_arn("default")
                .filter(|default| known.is_some_and(|known| known.with_instances().any(|name| name == default))),
            Ok(Mention::Unknown) => None,
            Err(error) => {
                tracing::warn!(%error, "the user data can't be read");
                None
            }
        };
        self.follow(cluster).await
    }

    /// Looks where hints lead. Half of what is left is kept for the scan, and a cluster that failed is left to it.
    async fn follow(&mut self, clusters: impl IntoIterator<Item = ClusterName>) -> Found {
        let clusters = clusters.into_iter().filter(|cluster| !self.unread.contains_key(cluster)).collect();
        self.look(&self.calls.impatient(self.calls.left() / 2), clusters).await
    }

    /// Looks for it in clusters, several at a time, until it is found.
    async fn look(&mut self, calls: &Calls, clusters: Vec<ClusterName>) -> Found {
        let (ecs, id) = (self.ecs, self.id);
        let look = |cluster: ClusterName| {
            let look = async move {
                let found = ecs.registrations(calls, &cluster, id).await;
                (cluster, found)
            };
            look.boxed()
        };
        let mut clusters = clusters.into_iter();
        let mut looks = Vec::with_capacity(WIDTH);
        loop {
            let missed = &self.missed;
            let more = clusters.by_ref().filter(|cluster| !missed.contains(cluster)).take(WIDTH - looks.len());
            looks.extend(more.map(look));
            if looks.is_empty() {
                return Vec::new();
            }
            // Not a `FuturesUnordered`, which wakes whoever polls it: then lines would not run together.
            let ((cluster, found), _, others) = select_all(looks).await;
            looks = others;
            match found {
                Ok(found) => {
                    self.unread.remove(&cluster);
                    if !found.is_empty() {
                        return found;
                    }
                    self.missed.insert(cluster);
                }
                Err(error) => drop(self.unread.insert(cluster, error)),
            }
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
