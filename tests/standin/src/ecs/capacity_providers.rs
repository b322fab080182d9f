//! `DescribeCapacityProviders`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::params::Params;
use super::{cluster_of, clusters, failure, paginate, tags, with_token};
use crate::autoscaling;
use crate::error::ApiError;
use crate::model::{CapacityProvider, Kind};
use crate::state::CallContext;

pub(super) fn describe(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let asked = params.list("capacityProviders")?;
    if asked.len() > 100 {
        return Err(ApiError::parameter("capacityProviders cannot have more than 100 items."));
    }
    let cluster = match params.text("cluster")? {
        Some(_) => Some(cluster_of(context, params)?),
        None => None,
    };
    let visible = visible(context, cluster.as_deref());
    let mut names: Vec<&str> = Vec::new();
    let mut failures = Vec::new();
    for name_or_arn in &asked {
        let known = name_of(context, name_or_arn).filter(|name| visible.contains_key(*name));
        match (context.injected(name_or_arn), known) {
            (None, Some(name)) => names.push(name),
            (reason, _) => failures.push(failure(name_or_arn, reason.as_deref().unwrap_or("MISSING"))),
        }
    }
    if asked.is_empty() {
        names.extend(visible.keys().map(String::as_str));
    }
    names.sort_unstable();
    names.dedup();
    let page = paginate(context, "DescribeCapacityProviders", params, 10, names)?;
    let with_tags = params.includes("TAGS")?;
    let shown: Vec<Value> = page.items.into_iter().map(|name| show(context, &visible[name], with_tags)).collect();
    Ok(with_token(json!({"capacityProviders": shown, "failures": failures}), page.next))
}

/// The providers that a call sees: with a cluster, those in its list and the Managed Instances ones that belong to it;
/// without, all but Managed Instances.
fn visible(context: &CallContext<'_>, cluster: Option<&str>) -> BTreeMap<String, CapacityProvider> {
    let fargate = ["FARGATE", "FARGATE_SPOT"].map(CapacityProvider::fargate);
    let all = context.resources.providers.values().cloned().chain(fargate);
    let listed = cluster.map(|name| &context.resources.clusters[name].capacity_providers);
    all.filter(|provider| match (&provider.kind, cluster) {
        (Kind::ManagedInstances { cluster: owner }, Some(cluster)) => owner == cluster,
        (Kind::ManagedInstances { .. }, None) => false,
        _ => listed.is_none_or(|listed| listed.contains(&provider.name)),
    })
    .map(|provider| (provider.name.clone(), provider))
    .collect()
}

fn name_of<'a>(context: &CallContext<'_>, name_or_arn: &'a str) -> Option<&'a str> {
    match name_or_arn.strip_prefix(&arn(context, "")) {
        Some(name) => Some(name),
        None if name_or_arn.starts_with("arn:") => None,
        None => Some(name_or_arn),
    }
}

fn arn(context: &CallContext<'_>, name: &str) -> String {
    context.arn("ecs", &format!("capacity-provider/{name}"))
}

fn show(context: &CallContext<'_>, provider: &CapacityProvider, with_tags: bool) -> Value {
    let mut shown = json!({
        "capacityProviderArn": arn(context, &provider.name),
        "name": provider.name,
        "status": "ACTIVE",
        "tags": [],
    });
    if with_tags {
        shown["tags"] = tags(&provider.tags);
    }
    match &provider.kind {
        Kind::Fargate => shown["type"] = json!(provider.name),
        Kind::Asg { name, managed_draining } => {
            shown["type"] = json!("EC2_AUTOSCALING");
            shown["autoScalingGroupProvider"] = json!({
                "autoScalingGroupArn": autoscaling::arn(context.region, context.account, name),
                "managedScaling": {"status": "DISABLED"},
                "managedTerminationProtection": "DISABLED",
                "managedDraining": if *managed_draining { "ENABLED" } else { "DISABLED" },
            });
        }
        Kind::ManagedInstances { cluster } => {
            shown["type"] = json!("MANAGED_INSTANCES");
            shown["cluster"] = json!(clusters::arn(context, cluster));
            shown["managedInstancesProvider"] = json!({"propagateTags": "NONE"});
        }
    }
    shown
}
