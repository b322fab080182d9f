//! A capacity provider, reduced to what the function needs.

use std::{fmt, sync::Arc};

use aws_sdk_ecs::types::{self, CapacityProviderStatus, CapacityProviderType};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CapacityProviderName(Arc<str>);

/// The kind of a capacity provider: what launches and terminates its instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum CapacityProvider {
    /// An Auto Scaling group, and whether ECS sets its interrupted instances to `DRAINING`.
    AutoScalingGroup { group: String, is_drained: bool },
    /// Amazon ECS: deregistering such an instance terminates it.
    ManagedInstances,
    /// The provider no longer exists.
    #[default]
    Missing,
}

impl CapacityProviderName {
    /// ECS accepts and returns names and ARNs.
    pub(crate) fn from_name_or_arn(text: &str) -> Self {
        Self(text.rsplit('/').next().unwrap_or(text).into())
    }
}

impl fmt::Display for CapacityProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CapacityProvider {
    /// `None` for a provider without instances in the account.
    pub(crate) fn new(described: &types::CapacityProvider) -> Option<Self> {
        let is_managed = described.managed_instances_provider.is_some()
            || described.r#type == Some(CapacityProviderType::ManagedInstances);
        match &described.auto_scaling_group_provider {
            _ if is_managed => Some(Self::ManagedInstances),
            // A deleted provider drains nothing any more.
            _ if described.status == Some(CapacityProviderStatus::Inactive) => Some(Self::Missing),
            Some(group) => Some(Self::AutoScalingGroup {
                group: group_name(&group.auto_scaling_group_arn).to_owned(),
                is_drained: group.managed_draining == Some(types::ManagedDraining::Enabled),
            }),
            None => None,
        }
    }

    /// Whether the instances belong to this Auto Scaling group.
    pub(crate) fn has_group(&self, name: &str) -> bool {
        matches!(self, Self::AutoScalingGroup { group, .. } if group == name)
    }
}

/// The name in the ARN of an Auto Scaling group. A name may contain slashes.
fn group_name(arn: &str) -> &str {
    arn.split_once(":autoScalingGroupName/").map_or(arn, |(_, name)| name)
}
