//! Changes nodes. No other module decides to.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::try_join_all;
use serde_json::Value;

use super::{
    api_server::ApiServer,
    connection::{Answer, Request, Sent},
    drain::{Drained, drain},
    eviction::{Eviction, EvictionMode},
    locate::Located,
    node::Node,
    plan::{Action, Change},
    pod::Pod,
};
use crate::{
    aws::{calls::Calls, deadline::Now, escape, operation::Operation},
    error::{Error, ErrorClass},
    outcome::{NodeOutcome, Outcome, PodCounts},
};

/// How long cordoning a node may delay its draining, 3 s.
const CORDON_TIMEOUT: Duration = Duration::from_secs(3);

/// Carries out the planned action. A draining takes until all pods are asked to stop. What was done before an error is
/// returned with it.
pub(crate) async fn act(
    calls: &Calls,
    now: Now,
    Located { api_server, node }: &Located,
    action: Action,
) -> Result<(NodeOutcome, Option<Error>), Error> {
    let outcome = |kind, reason: Option<&str>| {
        NodeOutcome::new(api_server.cluster.clone(), Some(node.name().to_owned()), kind, reason.map(str::to_owned))
    };
    let changed = |kind| NodeOutcome { changed: Some(SystemTime::now()), ..outcome(kind, None) };
    let gone = || outcome(Outcome::NotFound, Some("the node is gone"));
    let done = match action {
        Action::Skip(reason) => outcome(Outcome::Skipped, Some(&reason.to_string())),
        Action::DryRun(Change::Uncordon) => outcome(Outcome::DryRun, Some("it would be uncordoned")),
        Action::DryRun(Change::Cordon { drain: None, .. }) => outcome(Outcome::DryRun, Some("it would be cordoned")),
        Action::DryRun(Change::Cordon { drain: Some(_), .. }) => {
            let pods = Some(rehearse(calls, api_server, node.name()).await?);
            NodeOutcome { pods, ..outcome(Outcome::DryRun, Some("it would be drained")) }
        }
        Action::Apply(Change::Uncordon) => match patch(calls, api_server, node, &node.uncordon(), false).await? {
            Patched::Done => changed(Outcome::Reactivated),
            Patched::Gone => gone(),
        },
        Action::Apply(Change::Cordon { mark, comes_back, drain: None }) => match node.cordon(mark, comes_back) {
            None => outcome(Outcome::Cordoned, Some("it was cordoned already")),
            Some(cordon) => match patch(calls, api_server, node, &cordon, true).await? {
                Patched::Done => changed(Outcome::Cordoned),
                Patched::Gone => gone(),
            },
        },
        Action::Apply(Change::Cordon { mark, comes_back, drain: Some(plan) }) => {
            let mark = node.cordon(mark, comes_back);
            let cordon = async |calls: &Calls| match &mark {
                Some(mark) => patch(calls, api_server, node, mark, true).await,
                None => Ok(Patched::Done),
            };
            let cordoned = cordon(&calls.within(CORDON_TIMEOUT)).await;
            if matches!(cordoned, Ok(Patched::Gone)) {
                return Ok((gone(), None));
            }
            // Its pods get their time even if the node can't be cordoned.
            let cordon_again = async {
                match cordoned {
                    Err(error) if error.is_transient() => cordon(calls).await,
                    cordoned => cordoned,
                }
            };
            let (drained, mut cordoned) = tokio::join!(drain(calls, now, api_server, node.name(), plan), cordon_again);
            if cordoned.as_ref().is_err_and(|error| !error.is_transient()) {
                cordoned = cordon(&calls.within(CORDON_TIMEOUT)).await;
            }
            let is_marked = mark.is_some() && matches!(cordoned, Ok(Patched::Done));
            let (drained, unlisted) = match drained {
                Ok(drained) => (drained, None),
                Err(error) => (Drained::default(), Some(error)),
            };
            let pods = unlisted.is_none().then_some(PodCounts::Drained {
                pods_evicted: drained.evicted,
                pods_deleted: drained.deleted,
                pods_left: drained.left.len(),
            });
            let is_changed = is_marked || drained.evicted + drained.deleted > 0;
            let error = cordoned.err().or(unlisted).or(drained.error);
            if !drained.left.is_empty() {
                let (cluster, pods) = (api_server.cluster.as_str(), drained.left.join(","));
                tracing::warn!(cluster, node = node.name(), pods, "these pods were not asked to stop");
            }
            let (kind, reason) = match &error {
                Some(error) => (Outcome::Failed, Some(error.to_string())),
                None if drained.left.is_empty() => (Outcome::Drained, None),
                None => {
                    let reason = "PodDisruptionBudgets did not allow the eviction of all pods";
                    (Outcome::Cordoned, Some(reason.to_owned()))
                }
            };
            let changed = is_changed.then(SystemTime::now);
            return Ok((NodeOutcome { reason, pods, changed, ..outcome(kind, None) }, error));
        }
    };
    Ok((done, None))
}

/// Whether a node was patched.
enum Patched {
    Done,
    /// The node is gone, or another one has its name.
    Gone,
}

/// Patches a node, and checks the effect.
async fn patch(
    calls: &Calls,
    api_server: &ApiServer,
    node: &Node,
    patch: &Value,
    is_unschedulable: bool,
) -> Result<Patched, Error> {
    let request = Request {
        method: "PATCH",
        path: format!("/api/v1/nodes/{}", escape(node.name())),
        content_type: "application/merge-patch+json",
        body: patch.to_string(),
        ..Request::default()
    };
    let read = |answer: &Answer| match answer.status {
        200..=299 => Some(serde_json::from_slice(&answer.body).map(Some).map_err(|error| error.to_string())),
        // 422: the node's uid is not that of the patch.
        404 | 422 => Some(Ok(None)),
        _ => None,
    };
    let patched: Option<Node> = api_server.request(calls, Operation::PatchNode, &request, read).await?;
    match patched {
        None => Ok(Patched::Gone),
        Some(patched) if patched.is_unschedulable() == is_unschedulable && patched.instance() == node.instance() => {
            Ok(Patched::Done)
        }
        Some(_) => Err(Error::Unchanged {
            operation: Operation::PatchNode,
            resource: format!("node {} of cluster {}", node.name(), api_server.cluster),
            reason: format!("the answer does not show unschedulable={is_unschedulable}"),
        }),
    }
}

/// Finds out which pods would be evicted.
async fn rehearse(calls: &Calls, api_server: &Arc<ApiServer>, node: &str) -> Result<PodCounts, Error> {
    let pods: Vec<_> = api_server.pods(calls, node).await?.into_iter().filter(Pod::is_to_be_evicted).collect();
    let evict = async |pod| match api_server.evict(calls, pod, EvictionMode::DryRun, Sent::default()).await {
        // A webhook may not support dry runs.
        Err(error) if error.class() == Some(ErrorClass::Rejected) => Ok(Eviction::Blocked(error.to_string())),
        evicted => evicted,
    };
    let evictions = try_join_all(pods.iter().map(evict)).await?;
    let names = |blocked: bool| {
        let of = pods.iter().zip(&evictions);
        let of = of.filter(|(_, eviction)| matches!(eviction, Eviction::Blocked(_)) == blocked);
        of.map(|(pod, _)| pod.to_string()).collect::<Vec<_>>()
    };
    let (free, blocked) = (names(false), names(true));
    tracing::info!(node, pods = free.join(","), blocked = blocked.join(","), "these pods would be evicted");
    Ok(PodCounts::DryRun { pods_to_evict: pods.len(), pods_blocked: blocked.len() })
}
