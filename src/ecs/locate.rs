//! From EC2 instance ids to their container instances, by reading only.
//!
//! The order is that of calls and round trips, hints before the scan where the scan would cost more:
//!
//! | way | calls before the container instance is described | round trips |
//! |---|---|---|
//! | scan of n clusters with container instances, known from the warm-up | at most n | 1 |
//! | what this process learned, the operators' tag, the group's capacity provider | 2: `DescribeInstances`, list | 2 |
//! | user data | 3: the same and `DescribeInstanceAttribute`, beside the first | 2 |
//! | scan of n clusters that are not known yet | 2 and a page more for each hundred clusters, then n | 3 |
//!
//! So up to three clusters are simply scanned: no more calls than a hint takes, and a round trip less.

mod capacity_provider;
mod clusters;
mod container_instances;
mod instances;
mod keeper;
mod knowledge;
mod search;
mod user_data;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use self::search::Search;
use crate::{
    aws::{Calls, Regional},
    config::Config,
    ecs::{ClusterName, ContainerInstance},
    error::Error,
    interruption::InstanceId,
};

pub(crate) use self::container_instances::describe;
pub use self::{keeper::Keeper, knowledge::Knowledge};

/// Up to this many lists are as cheap as a hint: see the table above.
const CHEAP_SCAN: usize = 3;

/// How many clusters are listed at the same time: enough to scan tens of clusters in a few round trips, few enough
/// that a hit saves calls and that one cold notice doesn't open connections by the dozen.
const WIDTH: usize = 8;

/// A container instance of an interrupted EC2 instance, and who else looks after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The container instance.
    pub container_instance: ContainerInstance,
    /// Those who see to its tasks without us; each may be a reason to leave it alone.
    pub keepers: Vec<Keeper>,
}

/// What was found of each instance: its container instances, none if it is in no cluster, or why that is not known.
pub type Findings = BTreeMap<InstanceId, Result<Vec<Located>, Error>>;

/// Finds the container instances of EC2 instances of one account and Region.
pub async fn locate(aws: &Regional, config: &Config, calls: &Calls, wanted: &BTreeSet<InstanceId>) -> Findings {
    let mut search = Search::new(aws, calls, wanted);
    match config.clusters.plain_names() {
        Some(names) => among_names(&mut search, config, names).await,
        None => among_all(&mut search, config).await,
    }
    search.into_findings().await
}

/// The search where `CLUSTERS` names its clusters: no others are scanned.
async fn among_names(search: &mut Search<'_>, config: &Config, names: Vec<ClusterName>) {
    let scan_calls = search.scan_calls(names.len());
    if scan_calls <= CHEAP_SCAN {
        search.scan(names).await;
        // Only to say that the instance is in a cluster that the settings leave out.
        search.follow_hints(config, None, Some(scan_calls)).await;
    } else {
        search.follow_hints(config, None, Some(scan_calls)).await;
        search.scan(names).await;
    }
}

/// The search where any cluster may be the one.
async fn among_all(search: &mut Search<'_>, config: &Config) {
    let mut known = search.aws.knowledge.clusters();
    let scan_calls = known.as_ref().map(|known| search.scan_calls(known.with_instances()));
    if scan_calls.is_none_or(|calls| calls > CHEAP_SCAN) {
        search.follow_hints(config, known.as_ref(), scan_calls).await;
    }
    if search.is_done() {
        return;
    }
    if known.is_none() {
        known = search.read_clusters().await;
        search.follow_capacity_providers(known.as_ref()).await;
    }
    let Some(known) = known else { return };
    search.scan(known.in_scan_order(&config.clusters)).await;
    if !search.is_done() && !known.is_fresh() {
        // A cluster may have come, or got its first instance, since: not before a new look is an instance in none.
        if let Some(known) = search.read_clusters().await {
            search.scan(known.in_scan_order(&config.clusters)).await;
        }
    }
}

/// How long the EC2 look-ups may take: a second for each list that they save, but no more than half of what is left.
fn patience(calls: &Calls, scan_calls: Option<usize>) -> Duration {
    let half = calls.left() / 2;
    scan_calls.map_or(half, |lists| half.min(Duration::from_secs(lists.max(2) as u64)))
}

/// Says that EC2 did not tell what it could have told; the search goes on without.
fn hint_lost(error: &Error) {
    tracing::warn!(%error, "EC2 gives no hint");
}

/// Reads what the first notice needs in any case, so that it finds connections open and the clusters known.
pub async fn warm_up(aws: &Regional, calls: &Calls) {
    if let Err(error) = clusters::read_few(aws, calls).await {
        tracing::info!(%error, "the warm-up ended early");
    }
}
