//! The state of a search: what is still wanted, what was found, what could not be read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    CHEAP_SCAN, Finding, Findings, Located, WIDTH,
    clusters::{self, KnownClusters},
    container_instances::{FILTER_IDS, find},
    hint_lost,
    instances::{self, Instance, Start},
    keeper::keepers,
    patience,
    user_data::Mention,
};
use crate::{
    aws::{Calls, Regional},
    config::{Config, Verdict},
    ecs::{ClusterName, ContainerInstance},
    error::Error,
    interruption::InstanceId,
};

/// Where instances are looked for next.
type Places = BTreeMap<ClusterName, BTreeSet<InstanceId>>;

pub(super) struct Search<'a> {
    aws: &'a Regional,
    config: &'a Config,
    calls: &'a Calls,
    all: &'a BTreeSet<InstanceId>,
    /// Not found yet.
    wanted: BTreeSet<InstanceId>,
    found: BTreeMap<InstanceId, Vec<ContainerInstance>>,
    /// What EC2 knows of them, once it was asked.
    instances: Option<Result<HashMap<InstanceId, Instance>, Error>>,
    /// Known not to be there.
    missed: HashSet<(ClusterName, InstanceId)>,
    /// The clusters that could not be read.
    unread: BTreeMap<ClusterName, Error>,
    /// Why it is not known which clusters there are.
    unlisted: Option<Error>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        aws: &'a Regional,
        config: &'a Config,
        calls: &'a Calls,
        wanted: &'a BTreeSet<InstanceId>,
    ) -> Self {
        let all = wanted;
        let mut wanted = all.clone();
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for container_instance in aws.knowledge.take_registrations(&wanted) {
            wanted.remove(&container_instance.instance);
            found.entry(container_instance.instance.clone()).or_default().push(container_instance);
        }
        Self {
            aws,
            config,
            calls,
            all,
            wanted,
            found,
            instances: None,
            missed: HashSet::new(),
            unread: BTreeMap::new(),
            unlisted: None,
        }
    }

    /// How many lists it takes to scan this many clusters for all that is wanted.
    pub(super) fn scan_calls(&self, clusters: usize) -> usize {
        clusters * self.wanted.len().div_ceil(FILTER_IDS)
    }

    /// The search where a scan is as cheap as a hint.
    pub(super) async fn scan_at_once(&mut self, known: &KnownClusters) {
        let (aws, config, all) = (self.aws, self.config, self.all);
        let calls = self.calls.impatient(patience(self.calls, Some(CHEAP_SCAN)));
        let describe = instances::describe(aws, &calls, all, config.cluster_tag.as_deref());
        let (instances, ()) = tokio::join!(describe, self.scan(known));
        self.learn_instances(instances);
        self.scan_anew(known).await;
        if config.clusters.plain_names().is_some() {
            // Only to say that it is in a cluster that the settings leave out.
            self.follow_hints(None, Some(CHEAP_SCAN)).await;
        }
    }

    /// The search where a hint is cheaper. `scan_calls` is what a scan would cost, where that is known.
    pub(super) async fn follow_hints_then_scan(&mut self, known: Option<KnownClusters>, scan_calls: Option<usize>) {
        self.follow_hints(known.as_ref(), scan_calls).await;
        if self.wanted.is_empty() {
            return;
        }
        let known = if let Some(known) = known {
            known
        } else {
            let Some(known) = self.read_clusters().await else { return };
            self.follow_capacity_providers(Some(&known)).await;
            known
        };
        self.scan(&known).await;
        self.scan_anew(&known).await;
    }

    /// Looks for all that is wanted in these clusters until it is found.
    async fn scan(&mut self, known: &KnownClusters) {
        let (mut clusters, wanted) = (known.in_scan_order(&self.config.clusters), self.wanted.clone());
        // What was read for the batch before would have been found.
        clusters.sort_by_key(|cluster| self.aws.knowledge.has_registrations(cluster));
        let places = clusters.iter().map(|cluster| (cluster.clone(), wanted.clone()));
        // A cluster that fails must not keep the others waiting ...
        self.look(&self.calls.impatient(self.calls.left()), places).await;
        // ... but gets what time is left then.
        let failed = clusters.iter().filter(|cluster| self.unread.get(*cluster).is_some_and(Error::is_transient));
        let places: Vec<_> = failed.map(|cluster| (cluster.clone(), wanted.clone())).collect();
        self.look(self.calls, places).await;
    }

    /// Reads the clusters anew if they are not, and looks where there were no container instances before: not before
    /// that is an instance in none.
    async fn scan_anew(&mut self, known: &KnownClusters) {
        if !self.wanted.is_empty()
            && !known.is_fresh()
            && let Some(known) = self.read_clusters().await
        {
            self.scan(&known).await;
        }
    }

    /// Follows what EC2 can tell, cheapest first. EC2 not answering costs the hints, nothing else; hints that cost more
    /// than a scan are left out.
    async fn follow_hints(&mut self, known: Option<&KnownClusters>, scan_calls: Option<usize>) {
        if self.wanted.is_empty() {
            return;
        }
        let aws = self.aws;
        let calls = &self.calls.impatient(patience(self.calls, scan_calls));
        let user_data_pays = scan_calls.is_none_or(|calls| self.wanted.len() <= calls);
        let tag = self.config.cluster_tag.as_deref();
        let (all, wanted) = (self.all, self.wanted.clone());

        // Beside the description, unless that is likely to be enough: a call for a round trip.
        let is_eager = user_data_pays && tag.is_none() && !aws.knowledge.has_groups();
        let described = self.instances.take();
        let describe = async {
            match described {
                Some(instances) => instances,
                None => instances::describe(aws, calls, all, tag).await,
            }
        };
        let (instances, mentions) = if is_eager {
            let (instances, mentions) = tokio::join!(describe, instances::mentions(aws, calls, &wanted));
            (instances, Some(mentions))
        } else {
            (describe.await, None)
        };
        self.learn_instances(instances);

        self.follow_groups().await;
        self.follow(|_, instance| instance.cluster.clone().into_iter().collect()).await;
        self.follow_capacity_providers(known).await;
        if user_data_pays && !self.wanted.is_empty() {
            let mentions = match mentions {
                Some(mentions) => mentions,
                None => instances::mentions(aws, calls, &self.wanted).await,
            };
            self.follow_user_data(mentions, known).await;
        }
    }

    fn learn_instances(&mut self, instances: Result<HashMap<InstanceId, Instance>, Error>) {
        if let Err(error) = &instances {
            hint_lost(error);
        }
        self.instances = Some(instances);
    }

    fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        self.instances.as_ref()?.as_ref().ok()?.get(id)
    }

    /// Follows what was learned: the clusters of other instances of the same group.
    async fn follow_groups(&mut self) {
        self.follow(|aws, instance| {
            instance.group.as_deref().and_then(|group| aws.knowledge.group(group)).into_iter().collect()
        })
        .await;
        for instance in self.wanted.iter().filter_map(|id| self.instance(id)) {
            if let Some(group) = &instance.group {
                self.aws.knowledge.forget_group(group);
            }
        }
    }

    /// Follows the Auto Scaling groups that belong to a capacity provider to the clusters that list the provider.
    async fn follow_capacity_providers(&mut self, known: Option<&KnownClusters>) {
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
                    .filter(|default| known.is_some_and(|known| known.has_instances_in(default))),
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
            for cluster in self.instance(id).map(|instance| hint(self.aws, instance)).unwrap_or_default() {
                places.entry(cluster).or_default().insert(id.clone());
            }
        }
        self.follow_to(places).await;
    }

    /// Looks where hints lead. Half of what is left is kept for the scan, and a cluster that failed is left to it.
    async fn follow_to(&mut self, mut places: Places) {
        places.retain(|cluster, _| !self.unread.contains_key(cluster));
        self.look(&self.calls.impatient(self.calls.left() / 2), places).await;
    }

    /// Reads which clusters there are.
    async fn read_clusters(&mut self) -> Option<KnownClusters> {
        match clusters::read(self.aws, self.config, self.calls).await {
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
        while !self.wanted.is_empty() {
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
            self.wanted.remove(&container_instance.instance);
            self.found.entry(container_instance.instance.clone()).or_default().push(container_instance);
        }
        self.missed.extend(ids.into_iter().filter(|id| self.wanted.contains(id)).map(|id| (cluster.clone(), id)));
    }

    /// What came of it. That an instance is in no cluster is said only if every cluster that it may be in was read.
    pub(super) async fn into_findings(mut self) -> Findings {
        if let Some(names) = self.config.clusters.plain_names() {
            self.unread.retain(|cluster, _| names.contains(cluster));
        }
        let mut findings = Findings::new();
        let error = self.unlisted.as_ref().or_else(|| self.unread.values().next());
        for id in &self.wanted {
            let located = error.map_or(Ok(Vec::new()), |error| Err(error.clone()));
            findings.insert(id.clone(), self.finding(id, located));
        }
        let known = self.aws.knowledge.clusters();
        for (id, found) in &self.found {
            let mut located = Ok(Vec::with_capacity(found.len()));
            for found in found {
                let with_keepers = self.with_keepers(found, known.as_ref()).await;
                located = located.and_then(|mut located: Vec<_>| {
                    located.push(with_keepers?);
                    Ok(located)
                });
            }
            findings.insert(id.clone(), self.finding(id, located));
        }
        findings
    }

    fn finding(&self, id: &InstanceId, located: Result<Vec<Located>, Error>) -> Finding {
        Finding { located, machine: self.instance(id).map(|instance| instance.machine.clone()) }
    }

    async fn with_keepers(&self, found: &ContainerInstance, known: Option<&KnownClusters>) -> Result<Located, Error> {
        let container_instance = found.clone();
        if self.config.clusters.verdict(&found.cluster) != Verdict::Included {
            return Ok(Located { container_instance, keepers: Vec::new(), started_again: None });
        }
        let instance = match &self.instances {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(self.instance(&found.instance).cloned()),
        };
        if let Ok(Some(Instance { group: Some(group), .. })) = &instance {
            self.aws.knowledge.learn_group(group.clone(), found.cluster.clone());
        }
        let cluster = known.and_then(|known| known.get(&found.cluster));
        let keepers = keepers(self.aws, self.calls, found, &instance, cluster).await?;
        let started_again = match self.instance(&found.instance).map(|instance| instance.start) {
            Some(Start::Again(time)) => Some(time),
            _ => None,
        };
        Ok(Located { container_instance, keepers, started_again })
    }
}
