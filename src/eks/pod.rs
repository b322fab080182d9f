//! A pod, and whether it is evicted.

use std::{collections::HashMap, fmt, time::Duration};

use serde::Deserialize;

/// The grace period of pods that have none set, 30 s: `terminationGracePeriodSeconds` in the Kubernetes API reference.
const DEFAULT_GRACE_S: i64 = 30;

/// The annotation of pods that the kubelet runs from a file. Deleting them in the API changes nothing.
const MIRROR: &str = "kubernetes.io/config.mirror";

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pod {
    pub(super) metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    /// The id that tells it from a later pod of the same name.
    pub(super) uid: String,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    pub(super) labels: HashMap<String, String>,
    #[serde(default)]
    annotations: HashMap<String, String>,
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
}

#[derive(Clone, Debug, Deserialize)]
struct OwnerReference {
    kind: String,
    #[serde(default)]
    controller: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    termination_grace_period_seconds: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct PodStatus {
    phase: Option<String>,
}

impl Pod {
    /// The time between SIGTERM and SIGKILL.
    pub(crate) fn grace(&self) -> Duration {
        // Old servers have negative ones.
        Duration::from_secs(self.spec.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE_S).max(0).unsigned_abs())
    }

    /// Whether the pod has to be asked to stop: it leaves, and is not stopping already.
    pub(crate) fn is_to_be_evicted(&self) -> bool {
        self.metadata.deletion_timestamp.is_none() && self.leaves()
    }

    /// Whether the pod leaves a node that is drained. Pods of a `DaemonSet` would be started again, mirror pods would not
    /// notice, and others are finished.
    pub(crate) fn leaves(&self) -> bool {
        let Metadata { annotations, owner_references, .. } = &self.metadata;
        let is_finished = matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let is_of_daemon_set = owner_references.iter().any(|owner| owner.controller && owner.kind == "DaemonSet");
        !is_finished && !is_of_daemon_set && !annotations.contains_key(MIRROR)
    }
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.metadata.namespace, self.metadata.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(metadata: &Value, phase: &str) -> Pod {
        let mut pod = json!({
            "metadata": { "name": "p", "namespace": "n", "uid": "u" },
            "spec": {}, "status": { "phase": phase },
        });
        pod["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn pods_that_stay_or_stop_in_any_case_are_left_out() {
        let owner = |kind: &str, controller: bool| json!({"ownerReferences": [{"apiVersion": "v1", "name": "o", "kind": kind, "controller": controller}]});
        for (metadata, phase, expected) in [
            (json!({}), "Running", true),
            (json!({}), "Pending", true),
            (json!({}), "Succeeded", false),
            (json!({}), "Failed", false),
            (owner("ReplicaSet", true), "Running", true),
            (owner("StatefulSet", true), "Running", true),
            (owner("DaemonSet", true), "Running", false),
            (owner("DaemonSet", false), "Running", true),
            (json!({"annotations": {MIRROR: "hash"}}), "Running", false),
            (json!({"deletionTimestamp": "2026-11-24T08:00:00Z"}), "Running", false),
        ] {
            assert_eq!(pod(&metadata, phase).is_to_be_evicted(), expected, "{metadata} {phase}");
        }
    }
}
