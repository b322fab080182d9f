//! Controllers, and the fates of the pods of interrupted instances.

use serde_json::json;
use standin::{Deployment, Pod, PodEnding, PodFate, StopRequest};

use crate::kube::{CLUSTER, ID, Kube, NODE};
use crate::paused::{pass, seconds};

fn fate(kube: &Kube, name: &str) -> PodFate {
    kube.home.pod_fates(CLUSTER).into_iter().find(|fate| fate.name == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn pods_die_with_their_instance() {
    let kube = Kube::start().await;
    for name in ["left", "late", "in-time", "long", "quick"] {
        kube.put(Pod::new("default", name).ignores_sigterm());
    }
    kube.home.change_pod(CLUSTER, "default", "quick", |pod| pod.stops_after = Some(seconds(2)));
    kube.home.change_pod(CLUSTER, "default", "long", |pod| pod.grace_period_s = 300);
    pass(5.0).await;
    kube.home.interrupt(ID, "terminate");
    pass(1.0).await;
    kube.evict("in-time", json!({})).await;
    kube.evict("quick", json!({})).await;
    kube.delete("long", json!({"gracePeriodSeconds": 110})).await;
    pass(109.0).await;
    kube.delete("late", json!({})).await;
    pass(20.0).await;
    let left = fate(&kube, "left");
    assert_eq!((left.ending, left.sigterm, left.stop_request), (PodEnding::KilledUntold, None, StopRequest::Not));
    assert_eq!((left.instance.as_str(), left.ended, left.is_graceful()), (ID, Some(seconds(120)), false));
    let late = fate(&kube, "late");
    assert_eq!(
        (late.ending, late.sigterm, late.had()),
        (PodEnding::KilledInGracePeriod, Some(seconds(110)), seconds(10))
    );
    assert!(!late.is_graceful());
    let in_time = fate(&kube, "in-time");
    assert_eq!((in_time.ending, in_time.ended, in_time.is_graceful()), (PodEnding::Killed, Some(seconds(31)), true));
    let long = fate(&kube, "long");
    assert_eq!((long.ending, long.had(), long.is_graceful()), (PodEnding::Killed, seconds(110), true));
    let quick = fate(&kube, "quick");
    assert_eq!(
        (quick.ending, quick.stop_request, quick.ended),
        (PodEnding::Exited, StopRequest::Evicted, Some(seconds(3)))
    );
    assert!(quick.is_graceful());

    assert!(kube.home.node_at(CLUSTER, NODE).is_some());
    pass(60.0).await;
    assert!(kube.home.node_at(CLUSTER, NODE).is_none());
    assert!(kube.home.pods(CLUSTER, NODE).is_empty());
}

#[tokio::test(start_paused = true)]
async fn node_of_a_stopped_instance_stays_as_it_was_left() {
    let kube = Kube::start().await;
    let uid = kube.put(Pod::new("default", "stays"));
    kube.put(Pod::new("default", "stopped").ignores_sigterm());
    kube.patch(&format!("/api/v1/nodes/{NODE}"), json!({"spec": {"unschedulable": true}})).await;
    kube.home.interrupt(ID, "hibernate");
    kube.delete("stopped", json!({"gracePeriodSeconds": 60})).await;
    pass(200.0).await;
    let node = kube.get(&format!("/api/v1/nodes/{NODE}")).await.json();
    assert_eq!(
        (&node["spec"]["unschedulable"], &node["status"]["conditions"][0]["status"]),
        (&json!(true), &json!("Unknown"))
    );
    kube.home.start_again(ID);
    let pods: Vec<_> = kube.home.pods(CLUSTER, NODE).into_iter().map(|pod| pod.name).collect();
    assert_eq!(pods, ["stays"]);
    let fates: Vec<_> = kube.home.pod_fates(CLUSTER).into_iter().filter(|fate| fate.uid == uid).collect();
    let endings: Vec<_> = fates.iter().map(|fate| fate.ending).collect();
    assert_eq!(endings, [PodEnding::KilledUntold, PodEnding::Running]);
    assert!(kube.home.node_at(CLUSTER, NODE).unwrap().unschedulable);
}

#[tokio::test(start_paused = true)]
async fn stateful_pod_is_created_again_only_when_the_old_one_is_gone() {
    let kube = Kube::start().await;
    let uid = kube.put(Pod::new("default", "db-0").stateful_set("db").stops_after(seconds(20)));
    kube.home.deployment(CLUSTER, Deployment::new("default", "db").stateful_set());
    kube.evict("db-0", json!({})).await;
    let path = "/api/v1/namespaces/default/pods/db-0";
    pass(19.0).await;
    assert_eq!(kube.get(path).await.json()["metadata"]["uid"], uid);
    pass(1.0).await;
    assert_eq!(kube.get(path).await.status, 404);
    pass(1.0).await;
    let pod = kube.get(path).await.json();
    assert_ne!(pod["metadata"]["uid"], uid);
    assert_eq!((&pod["status"]["phase"], pod["spec"]["nodeName"] == NODE), (&json!("Pending"), false));
    pass(20.0).await;
    assert_eq!(kube.get(path).await.json()["status"]["phase"], "Running");
}

#[tokio::test(start_paused = true)]
async fn daemon_pod_is_put_back_and_a_mirror_is_only_an_image() {
    let kube = Kube::start().await;
    kube.put(Pod::new("default", "logs-1").daemon_set("logs"));
    let uid = kube.put(Pod::new("default", "proxy").mirror());
    kube.put(Pod::new("default", "done").job("done").finished());
    for name in ["logs-1", "proxy", "done"] {
        kube.evict(name, json!({})).await;
    }
    pass(4.0).await;
    let pods = kube.home.pods(CLUSTER, NODE);
    let names: Vec<_> = pods.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!((names.len(), names[0].starts_with("logs-"), names[1]), (2, true, "proxy"));
    assert_ne!(names[0], "logs-1");
    let proxy = kube.get("/api/v1/namespaces/default/pods/proxy").await.json();
    assert_ne!(proxy["metadata"]["uid"], uid);
    assert_eq!(fate(&kube, "proxy").sigterm, None);
}
