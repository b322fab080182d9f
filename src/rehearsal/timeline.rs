//! When the last instance of a wave would be handled, by the request quotas. Pure.
//!
//! The least time is computed in which the documented quotas admit the calls that a wave takes. Calls of different
//! quotas are made side by side, so that the slowest one decides. `docs/performance.md` compares such bounds with
//! measured waves.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    aws::{operation::Operation, token_bucket::count},
    config::Strategy,
    ec2::FILTER_VALUES,
    ecs::limits::{PAGE, UPDATE},
};

/// The time that a notice waits for others to be handled with it, 1 s: the batching window of the queue.
const BATCHING_S: f64 = 1.0;

/// The number of processes that handle a queue's batches: the least that SQS allows. Each of them scans by itself.
pub(crate) const PROCESSES: usize = 2;

/// When an evacuation deregisters: 5 s before the end of the notice, 2 s for the answer and 3 s for the call.
const EVACUATED_S: f64 = 115.0;

/// The time of a notice.
pub(crate) const NOTICE_S: f64 = 120.0;

/// The longest time for which something can be asked to stop, 110 s: a notice, less 10 s for the answer, the change and
/// the way of SIGTERM to the containers.
pub(crate) const MAX_STOP_S: u64 = 110;

/// The calls for a Kubernetes node beside its evictions: node, patch, pods.
const FOR_NODE: usize = 3;

/// A wave: instances that are interrupted at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wave {
    pub(crate) instances: usize,
    /// Those of them that would be handled.
    pub(crate) handled: usize,
    /// The numbers of container instances, by cluster.
    pub(crate) container_instances: BTreeMap<String, usize>,
    /// The numbers of nodes and of pods to be evicted, by cluster.
    pub(crate) nodes: BTreeMap<String, (usize, usize)>,
    /// The number of instances whose user data is read.
    pub(crate) user_data: usize,
    /// The number of calls of a scan of all clusters; 0 if none is needed.
    pub(crate) scan_calls: usize,
    pub(crate) tasks: usize,
    pub(crate) strategy: Strategy,
}

/// The time line of a wave. Times are in seconds after the notices.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timeline {
    pub(crate) instance_type: String,
    pub(crate) availability_zone: String,
    pub(crate) instances: usize,
    /// Those of them that would be handled.
    pub(crate) handled: usize,
    pub(crate) received_s: f64,
    pub(crate) located_s: f64,
    pub(crate) handled_s: f64,
    pub(crate) notice_s: f64,
    pub(crate) is_in_time: bool,
    /// The operation whose quota decides, if one makes instances wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limited_by: Option<String>,
}

/// The least time, in seconds, in which the quota of an operation admits this many calls.
pub(crate) fn seconds(operation: Operation, calls: usize) -> f64 {
    let (burst, per_second) = operation.limits();
    ((count(calls) - burst) / per_second).max(0.0)
}

/// The least time, in seconds, in which a wave's processes scan, with so many calls each.
pub(crate) fn scan_seconds(calls: usize, processes: usize) -> f64 {
    seconds(Operation::ListContainerInstances, processes * calls)
}

impl Wave {
    /// When the last instance is located, and by the quota of which operation.
    fn located(&self) -> (f64, Operation) {
        let of_ec2 = self.instances.div_ceil(FILTER_VALUES) + self.user_data;
        let pages: usize = self.container_instances.values().map(|count| count.div_ceil(PAGE)).sum();
        let reads = if self.scan_calls > 0 {
            scan_seconds(self.scan_calls, PROCESSES.min(self.instances))
        } else {
            seconds(Operation::ListContainerInstances, 2 * pages)
        };
        let ec2 = (seconds(Operation::DescribeInstances, of_ec2), Operation::DescribeInstances);
        let ecs = (reads, Operation::ListContainerInstances);
        if ec2.0 > ecs.0 { ec2 } else { ecs }
    }

