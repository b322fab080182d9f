//! Evictions with every answer, and deletions with every grace period.

use std::time::Duration;

use serde_json::{Value, json};
use standin::{Deployment, EksCluster, Pdb, Pod, PodEnding, StopRequest};
use tokio::time::Instant;

use crate::kube::{CLUSTER, Kube, NODE};
use crate::paused::{pass, seconds};

/// A pod of the deployment `web`, of which no other is on a node here.
fn web() -> Pod {
    Pod::new("default", "web-1").replica_set("web")
}

fn cause(reply: &crate::client::Reply) -> (Value, Value) {
    let cause = &reply.json()["details"]["causes"][0];
    (cause["reason"].clone(), cause["message"].clone())
}

#[tokio::test(start_paused = true)]
async fn evicted_pod_terminates_with_its_own_grace_period() {
    let kube = Kube::start().await;
    let uid = kube.put(web().grace_period_s(90));
    let reply = kube.evict("web-1", json!({"preconditions": {"uid": uid}})).await;
    let success = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    assert_eq!((reply.status, reply.json()), (201, success));
    let path = "/api/v1/namespaces/default/pods/web-1";
    let pod = kube.get(path).await.json();
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 90);
    assert!(pod["metadata"]["deletionTimestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(pod["status"]["conditions"][1]["reason"], "EvictionByEvictionAPI");
    // It is stopping already.
    assert_eq!(kube.evict("web-1", json!({})).await.status, 201);
    pass(2.0).await;
    assert_eq!(kube.get(path).await.status, 404);
    let gone = kube.evict("web-1", json!({})).await;
    assert_eq!(
        (gone.verdict(), &gone.json()["message"]),
        ((404, "NotFound".to_owned()), &json!("pods \"web-1\" not found"))
    );
    let fate = kube.home.pod_fates(CLUSTER).remove(0);
    assert_eq!(
        (fate.stop_request, fate.ending, fate.given),
        (StopRequest::Evicted, PodEnding::Exited, Some(seconds(90)))
    );
    assert_eq!((fate.had(), fate.uid), (seconds(2), uid));
}

#[tokio::test(start_paused = true)]
async fn budget_without_room_is_429_without_retry_after() {
    let kube = Kube::start().await;
    kube.put(web());
    kube.home.pdb(CLUSTER, Pdb::new("default", "web").never());
    let reply = kube.evict("web-1", json!({})).await;
    assert_eq!((reply.verdict(), reply.header("retry-after")), ((429, "TooManyRequests".to_owned()), None));
    assert_eq!(reply.json()["message"], "Cannot evict pod as it would violate the pod's disruption budget.");
    let message = "The disruption budget web needs 1 healthy pods and has 1 currently";
    assert_eq!(cause(&reply), (json!("DisruptionBudget"), json!(message)));
    assert!(!kube.aws.calls()[0].is_throttled());
    kube.home.change_pdb(CLUSTER, "default", "web", |pdb| pdb.observed = false);
    let reply = kube.evict("web-1", json!({})).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("10")));
    let message = "The disruption budget web is still being processed by the server.";
    assert_eq!(
        (cause(&reply), &reply.json()["details"]["retryAfterSeconds"]),
        ((json!("DisruptionBudget"), json!(message)), &json!(10))
    );
}

#[tokio::test(start_paused = true)]
async fn budget_opens_when_the_replacement_is_ready() {
    let kube = Kube::start().await;
    for name in ["web-1", "web-2"] {
        kube.put(Pod::new("default", name).replica_set("web"));
    }
    kube.home
        .deployment(CLUSTER, Deployment::new("default", "web").replicas(4))
        .pdb(CLUSTER, Pdb::new("default", "web"));
    assert_eq!(kube.evict("web-1", json!({"dryRun": ["All"]})).await.status, 201);
    assert_eq!(kube.evict("web-1", json!({})).await.status, 201);
    assert_eq!(kube.evict("web-2", json!({"dryRun": ["All"]})).await.status, 429);
    pass(20.9).await;
    assert_eq!(kube.evict("web-2", json!({})).await.status, 429);
    pass(0.2).await;
    assert_eq!(kube.evict("web-2", json!({})).await.status, 201);
    let all = kube.get("/api/v1/pods?labelSelector=app%3Dweb").await.json();
    let elsewhere = all["items"].as_array().unwrap().iter().filter(|pod| pod["spec"]["nodeName"] != NODE).count();
    assert_eq!(elsewhere, 1);
}

