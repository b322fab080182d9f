//! `ListClusters` and `DescribeClusters`: which clusters there are, and which of them have container instances.

use std::time::{Duration, Instant};

use aws_sdk_ecs::types::ClusterField;

use super::{
    Ecs,
    cluster_list::{Cluster, ClusterList},
    limits::PAGE,
};
use crate::{
    aws::{calls::Calls, next, operation::Operation},
    config::ClusterFilter,
    error::Error,
    identifier::ClusterName,
};

/// How long throttled look-ups of capacity providers are retried, 2 s: they are one hint of several.
const PROVIDERS: Duration = Duration::from_secs(2);

impl Ecs {
    /// Reads the clusters that the function may act on, and the capacity providers that they list.
    ///
    /// If `CLUSTERS` has plain names only, just those are described; otherwise all clusters are listed.
    pub(crate) async fn read_clusters(&self, calls: &Calls, settings: &ClusterFilter) -> Result<ClusterList, Error> {
        let read = |(ecs, settings): (Self, ClusterFilter), calls: Calls, ()| async move {
            ecs.read(&calls, &settings, usize::MAX).await
        };
        self.coalesced.clusters.get_one(&(self.clone(), settings.clone()), calls, &(), read).await
    }

    /// Like [`Ecs::read_clusters`], but gives up if there is more than one page: the first notice may have a better
    /// hint.
    pub(crate) async fn read_few_clusters(&self, calls: &Calls, settings: &ClusterFilter) -> Result<(), Error> {
        self.read(calls, settings, 1).await.map(drop)
    }

    async fn read(&self, calls: &Calls, settings: &ClusterFilter, pages: usize) -> Result<ClusterList, Error> {
        let started = Instant::now();
        let clusters = if let Some(names) = settings.plain_names() {
            self.describe_named(calls, names).await
        } else {
            let Some(arns) = self.list_clusters(calls, pages).await? else {
                return Ok(ClusterList::default());
            };
            self.describe_clusters(calls, &arns).await?
        };
        let clusters = ClusterList::new(clusters, settings, started);
        self.cache.set_clusters(clusters.clone());
        let providers = clusters.iter().flat_map(|cluster| &cluster.capacity_providers).collect();
        if let Err(error) = self.read_capacity_providers(&calls.with_fallback_after(PROVIDERS), providers).await {
            // They are one hint of several. The provider of a container instance is read before any change.
            tracing::info!(%error, "capacity providers could not be described: they give no hint");
        }
        Ok(clusters)
    }

    /// Returns `None` if there are more pages than these.
    async fn list_clusters(&self, calls: &Calls, pages: usize) -> Result<Option<Vec<String>>, Error> {
        let mut request = self.client.list_clusters();
        let mut arns = Vec::new();
        for _ in 0..pages {
            let page = calls.make(Operation::ListClusters, "the Region", || request.clone().send()).await?;
            arns.extend(page.cluster_arns.unwrap_or_default());
            match next(page.next_token) {
                Some(token) => request = request.next_token(token),
                None => return Ok(Some(arns)),
            }
        }
        Ok(None)
    }

    /// Like `describe_clusters`, but never fails: without an answer, every cluster counts as undescribed.
    async fn describe_named(&self, calls: &Calls, names: Vec<ClusterName>) -> Vec<Cluster> {
        let ids: Vec<_> = names.iter().map(ToString::to_string).collect();
        self.describe_clusters(calls, &ids).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "clusters could not be described: each of them may have container instances");
            names.into_iter().map(Cluster::undescribed).collect()
        })
    }

    pub(super) async fn describe_clusters(&self, calls: &Calls, ids: &[String]) -> Result<Vec<Cluster>, Error> {
        let mut clusters = Vec::with_capacity(ids.len());
        for ids in ids.chunks(PAGE) {
            let request = self.client.describe_clusters().set_clusters(Some(ids.to_vec())).include(ClusterField::Tags);
            let resource = format!("{} clusters", ids.len());
            let answer = match calls.make(Operation::DescribeClusters, resource, || request.clone().send()).await {
                Err(error) if !error.is_transient() => {
                    tracing::warn!(%error, "clusters could not be described: each of them may have container instances");
                    clusters.extend(
                        ids.iter().filter_map(|id| ClusterName::from_name_or_arn(id)).map(Cluster::undescribed),
                    );
                    continue;
                }
                answer => answer?,
            };
            let failed = answer.failures().iter().filter(|failure| failure.reason() != Some("MISSING"));
            let names = failed.filter_map(|failure| ClusterName::from_name_or_arn(failure.arn()?));
            clusters.extend(names.map(Cluster::undescribed));
            clusters.extend(answer.clusters.unwrap_or_default().into_iter().filter_map(Cluster::new));
        }
        Ok(clusters)
    }
}
