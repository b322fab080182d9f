//! `ListClusters` and `DescribeClusters`: which clusters there are, and which have container instances.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_ecs::types::ClusterField;

use super::{capacity_provider, keeper::BATCH_TAG};
use crate::{
    aws::{Calls, Regional, next},
    config::{Clusters, Config, Verdict},
    ecs::ClusterName,
    error::Error,
};

/// How long the clusters are taken for known, 10 minutes: they change with deployments, and a miss reads them anew.
const MAX_AGE: Duration = Duration::from_mins(10);

/// How long "in none of these clusters" can be trusted, 10 s: an instance is in service for longer than this before
/// it is interrupted.
const FRESH: Duration = Duration::from_secs(10);

/// How long throttled look-ups of capacity providers are tried again, 2 s: they are one hint of several.
const PROVIDERS: Duration = Duration::from_secs(2);

/// The most clusters that `DescribeClusters` takes; a page of `ListClusters` has as many, unless fewer are asked for.
const PAGE: usize = 100;

/// A cluster, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) name: ClusterName,
    /// `ACTIVE` and `DRAINING` ones.
    pub(super) container_instances: i32,
    /// Running and pending ones.
    pub(super) tasks: i32,
    pub(super) capacity_providers: Vec<String>,
    /// Whether it carries AWS Batch's tag.
    pub(super) has_batch_tag: bool,
}

/// The clusters of an account and Region that may be touched, as they were at a time.
#[derive(Clone, Debug)]
pub(super) struct KnownClusters {
    clusters: Arc<[Cluster]>,
    read: Instant,
}

impl KnownClusters {
    pub(super) fn is_current(&self) -> bool {
        self.read.elapsed() < MAX_AGE
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.read.elapsed() < FRESH
    }

    /// How many clusters a scan would list.
    pub(super) fn with_instances(&self) -> usize {
        self.clusters.iter().filter(|cluster| cluster.container_instances > 0).count()
    }

    /// Those that a scan has to list, the likeliest first: many instances, and not left alone by the settings.
    pub(super) fn in_scan_order(&self, settings: &Clusters) -> Vec<ClusterName> {
        let mut clusters: Vec<_> = self.clusters.iter().filter(|cluster| cluster.container_instances > 0).collect();
        clusters.sort_by_key(|cluster| {
            let is_left_alone = settings.verdict(&cluster.name) != Verdict::Included || cluster.has_batch_tag;
            (is_left_alone, -cluster.container_instances)
        });
        clusters.into_iter().map(|cluster| cluster.name.clone()).collect()
    }

    pub(super) fn has_instances_in(&self, name: &ClusterName) -> bool {
        self.get(name).is_some_and(|cluster| cluster.container_instances > 0)
    }

    pub(super) fn registered_in(&self, name: &ClusterName) -> Option<usize> {
        self.get(name).and_then(|cluster| cluster.container_instances.try_into().ok())
    }

    pub(super) fn tasks_of(&self, name: &ClusterName) -> Option<usize> {
        self.get(name).and_then(|cluster| cluster.tasks.try_into().ok())
    }

    pub(super) fn get(&self, name: &ClusterName) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name == *name)
    }

    /// The clusters that have this capacity provider in their list.
    pub(super) fn with_capacity_provider(&self, provider: &str) -> impl Iterator<Item = &ClusterName> {
        let has = move |cluster: &&Cluster| cluster.capacity_providers.iter().any(|name| name == provider);
        self.clusters.iter().filter(has).map(|cluster| &cluster.name)
    }
}

/// Reads the clusters that may be touched, and the capacity providers that they list.
///
/// Those are all clusters, unless `CLUSTERS` has plain names only: then no others are asked for.
pub(super) async fn read(aws: &Regional, config: &Config, calls: &Calls) -> Result<KnownClusters, Error> {
    if let Some(names) = config.clusters.plain_names() {
        return learn(aws, calls, describe_named(aws, calls, &names).await).await;
    }
    let mut arns = Vec::new();
    let mut token = None;
    loop {
        let page = list(aws, calls, token).await?;
        arns.extend(page.0);
        token = page.1;
        if token.is_none() {
            return learn(aws, calls, describe(aws, calls, &arns).await?).await;
        }
    }
}

