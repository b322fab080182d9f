//! Locates the container instances of an EC2 instance. Nothing is changed.
//!
//! The ways are ordered by calls and round trips. Hints come before the scan if the scan would take more calls:
//!
//! | way | calls before the container instance is described | round trips |
//! |---|---|---|
//! | scan of n clusters with container instances, known from the warm-up | n and, concurrently, `DescribeInstances` | 1 |
//! | the cache, the operator's tag, the group's capacity provider | 2: `DescribeInstances`, list | 2 |
//! | user data | 3: the same and, concurrently with the first, `DescribeInstanceAttribute` | 2 |
//! | scan of n clusters that are not known yet | 3 and two more for each hundred clusters, then n | 4 |
//!
//! Up to two clusters are scanned at once: that takes no more calls than a hint, and a round trip less. The instance is
//! described in any case, since the proof includes who manages it.

mod scan_queue;
mod search;
mod user_data;
pub(crate) mod way;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::SystemTime,
};

use futures_util::future::join_all;
use tokio::task::yield_now;

use self::{
    search::{CHEAP_SCAN, Search, expects_other_platforms},
    way::Way,
};
use super::{Ecs, cluster_list::ClusterList, container_instance::ContainerInstance, managed_by::ManagedBy};
use crate::{
    aws::calls::Calls,
    config::{Config, Verdict},
    ec2::{
        Ec2,
        instance::{Instance, LastStart},
    },
    error::Error,
    identifier::InstanceId,
    interruption::Interruption,
};

/// A container instance of an EC2 instance, and who else manages it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) container_instance: ContainerInstance,
    /// Who manages its tasks without this function; each may be a reason to leave it alone.
    pub(crate) managed_by: Vec<ManagedBy>,
    /// When EC2 started the instance again, if it was stopped before and EC2's description shows it.
    pub(crate) restarted_at: Option<SystemTime>,
    /// Whether its agent is not connected while that of another registration of the instance is. It is determined only
    /// when the instance has come back.
    pub(crate) is_stale: bool,
    pub(crate) way: Way,
}

/// Finds the container instances of an EC2 instance, of which there are none if it is in no cluster, and returns EC2's
/// description of the instance.
///
/// The error is the reason why the search is incomplete. Without one, every cluster was read that the instance may be
/// in.
pub(crate) async fn locate(
    ec2: &Ec2,
    ecs: &Ecs,
    config: &Config,
    calls: &Calls,
    interruption: &Interruption,
) -> (Result<Option<Arc<Instance>>, Error>, Vec<Located>, Option<Error>) {
    let _active = ActiveSearch::begin(&ecs.searches);
    // Concurrent searches are counted before this one goes on.
    yield_now().await;
    let mut search = Search::new(ec2, ecs, config, calls, interruption);
    search.use_cache().await;
    if expects_other_platforms(ecs, config) {
        search.describe(&calls.with_fallback_after(calls.left() / 2)).await;
    }
    let searched = if search.is_over() {
        search.describe(calls).await;
        Ok(())
    } else if search.is_on_other_platform() {
        Ok(())
    } else {
        match search.known_clusters().await {
            Some(known) if is_cheap(ecs, config, &known) => search.scan_at_once(&known).await,
            known => search.try_hints_then_scan(known).await,
        }
    };
    let (instance, found) = search.into_parts();
    let with_managers = async |(found, way)| with_managers(ecs, config, calls, (found, way), instance.as_ref()).await;
    let (mut located, mut error) = (Vec::new(), searched.err());
    for found in join_all(found.into_iter().map(with_managers)).await {
        match found {
            Ok(found) => located.push(found),
            Err(unknown) => error = error.or(Some(unknown)),
        }
    }
    (instance, located, error)
}

/// Whether a running instance was launched, rather than started again. An ordinary launch costs only this call: only an
/// instance that was stopped before can be in a cluster and known to EC2.
pub(crate) async fn is_launch(ec2: &Ec2, calls: &Calls, id: &InstanceId) -> Result<bool, Error> {
    let described = ec2.instance(calls, id).await?;
    Ok(described.is_none_or(|instance| instance.start == LastStart::Launched))
}

/// Reads what the first notice needs in any case, so that connections are open and the clusters are known.
pub(crate) async fn warm_up(ecs: &Ecs, config: &Config, calls: &Calls) {
    if let Err(error) = ecs.read_few_clusters(calls, &config.clusters).await {
        tracing::info!(%error, "the warm-up failed: the first notice reads the clusters");
    }
}

/// Whether a scan takes no more calls than a hint. Where instances of other platforms are interrupted, EC2 is asked
/// first, since its answer alone can make a scan unnecessary.
fn is_cheap(ecs: &Ecs, config: &Config, known: &ClusterList) -> bool {
    known.scan_lists(ecs.searches.load(Relaxed)) <= CHEAP_SCAN && !expects_other_platforms(ecs, config)
}

async fn with_managers(
    ecs: &Ecs,
    config: &Config,
    calls: &Calls,
    (found, way): (ContainerInstance, Way),
    instance: Result<&Option<Arc<Instance>>, &Error>,
) -> Result<Located, Error> {
    if config.clusters.verdict(&found.cluster) != Verdict::Included {
        let (managed_by, restarted_at, is_stale) = (Vec::new(), None, false);
        return Ok(Located { container_instance: found, managed_by, restarted_at, is_stale, way });
    }
    let instance = instance.map(Option::as_deref);
    let known = instance.ok().flatten();
    if let Some(group) = known.and_then(Instance::group) {
        ecs.cache.insert_group(group, found.cluster.clone());
    }
    let managed_by = ecs.managed_by(calls, &found, instance).await?;
    let restarted_at = match known.map(|instance| instance.start) {
        Some(LastStart::Restarted(time)) => Some(time),
        _ => None,
    };
    Ok(Located { container_instance: found, managed_by, restarted_at, is_stale: false, way })
}

/// Counts a search while it is active.
struct ActiveSearch<'a>(&'a AtomicUsize);

impl<'a> ActiveSearch<'a> {
    fn begin(searches: &'a AtomicUsize) -> Self {
        searches.fetch_add(1, Relaxed);
        Self(searches)
    }
}

impl Drop for ActiveSearch<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
