//! Pods of a node: list, evict, delete.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    api_server::{ApiServer, Status},
    connection::{Answer, Request, Sent},
    pod::Pod,
};
use crate::{
    aws::{calls::Calls, escape, operation::Operation},
    error::Error,
};

/// What became of an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// The pod was asked to stop.
    Accepted,
    /// The pod is gone, or another one has its name.
    Gone,
    /// A `PodDisruptionBudget` does not allow it at present, says the server.
    Blocked(String),
}

/// Whether an eviction is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EvictionMode {
    /// With the pod's own grace period, or this one.
    Evict(Option<Duration>),
    /// Only whether it would be accepted is found out.
    DryRun,
}

impl ApiServer {
    /// The pods on a node.
    pub(crate) async fn pods(&self, calls: &Calls, node: &str) -> Result<Vec<Pod>, Error> {
        // Without a limit: the server answers from its cache, where pods are indexed by node. With one, it would read
        // all pods of the cluster from etcd ("Consistent reads from cache", KEP 2340).
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", escape(node));
        self.list(calls, Operation::ListPods, &path, Some).await
    }

    /// Evicts a pod, and records when the request was sent. A server error is retried; a budget that does not allow it is
    /// an answer.
    pub(crate) async fn evict(
        &self,
        calls: &Calls,
        pod: &Pod,
        mode: EvictionMode,
        sent: Sent,
    ) -> Result<Eviction, Error> {
        let mut options = Map::from_iter([("preconditions".to_owned(), json!({ "uid": pod.metadata.uid }))]);
        let mut query = "";
        match mode {
            EvictionMode::Evict(None) => {}
            EvictionMode::Evict(Some(grace)) => drop(options.insert("gracePeriodSeconds".to_owned(), seconds(grace))),
            EvictionMode::DryRun => {
                options.insert("dryRun".to_owned(), json!(["All"]));
                query = "?dryRun=All";
            }
        }
        // Without `apiVersion` and `kind`, old and new servers accept it.
        let body = json!({
            "metadata": { "name": pod.metadata.name, "namespace": pod.metadata.namespace },
            "deleteOptions": options,
        });
        let request = Request {
            method: "POST",
            path: format!("{}/eviction{query}", path(pod)),
            content_type: "application/json",
            body: body.to_string(),
            sent,
        };
        self.request(calls, Operation::EvictPod, &request, |answer| verdict(answer).map(Ok)).await
    }

    /// Deletes a pod with a grace period of at least one second, whatever its budget says. Returns whether it was this
    /// pod that was deleted.
    pub(crate) async fn delete(&self, calls: &Calls, pod: &Pod, grace: Duration) -> Result<bool, Error> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            // 0 would remove the pod from the API while its containers run.
            "gracePeriodSeconds": seconds(grace.max(Duration::from_secs(1))),
            "preconditions": { "uid": pod.metadata.uid },
        });
        let (content_type, body) = ("application/json", body.to_string());
        let request = Request { method: "DELETE", path: path(pod), content_type, body, ..Request::default() };
        let read = |answer: &Answer| match answer.status {
            200..=299 => Some(Ok(true)),
            404 | 409 => Some(Ok(false)),
            _ => None,
        };
        self.request(calls, Operation::DeletePod, &request, read).await
    }
}

fn path(pod: &Pod) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", escape(&pod.metadata.namespace), escape(&pod.metadata.name))
}

fn seconds(grace: Duration) -> Value {
    grace.as_secs().into()
}

/// Reads the answer to an eviction; `None` if it is another error. The body decides: a pod of two budgets is answered
/// with 201 and a failure.
fn verdict(answer: &Answer) -> Option<Eviction> {
    let status = Status::of(answer);
    let blocked = || Eviction::Blocked(status.message.clone().unwrap_or_default());
    let says = |text: &str| status.message.as_ref().is_some_and(|said| said.contains(text));
    match answer.status {
        200..=299 if status.verdict.as_deref() == Some("Failure") => Some(blocked()),
        200..=299 => Some(Eviction::Accepted),
        404 | 409 => Some(Eviction::Gone),
        429 if status.has_cause("DisruptionBudget") => Some(blocked()),
        // The controller has not caught up with the budget yet, or the namespace is being deleted.
        403 if status.has_cause("NamespaceTerminating") || status.kind().is_some_and(is_budget) => Some(blocked()),
        // A webhook may change its mind.
        400 | 403 if says("denied the request") => Some(blocked()),
        500 if says("more than one PodDisruptionBudget") => Some(blocked()),
        _ => None,
    }
}

fn is_budget(kind: &str) -> bool {
    kind.to_ascii_lowercase().starts_with("poddisruptionbudget")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Option<Eviction> {
        verdict(&Answer { status, retry_after: None, body: body.as_bytes().to_vec() })
    }

    #[test]
    fn body_decides_whether_a_pod_was_evicted() {
        let blocked = |said: &str| Some(Eviction::Blocked(said.to_owned()));
        let two = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        for (status, body, expected) in [
            (201, r#"{"kind":"Status","status":"Success","code":201}"#.to_owned(), Some(Eviction::Accepted)),
            (200, "{}".to_owned(), Some(Eviction::Accepted)),
            (201, json!({"status": "Failure", "message": two, "code": 500}).to_string(), blocked(two)),
            (500, json!({"status": "Failure", "message": two, "code": 500}).to_string(), blocked(two)),
            (500, json!({"status": "Failure", "message": "etcd"}).to_string(), None),
            (404, json!({"status": "Failure", "reason": "NotFound"}).to_string(), Some(Eviction::Gone)),
            (409, json!({"status": "Failure", "reason": "Conflict"}).to_string(), Some(Eviction::Gone)),
            (
                429,
                json!({"message": "no", "details": {"causes": [{"reason": "DisruptionBudget"}]}}).to_string(),
                blocked("no"),
            ),
            (429, "Too many requests, please try again later.\n".to_owned(), None),
            (403, json!({"message": "no", "details": {"kind": "pods"}}).to_string(), None),
            (403, json!({"message": "x denied the request: y"}).to_string(), blocked("x denied the request: y")),
            (403, json!({"message": "no", "details": {"kind": "poddisruptionbudgets"}}).to_string(), blocked("no")),
            (
                403,
                json!({"message": "no", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}).to_string(),
                blocked("no"),
            ),
            (504, json!({"reason": "Timeout"}).to_string(), None),
            (401, json!({"reason": "Unauthorized"}).to_string(), None),
        ] {
            assert_eq!(of(status, &body), expected, "{status} {body}");
        }
    }
}