/// As [`read`], but gives up where it would take more than a page: the first notice may have a better hint.
pub(super) async fn read_few(aws: &Regional, config: &Config, calls: &Calls) -> Result<(), Error> {
    if config.clusters.plain_names().is_some() {
        read(aws, config, calls).await?;
        return Ok(());
    }
    let (arns, token) = list(aws, calls, None).await?;
    if token.is_none() {
        learn(aws, calls, describe(aws, calls, &arns).await?).await?;
    }
    Ok(())
}

async fn learn(aws: &Regional, calls: &Calls, known: KnownClusters) -> Result<KnownClusters, Error> {
    aws.knowledge.learn_clusters(known.clone());
    let providers: BTreeSet<_> =
        known.clusters.iter().flat_map(|cluster| &cluster.capacity_providers).cloned().collect();
    if let Err(error) = capacity_provider::read_all(aws, &calls.impatient(PROVIDERS), providers).await {
        // They are one hint of several; that of a container instance is read before it is changed.
        tracing::info!(%error, "the capacity providers are not known");
    }
    Ok(known)
}

async fn list(aws: &Regional, calls: &Calls, token: Option<String>) -> Result<(Vec<String>, Option<String>), Error> {
    let request = aws.ecs.list_clusters().set_next_token(token);
    let page = calls.make("ListClusters", "the Region", || request.clone().send()).await?;
    Ok((page.cluster_arns.unwrap_or_default(), next(page.next_token)))
}

/// As [`describe`], where not even that is needed: any of these may have container instances.
pub(super) async fn describe_named(aws: &Regional, calls: &Calls, names: &[ClusterName]) -> KnownClusters {
    let ids: Vec<_> = names.iter().map(ToString::to_string).collect();
    describe(aws, calls, &ids).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the named clusters can't be described");
        KnownClusters { clusters: ids.iter().filter_map(|id| unread(id)).collect(), read: Instant::now() }
    })
}

async fn describe(aws: &Regional, calls: &Calls, ids: &[String]) -> Result<KnownClusters, Error> {
    let read = Instant::now();
    let mut clusters = Vec::with_capacity(ids.len());
    for ids in ids.chunks(PAGE) {
        let request = aws.ecs.describe_clusters().set_clusters(Some(ids.to_vec())).include(ClusterField::Tags);
        let about = format!("{} clusters", ids.len());
        let answer = calls.make("DescribeClusters", about, || request.clone().send()).await?;
        let failed = answer.failures().iter().filter(|failure| failure.reason() != Some("MISSING"));
        clusters.extend(failed.filter_map(|failure| unread(failure.arn()?)));
        clusters.extend(answer.clusters.unwrap_or_default().into_iter().filter_map(cluster));
    }
    Ok(KnownClusters { clusters: clusters.into(), read })
}

/// A cluster that could not be described may have container instances: the scan will tell.
fn unread(name_or_arn: &str) -> Option<Cluster> {
    let name = ClusterName::from_name_or_arn(name_or_arn)?;
    Some(Cluster {
        name,
        container_instances: 1,
        tasks: i32::MAX,
        capacity_providers: Vec::new(),
        has_batch_tag: false,
    })
}

fn cluster(cluster: aws_sdk_ecs::types::Cluster) -> Option<Cluster> {
    Some(Cluster {
        name: cluster.cluster_name.and_then(|name| name.try_into().ok())?,
        container_instances: cluster.registered_container_instances_count,
        tasks: cluster.running_tasks_count.saturating_add(cluster.pending_tasks_count),
        capacity_providers: cluster
            .capacity_providers
            .unwrap_or_default()
            .iter()
            .map(|provider| capacity_provider::name(provider).to_owned())
            // These have no instances of the account.
            .filter(|name| name != "FARGATE" && name != "FARGATE_SPOT")
            .collect(),
        has_batch_tag: cluster.tags.unwrap_or_default().iter().any(|tag| tag.key() == Some(BATCH_TAG)),
    })
}
