//! Kubernetes nodes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A Kubernetes node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name: on Amazon EKS, the private DNS name or the id of its EC2 instance.
    pub name: String,
    /// Its EC2 instance.
    pub instance_id: String,
    /// Its `providerID`; `aws:///REGIONa/INSTANCE` where nothing is set.
    pub provider_id: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its taints, as in the API.
    pub taints: Vec<Value>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
}

impl Node {
    /// A node without labels, annotations or taints.
    #[must_use]
    pub fn new(name: impl Into<String>, instance_id: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            instance_id: instance_id.into(),
            provider_id: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            taints: Vec::new(),
            unschedulable: false,
        }
    }

    /// Sets the `providerID`.
    #[must_use]
    pub fn provider_id(mut self, id: impl Into<String>) -> Self {
        self.provider_id = Some(id.into());
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Adds a taint with the effect `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[must_use]
    pub fn taint(mut self, key: impl Into<String>, effect: impl Into<String>) -> Self {
        self.taints.push(json!({"key": key.into(), "effect": effect.into()}));
        self
    }

    /// Cordons it.
    #[must_use]
    pub fn unschedulable(mut self) -> Self {
        self.unschedulable = true;
        self
    }
}
