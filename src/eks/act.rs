//! Changes nodes. No other module decides to.

use std::{sync::Arc, time::SystemTime};

use futures_util::future::try_join_all;
use serde_json::Value;

use super::{
    api_server::ApiServer,
    connection::{Answer, Request, escape},
    drain::{Drained, drain},
    eviction::{Eviction, EvictionMode},
    locate::Located,
    node::Node,
    plan::{Action, Change},
    pod::Pod,
};
use crate::{
    aws::{calls::Calls, deadline::Now, operation::Operation},
    error::Error,
    outcome::{NodeOutcome, Outcome, PodCounts},
};

/// Carries out the planned action. A draining takes until all pods are asked to stop.
pub(crate) async fn act(calls: &Calls, now: Now, located: &Located, action: Action) -> Result<NodeOutcome, Error> {
    let Located { api_server, node } = located;
    let outcome = |kind, reason: Option<&str>| {
        NodeOutcome::new(api_server.cluster.clone(), Some(node.name().to_owned()), kind, reason.map(str::to_owned))
    };
    let changed = |kind| NodeOutcome { changed: Some(SystemTime::now()), ..outcome(kind, None) };
    match action {
        Action::Skip(reason) => Ok(outcome(Outcome::Skipped, Some(&reason.to_string()))),
        Action::DryRun(Change::Uncordon) => Ok(outcome(Outcome::DryRun, Some("it would be uncordoned"))),
        Action::DryRun(Change::Cordon { drain: None, .. }) => {
            Ok(outcome(Outcome::DryRun, Some("it would be cordoned")))
        }
        Action::DryRun(Change::Cordon { drain: Some(_), .. }) => {
            let pods = Some(rehearse(calls, api_server, node.name()).await?);
            Ok(NodeOutcome { pods, ..outcome(Outcome::DryRun, Some("it would be drained")) })
        }
        Action::Apply(Change::Uncordon) => {
            patch(calls, api_server, node, &node.uncordon(), false).await?;
            Ok(changed(Outcome::Reactivated))
        }
        Action::Apply(Change::Cordon { mark, comes_back, drain: plan }) => {
            let cordon = node.cordon(mark, comes_back);
            if let Some(cordon) = &cordon {
                patch(calls, api_server, node, cordon, true).await?;
            }
            let Some(plan) = plan else {
                return Ok(match cordon {
                    Some(_) => changed(Outcome::Cordoned),
                    None => outcome(Outcome::Cordoned, Some("it was cordoned already")),
                });
            };
            let Drained { evicted, deleted, left } = drain(calls, now, api_server, node.name(), plan).await?;
            let pods = PodCounts::Drained { pods_evicted: evicted, pods_deleted: deleted, pods_left: left.len() };
            if left.is_empty() {
                return Ok(NodeOutcome { pods: Some(pods), ..changed(Outcome::Drained) });
            }
            tracing::warn!(node = node.name(), pods = left.join(","), "pods are left: their budgets allow no eviction");
            let reason = Some("PodDisruptionBudgets did not allow the eviction of all pods".to_owned());
            Ok(NodeOutcome { pods: Some(pods), reason, ..changed(Outcome::Cordoned) })
        }
    }
}

/// Patches a node, and checks the effect.
async fn patch(
    calls: &Calls,
    api_server: &ApiServer,
    node: &Node,
    patch: &Value,
    is_unschedulable: bool,
) -> Result<(), Error> {
    let request = Request {
        method: "PATCH",
        path: format!("/api/v1/nodes/{}", escape(node.name())),
        content_type: "application/merge-patch+json",
        body: patch.to_string(),
    };
    let read = |answer: &Answer| match answer.status {
        200..=299 => Some(serde_json::from_slice(&answer.body).map_err(|error| error.to_string())),
        _ => None,
    };
    let patched: Node = api_server.request(calls, Operation::PatchNode, &request, read).await?;
    if patched.is_unschedulable() == is_unschedulable && patched.instance() == node.instance() {
        return Ok(());
    }
    Err(Error::Unchanged {
        operation: Operation::PatchNode,
        resource: format!("node {} of cluster {}", node.name(), api_server.cluster),
        reason: format!("the answer does not show unschedulable={is_unschedulable}"),
    })
}

/// Finds out which pods would be evicted.
async fn rehearse(calls: &Calls, api_server: &Arc<ApiServer>, node: &str) -> Result<PodCounts, Error> {
    let pods: Vec<_> = api_server.pods(calls, node).await?.into_iter().filter(Pod::is_to_be_evicted).collect();
    let evictions = pods.iter().map(|pod| api_server.evict(calls, pod, EvictionMode::DryRun));
    let evictions = try_join_all(evictions).await?;
    let names = |blocked: bool| {
        let of = pods.iter().zip(&evictions);
        let of = of.filter(|(_, eviction)| matches!(eviction, Eviction::Blocked(_)) == blocked);
        of.map(|(pod, _)| pod.to_string()).collect::<Vec<_>>()
    };
    let (free, blocked) = (names(false), names(true));
    tracing::info!(node, pods = free.join(","), blocked = blocked.join(","), "these pods would be evicted");
    Ok(PodCounts::DryRun { pods_to_evict: pods.len(), pods_blocked: blocked.len() })
}