#[tokio::test(start_paused = true)]
async fn budgets_open_and_close_at_their_time() {
    let kube = Kube::start().await;
    kube.put(web());
    kube.home.pdb(CLUSTER, Pdb::new("default", "web").opens_after(seconds(10)).closes_after(seconds(20)));
    let status = async || kube.evict("web-1", json!({"dryRun": ["All"]})).await.status;
    assert_eq!(status().await, 429);
    pass(10.0).await;
    assert_eq!(status().await, 201);
    pass(10.0).await;
    assert_eq!(status().await, 429);
    kube.home.forget_pdb(CLUSTER, "default", "web");
    assert_eq!(status().await, 201);
}

#[tokio::test(start_paused = true)]
async fn two_budgets_fail_with_201() {
    let kube = Kube::start().await;
    kube.put(web());
    kube.home.pdb(CLUSTER, Pdb::new("default", "web")).pdb(CLUSTER, Pdb::new("default", "web").named("web-2"));
    let reply = kube.evict("web-1", json!({})).await;
    let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    let failure = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": 500
    });
    assert_eq!((reply.status, reply.json()), (201, failure));
    assert_eq!(kube.home.pod_fates(CLUSTER)[0].stop_request, StopRequest::Not);
}

#[tokio::test(start_paused = true)]
async fn uid_of_another_pod_conflicts_after_the_budget_is_used() {
    let kube = Kube::start().await;
    for name in ["web-1", "web-2"] {
        kube.put(Pod::new("default", name).replica_set("web"));
    }
    kube.home.pdb(CLUSTER, Pdb::new("default", "web"));
    let stale = json!({"preconditions": {"uid": "of-another"}});
    let began = Instant::now();
    let reply = kube.evict("web-1", stale.clone()).await;
    assert_eq!((reply.verdict(), began.elapsed()), ((409, "Conflict".to_owned()), Duration::ZERO));
    assert!(
        reply.json()["message"].as_str().unwrap().contains("the UID in the precondition (of-another) does not match")
    );
    assert_eq!(kube.evict("web-2", json!({})).await.status, 429);
    pass(120.0).await;
    assert_eq!(kube.evict("web-2", json!({})).await.status, 201);
    // The budget is not asked about a pending pod, and the conflict is retried.
    kube.put(Pod::new("default", "web-0").stateful_set("web").phase("Pending"));
    let began = Instant::now();
    assert_eq!(kube.evict("web-0", stale).await.status, 409);
    assert_eq!(began.elapsed(), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn conflicting_budget_times_out_after_10_seconds() {
    let kube = Kube::start().await;
    kube.put(web());
    kube.home.pdb(CLUSTER, Pdb::new("default", "web").conflicting());
    let began = Instant::now();
    let reply = kube.evict("web-1", json!({})).await;
    assert_eq!((reply.verdict(), began.elapsed()), ((504, "Timeout".to_owned()), seconds(10)));
    assert_eq!(reply.header("retry-after"), Some("10"));
}

#[tokio::test(start_paused = true)]
async fn negative_budgets_and_terminating_namespaces_are_forbidden() {
    let kube = Kube::with(EksCluster::new(CLUSTER).terminating_namespace("old")).await;
    kube.put(web());
    kube.home.pdb(CLUSTER, Pdb::new("default", "web").disruptions_allowed(-1));
    let reply = kube.evict("web-1", json!({})).await;
    assert_eq!(reply.verdict(), (403, "Forbidden".to_owned()));
    assert!(reply.json()["message"].as_str().unwrap().ends_with("pdb disruptions allowed is negative"));
    kube.put(Pod::new("old", "x"));
    let path = "/api/v1/namespaces/old/pods/x/eviction";
    let body = json!({"metadata": {"name": "x"}}).to_string();
    let reply = kube.send("POST", path, "application/json", body).await;
    assert_eq!((reply.verdict(), cause(&reply).0), ((403, "Forbidden".to_owned()), json!("NamespaceTerminating")));
}

#[tokio::test(start_paused = true)]
async fn unready_pod_is_evicted_without_counting_if_enough_are_healthy() {
    let kube = Kube::start().await;
    kube.put(web().unready());
    kube.home.pdb(CLUSTER, Pdb::new("default", "web").min_available(1));
    assert_eq!(kube.evict("web-1", json!({})).await.status, 429);
    kube.home.deployment(CLUSTER, Deployment::new("default", "web").replicas(2));
    assert_eq!(kube.evict("web-1", json!({"dryRun": ["All"]})).await.status, 201);
    kube.home.pdb(CLUSTER, Pdb::new("default", "web").min_available(9).always_allows_unready());
    assert_eq!(kube.evict("web-1", json!({})).await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn bodies_are_checked() {
    let kube = Kube::start().await;
    kube.put(web());
    let refused = async |query: &str, body: Value| {
        let reply = kube.post_eviction("web-1", query, body).await;
        (reply.status, reply.json()["message"].as_str().unwrap_or_default().to_owned())
    };
    let mismatch = (400, "name in URL does not match name in Eviction object".to_owned());
    assert_eq!(refused("", json!({"metadata": {"name": "web-2"}})).await, mismatch);
    assert_eq!(refused("", json!({})).await, mismatch);
    let namespace = refused("", json!({"metadata": {"name": "web-1", "namespace": "other"}})).await;
    assert_eq!(namespace.0, 400);
    let snake = json!({"metadata": {"name": "web-1"}, "delete_options": {}});
    let strict = refused("?fieldValidation=Strict", snake.clone()).await;
    assert_eq!((strict.0, strict.1.contains("unknown field \"delete_options\"")), (400, true));
    let dry = json!({"metadata": {"name": "web-1"}, "deleteOptions": {"dryRun": ["Some"]}});
    assert_eq!(refused("", dry).await.0, 422);
    assert_eq!(refused("", json!({"kind": "Pod", "metadata": {"name": "web-1"}})).await.0, 400);
    let ignored = kube.post_eviction("web-1", "?dryRun=All", snake).await;
    assert_eq!(
        (ignored.status, ignored.header("warning")),
        (201, Some("299 - \"unknown field \\\"delete_options\\\"\""))
    );
    assert_eq!(kube.home.pod_fates(CLUSTER)[0].stop_request, StopRequest::Not);
    let full = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web-1"}});
    assert_eq!(kube.post_eviction("web-1", "", full).await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn terminating_pod_accepts_only_a_shorter_grace_period() {
    let kube = Kube::start().await;
    kube.put(web().grace_period_s(300).ignores_sigterm());
    let grace = async |seconds: Option<i64>| {
        let pod = kube.delete("web-1", json!({"gracePeriodSeconds": seconds})).await.json();
        pod["metadata"]["deletionGracePeriodSeconds"].as_u64()
    };
    assert_eq!(grace(None).await, Some(300));
    assert_eq!(grace(Some(400)).await, Some(300));
    assert_eq!(grace(None).await, Some(300));
    pass(10.0).await;
    assert_eq!(grace(Some(60)).await, Some(60));
    pass(49.0).await;
    assert_eq!(kube.home.pods(CLUSTER, NODE).len(), 1);
    pass(1.0).await;
    assert_eq!(kube.home.pods(CLUSTER, NODE).len(), 0);
    let fate = kube.home.pod_fates(CLUSTER).remove(0);
    assert_eq!((fate.stop_request, fate.ending, fate.had()), (StopRequest::Deleted, PodEnding::Killed, seconds(60)));
    assert_eq!((fate.given, fate.grace_period, fate.is_graceful()), (Some(seconds(60)), seconds(300), false));
}

#[tokio::test(start_paused = true)]
async fn grace_periods_have_their_limits() {
    let kube = Kube::start().await;
    let pod = |name: &str| Pod::new("default", name).ignores_sigterm();
    for name in ["longer", "negative", "zero", "late"] {
        kube.put(pod(name));
    }
    kube.evict("longer", json!({"gracePeriodSeconds": 40})).await;
    kube.evict("negative", json!({"gracePeriodSeconds": -5})).await;
    kube.delete("zero", json!({"gracePeriodSeconds": 0})).await;
    kube.delete("late", json!({})).await;
    let names = || kube.home.pods(CLUSTER, NODE).into_iter().map(|pod| pod.name).collect::<Vec<_>>();
    assert_eq!(names(), ["late", "longer", "negative"]);
    pass(1.0).await;
    assert_eq!(names(), ["late", "longer"]);
    pass(9.0).await;
    // Ten seconds after SIGTERM, five are over already.
    kube.delete("late", json!({"gracePeriodSeconds": 5})).await;
    pass(0.9).await;
    assert_eq!(names(), ["late", "longer"]);
    pass(0.1).await;
    assert_eq!(names(), ["longer"]);
    pass(29.0).await;
    assert!(names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn deletions_check_the_uid_and_ignore_budgets() {
    let kube = Kube::start().await;
    let uid = kube.put(web());
    kube.home.pdb(CLUSTER, Pdb::new("default", "web").never());
    let stale = kube.delete("web-1", json!({"preconditions": {"uid": "other"}})).await;
    assert_eq!(stale.verdict(), (409, "Conflict".to_owned()));
    let dry_run = kube.delete("web-1", json!({"dryRun": ["All"]})).await;
    assert_eq!((dry_run.status, kube.home.pod_fates(CLUSTER)[0].stop_request), (200, StopRequest::Not));
    let options =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 5, "preconditions": {"uid": uid}});
    assert_eq!(kube.delete("web-1", options).await.json()["kind"], "Pod");
    assert_eq!(kube.delete("none", json!({})).await.status, 404);
}