    /// When the last instance is acted on, if all are located at once, and by the quota of which operation.
    fn acted(&self) -> (f64, Operation) {
        let container_instances: usize = self.container_instances.values().sum();
        let (operation, calls) = match self.strategy {
            Strategy::Deregister => (Operation::DeregisterContainerInstance, container_instances),
            Strategy::Evacuate => (Operation::StopTask, container_instances + self.tasks),
            Strategy::Drain => {
                let updates = self.container_instances.values().map(|count| count.div_ceil(UPDATE)).sum();
                (Operation::UpdateContainerInstancesState, updates)
            }
        };
        let ecs = (seconds(operation, calls), operation);
        // Each cluster has a quota of its own.
        let of_nodes = self.nodes.values().map(|(nodes, pods)| seconds(Operation::EvictPod, FOR_NODE * nodes + pods));
        let kubernetes = (of_nodes.fold(0.0, f64::max), Operation::EvictPod);
        if kubernetes.0 > ecs.0 { kubernetes } else { ecs }
    }

    /// The time line of the wave, for a capacity pool.
    pub(crate) fn timeline(&self, instance_type: &str, availability_zone: &str) -> Timeline {
        let (located, acted) = (self.located(), self.acted());
        // An instance is acted on as soon as it is located.
        let last = if acted.0 > located.0 { acted } else { located };
        let least_s = BATCHING_S + last.0;
        let evacuates = self.strategy == Strategy::Evacuate && !self.container_instances.is_empty();
        let handled_s = if evacuates { least_s.max(EVACUATED_S) } else { least_s };
        Timeline {
            instance_type: instance_type.to_owned(),
            availability_zone: availability_zone.to_owned(),
            instances: self.instances,
            handled: self.handled,
            received_s: BATCHING_S,
            located_s: rounded(BATCHING_S + located.0),
            handled_s: rounded(handled_s),
            notice_s: NOTICE_S,
            is_in_time: handled_s <= EVACUATED_S,
            limited_by: (last.0 > 0.0).then(|| last.1.to_string()),
        }
    }
}

/// Rounds to tenths of a second.
fn rounded(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wave of container instances, spread over clusters.
    fn wave(instances: usize, clusters: usize, strategy: Strategy) -> Wave {
        let container_instances = (0..clusters).map(|n| (n.to_string(), instances / clusters)).collect();
        Wave { instances, container_instances, strategy, ..Wave::default() }
    }

    #[test]
    fn quotas_decide_when_the_last_instance_is_handled() {
        let deregister = |instances, clusters| wave(instances, clusters, Strategy::Deregister);
        let nodes =
            |nodes, pods| Wave { instances: nodes, nodes: [("a".into(), (nodes, pods))].into(), ..Wave::default() };
        for (wave, located_s, handled_s, limited_by) in [
            (deregister(10, 1), 1.0, 1.0, None),
            // The bounds of docs/performance.md, after a second for the batch.
            (deregister(1_000, 50), 1.0, 23.5, Some("DeregisterContainerInstance")),
            (deregister(500, 50), 1.0, 11.0, Some("DeregisterContainerInstance")),
            (deregister(5_000, 100), 6.0, 123.5, Some("DeregisterContainerInstance")),
            (wave(1_000, 50, Strategy::Drain), 1.0, 1.0, None),
            (wave(100, 10, Strategy::Evacuate), 1.0, 115.0, None),
            (Wave { tasks: 10_000, ..wave(100, 10, Strategy::Evacuate) }, 1.0, 251.0, Some("StopTask")),
            (Wave { user_data: 500, ..deregister(500, 50) }, 21.2, 21.2, Some("DescribeInstances")),
            (Wave { scan_calls: 1_000, ..deregister(100, 10) }, 96.0, 96.0, Some("ListContainerInstances")),
            (nodes(100, 3_000), 1.0, 30.0, Some("EvictPod")),
            (nodes(10, 100), 1.0, 1.0, None),
        ] {
            let of = wave.timeline("m6i.large", "us-east-2a");
            let limited = of.limited_by.as_deref();
            assert_eq!((of.located_s, of.handled_s, limited), (located_s, handled_s, limited_by), "{wave:?}");
            assert_eq!(of.is_in_time, handled_s <= 115.0, "{wave:?}");
        }
    }

    #[test]
    fn scan_of_few_clusters_takes_no_time() {
        for (calls, processes, expected) in [(0, 2, 0.0), (50, 1, 0.0), (50, 2, 0.0), (100, 2, 5.0), (21, 200, 205.0)] {
            let seconds = scan_seconds(calls, processes);
            assert!((seconds - expected).abs() < 0.01, "{calls} {processes}: {seconds}");
        }
    }
}
