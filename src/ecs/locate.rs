//! From an EC2 instance to its container instances, by reading only.
//!
//! The order is that of calls and round trips, hints before the scan where the scan would cost more:
//!
//! | way | calls before the container instance is described | round trips |
//! |---|---|---|
//! | scan of n clusters with container instances, known from the warm-up | n, and `DescribeInstances` beside them | 1 |
//! | the cache, the operators' tag, the group's capacity provider | 2: `DescribeInstances`, list | 2 |
//! | user data | 3: the same and `DescribeInstanceAttribute`, beside the first | 2 |
//! | scan of n clusters that are not known yet | 3 and two more for each hundred clusters, then n | 4 |
//!
//! So up to two clusters are simply scanned: no more calls than a hint takes, and a round trip less. The instance is
//! described in any case: who manages it is part of the proof.

mod search;
mod turn;
mod user_data;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::SystemTime,
};

use futures_util::future::join_all;
use tokio::task::yield_now;

use self::search::{CHEAP_SCAN, Search};
use super::{Ecs, cluster_list::ClusterList, container_instance::ContainerInstance, managed_by::ManagedBy};
use crate::{
    aws::calls::Calls,
    config::{Config, Verdict},
    ec2::{
        Ec2,
        instance::{Instance, Start},
    },
    error::Error,
    identifier::InstanceId,
    interruption::Interruption,
};

/// A container instance of an interrupted EC2 instance, and who else manages it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// The container instance.
    pub(crate) container_instance: ContainerInstance,
    /// Those who handle its tasks without us; each may be a reason to leave it alone.
    pub(crate) managed_by: Vec<ManagedBy>,
    /// When EC2 started the instance again, if it has been stopped before, and EC2 says so.
    pub(crate) started_again: Option<SystemTime>,
    /// Whether its agent is not connected, while that of another registration of the instance is. Looked at only when the
    /// instance came back.
    pub(crate) is_stale: bool,
}

/// Finds the container instances of an EC2 instance, none if it is in no cluster, and gives what EC2 knows of it.
///
/// The error is what kept it from finding all of them: without one, every cluster was read that the instance may be in.
pub(crate) async fn locate(
    ec2: &Ec2,
    ecs: &Ecs,
    config: &Config,
    calls: &Calls,
    interruption: &Interruption,
) -> (Option<Arc<Instance>>, Vec<Located>, Option<Error>) {
    let _seeking = Seeking::begin(&ecs.seeking);
    // All that come with this one begin to seek, too.
    yield_now().await;
    let mut search = Search::new(ec2, ecs, config, calls, interruption);
    search.recall().await;
    let searched = match search.known_clusters().await {
        _ if search.is_over() => {
            search.describe(calls).await;
            Ok(())
        }
        Some(known) if is_cheap(ecs, &known) => search.scan_at_once(&known).await,
        known => search.follow_hints_then_scan(known).await,
    };
    let (instance, found) = search.into_parts();
    let with_managers = async |found| with_managers(ecs, config, calls, found, instance.as_ref()).await;
    let (mut located, mut error) = (Vec::new(), searched.err());
    for found in join_all(found.into_iter().map(with_managers)).await {
        match found {
            Ok(found) => located.push(found),
            Err(unknown) => error = error.or(Some(unknown)),
        }
    }
    (instance.ok().flatten(), located, error)
}

/// Whether a running instance has just been launched. That is all an ordinary launch costs: only an instance that was
/// stopped before can be in a cluster, and EC2 knows it.
pub(crate) async fn is_launch(ec2: &Ec2, calls: &Calls, id: &InstanceId) -> Result<bool, Error> {
    let described = ec2.instance(calls, id).await?;
    Ok(described.is_none_or(|instance| instance.start == Start::First))
}

/// Reads what the first notice needs in any case, so that it finds connections open and the clusters known.
pub(crate) async fn warm_up(ecs: &Ecs, config: &Config, calls: &Calls) {
    if let Err(error) = ecs.read_few_clusters(calls, &config.clusters).await {
        tracing::info!(%error, "the warm-up ended early");
    }
}

/// Whether a scan takes no more calls than a hint. Where instances are often a part of something else, EC2 is asked
/// first, since that alone rules a scan out.
fn is_cheap(ecs: &Ecs, known: &ClusterList) -> bool {
    known.scan_lists(ecs.seeking.load(Relaxed)) <= CHEAP_SCAN && !ecs.cache.has_others()
}

async fn with_managers(
    ecs: &Ecs,
    config: &Config,
    calls: &Calls,
    found: ContainerInstance,
    instance: Result<&Option<Arc<Instance>>, &Error>,
) -> Result<Located, Error> {
    if config.clusters.verdict(&found.cluster) != Verdict::Included {
        return Ok(Located { container_instance: found, managed_by: Vec::new(), started_again: None, is_stale: false });
    }
    let instance = instance.map(Option::as_deref);
    let known = instance.ok().flatten();
    if let Some(group) = known.and_then(Instance::group) {
        ecs.cache.insert_group(group, found.cluster.clone());
    }
    let managed_by = ecs.managed_by(calls, &found, instance).await?;
    let started_again = match known.map(|instance| instance.start) {
        Some(Start::Again(time)) => Some(time),
        _ => None,
    };
    Ok(Located { container_instance: found, managed_by, started_again, is_stale: false })
}

/// Counts an instance as one that is looked for.
struct Seeking<'a>(&'a AtomicUsize);

impl<'a> Seeking<'a> {
    fn begin(seeking: &'a AtomicUsize) -> Self {
        seeking.fetch_add(1, Relaxed);
        Self(seeking)
    }
}

impl Drop for Seeking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
