//! From EC2 instance ids to their container instances, by reading only.
//!
//! The order is that of calls and round trips, hints before the scan where the scan would cost more:
//!
//! | way | calls before the container instance is described | round trips |
//! |---|---|---|
//! | scan of n clusters with container instances, known from the warm-up | n, and `DescribeInstances` beside them | 1 |
//! | what this process learned, the operators' tag, the group's capacity provider | 2: `DescribeInstances`, list | 2 |
//! | user data | 3: the same and `DescribeInstanceAttribute`, beside the first | 2 |
//! | scan of n clusters that are not known yet | 3 and two more for each hundred clusters, then n | 4 |
//!
//! So up to two clusters are simply scanned: no more calls than a hint takes, and a round trip less. The instance is
//! described in any case: who operates it is part of the proof.

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
    time::{Duration, SystemTime},
};

use self::{instances::Start, search::Search};
use crate::{
    aws::{Calls, Regional},
    config::Config,
    ecs::ContainerInstance,
    error::Error,
    interruption::InstanceId,
};

pub(crate) use self::container_instances::describe;
pub use self::{instances::Machine, keeper::Keeper, knowledge::Knowledge};

/// How long it is tried to tell launches from instances that come back, 2 s.
const PATIENCE: Duration = Duration::from_secs(2);

/// Up to this many lists are as cheap as a hint: see the table above.
const CHEAP_SCAN: usize = 2;

/// From this many lists on, a scan in each of a hundred environments uses up the quota of a whole notice.
const MANY_LISTS: usize = 20;

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
    /// When EC2 started the instance again, if it has been stopped before, and EC2 says so.
    pub started_again: Option<SystemTime>,
}

/// What was found of each instance.
pub type Findings = BTreeMap<InstanceId, Finding>;

/// What was found of an instance.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its container instances, none if it is in no cluster, or why that is not known.
    pub located: Result<Vec<Located>, Error>,
    /// What kind of instance it is, if EC2 has said so.
    pub machine: Option<Machine>,
}

/// Finds the container instances of EC2 instances of one account and Region.
pub async fn locate(aws: &Regional, config: &Config, calls: &Calls, wanted: &BTreeSet<InstanceId>) -> Findings {
    let mut search = Search::new(aws, config, calls, wanted);
    let known = aws.knowledge.clusters();
    let scan_calls = known.as_ref().map(|known| search.scan_calls(known.with_instances()));
    match known {
        // All of them, where all are known from the batch before: then there is nothing to scan for.
        Some(known) if scan_calls.is_some_and(|calls| calls <= CHEAP_SCAN) => search.scan_at_once(&known).await,
        known => search.follow_hints_then_scan(known, scan_calls).await,
    }
    search.into_findings().await
}

/// Which of these running instances have just been launched, as far as EC2 can tell. One call for 200 of them is all
/// that an ordinary launch costs: only those that were stopped before can be in a cluster.
pub async fn new_instances(aws: &Regional, calls: &Calls, running: &BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
    // It saves calls only: without it, they are looked for.
    match instances::describe(aws, &calls.impatient(PATIENCE), running, None).await {
        Ok(described) => {
            let new = described.into_iter().filter(|(_, instance)| instance.start == Start::First);
            new.map(|(id, _)| id).collect()
        }
        Err(error) => {
            hint_lost(&error);
            BTreeSet::new()
        }
    }
}

/// How long throttled EC2 look-ups are tried again: a second for each list that they save; half of what is left where
/// that is many, or not known, since such scans in the middle of a reclaim wave take the quotas of everybody.
fn patience(calls: &Calls, scan_calls: Option<usize>) -> Duration {
    let half = calls.left() / 2;
    let few = scan_calls.filter(|lists| *lists < MANY_LISTS);
    few.map_or(half, |lists| half.min(Duration::from_secs(lists.max(2) as u64)))
}

/// Says that EC2 did not tell what it could have told; the search goes on without.
fn hint_lost(error: &Error) {
    tracing::warn!(%error, "EC2 gives no hint");
}

/// Reads what the first notice needs in any case, so that it finds connections open and the clusters known.
pub async fn warm_up(aws: &Regional, config: &Config, calls: &Calls) {
    if let Err(error) = clusters::read_few(aws, config, calls).await {
        tracing::info!(%error, "the warm-up ended early");
    }
}
