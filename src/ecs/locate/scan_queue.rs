//! Queues large scans of several processes, so that they run one after the other.
//!
//! Two processes that scan at the same time share a quota, so that both take twice as long. A process that finds the
//! quota used up when it starts lets the other one finish: that one is done after half the time, has all clusters
//! cached, and handles the next batches.

use std::{pin::pin, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep};

use crate::{
    aws::{calls::Calls, operation::Operation::ListContainerInstances},
    ecs::{Ecs, cluster_list::ClusterList},
};

/// The number of instances and of lists from which on a scan is large.
const LARGE_INSTANCES: usize = 20;
const LARGE_LISTS: usize = 40;

/// The longest random delay before a process begins, which separates processes that start together: a tenth of the time
/// that the quota takes for the scan, and 1 s at most.
const DELAY_FOR_LIST: Duration = Duration::from_millis(5);
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The number of calls that a process begins with: nearly all of the 100 that the quota admits at once.
const FIRST_CALLS: usize = 96;

/// The most clusters that are read at the same time, 8: few enough that most calls belong to clusters that are read
/// completely when the quota is used up.
const CONCURRENT_CLUSTERS: usize = 8;

/// The calls that one of two processes, at least, had answered when both together have used up the quota: half of the 100
/// that it admits at once, without a few that others make.
const HALF: u64 = 48;

/// The number of lists that the first process has made when the quota is used up, and the time for each further one: the
/// quota refills by 20 calls a second.
const BURST_LISTS: usize = 60;
const LIST_TIME: Duration = Duration::from_millis(50);

impl Ecs {
    /// Waits, before a large scan, for a scan that another process has started.
    pub(super) async fn wait_for_other_scans(&self, calls: &Calls, known: &ClusterList, instances: usize) {
        let lists = known.scan_lists(instances);
        let is_cached = |cluster| self.cache.snapshot_time(cluster).is_some();
        if instances < LARGE_INSTANCES || lists < LARGE_LISTS || known.with_instances().any(is_cached) {
            return;
        }
        let times = |lists: usize, each: Duration| each.saturating_mul(u32::try_from(lists).unwrap_or(u32::MAX));
        let most = times(lists, DELAY_FOR_LIST).min(MAX_DELAY);
        let others = times(lists.saturating_sub(BURST_LISTS), LIST_TIME);
        let wait = move |(ecs, known): (Self, ClusterList), calls: Calls, ()| async move {
            sleep(most.mul_f64(fastrand::f64())).await;
            if !ecs.goes_first(&calls, &known).await {
                sleep(others.min(calls.left() / 4)).await;
            }
            Ok(())
        };
        // The scan repeats reads that fail here.
        let _ = self.coalesced.scan_queue.get_one(&(self.clone(), known.clone()), calls, &(), wait).await;
    }

    /// Reads clusters until the quota is used up. Returns whether no other process has used up more of it.
    async fn goes_first(&self, calls: &Calls, known: &ClusterList) -> bool {
        let (started, once) = (Instant::now(), &calls.once());
        let answered = || calls.answered(ListContainerInstances);
        let before = answered();
        let within_burst = known.iter().filter(|cluster| cluster.container_instances > 0).scan(0, |calls, cluster| {
            *calls += cluster.snapshot_calls();
            (*calls <= FIRST_CALLS).then(|| cluster.name.clone())
        });
        let clusters: Vec<_> = within_burst.collect();
        let read = async |cluster| self.snapshot(once, &cluster).await;
        let mut reads = pin!(stream::iter(clusters).map(read).buffer_unordered(CONCURRENT_CLUSTERS));
        while reads.next().await.is_some() {
            if calls.throttled_since(ListContainerInstances, started) {
                return answered() - before >= HALF;
            }
        }
        true
    }
}
