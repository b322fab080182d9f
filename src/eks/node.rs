//! A Kubernetes node, and the patches that cordon and uncordon it.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{identifier::InstanceId, mark::Mark};

/// The label that takes a node out of load balancers. A cordoned node stays in them.
const LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The annotation whose value is a [`Mark`].
const MARK: &str = "spot-interruption-handler/drained";

/// The annotation of a node that had the label before.
const HAD_LABEL: &str = "spot-interruption-handler/had-exclusion-label";

/// The name of each instance's node.
pub(super) type NodeNames = HashMap<InstanceId, String>;

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Node {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Metadata {
    name: String,
    uid: Option<String>,
    #[serde(default)]
    labels: HashMap<String, String>,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Spec {
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
    #[serde(default)]
    unschedulable: bool,
}

impl Node {
    pub(crate) fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The EC2 instance that the node runs on, the proof that this is the right node.
    pub(crate) fn instance(&self) -> Option<InstanceId> {
        self.spec.provider_id.as_ref()?.rsplit('/').next()?.to_owned().try_into().ok()
    }

    pub(crate) fn is_unschedulable(&self) -> bool {
        self.spec.unschedulable
    }

    /// The mark of this function, if it cordoned the node and has not uncordoned it.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.metadata.annotations.get(MARK).map(|value| Mark::read(value))
    }

    fn has_label(&self) -> bool {
        self.metadata.labels.contains_key(LABEL)
    }

    /// The patch that cordons the node; `None` if there is nothing to change.
    ///
    /// A node that someone else cordoned gets no mark, so that it stays cordoned when its instance comes back. It gets
    /// the label only if the instance never does.
    pub(crate) fn cordon(&self, mark: Mark, comes_back: bool) -> Option<Value> {
        let is_cordoned = self.is_unschedulable();
        let (mut labels, mut annotations) = (Map::new(), Map::new());
        let stays_cordoned = is_cordoned && self.mark().is_none() && comes_back;
        if !self.has_label() && !stays_cordoned {
            labels.insert(LABEL.to_owned(), "true".into());
        }
        if !is_cordoned || self.mark().is_some_and(|earlier| earlier < mark) {
            annotations.insert(MARK.to_owned(), self.mark().max(Some(mark)).map(Mark::value).into());
            if self.has_label() && self.mark().is_none() {
                annotations.insert(HAD_LABEL.to_owned(), "true".into());
            }
        }
        if is_cordoned && labels.is_empty() && annotations.is_empty() {
            return None;
        }
        Some(self.patch(&labels, &annotations, Some(true)))
    }

    /// The patch that uncordons a node that this function cordoned.
    pub(crate) fn uncordon(&self) -> Value {
        let mut labels = Map::new();
        if !self.metadata.annotations.contains_key(HAD_LABEL) {
            labels.insert(LABEL.to_owned(), Value::Null);
        }
        let annotations = [MARK, HAD_LABEL].into_iter().filter(|key| self.metadata.annotations.contains_key(*key));
        let annotations = annotations.map(|key| (key.to_owned(), Value::Null)).collect();
        self.patch(&labels, &annotations, None)
    }

    /// A JSON merge patch. The server rejects it if another node has taken the name.
    fn patch(
        &self,
        labels: &Map<String, Value>,
        annotations: &Map<String, Value>,
        unschedulable: Option<bool>,
    ) -> Value {
        json!({
            "metadata": { "uid": self.metadata.uid, "labels": labels, "annotations": annotations },
            "spec": { "unschedulable": unschedulable },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn at(seconds: u64) -> Mark {
        Mark::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn node(labels: &Value, annotations: &Value, unschedulable: bool) -> Node {
        let node = json!({
            "metadata": { "name": "n", "uid": "u", "labels": labels, "annotations": annotations },
            "spec": { "providerID": "aws:///us-east-1a/i-1234567890abcdef0", "unschedulable": unschedulable },
        });
        serde_json::from_value(node).unwrap()
    }

    /// Applies a JSON merge patch.
    fn patched(target: &Value, patch: &Value) -> Value {
        let (Value::Object(target), Value::Object(patch)) = (target, patch) else { return patch.clone() };
        let mut merged = target.clone();
        for (key, value) in patch {
            match value {
                Value::Null => drop(merged.remove(key)),
                value => drop(merged.insert(key.clone(), patched(target.get(key).unwrap_or(&json!({})), value))),
            }
        }
        merged.into()
    }

    #[test]
    fn instance_is_the_last_segment_of_the_provider_id() {
        for (provider_id, id) in [
            ("aws:///us-east-1a/i-1234567890abcdef0", Some("i-1234567890abcdef0")),
            ("aws:////i-1234567890abcdef0", Some("i-1234567890abcdef0")),
            ("i-1234567890abcdef0", Some("i-1234567890abcdef0")),
            ("aws:///us-east-1a/fargate-ip-10-0-0-1", None),
            ("eks-hybrid:///us-east-1/web/mi-1234567890abcdef0", None),
            ("aws:///us-east-1a/i-1234567890abcdef0/x", None),
            ("", None),
        ] {
            let node: Node =
                serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": {"providerID": provider_id}}))
                    .unwrap();
            assert_eq!(node.instance().as_ref().map(InstanceId::as_str), id, "{provider_id}");
        }
    }

    #[test]
    fn uncordon_restores_what_was_there_before() {
        for labels in [json!({}), json!({"a": "b"}), json!({ LABEL: "yes", "a": "b" })] {
            let before = json!({
                "metadata": { "name": "n", "uid": "u", "labels": labels, "annotations": { "c": "d" } },
                "spec": { "providerID": "aws:///us-east-1a/i-1234567890abcdef0" },
            });
            let node: Node = serde_json::from_value(before.clone()).unwrap();
            let cordoned = patched(&before, &node.cordon(at(5), true).unwrap());
            assert_eq!(cordoned["spec"]["unschedulable"], true);
            assert_eq!(cordoned["metadata"]["annotations"][MARK], "1970-01-01T00:00:05Z");
            assert!(cordoned["metadata"]["labels"][LABEL].is_string());
            let node: Node = serde_json::from_value(cordoned.clone()).unwrap();
            assert_eq!((node.mark(), node.is_unschedulable()), (Some(at(5)), true));
            assert_eq!(node.cordon(at(5), true), None, "nothing is left to be changed");
            // A later notice moves the mark, and an earlier one does not.
            assert_eq!(node.cordon(at(4), true), None);
            let later = patched(&cordoned, &node.cordon(at(6), true).unwrap());
            assert_eq!(later["metadata"]["annotations"][MARK], "1970-01-01T00:00:06Z");
            let node: Node = serde_json::from_value(later.clone()).unwrap();
            assert_eq!(patched(&later, &node.uncordon()), before);
        }
    }

    #[test]
    fn node_that_someone_else_cordoned_gets_no_mark() {
        let cordoned = node(&json!({}), &json!({}), true);
        assert_eq!(cordoned.cordon(at(5), true), None);
        let patch = cordoned.cordon(at(5), false).unwrap();
        assert_eq!(patch["metadata"]["annotations"], json!({}));
        assert_eq!(patch["metadata"]["labels"], json!({ LABEL: "true" }));
        assert_eq!(node(&json!({ LABEL: "" }), &json!({}), true).cordon(at(5), false), None);
    }

    #[test]
    fn node_that_someone_uncordoned_is_cordoned_again() {
        let node = node(&json!({ LABEL: "true" }), &json!({ MARK: "1970-01-01T00:00:09Z" }), false);
        let patch = node.cordon(at(5), true).unwrap();
        assert_eq!(patch["spec"]["unschedulable"], true);
        assert_eq!(patch["metadata"]["annotations"], json!({ MARK: "1970-01-01T00:00:09Z" }));
    }
}
