//! ECS capacity providers.

use std::collections::BTreeMap;

/// A capacity provider.
#[derive(Clone, Debug)]
pub struct CapacityProvider {
    /// Its name, unique in its account and Region.
    pub name: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Fargate,
    Asg { name: String, managed_draining: bool },
    ManagedInstances { cluster: String },
}

impl CapacityProvider {
    /// A provider over an Auto Scaling group, with managed draining, as it is by default.
    #[must_use]
    pub fn asg(name: impl Into<String>, asg: impl Into<String>) -> Self {
        let kind = Kind::Asg { name: asg.into(), managed_draining: true };
        Self::of(name.into(), kind)
    }

    /// An ECS Managed Instances provider, which belongs to one cluster.
    #[must_use]
    pub fn managed_instances(name: impl Into<String>, cluster: impl Into<String>) -> Self {
        let cluster = cluster.into();
        Self::of(name.into(), Kind::ManagedInstances { cluster })
    }

    pub(crate) fn fargate(name: &str) -> Self {
        Self::of(name.to_owned(), Kind::Fargate)
    }

    fn of(name: String, kind: Kind) -> Self {
        let tags = BTreeMap::new();
        Self { name, tags, kind }
    }

    /// Turns managed draining on or off; only an Auto Scaling provider has it.
    #[must_use]
    pub fn managed_draining(mut self, enabled: bool) -> Self {
        if let Kind::Asg { managed_draining, .. } = &mut self.kind {
            *managed_draining = enabled;
        }
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }
}
