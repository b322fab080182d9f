//! The Kubernetes API server: nodes, lists of pods, access, faults and the call log.

use std::time::Duration;

use serde_json::{Value, json};
use standin::{EksCluster, Fault, Node, Pod};

use crate::kube::{CLUSTER, ID, Kube, NODE};

const LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

fn node_path() -> String {
    format!("/api/v1/nodes/{NODE}")
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn node_is_found_by_name_with_its_provider_id() {
    let kube = Kube::start().await;
    kube.home.node(CLUSTER, Node::new("other", "i-2").provider_id("eks-hybrid:///us-east-2/web/mi-0123456789abcdef0"));
    let node = kube.get(&node_path()).await.json();
    assert_eq!(
        (&node["kind"], &node["spec"]),
        (&json!("Node"), &json!({"providerID": format!("aws:///us-east-2a/{ID}")}))
    );
    let other = kube.get("/api/v1/nodes/other").await.json();
    assert_eq!(other["spec"]["providerID"], "eks-hybrid:///us-east-2/web/mi-0123456789abcdef0");
    let missing = kube.get(&format!("/api/v1/nodes/{ID}")).await;
    assert_eq!(missing.verdict(), (404, "NotFound".to_owned()));
    assert_eq!(missing.json()["message"], format!("nodes \"{ID}\" not found"));
    assert_eq!(missing.json()["details"], json!({"name": ID, "kind": "nodes"}));
}

#[tokio::test]
async fn cordon_keeps_what_was_there() {
    let kube = Kube::start().await;
    kube.home.node(CLUSTER, Node::new(NODE, ID).label("team", "a").taint("dedicated", "NoSchedule"));
    let cordon =
        json!({"metadata": {"labels": {LABEL: "true"}, "annotations": {"mark": "x"}}, "spec": {"unschedulable": true}});
    let reply = kube.patch(&node_path(), cordon.clone()).await;
    assert_eq!((reply.status, &reply.json()["spec"]["unschedulable"]), (200, &json!(true)));
    let node = kube.home.node_at(CLUSTER, NODE).unwrap();
    assert_eq!((node.labels["team"].as_str(), node.labels[LABEL].as_str()), ("a", "true"));
    assert_eq!((node.annotations["mark"].as_str(), node.unschedulable), ("x", true));
    let keys: Vec<_> = node.taints.iter().map(|taint| taint["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["dedicated", "node.kubernetes.io/unschedulable"]);
    // The same patch again changes nothing.
    let version = kube.patch(&node_path(), cordon).await.json()["metadata"]["resourceVersion"].clone();
    assert_eq!(version, reply.json()["metadata"]["resourceVersion"]);

    let uncordon =
        json!({"metadata": {"labels": {LABEL: null}, "annotations": {"mark": null}}, "spec": {"unschedulable": null}});
    let strategic = "application/strategic-merge-patch+json";
    assert_eq!(kube.send("PATCH", &node_path(), strategic, uncordon.to_string()).await.status, 200);
    let node = kube.home.node_at(CLUSTER, NODE).unwrap();
    assert_eq!((node.labels.len(), node.annotations.len(), node.unschedulable, node.taints.len()), (1, 0, false, 1));
}

#[tokio::test]
async fn taints_are_merged_by_key_only_by_a_strategic_patch() {
    let kube = Kube::start().await;
    kube.home.node(CLUSTER, Node::new(NODE, ID).taint("a", "NoSchedule"));
    let patch = json!({"spec": {"taints": [{"key": "b", "effect": "NoExecute"}]}});
    let strategic = "application/strategic-merge-patch+json";
    let taints = async |content_type: &str| {
        let reply = kube.send("PATCH", &node_path(), content_type, patch.to_string()).await;
        reply.json()["spec"]["taints"].as_array().unwrap().len()
    };
    assert_eq!(taints(strategic).await, 2);
    assert_eq!(taints("application/merge-patch+json").await, 1);
}

#[tokio::test]
async fn patches_are_refused() {
    let kube = Kube::start().await;
    let text = kube.send("PATCH", &node_path(), "text/plain", "{}".to_owned()).await;
    assert_eq!(text.verdict(), (415, "UnsupportedMediaType".to_owned()));
    let number = kube.patch(&node_path(), json!({"metadata": {"labels": {"a": 1}}})).await;
    assert_eq!(number.verdict(), (400, "BadRequest".to_owned()));
    let value = kube.patch(&node_path(), json!({"metadata": {"labels": {"a": "2026-11-24T08:00:00Z"}}})).await;
    assert_eq!(value.verdict(), (422, "Invalid".to_owned()));
    let old = kube.patch(&node_path(), json!({"metadata": {"resourceVersion": "0"}})).await;
    assert_eq!(old.verdict(), (409, "Conflict".to_owned()));
    let dry_run = kube.patch(&format!("{}?dryRun=All", node_path()), json!({"spec": {"unschedulable": true}})).await;
    assert_eq!(dry_run.json()["spec"]["unschedulable"], true);
    assert!(!kube.home.node_at(CLUSTER, NODE).unwrap().unschedulable);
    assert_eq!(kube.patch("/api/v1/nodes/none", json!({})).await.status, 404);
}

#[tokio::test]
async fn pods_of_a_node_are_listed_in_pages() {
    let kube = Kube::start().await;
    kube.home.node(CLUSTER, Node::new("other", "i-2"));
    for number in 0..5 {
        kube.put(Pod::new("default", format!("web-{number}")).replica_set("web").grace_period_s(90));
    }
    kube.put(Pod::new("kube-system", "aws-node-1").daemon_set("aws-node"));
    kube.home.pod(CLUSTER, "other", Pod::new("default", "elsewhere"));
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{NODE}&limit=4");
    let first = kube.get(&path).await.json();
    assert_eq!((&first["kind"], names(&first)), (&json!("PodList"), vec!["web-0", "web-1", "web-2", "web-3"]));
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = kube.get(&format!("{path}&continue={token}")).await.json();
    assert_eq!((names(&second), second["metadata"].get("continue")), (vec!["web-4", "aws-node-1"], None));
    let pod = &first["items"][0];
    assert_eq!((&pod["spec"]["terminationGracePeriodSeconds"], &pod["spec"]["nodeName"]), (&json!(90), &json!(NODE)));
    let owner = &pod["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["controller"]), (&json!("ReplicaSet"), &json!(true)));
    assert_eq!(pod["status"], json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));

    let namespaced = kube.get(&format!("/api/v1/namespaces/kube-system/pods?fieldSelector=spec.nodeName={NODE}")).await;
    assert_eq!(names(&namespaced.json()), ["aws-node-1"]);
    assert_eq!(names(&kube.get("/api/v1/pods?labelSelector=app%3Daws-node").await.json()), ["aws-node-1"]);
    let bad = kube.get("/api/v1/pods?fieldSelector=spec.providerID%3Dx").await;
    assert_eq!(bad.json()["message"], "field label not supported: spec.providerID");
}

#[tokio::test]
async fn old_continue_token_is_gone_and_a_false_one_is_refused() {
    let kube = Kube::start().await;
    for name in ["a", "b", "c"] {
        kube.home.node(CLUSTER, Node::new(name, format!("i-{name}")));
    }
    let first = kube.get("/api/v1/nodes?limit=2").await.json();
    assert_eq!(names(&first), ["a", "b"]);
    let token = first["metadata"]["continue"].as_str().unwrap();
    kube.home.expire_lists(CLUSTER);
    let gone = kube.get(&format!("/api/v1/nodes?limit=2&continue={token}")).await;
    assert_eq!(gone.verdict(), (410, "Expired".to_owned()));
    let token = gone.json()["metadata"]["continue"].as_str().unwrap().to_owned();
    assert_eq!(names(&kube.get(&format!("/api/v1/nodes?continue={token}")).await.json()), ["c", NODE]);
    assert_eq!(kube.get("/api/v1/nodes?limit=2&continue=x").await.verdict(), (400, "BadRequest".to_owned()));
}

#[tokio::test]
async fn missing_access_entry_is_401_and_missing_verb_403() {
    let kube = Kube::with(EksCluster::new(CLUSTER).no_access_entry()).await;
    let reply = kube.get(&node_path()).await;
    assert_eq!(
        reply.json(),
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Unauthorized", "reason": "Unauthorized", "code": 401
        })
    );
    let call = &kube.aws.calls()[0];
    assert_eq!((call.api.as_str(), call.status, call.error.as_deref()), ("GetNode", 401, Some("Unauthorized")));

    let kube = Kube::with(EksCluster::new(CLUSTER).deny("create", "pods/eviction").deny("patch", "nodes")).await;
    kube.put(Pod::new("default", "x"));
    let arn = "arn:aws:sts::123456789012:assumed-role/standin/standin";
    let reply = kube.evict("x", json!({})).await;
    let message = format!(
        "pods \"x\" is forbidden: User \"{arn}\" cannot create resource \"pods/eviction\" in API group \"\" in the namespace \"default\""
    );
    assert_eq!((reply.verdict(), &reply.json()["message"]), ((403, "Forbidden".to_owned()), &json!(message)));
    assert_eq!(reply.json()["details"], json!({"name": "x", "kind": "pods"}));
    let reply = kube.patch(&node_path(), json!({})).await;
    let message = format!(
        "nodes \"{NODE}\" is forbidden: User \"{arn}\" cannot patch resource \"nodes\" in API group \"\" at the cluster scope"
    );
    assert_eq!(reply.json()["message"], message);
}

#[tokio::test]
async fn token_of_another_cluster_is_refused() {
    let kube = Kube::start().await;
    kube.home.eks_cluster(EksCluster::new("api"));
    let url = format!("{}/api/v1/nodes", kube.home.eks_endpoint("api").unwrap());
    let request = hyper::Request::get(url).header("authorization", format!("Bearer {}", kube.token));
    let reply = kube.aws.answer(request.body(hyper::body::Bytes::new()).unwrap()).await.unwrap();
    assert_eq!(reply.status(), 401);
}

#[tokio::test]
async fn calls_are_logged() {
    let kube = Kube::start().await;
    let uid = kube.put(Pod::new("default", "x"));
    kube.get(&node_path()).await;
    kube.get("/api/v1/nodes?limit=500").await;
    kube.patch(&node_path(), json!({"spec": {"unschedulable": true}})).await;
    kube.get("/api/v1/pods").await;
    kube.get("/api/v1/namespaces/default/pods/x").await;
    kube.evict("x", json!({"dryRun": ["All"]})).await;
    kube.evict("x", json!({})).await;
    kube.delete("x", json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}})).await;
    let calls = kube.aws.calls();
    let apis: Vec<_> = calls.iter().map(|call| call.api.as_str()).collect();
    assert_eq!(apis, ["GetNode", "ListNodes", "PatchNode", "ListPods", "GetPod", "EvictPod", "EvictPod", "DeletePod"]);
    assert!(calls.iter().all(|call| call.service == "kubernetes" && call.account == "123456789012" && call.is_ok()));
    assert_eq!(calls[1].params, json!({"cluster": "web", "query": {"limit": "500"}}));
    let body = json!({"spec": {"unschedulable": true}});
    assert_eq!(calls[2].params, json!({"cluster": "web", "name": NODE, "body": body}));
    assert_eq!((&calls[4].params["namespace"], &calls[4].params["name"]), (&json!("default"), &json!("x")));
    let writes: Vec<_> = kube.aws.writes().into_iter().map(|call| call.api).collect();
    assert_eq!(writes, ["PatchNode", "EvictPod", "DeletePod"]);
}

