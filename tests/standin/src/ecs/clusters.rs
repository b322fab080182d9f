//! `ListClusters` and `DescribeClusters`.

use serde_json::{Value, json};

use super::params::Params;
use super::{cluster_name, failure, paginate, tags, with_token};
use crate::error::ApiError;
use crate::model::{Cluster, Record};
use crate::state::CallContext;

pub(super) fn list(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let clusters = context.resources.clusters.values();
    let names = clusters.filter(|cluster| cluster.status != "INACTIVE").map(|cluster| &cluster.name);
    let page = paginate(context, "ListClusters", params, 100, names)?;
    let arns: Vec<String> = page.items.into_iter().map(|name| arn(context, name)).collect();
    Ok(with_token(json!({"clusterArns": arns}), page.next))
}

pub(super) fn describe(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let asked = match params.list("clusters")? {
        names if names.is_empty() => vec!["default"],
        names if names.len() > 100 => return Err(ApiError::parameter("Clusters cannot have more than 100 elements.")),
        names => names,
    };
    let with_tags = params.includes("TAGS")?;
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for name_or_arn in asked {
        let found = cluster_name(context, name_or_arn).and_then(|name| context.resources.clusters.get(name));
        match (context.injected(name_or_arn), found) {
            (None, Some(cluster)) => clusters.push(show(context, cluster, with_tags)),
            (reason, _) => {
                let arn =
                    if name_or_arn.starts_with("arn:") { name_or_arn.to_owned() } else { arn(context, name_or_arn) };
                failures.push(failure(&arn, reason.as_deref().unwrap_or("MISSING")));
            }
        }
    }
    Ok(json!({"clusters": clusters, "failures": failures}))
}

pub(super) fn arn(context: &CallContext<'_>, name: &str) -> String {
    context.arn("ecs", &format!("cluster/{name}"))
}

fn show(context: &CallContext<'_>, cluster: &Cluster, with_tags: bool) -> Value {
    let records = context.resources.records.get(&cluster.name);
    let registered = || {
        let records = records.into_iter().flat_map(|records| records.values());
        records.filter(|record| matches!(record.shown_status(context.now), "ACTIVE" | "DRAINING"))
    };
    let services = context.resources.services.keys().filter(|(of, _)| *of == cluster.name);
    let mut shown = json!({
        "clusterArn": arn(context, &cluster.name),
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": registered().count(),
        "runningTasksCount": registered().map(Record::running_tasks).sum::<usize>(),
        "pendingTasksCount": registered().map(Record::pending_tasks).sum::<usize>(),
        "activeServicesCount": services.count(),
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": cluster.capacity_providers,
        "defaultCapacityProviderStrategy": strategy(&cluster.default_strategy),
    });
    if with_tags {
        shown["tags"] = tags(&cluster.tags);
    }
    shown
}

/// A capacity provider strategy of equal weights.
pub(super) fn strategy(providers: &[String]) -> Value {
    providers.iter().map(|name| json!({"capacityProvider": name, "weight": 1, "base": 0})).collect()
}
