//! ECS clusters.

use std::collections::BTreeMap;

/// An ECS cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name, unique in its account and Region.
    pub name: String,
    /// `ACTIVE` unless set.
    pub status: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The names in its list of capacity providers.
    pub capacity_providers: Vec<String>,
    /// The capacity providers of its default strategy.
    pub default_strategy: Vec<String>,
}

impl Cluster {
    /// An active cluster without tags or capacity providers.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status: "ACTIVE".to_owned(),
            tags: BTreeMap::new(),
            capacity_providers: Vec::new(),
            default_strategy: Vec::new(),
        }
    }

    /// Sets the status: `ACTIVE`, `PROVISIONING`, `DEPROVISIONING`, `FAILED` or `INACTIVE`.
    #[must_use]
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.status = status.into();
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Adds a capacity provider to the cluster's list.
    #[must_use]
    pub fn capacity_provider(mut self, name: impl Into<String>) -> Self {
        self.capacity_providers.push(name.into());
        self
    }

    /// Adds a capacity provider to the cluster's list and to its default strategy.
    #[must_use]
    pub fn default_provider(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.default_strategy.push(name.clone());
        self.capacity_provider(name)
    }
}
