//! The state of a search: what is still wanted, what was found, what could not be read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    Findings, Located, WIDTH,
    clusters::{self, KnownClusters},
    container_instances::{FILTER_IDS, find},
    hint_lost,
    instances::{self, Instance},
    keeper::keepers,
    patience,
    user_data::Mention,
};
use crate::{
    aws::{Calls, Regional},
    config::Config,
    ecs::{ClusterName, ContainerInstance},
    error::Error,
    interruption::InstanceId,
};

/// Where instances are looked for next.
type Places = BTreeMap<ClusterName, BTreeSet<InstanceId>>;

pub(super) struct Search<'a> {
    pub(super) aws: &'a Regional,
    calls: &'a Calls,
    /// Not found yet.
    wanted: BTreeSet<InstanceId>,
    found: BTreeMap<InstanceId, Vec<ContainerInstance>>,
    /// What EC2 knows of them, once it was asked.
    instances: HashMap<InstanceId, Instance>,
    /// Known not to be there.
    missed: HashSet<(ClusterName, InstanceId)>,
    /// The clusters that could not be read.
    unread: BTreeMap<ClusterName, Error>,
    /// Why it is not known which clusters there are.
    unlisted: Option<Error>,
}

impl<'a> Search<'a> {
    pub(super) fn new(aws: &'a Regional, calls: &'a Calls, wanted: &BTreeSet<InstanceId>) -> Self {
        Self {
            aws,
            calls,
            wanted: wanted.clone(),
            found: BTreeMap::new(),
            instances: HashMap::new(),
            missed: HashSet::new(),
            unread: BTreeMap::new(),
            unlisted: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.wanted.is_empty()
    }

    /// How many lists it takes to scan this many clusters for all that is wanted.
    pub(super) fn scan_calls(&self, clusters: usize) -> usize {
        clusters * self.wanted.len().div_ceil(FILTER_IDS)
    }

    /// Looks for all that is wanted in these clusters, in their order, until it is found.
    pub(super) async fn scan(&mut self, clusters: Vec<ClusterName>) {
        let wanted = self.wanted.clone();
        self.look(self.calls, clusters.into_iter().map(|cluster| (cluster, wanted.clone()))).await;
    }

    /// Follows what EC2 can tell, cheapest first. EC2 not answering costs the hints, nothing else.
    ///
    /// `scan_calls` is what a scan would cost, where that is known: hints that cost more are left out.
    pub(super) async fn follow_hints(
        &mut self,
        config: &Config,
        known: Option<&KnownClusters>,
        scan_calls: Option<usize>,
    ) {
        if self.is_done() {
            return;
        }
        let aws = self.aws;
        let calls = &self.calls.for_at_most(patience(self.calls, scan_calls));
        let user_data_pays = scan_calls.is_none_or(|calls| self.wanted.len() <= calls);
        let tag = config.cluster_tag.as_deref();
        let wanted = self.wanted.clone();

        // Beside the description, unless that is likely to be enough: a call for a round trip.
        let is_eager = user_data_pays && tag.is_none() && !aws.knowledge.has_groups();
        let describe = instances::describe(aws, calls, &wanted, tag);
        let (described, mentions) = if is_eager {
            let (described, mentions) = tokio::join!(describe, instances::mentions(aws, calls, &wanted));
            (described, Some(mentions))
        } else {
            (describe.await, None)
        };
        match described {
            Ok(instances) => self.instances = instances,
            Err(error) => hint_lost(&error),
        }

        self.follow_groups().await;
        self.follow(|_, instance| instance.cluster.clone().into_iter().collect()).await;
        self.follow_capacity_providers(known).await;
        if user_data_pays && !self.is_done() {
            let mentions = match mentions {
                Some(mentions) => mentions,
                None => instances::mentions(aws, calls, &self.wanted).await,
            };
            self.follow_user_data(mentions, known).await;
        }
    }

    /// Follows what was learned: the clusters of other instances of the same group.
    async fn follow_groups(&mut self) {
        self.follow(|aws, instance| {
            instance.group.as_deref().and_then(|group| aws.knowledge.group(group)).into_iter().collect()
        })
        .await;
        for instance in self.wanted.iter().filter_map(|id| self.instances.get(id)) {
            if let Some(group) = &instance.group {
                self.aws.knowledge.forget_group(group);
            }
        }
    }

    /// Follows the Auto Scaling groups that belong to a capacity provider to the clusters that list the provider.
    pub(super) async fn follow_capacity_providers(&mut self, known: Option<&KnownClusters>) {
        let Some(known) = known else { return };
        self.follow(|aws, instance| {
            let providers =
                instance.auto_scaling_group.as_deref().map(|group| aws.knowledge.capacity_providers_of(group));
            let clusters = providers.iter().flatten().flat_map(|provider| known.with_capacity_provider(provider));
            clusters.cloned().collect()
        })
        .await;
    }

    async fn follow_user_data(&mut self, mentions: BTreeMap<InstanceId, Mention>, known: Option<&KnownClusters>) {
        let mut places = Places::new();
        for (id, mention) in mentions {
            let cluster = match mention {
                Mention::Cluster(cluster) => Some(cluster),
                // Most instances that name no cluster are in none: `default` is worth a call only if it may be there.
                Mention::Default => ClusterName::from_name_or_arn("default")
                    .filter(|default| known.is_none_or(|known| known.has_instances_in(default))),
                Mention::Unknown => None,
            };
            if let Some(cluster) = cluster {
                places.entry(cluster).or_default().insert(id);
            }
        }
        self.follow_to(places).await;
    }

    /// Looks for each wanted instance where its description hints at.
    async fn follow(&mut self, hint: impl Fn(&Regional, &Instance) -> Vec<ClusterName>) {
        let mut places = Places::new();
        for id in &self.wanted {
            for cluster in self.instances.get(id).map(|instance| hint(self.aws, instance)).unwrap_or_default() {
                places.entry(cluster).or_default().insert(id.clone());
            }
        }
        self.follow_to(places).await;
    }

    /// Half of what is left is kept for the scan: the cluster that is hinted at may be the one that can't be read.
    async fn follow_to(&mut self, places: Places) {
        let calls = self.calls.for_at_most(self.calls.left() / 2);
        self.look(&calls, places).await;
    }

    /// Reads which clusters there are.
    pub(super) async fn read_clusters(&mut self) -> Option<KnownClusters> {
        match clusters::read(self.aws, self.calls).await {
            Ok(known) => {
                self.unlisted = None;
                Some(known)
            }
            Err(error) => {
                self.unlisted = Some(error);
                None
            }
        }
    }

    /// Looks for instances in clusters, several at a time, until nothing is wanted any more.
    async fn look(&mut self, calls: &Calls, places: impl IntoIterator<Item = (ClusterName, BTreeSet<InstanceId>)>) {
        let aws = self.aws;
        let known = aws.knowledge.clusters();
        let mut places = places.into_iter();
        let mut under_way = FuturesUnordered::new();
        while !self.is_done() {
            while under_way.len() < WIDTH
                && let Some((cluster, mut ids)) = places.next()
            {
                ids.retain(|id| self.wanted.contains(id) && !self.missed.contains(&(cluster.clone(), id.clone())));
                if !ids.is_empty() {
                    let registered = known.as_ref().and_then(|known| known.registered_in(&cluster));
                    under_way.push(async move {
                        let found = find(aws, calls, &cluster, registered, &ids).await;
                        (cluster, ids, found)
                    });
                }
            }
            let Some((cluster, ids, found)) = under_way.next().await else { return };
            self.note(cluster, ids, found);
        }
    }

    fn note(&mut self, cluster: ClusterName, ids: BTreeSet<InstanceId>, found: Result<Vec<ContainerInstance>, Error>) {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%cluster, %error, "a cluster could not be searched");
                self.unread.insert(cluster, error);
                return;
            }
        };
        self.unread.remove(&cluster);
        for container_instance in found {
            let id = &container_instance.instance;
            self.wanted.remove(id);
            if let Some(group) = self.instances.get(id).and_then(|instance| instance.group.clone()) {
                self.aws.knowledge.learn_group(group, cluster.clone());
            }
            self.found.entry(id.clone()).or_default().push(container_instance);
        }
        self.missed.extend(ids.into_iter().filter(|id| self.wanted.contains(id)).map(|id| (cluster.clone(), id)));
    }

    /// What came of it. That an instance is in no cluster is said only if every cluster was read.
    pub(super) async fn into_findings(mut self) -> Findings {
        let error = self.unlisted.or_else(|| self.unread.into_values().next());
        let mut findings: Findings =
            self.wanted.into_iter().map(|id| (id, error.clone().map_or(Ok(Vec::new()), Err))).collect();
        let known = self.aws.knowledge.clusters();
        for (id, container_instances) in self.found {
            let instance = self.instances.remove(&id);
            let mut located = Ok(Vec::with_capacity(container_instances.len()));
            for container_instance in container_instances {
                let cluster = known.as_ref().and_then(|known| known.get(&container_instance.cluster));
                let keepers = keepers(self.aws, self.calls, &container_instance, instance.as_ref(), cluster).await;
                located = located.and_then(|mut located: Vec<_>| {
                    located.push(Located { container_instance, keepers: keepers? });
                    Ok(located)
                });
            }
            findings.insert(id, located);
        }
        findings
    }
}
