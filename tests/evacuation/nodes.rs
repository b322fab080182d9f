//! Kubernetes nodes: what their pods get of the two minutes.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use serde_json::Value;
use standin::{
    Deployment, EksCluster, Fault, Instance, Node, Pdb, Pod, PodEnding, PodFate, Quotas, Standin, StopRequest,
    eks_fleet, rebalance_recommendation, state_change,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{ID, aged, batch, in_process::Process, s, standin, start};

const EKS: &[(&str, &str)] = &[("EKS_CLUSTERS", "*")];
const RESPECT: &[(&str, &str)] = &[("EKS_CLUSTERS", "*"), ("POD_DISRUPTION_BUDGETS", "respect")];

/// The node of `ID` in cluster `prod`, which runs these pods. Returns the node's name.
fn node(aws: &Standin, pods: impl IntoIterator<Item = Pod>) -> String {
    let home = aws.home();
    home.eks_cluster(EksCluster::new("prod"));
    let instance = Instance::new(ID).tag("aws:eks:cluster-name", "prod");
    let name = instance.private_dns_in(home.name());
    home.instance(instance).node("prod", Node::new(&name, ID));
    pods.into_iter().for_each(|pod| drop(home.pod("prod", &name, pod)));
    name
}

fn pod(app: &str, grace_s: u64) -> Pod {
    Pod::new("default", app).replica_set(app).grace_period_s(grace_s).ignores_sigterm()
}

fn never(app: &str) -> Pdb {
    Pdb::new("default", app).never()
}

/// Handles a notice for `ID`, and lets its two minutes pass.
async fn handle(aws: &Arc<Standin>, settings: &[(&str, &str)]) -> Value {
    let process = Process::start(aws, settings).await;
    let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap();
    sleep(s(121)).await;
    answer
}

fn fate(aws: &Standin, name: &str) -> PodFate {
    aws.home().pod_fates("prod").into_iter().find(|fate| fate.name == name).unwrap()
}

fn calls(aws: &Standin, api: &str) -> usize {
    aws.calls_to(api).len()
}

#[tokio::test(start_paused = true)]
async fn blocked_pods_are_deleted_while_their_grace_period_fits() {
    let aws = standin().await;
    let graces = [5, 30, 90, 300];
    node(&aws, graces.map(|grace| pod(&format!("g{grace}"), grace)));
    for grace in graces {
        aws.home().pdb("prod", never(&format!("g{grace}")));
    }
    let answer = handle(&aws, EKS).await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    assert_eq!(answer["nodes"][0]["podsDeleted"], 4);
    for (grace, asked_at) in [(5, 105), (30, 80), (90, 20), (300, 1)] {
        let fate = fate(&aws, &format!("g{grace}"));
        let sigterm = fate.sigterm.unwrap().as_secs();
        assert!((asked_at - 1..=asked_at + 1).contains(&sigterm), "{fate:?}");
        assert_eq!(fate.stop_request, StopRequest::Deleted);
        assert!(fate.is_graceful(), "{fate:?}");
    }
    // It was given what was left, and EC2 ended the node after that.
    let given = fate(&aws, "g300").given.unwrap();
    assert!((s(116)..=s(118)).contains(&given), "{given:?}");
}

#[tokio::test(start_paused = true)]
async fn budget_that_opens_in_time_is_kept() {
    let aws = standin().await;
    node(&aws, [pod("web", 30)]);
    // From the notice on, which is some milliseconds later, it has to be 40 s at least.
    aws.home().pdb("prod", Pdb::new("default", "web").opens_after(s(40) + Duration::from_millis(100)));
    let answer = handle(&aws, EKS).await;
    assert_eq!((&answer["outcome"], &answer["nodes"][0]["podsEvicted"]), (&"drained".into(), &1.into()));
    let fate = fate(&aws, "web");
    assert!(
        fate.stop_request == StopRequest::Evicted && (40..43).contains(&fate.sigterm.unwrap().as_secs()),
        "{fate:?}"
    );
    // An eviction and a list every one to two seconds.
    let (evictions, lists) = (calls(&aws, "EvictPod"), calls(&aws, "ListPods"));
    assert!((20..=42).contains(&evictions) && lists == evictions, "{evictions} {lists}");
}

#[tokio::test(start_paused = true)]
async fn respected_budget_leaves_its_pod_and_is_no_error() {
    let aws = standin().await;
    node(&aws, [pod("web", 30), pod("db", 30)]);
    aws.home().pdb("prod", never("db"));
    let answer = handle(&aws, RESPECT).await;
    assert_eq!(answer["outcome"], "cordoned");
    let of = &answer["nodes"][0];
    assert_eq!((&of["podsEvicted"], &of["podsDeleted"], &of["podsLeft"]), (&1.into(), &0.into(), &1.into()));
    assert!(of["reason"].as_str().unwrap().contains("PodDisruptionBudgets"), "{of}");
    assert_eq!((fate(&aws, "db").ending, calls(&aws, "DeletePod")), (PodEnding::KilledUntold, 0));
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_deployment_leave_as_their_budget_allows() {
    let aws = standin().await;
    let home = aws.home();
    node(&aws, (0..4).map(|n| Pod::new("default", format!("web-{n}")).replica_set("web").stops_after(s(3))));
    home.deployment("prod", Deployment::new("default", "web").replicas(4).ready_after(Some(s(5))));
    home.pdb("prod", Pdb::new("default", "web").max_unavailable(1));
    let answer = handle(&aws, EKS).await;
    assert_eq!(answer["nodes"][0]["podsEvicted"], 4, "{answer}");
    assert_eq!(calls(&aws, "DeletePod"), 0);
    for n in 0..4 {
        assert_eq!(fate(&aws, &format!("web-{n}")).ending, PodEnding::Exited);
    }
}

#[tokio::test(start_paused = true)]
async fn pod_with_two_budgets_counts_as_blocked() {
    let aws = standin().await;
    node(&aws, [pod("web", 60)]);
    aws.home().pdb("prod", Pdb::new("default", "web")).pdb("prod", Pdb::new("default", "web").named("second"));
    let answer = handle(&aws, EKS).await;
    let of = &answer["nodes"][0];
    assert_eq!((&of["podsEvicted"], &of["podsDeleted"]), (&0.into(), &1.into()), "{answer}");
    let fate = fate(&aws, "web");
    assert!((49..=51).contains(&fate.sigterm.unwrap().as_secs()) && fate.is_graceful(), "{fate:?}");
}

#[tokio::test(start_paused = true)]
async fn evictions_that_time_out_delay_no_other_pod() {
    let aws = standin().await;
    node(&aws, (0..40).map(|n| pod(&format!("slow-{n}"), 30)).chain((0..5).map(|n| pod(&format!("web-{n}"), 30))));
    for n in 0..40 {
        aws.home().pdb("prod", Pdb::new("default", format!("slow-{n}")).conflicting());
    }
    let answer = handle(&aws, EKS).await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    for fate in aws.home().pod_fates("prod") {
        assert!(fate.is_graceful(), "{fate:?}");
        let latest = if fate.name.starts_with("web") { 35 } else { 84 };
        assert!(fate.sigterm.unwrap() < s(latest), "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn overloaded_api_server_is_given_the_time_that_it_asks_for() {
    let aws = standin().await;
    node(&aws, [pod("web", 30)]);
    aws.fault(Fault::on("EvictPod").times(3).error(429, "", "Too many requests").retry_after_s(7));
    handle(&aws, EKS).await;
    let evictions = aws.calls_to("EvictPod");
    assert_eq!(evictions.len(), 4);
    for pair in evictions.windows(2) {
        let pause = pair[1].started - pair[0].finished;
        assert!(pause >= s(7) && pause <= s(9), "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn eviction_without_permission_is_an_error_and_pods_get_their_time() {
    for (settings, deleted) in [(EKS, 1), (RESPECT, 0)] {
        let aws = standin().await;
        node(&aws, [pod("web", 30)]);
        aws.home().change_eks_cluster("prod", |cluster| cluster.deny("create", "pods/eviction"));
        let process = Process::start(&aws, settings).await;
        let error = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap_err();
        assert_eq!(error.error_type(), "AccessDenied");
        assert!(error.to_string().contains("cannot create resource \"pods/eviction\""), "{error}");
        sleep(s(121)).await;
        assert_eq!(calls(&aws, "DeletePod"), deleted);
        assert_eq!(fate(&aws, "web").is_graceful(), deleted == 1);
        assert_eq!(calls(&aws, "EvictPod"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn deletion_without_permission_is_an_error() {
    let aws = standin().await;
    node(&aws, [pod("web", 30)]);
    aws.home().pdb("prod", never("web"));
    aws.home().change_eks_cluster("prod", |cluster| cluster.deny("delete", "pods"));
    let process = Process::start(&aws, EKS).await;
    let error = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap_err();
    assert_eq!(error.error_type(), "AccessDenied");
    assert!(error.to_string().contains("cannot delete resource \"pods\""), "{error}");
}

#[tokio::test(start_paused = true)]
async fn unreachable_endpoint_is_reported_with_its_settings() {
    for (access, advice) in [((false, true), "SubnetIds"), ((true, false), "publicAccessCidrs")] {
        let aws = standin().await;
        node(&aws, []);
        aws.home().eks_cluster(EksCluster::new("prod").endpoint_access(access.0, access.1).unreachable());
        let process = Process::start(&aws, EKS).await;
        let error = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap_err();
        assert_eq!(error.error_type(), "DeadlineExceeded");
        let (public, private) = (access.0.to_string(), access.1.to_string());
        for part in
            ["https://", &format!("endpointPublicAccess={public}"), &format!("endpointPrivateAccess={private}"), advice]
        {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn late_notice_and_hibernation_tell_everything_at_once() {
    for (action, age) in [("terminate", 119), ("terminate", 300), ("hibernate", 0)] {
        let aws = standin().await;
        let name = node(&aws, [pod("web", 30), pod("db", 30)]);
        aws.home().pdb("prod", never("db"));
        let process = Process::start(&aws, EKS).await;
        let notice = aged(&standin::notice(&aws.home(), ID, action, SystemTime::now()), s(age));
        let started = Instant::now();
        let answer = process.invoke(&notice).await.unwrap();
        assert_eq!(answer["outcome"], "drained", "{answer}");
        assert!(started.elapsed() < s(1), "{:?}", started.elapsed());
        assert!(aws.home().node_at("prod", &name).unwrap().unschedulable);
        for app in ["web", "db"] {
            assert_eq!(fate(&aws, app).given, Some(s(1)), "{action}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stopped_node_is_uncordoned_when_its_instance_runs_again() {
    let aws = standin().await;
    let home = aws.home();
    let name = node(&aws, [pod("web", 30)]);
    home.change_node("prod", &name, |node| drop(node.labels.insert("team".to_owned(), "a".to_owned())));
    let before = home.node_at("prod", &name).unwrap();
    let launched = SystemTime::now() - s(3_600);
    home.change_instance(ID, |instance| (instance.launched, instance.attached) = (Some(launched), Some(launched)));
    let process = Process::start(&aws, EKS).await;
    let notice = aged(&home.interrupt(ID, "stop"), s(60));
    assert_eq!(process.invoke(&notice).await.unwrap()["outcome"], "drained");
    let restarted = SystemTime::now();
    home.change_instance(ID, |instance| instance.launched = Some(restarted));
    let running = state_change(&home, ID, "running", SystemTime::now());
    let answer = process.invoke(&running).await.unwrap();
    assert_eq!(answer["outcome"], "reactivated", "{answer}");
    let after = home.node_at("prod", &name).unwrap();
    assert!(!after.unschedulable);
    assert_eq!((after.labels, after.annotations), (before.labels, before.annotations));
    // The notice comes again, late.
    assert_eq!(process.invoke(&notice).await.unwrap()["outcome"], "skipped");
    assert!(!home.node_at("prod", &name).unwrap().unschedulable);
}

#[tokio::test(start_paused = true)]
async fn node_that_someone_else_cordoned_stays_cordoned() {
    let aws = standin().await;
    let home = aws.home();
    let name = node(&aws, [pod("web", 30)]);
    home.change_node("prod", &name, |node| node.unschedulable = true);
    let process = Process::start(&aws, EKS).await;
    let notice = aged(&home.interrupt(ID, "stop"), s(60));
    assert_eq!(process.invoke(&notice).await.unwrap()["outcome"], "drained");
    let launched = SystemTime::now() - s(3_600);
    home.change_instance(ID, |of| (of.launched, of.attached) = (Some(SystemTime::now()), Some(launched)));
    let answer = process.invoke(&state_change(&home, ID, "running", SystemTime::now())).await.unwrap();
    assert_eq!(answer["outcome"], "skipped", "{answer}");
    assert!(home.node_at("prod", &name).unwrap().unschedulable);
    assert_eq!(calls(&aws, "PatchNode"), 0);
}

#[tokio::test(start_paused = true)]
async fn recommendation_evicts_for_a_minute_and_deletes_nothing() {
    for (is_open, outcome) in [(true, "drained"), (false, "cordoned")] {
        let aws = standin().await;
        node(&aws, [pod("web", 30)]);
        aws.home().pdb("prod", if is_open { Pdb::new("default", "web").opens_after(s(30)) } else { never("web") });
        let process = Process::start(&aws, &[EKS[0], ("REBALANCE_RECOMMENDATION", "drain")]).await;
        let started = Instant::now();
        let answer = process.invoke(&rebalance_recommendation(&aws.home(), ID, SystemTime::now())).await.unwrap();
        assert_eq!(answer["outcome"], outcome, "{answer}");
        assert!(started.elapsed() <= s(61) && calls(&aws, "DeletePod") == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn second_process_continues_from_what_it_finds() {
    let aws = standin().await;
    let name = node(&aws, [pod("web", 30), pod("db", 30)]);
    aws.home().pdb("prod", never("db"));
    let notice = aws.home().interrupt(ID, "terminate");
    let first = Process::start(&aws, EKS).await;
    assert!(timeout(s(20), first.invoke(&notice)).await.is_err());
    aws.forget_calls();
    let second = Process::start(&aws, EKS).await;
    let answer = second.invoke(&aged(&notice, s(20))).await.unwrap();
    assert_eq!(answer["outcome"], "drained");
    let of = &answer["nodes"][0];
    assert_eq!((&of["podsEvicted"], &of["podsDeleted"]), (&0.into(), &1.into()), "{answer}");
    assert!(aws.home().node_at("prod", &name).unwrap().unschedulable);
    sleep(s(121)).await;
    for app in ["web", "db"] {
        assert!(fate(&aws, app).is_graceful(), "{:?}", fate(&aws, app));
    }
    assert!(aws.calls_to("EvictPod").iter().all(|call| call.params["name"] == "db"));
}

#[tokio::test(start_paused = true)]
async fn pod_that_is_gone_or_replaced_counts_as_done() {
    for (status, reason) in [(404, "NotFound"), (409, "Conflict")] {
        let aws = standin().await;
        node(&aws, [pod("web", 30)]);
        aws.fault(Fault::on("EvictPod").error(status, reason, "no"));
        let answer = handle(&aws, EKS).await;
        assert_eq!(
            (&answer["outcome"], &answer["nodes"][0]["podsEvicted"]),
            (&"drained".into(), &0.into()),
            "{answer}"
        );
        assert_eq!((calls(&aws, "EvictPod"), calls(&aws, "DeletePod")), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn ec2_that_fails_for_seconds_loses_no_node() {
    let aws = standin().await;
    node(&aws, [pod("web", 30)]);
    aws.fault(Fault::on("DescribeInstances").times(15).status(500));
    assert_eq!(handle(&aws, EKS).await["outcome"], "drained");
}

#[tokio::test(start_paused = true)]
async fn ecs_that_does_not_answer_delays_no_node() {
    let aws = start(Standin::builder().quotas(Quotas::aws())).await;
    let ids = eks_fleet(&aws.home(), 1, 30, 3);
    aws.fault(Fault::on("ListClusters").status(500));
    let process = Process::start(&aws, EKS).await;
    aws.forget_calls();
    let notices: Vec<_> = ids.iter().map(|id| aws.home().interrupt(id, "terminate")).collect();
    let started = Instant::now();
    process.invoke(&batch(&notices)).await.unwrap();
    assert!(started.elapsed() < s(5), "{:?}", started.elapsed());
    assert!(aws.calls().iter().all(|call| call.service != "ecs"), "{:?}", aws.calls_by_api());
    let fates = aws.home().pod_fates("eks-0");
    assert!(fates.iter().all(|fate| fate.sigterm.is_some() || fate.owner.as_deref() == Some("DaemonSet")));
}

#[tokio::test(start_paused = true)]
async fn unreachable_cluster_does_not_delay_a_node_in_another_one() {
    for unreachable in [EksCluster::unreachable, EksCluster::silent] {
        let aws = standin().await;
        let name = node(&aws, [pod("web", 30)]);
        aws.home().eks_cluster(unreachable(EksCluster::new("blue")));
        let tagged = Instance::new(ID).tag("kubernetes.io/cluster/blue", "shared");
        aws.home().instance(tagged.tag("kubernetes.io/cluster/prod", "owned"));
        let process = Process::start(&aws, EKS).await;
        let started = Instant::now();
        let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap();
        assert_eq!(answer["outcome"], "drained", "{answer}");
        assert!(started.elapsed() < s(1) && aws.home().node_at("prod", &name).unwrap().unschedulable);
    }
}

#[tokio::test(start_paused = true)]
async fn cluster_that_lists_nothing_does_not_delay_a_node_in_another_one() {
    let aws = standin().await;
    let home = aws.home();
    home.eks_cluster(EksCluster::new("blue"));
    let mut notices = Vec::new();
    for n in 0..8 {
        let instance = Instance::new(format!("i-{n:017x}")).tag("aws:eks:cluster-name", "blue");
        let (id, name) = (instance.id.clone(), instance.private_dns_in(home.name()));
        home.instance(instance).node("blue", Node::new(&name, &id));
        notices.push(home.interrupt(&id, "terminate"));
    }
    node(&aws, [pod("web", 30)]);
    aws.fault(Fault::on("ListPods").matching(|params| params["cluster"] == "blue").always().delay(s(600)));
    notices.push(home.interrupt(ID, "terminate"));
    let process = Process::start(&aws, EKS).await;
    let started = Instant::now();
    let web = async {
        while calls(&aws, "EvictPod") == 0 {
            sleep(s(1)).await;
        }
        started.elapsed()
    };
    let batch = batch(&notices);
    let (answer, evicted) = tokio::join!(process.invoke(&batch), web);
    assert_eq!(answer.unwrap()["batchItemFailures"].as_array().unwrap().len(), 8);
    assert!(evicted < s(5), "{evicted:?}");
}

#[tokio::test(start_paused = true)]
async fn node_that_can_not_be_cordoned_is_drained_all_the_same() {
    let aws = standin().await;
    node(&aws, [pod("web", 30), pod("db", 30)]);
    aws.home().pdb("prod", never("db"));
    aws.fault(Fault::on("PatchNode").status(500));
    let process = Process::start(&aws, EKS).await;
    let error = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap_err();
    assert!(error.to_string().contains("PatchNode"), "{error}");
    sleep(s(121)).await;
    for app in ["web", "db"] {
        assert!(fate(&aws, app).is_graceful(), "{:?}", fate(&aws, app));
    }
}

#[tokio::test(start_paused = true)]
async fn cordon_that_fails_for_seconds_is_retried_beside_the_draining() {
    for blocked in [false, true] {
        let aws = standin().await;
        node(&aws, [pod("web", 30)]);
        if blocked {
            aws.home().pdb("prod", never("web"));
        }
        aws.fault(Fault::on("PatchNode").times(40).status(500));
        let process = Process::start(&aws, EKS).await;
        let notice = aws.home().interrupt(ID, "terminate");
        let cordoned = async {
            let started = Instant::now();
            while calls(&aws, "PatchNode") <= 40 {
                sleep(s(1)).await;
            }
            started.elapsed()
        };
        let (answer, cordoned) = tokio::join!(process.invoke(&notice), cordoned);
        assert_eq!(answer.unwrap()["outcome"], "drained");
        assert!(cordoned < s(40), "{cordoned:?}");
        assert_eq!(calls(&aws, "PatchNode"), 41);
    }
}

#[tokio::test(start_paused = true)]
async fn node_that_is_gone_or_replaced_when_it_is_cordoned_is_not_found() {
    for (status, reason) in [(404, "NotFound"), (422, "Invalid")] {
        let aws = standin().await;
        node(&aws, [pod("web", 30)]);
        aws.fault(Fault::on("PatchNode").error(status, reason, "no"));
        assert_eq!(handle(&aws, EKS).await["outcome"], "not-found");
        assert_eq!(calls(&aws, "EvictPod"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn pods_are_listed_without_a_limit_and_may_take_seconds() {
    let aws = standin().await;
    node(&aws, [pod("web", 30)]);
    aws.fault(Fault::on("ListPods").delay(s(8)));
    assert_eq!(handle(&aws, EKS).await["outcome"], "drained");
    assert!(!aws.calls_to("ListPods")[0].params.to_string().contains("limit"));
}

#[tokio::test(start_paused = true)]
async fn cluster_that_can_not_check_a_token_is_asked_again() {
    let aws = standin().await;
    node(&aws, [pod("web", 30)]);
    aws.fault(Fault::on("GetNode").times(3).error(401, "Unauthorized", "Unauthorized"));
    assert_eq!(handle(&aws, EKS).await["outcome"], "drained");
    assert_eq!(calls(&aws, "GetCallerIdentity"), 0);
}

#[tokio::test(start_paused = true)]
async fn notice_counts_more_than_a_recommendation_after_it() {
    let aws = standin().await;
    node(&aws, [pod("web", 30)]);
    aws.home().pdb("prod", never("web"));
    let process = Process::start(&aws, &[EKS[0], ("REBALANCE_RECOMMENDATION", "drain")]).await;
    let recommended = rebalance_recommendation(&aws.home(), ID, SystemTime::now());
    let events = [aged(&aws.home().interrupt(ID, "stop"), s(2)), recommended];
    process.invoke(&batch(&events)).await.unwrap();
    assert_eq!(calls(&aws, "DeletePod"), 1);
}

#[tokio::test(start_paused = true)]
async fn many_pods_with_room_in_their_budgets_are_evicted_and_not_deleted() {
    let aws = standin().await;
    let home = aws.home();
    let ids = eks_fleet(&home, 1, 30, 1);
    for id in &ids {
        let name = home.private_dns_name(id).unwrap();
        for n in 0..30 {
            home.pod("eks-0", &name, Pod::new("default", format!("{id}-{n}")).replica_set("app").grace_period_s(300));
        }
    }
    let process = Process::start(&aws, EKS).await;
    let notices: Vec<_> = ids.iter().map(|id| home.interrupt(id, "terminate")).collect();
    process.invoke(&batch(&notices)).await.unwrap();
    let (evicted, deleted) = (calls(&aws, "EvictPod"), calls(&aws, "DeletePod"));
    assert_eq!((evicted, deleted), (900, 0));
}

#[tokio::test(start_paused = true)]
async fn eviction_that_a_webhook_denies_is_tried_again() {
    let aws = standin().await;
    node(&aws, [pod("web", 30)]);
    let said = "admission webhook \"drain-cleaner\" denied the request: the pod is annotated";
    aws.fault(Fault::on("EvictPod").times(3).error(403, "Forbidden", said));
    let answer = handle(&aws, EKS).await;
    assert_eq!((&answer["outcome"], &answer["nodes"][0]["podsEvicted"]), (&"drained".into(), &1.into()), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn moved_endpoint_is_read_once_for_all_nodes() {
    let aws = standin().await;
    let home = aws.home();
    let ids = eks_fleet(&home, 1, 21, 2);
    let process = Process::start(&aws, EKS).await;
    process.invoke(&home.interrupt(&ids[0], "terminate")).await.unwrap();
    home.move_eks_cluster("eks-0");
    std::thread::sleep(s(10));
    aws.forget_calls();
    let notices: Vec<_> = ids[1..].iter().map(|id| home.interrupt(id, "terminate")).collect();
    process.invoke(&batch(&notices)).await.unwrap();
    assert_eq!(calls(&aws, "DescribeCluster"), 1);
    assert_eq!(aws.calls_where(|call| call.api == "PatchNode" && call.is_ok()).len(), 20);
}

#[tokio::test(start_paused = true)]
async fn deleted_cluster_is_not_found_by_a_process_that_knew_it() {
    let aws = standin().await;
    let home = aws.home();
    let ids = eks_fleet(&home, 1, 2, 2);
    let process = Process::start(&aws, EKS).await;
    process.invoke(&home.interrupt(&ids[0], "terminate")).await.unwrap();
    home.forget_eks_cluster("eks-0");
    std::thread::sleep(s(10));
    let answer = process.invoke(&home.interrupt(&ids[1], "terminate")).await.unwrap();
    assert_eq!(answer["outcome"], "not-found", "{answer}");
}

#[tokio::test(start_paused = true)]
async fn api_server_that_wants_to_be_left_alone_is_not_waited_for_beyond_the_deadline() {
    let aws = standin().await;
    node(&aws, [pod("web", 30)]);
    aws.fault(Fault::on("EvictPod").error(429, "", "Too many requests").retry_after_s(100));
    let process = Process::start(&aws, RESPECT).await;
    let started = Instant::now();
    let error = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap_err();
    assert_eq!(error.error_type(), "Throttled");
    assert!(started.elapsed() <= s(119), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn deletion_that_failed_is_made_with_the_grace_period_that_is_left() {
    let aws = standin().await;
    node(&aws, [pod("web", 30)]);
    aws.home().pdb("prod", never("web"));
    let fails_for = s(25);
    aws.fault(Fault::on("DeletePod").delay(fails_for).status(500).times(1));
    let process = Process::start(&aws, EKS).await;
    process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap();
    let graces: Vec<_> = aws
        .calls_to("DeletePod")
        .iter()
        .map(|call| call.params["body"]["gracePeriodSeconds"].as_u64().unwrap())
        .collect();
    assert_eq!(graces[0], 30);
    assert!(graces.last().unwrap() <= &35, "{graces:?}");
    assert!(fate(&aws, "web").sigterm.is_some());
}

#[tokio::test(start_paused = true)]
async fn wave_of_nodes_is_told_whatever_fails() {
    for probability in [0.0, 0.3] {
        let aws = start(Standin::builder().quotas(Quotas::aws())).await;
        let ids = eks_fleet(&aws.home(), 10, 20, 31);
        if probability > 0.0 {
            aws.fault(Fault::on_any().probability(probability).status(500));
        }
        let notices: Vec<_> = ids.iter().map(|id| aws.home().interrupt(id, "terminate")).collect();
        let process = Process::start(&aws, EKS).await;
        let answer = process.invoke(&batch(&notices)).await.unwrap();
        assert_eq!(answer["batchItemFailures"], serde_json::json!([]), "{answer}");
        let mut fates = Vec::new();
        for cluster in 0..10 {
            fates.extend(aws.home().pod_fates(&format!("eks-{cluster}")));
            assert!(aws.home().most_in_flight(&format!("eks-{cluster}")) <= 40);
        }
        let stopped: Vec<_> = fates.iter().filter(|fate| fate.owner.as_deref() != Some("DaemonSet")).collect();
        assert_eq!(stopped.len(), 6_000);
        let last = stopped.iter().map(|fate| fate.sigterm.unwrap()).max().unwrap();
        assert!(last < s(30), "{probability}: {last:?}");
        assert!(fates.iter().all(|fate| fate.owner.as_deref() != Some("DaemonSet") || fate.sigterm.is_none()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn failing_calls_cost_no_pod_its_time(seed in any::<u64>(), percent in 5_u32..30, grace in 1_u64..90) {
        fastrand::seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let aws = standin().await;
            node(&aws, (0..10).map(|n| pod(&format!("web-{n}"), grace)));
            for n in 0..5 {
                aws.home().pdb("prod", never(&format!("web-{n}")));
            }
            aws.fault(Fault::on_any().probability(f64::from(percent) / 100.0).status(500));
            let answer = handle(&aws, EKS).await;
            assert_eq!(answer["outcome"], "drained", "{answer}");
            for fate in aws.home().pod_fates("prod") {
                assert!(fate.is_graceful(), "{fate:?}");
            }
        });
    }
}
