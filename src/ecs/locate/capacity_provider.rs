//! `DescribeCapacityProviders`: whose instances ECS looks after by itself, and which Auto Scaling group is whose.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use aws_sdk_ecs::types::{self, CapacityProviderType};

use crate::{
    aws::{Calls, Regional, next, none_failed},
    ecs::ClusterName,
    error::Error,
};

/// How long a provider's settings are taken for known, 5 minutes: whoever switches managed draining on or off sees
/// the old setting respected no longer than this.
const MAX_AGE: Duration = Duration::from_mins(5);

/// The most providers that come in a page.
const PAGE: usize = 10;

/// A capacity provider, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct CapacityProvider {
    kind: Kind,
    read: Instant,
}

/// Who starts and ends a capacity provider's instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An Auto Scaling group.
    AutoScalingGroup { group: String, managed_draining: ManagedDraining },
    /// Amazon ECS: deregistering such an instance terminates it.
    ManagedInstances,
    /// There is no such provider any more.
    Missing,
}

/// Whether ECS sets a provider's interrupted instances to `DRAINING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ManagedDraining {
    Enabled,
    Disabled,
}

impl CapacityProvider {
    pub(super) fn is_current(&self) -> bool {
        self.read.elapsed() < MAX_AGE
    }

    /// Whether its instances are of this Auto Scaling group.
    pub(super) fn has_group(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::AutoScalingGroup { group, .. } if group == name)
    }
}

/// A provider's name, from its name or its ARN: ECS takes and gives both.
pub(super) fn name(name_or_arn: &str) -> &str {
    name_or_arn.rsplit('/').next().unwrap_or(name_or_arn)
}

/// Reads the account's providers of these names into the knowledge.
///
/// Those of ECS Managed Instances are given only to who names their cluster.
pub(super) async fn read_all(aws: &Regional, calls: &Calls, names: BTreeSet<String>) -> Result<(), Error> {
    let names: Vec<_> = names.into_iter().filter(|name| aws.knowledge.capacity_provider(name).is_none()).collect();
    for names in names.chunks(PAGE) {
        for (name, provider) in describe(aws, calls, names.to_vec(), None).await? {
            aws.knowledge.learn_capacity_provider(name, provider);
        }
    }
    Ok(())
}

/// Reads the provider of a container instance.
///
/// `cluster` is named, so that a provider of ECS Managed Instances is seen; but a provider that the cluster no longer
/// lists is left out of such an answer while its instances live on, so the account is asked as well.
pub(super) async fn of(aws: &Regional, calls: &Calls, cluster: &ClusterName, name: &str) -> Result<Kind, Error> {
    if let Some(provider) = aws.knowledge.capacity_provider(name) {
        return Ok(provider.kind);
    }
    for cluster in [Some(cluster), None] {
        let found = describe(aws, calls, vec![name.to_owned()], cluster).await?;
        if let Some((_, provider)) = found.into_iter().find(|(found, _)| found == name) {
            aws.knowledge.learn_capacity_provider(name.to_owned(), provider.clone());
            return Ok(provider.kind);
        }
    }
    Ok(Kind::Missing)
}

async fn describe(
    aws: &Regional,
    calls: &Calls,
    names: Vec<String>,
    cluster: Option<&ClusterName>,
) -> Result<Vec<(String, CapacityProvider)>, Error> {
    let about = names.join(", ");
    let mut request = aws
        .ecs
        .describe_capacity_providers()
        .set_capacity_providers(Some(names))
        .set_cluster(cluster.map(ToString::to_string));
    let mut providers = Vec::new();
    loop {
        let page = calls.make("DescribeCapacityProviders", &about, || request.clone().send()).await?;
        none_failed("DescribeCapacityProviders", &about, page.failures(), &["MISSING"])?;
        providers.extend(page.capacity_providers.unwrap_or_default().into_iter().filter_map(provider));
        match next(page.next_token) {
            Some(token) => request = request.next_token(token),
            None => return Ok(providers),
        }
    }
}

fn provider(provider: types::CapacityProvider) -> Option<(String, CapacityProvider)> {
    let is_managed = provider.managed_instances_provider.is_some()
        || provider.r#type == Some(CapacityProviderType::ManagedInstances);
    let kind = match provider.auto_scaling_group_provider {
        _ if is_managed => Kind::ManagedInstances,
        // It was deleted, and drains nothing any more.
        _ if provider.status == Some(types::CapacityProviderStatus::Inactive) => Kind::Missing,
        Some(group) => Kind::AutoScalingGroup {
            group: group.auto_scaling_group_arn.rsplit('/').next().unwrap_or_default().to_owned(),
            managed_draining: match group.managed_draining {
                Some(types::ManagedDraining::Enabled) => ManagedDraining::Enabled,
                _ => ManagedDraining::Disabled,
            },
        },
        None => return None,
    };
    Some((provider.name?, CapacityProvider { kind, read: Instant::now() }))
}