#[tokio::test(start_paused = true)]
async fn faults_and_latency_apply() {
    let kube = Kube::start().await;
    kube.put(Pod::new("default", "x"));
    kube.aws
        .fault(Fault::on("EvictPod").times(1).throttle().retry_after_s(7))
        .fault(Fault::on("EvictPod").times(1).error(500, "InternalError", "etcdserver: leader changed"))
        .fault(Fault::on("EvictPod").times(1).status(504).retry_after_s(10))
        .fault(Fault::on("EvictPod").times(1).failure("This pod has more than one PodDisruptionBudget"))
        .fault(Fault::on("EvictPod").times(1).matching(|params| params["name"] == "x").cut().after_effect());
    let throttled = kube.evict("x", json!({})).await;
    assert_eq!((throttled.status, throttled.body.as_str()), (429, "Too many requests, please try again later.\n"));
    assert_eq!(throttled.header("retry-after"), Some("7"));
    assert!(throttled.header("content-type").unwrap().starts_with("text/plain"));
    assert!(throttled.header("x-kubernetes-pf-flowschema-uid").is_some());
    assert_eq!(kube.evict("x", json!({})).await.verdict(), (500, "InternalError".to_owned()));
    let timeout = kube.evict("x", json!({})).await;
    assert_eq!((timeout.verdict(), timeout.header("retry-after")), ((504, "Timeout".to_owned()), Some("10")));
    let failed = kube.evict("x", json!({})).await;
    assert_eq!((failed.verdict(), &failed.json()["code"]), ((201, "Failure".to_owned()), &json!(500)));
    assert!(kube.home.pod_fates(CLUSTER)[0].sigterm.is_none());
    let path = "/api/v1/namespaces/default/pods/x/eviction";
    let body = json!({"metadata": {"name": "x"}}).to_string();
    assert!(kube.try_send("POST", path, "application/json", body).await.is_none());
    assert!(kube.home.pod_fates(CLUSTER)[0].sigterm.is_some());
    let errors: Vec<_> = kube.aws.calls().into_iter().map(|call| call.error.unwrap()).collect();
    assert_eq!(errors, ["Throttling", "InternalError", "Timeout", "Failure", "ConnectionCut"]);
    assert!(kube.aws.calls()[0].is_throttled());

    kube.aws.set_latency(Duration::from_secs(3));
    let began = tokio::time::Instant::now();
    kube.get(&node_path()).await;
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_counted_and_limited() {
    let kube = Kube::with(EksCluster::new(CLUSTER).max_in_flight(2)).await;
    kube.aws.set_latency(Duration::from_secs(1));
    let path = node_path();
    let (a, b, c) = tokio::join!(kube.get(&path), kube.get(&path), kube.get(&path));
    assert_eq!([a.status, b.status, c.status], [200, 200, 429]);
    assert_eq!(kube.get(&path).await.status, 200);
    assert_eq!(kube.home.most_in_flight(CLUSTER), 3);
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let kube = Kube::start().await;
    let reply = kube.get("/apis/apps/v1/deployments").await;
    assert_eq!(reply.verdict(), (404, "NotFound".to_owned()));
    assert_eq!(reply.json()["message"], "the server could not find the requested resource");
}
