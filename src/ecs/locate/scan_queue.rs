//! Queues large scans of several processes, so that they run one after the other.
//!
//! Two processes that scan at the same time share a quota, so that both take twice as long. A process that finds the
//! quota in use when it starts lets the other one finish: that one is done after half the time, has all clusters
//! cached, and handles the next batches.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    aws::{calls::Calls, operation::Operation::ListContainerInstances},
    ecs::{Ecs, cluster_list::ClusterList},
    identifier::ClusterName,
};

/// The number of instances and of lists from which on a scan is large.
const LARGE_INSTANCES: usize = 20;
const LARGE_LISTS: usize = 40;

/// The longest random delay before probing, 0.5 s, which separates processes that start together.
const MAX_DELAY: Duration = Duration::from_millis(500);

/// The number of clusters that are read to probe whether the quota is in use, at two calls each. It is so much less
/// than half of the 100 calls that are admitted at once that two processes are seldom both throttled, and large enough
/// that one of them is.
const PROBED_CLUSTERS: usize = 20;

/// The number of lists that another process makes at once, and the time for each further one: the quota admits 100
/// calls at once and 20 a second.
const BURST_LISTS: usize = 80;
const LIST_TIME: Duration = Duration::from_millis(50);

impl Ecs {
    /// Waits, before a large scan, for a scan that another process has started.
    pub(super) async fn wait_for_other_scans(&self, calls: &Calls, known: &ClusterList, instances: usize) {
        let lists = known.scan_lists(instances);
        let clusters: Vec<_> = known.with_instances().cloned().collect();
        let is_cached = |cluster: &ClusterName| self.cache.snapshot_time(cluster).is_some();
        if instances < LARGE_INSTANCES || lists < LARGE_LISTS || clusters.iter().any(is_cached) {
            return;
        }
        let probed: Vec<_> = clusters.into_iter().take(PROBED_CLUSTERS).collect();
        let wait = |(ecs, probed, lists): (Self, Vec<ClusterName>, usize), calls: Calls, ()| async move {
            sleep(MAX_DELAY.mul_f64(fastrand::f64())).await;
            let (started, once) = (Instant::now(), &calls.once());
            join_all(probed.iter().map(|cluster| ecs.snapshot(once, cluster))).await;
            if calls.throttled_since(ListContainerInstances, started) {
                let others = LIST_TIME * u32::try_from(lists.saturating_sub(BURST_LISTS)).unwrap_or(u32::MAX);
                sleep(others.min(calls.left() / 4)).await;
            }
            Ok(())
        };
        // The scan repeats reads that fail here.
        let _ = self.coalesced.scan_queue.get_one(&(self.clone(), probed, lists), calls, &(), wait).await;
    }
}
