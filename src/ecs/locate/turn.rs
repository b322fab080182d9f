//! Large scans by several processes, one after the other.
//!
//! Two processes that scan at the same time share a quota, so that both take twice as long. Whoever finds the quota in use
//! when it begins lets the other one finish: that one is done after half the time, has all clusters cached, and handles the
//! next batches.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    aws::{calls::Calls, operation::Operation::ListContainerInstances},
    ecs::{Ecs, cluster_list::ClusterList},
    identifier::ClusterName,
};

/// How many instances, looked for by so many lists, make a large scan.
const INSTANCES: usize = 20;
const LISTS: usize = 40;

/// Processes that begin together are apart by up to so much, 0.5 s.
const APART: Duration = Duration::from_millis(500);

/// How many clusters are read to see whether the quota is in use, with two calls each: so much less than half of the 100
/// calls that are admitted at once that two processes are seldom both throttled, and not so little that neither is.
const PROBED: usize = 20;

/// How many lists another process makes at once, and how long each further one takes it: the quota admits 100 at once and
/// 20 a second.
const AT_ONCE: usize = 80;
const LIST: Duration = Duration::from_millis(50);

impl Ecs {
    /// Waits, before a large scan, for another process that has begun one.
    pub(super) async fn wait_for_turn(&self, calls: &Calls, known: &ClusterList, instances: usize) {
        let lists = known.scan_lists(instances);
        let clusters: Vec<_> = known.with_instances().cloned().collect();
        let is_cached = |cluster: &ClusterName| self.cache.roster_read(cluster).is_some();
        if instances < INSTANCES || lists < LISTS || clusters.iter().any(is_cached) {
            return;
        }
        let probed: Vec<_> = clusters.into_iter().take(PROBED).collect();
        let wait = |(ecs, probed, lists): (Self, Vec<ClusterName>, usize), calls: Calls, ()| async move {
            sleep(APART.mul_f64(fastrand::f64())).await;
            let (started, once) = (Instant::now(), &calls.once());
            join_all(probed.iter().map(|cluster| ecs.roster(once, cluster))).await;
            if calls.were_throttled_since(ListContainerInstances, started) {
                let others = LIST * u32::try_from(lists.saturating_sub(AT_ONCE)).unwrap_or(u32::MAX);
                sleep(others.min(calls.left() / 4)).await;
            }
            Ok(())
        };
        // What fails here is read again by the scan.
        let _ = self.shared.turns.get_one(&(self.clone(), probed, lists), calls, &(), wait).await;
    }
}
