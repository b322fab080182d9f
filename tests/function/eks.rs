//! Nodes of Amazon EKS.

use serde_json::{Value, json};
use standin::{ACCOUNT, EksCluster, Environment, Fault, Instance, Node, Pdb, Pod, Region, Role, Standin, state_change};

use crate::{ID, OTHER, apis, crowd, failed, function, handled, notice, standin};

const EKS: &[(&str, &str)] = &[("EKS_CLUSTERS", "*")];

const LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Adds a cluster with the node of an instance, which runs these pods. Returns the node's name.
fn add_node(home: &Region, cluster: &str, id: &str, pods: impl IntoIterator<Item = Pod>) -> String {
    let instance = Instance::new(id).tag("aws:eks:cluster-name", cluster);
    let name = instance.private_dns_in(home.name());
    home.instance(instance).node(cluster, Node::new(&name, id));
    pods.into_iter().for_each(|pod| drop(home.pod(cluster, &name, pod)));
    name
}

fn app_pods(count: usize) -> impl Iterator<Item = Pod> {
    (0..count).map(|n| Pod::new("default", format!("app-{n}")).replica_set("app"))
}

/// A cluster `prod` with the nodes of `ID`, which runs these pods, and of `OTHER`.
async fn prod(pods: impl IntoIterator<Item = Pod>) -> (Standin, String) {
    let aws = standin().await;
    let home = aws.home();
    home.eks_cluster(EksCluster::new("prod"));
    let name = add_node(&home, "prod", ID, pods);
    add_node(&home, "prod", OTHER, [Pod::new("default", "other").replica_set("app")]);
    (aws, name)
}

fn assert_only_its_node_changed(aws: &Standin) {
    let of_other = Instance::new(OTHER).private_dns_in(aws.home().name());
    let other = aws.home().node_at("prod", &of_other).unwrap();
    assert!(!other.unschedulable && !other.labels.contains_key(LABEL) && other.annotations.is_empty());
    assert!(aws.home().pods("prod", &of_other).iter().all(|pod| pod.name == "other"));
    for call in aws.writes() {
        assert!(!call.params.to_string().contains(&of_other) && call.params["name"] != "other", "{call:?}");
    }
}

fn count(aws: &Standin, api: &str) -> usize {
    aws.calls_to(api).len()
}

#[tokio::test]
async fn node_is_cordoned_and_its_pods_are_evicted() {
    let others = [
        Pod::new("kube-system", "aws-node").daemon_set("aws-node"),
        Pod::new("kube-system", "static").mirror(),
        Pod::new("default", "done").job("done").finished(),
    ];
    let (aws, name) = prod(app_pods(30).chain(others)).await;
    let function = function(&aws, EKS).await;
    let answer = handled(&function, notice(ID, "terminate")).await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    let expected = json!([{
        "clusterName": "prod", "nodeName": name, "outcome": "drained",
        "podsEvicted": 30, "podsDeleted": 0, "podsLeft": 0,
    }]);
    assert_eq!(answer["nodes"], expected);
    assert!(answer.get("containerInstances").is_none());

    let node = aws.home().node_at("prod", &name).unwrap();
    assert!(node.unschedulable);
    assert_eq!(node.labels[LABEL], "true");
    assert!(node.annotations["spot-interruption-handler/drained"].ends_with('Z'), "{node:?}");
    let left: Vec<_> = aws.home().pod_fates("prod").into_iter().filter(|fate| fate.sigterm.is_none()).collect();
    let names: Vec<_> = left.iter().map(|fate| fate.name.as_str()).collect();
    assert_eq!(names, ["aws-node", "static", "done", "other"], "{left:?}");
    assert_only_its_node_changed(&aws);
    // Nothing but the description, the cluster, the node, its patch, its pods and one eviction a pod.
    let calls = aws.calls();
    let first = ["DescribeInstances", "DescribeCluster", "GetNode", "PatchNode", "ListPods"];
    assert_eq!(apis(&calls)[..5], first);
    assert_eq!((calls.len(), count(&aws, "EvictPod")), (35, 30));
    assert!(aws.home().most_in_flight("prod") <= 20);

    // Another delivery finds nothing to be done, in a process that knows the cluster.
    aws.forget_calls();
    let answer = handled(&function, notice(ID, "terminate")).await;
    assert_eq!((&answer["outcome"], &answer["nodes"][0]["podsEvicted"]), (&"drained".into(), &0.into()), "{answer}");
    assert!(
        apis(&aws.calls()).iter().all(|api| ["DescribeInstances", "GetNode", "PatchNode", "ListPods"].contains(api))
    );
}

#[tokio::test]
async fn node_takes_no_ecs_call_however_many_ecs_clusters_there_are() {
    for clusters in [0, 1, 2, 100] {
        let (aws, _) = prod(app_pods(1)).await;
        crowd(&aws.home(), clusters);
        let function = function(&aws, EKS).await;
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "drained");
        assert!(aws.calls().iter().all(|call| call.service != "ecs"), "{clusters}: {:?}", apis(&aws.calls()));
        assert_eq!(count(&aws, "DescribeInstances") + count(&aws, "DescribeInstanceAttribute"), 1);
    }
}

#[tokio::test]
async fn cordon_strategy_leaves_pods_alone() {
    let (aws, name) = prod(app_pods(2)).await;
    let function = function(&aws, &[EKS[0], ("EKS_STRATEGY", "cordon")]).await;
    let answer = handled(&function, notice(ID, "terminate")).await;
    assert_eq!((&answer["outcome"], &answer["nodes"][0]["nodeName"]), (&"cordoned".into(), &name.into()));
    assert_eq!(apis(&aws.writes()), ["PatchNode"]);
    assert_eq!(count(&aws, "ListPods"), 0);
}

#[tokio::test]
async fn node_of_a_cluster_that_the_settings_exclude_is_skipped() {
    for (settings, named) in
        [(&[][..], "EKS_CLUSTERS is not set"), (&[("EKS_CLUSTERS", "dev-*,stage")], "EKS_CLUSTERS does not match")]
    {
        let (aws, _) = prod(app_pods(1)).await;
        let function = function(&aws, settings).await;
        let answer = handled(&function, notice(ID, "terminate")).await;
        assert_eq!(answer["outcome"], "skipped");
        assert!(answer["reason"].as_str().unwrap().contains(named), "{answer}");
        assert_eq!(answer["nodes"][0]["clusterName"], "prod");
        assert!(aws.calls().iter().all(|call| call.service == "ec2"));
    }
}

#[tokio::test]
async fn node_that_someone_else_manages_is_skipped_unless_overridden() {
    let tag = |key: &str| Instance::new(ID).tag("aws:eks:cluster-name", "prod").tag(key, "x");
    for (instance, named, can_be_overridden) in [
        (tag("eks:nodegroup-name"), "managed node group", true),
        (tag("karpenter.sh/nodepool"), "Karpenter", true),
        (tag("x").operator("eks.amazonaws.com"), "eks.amazonaws.com", false),
        (tag("x").operator("scaler.lambda.amazonaws.com"), "scaler.lambda.amazonaws.com", false),
    ] {
        let (aws, _) = prod(app_pods(1)).await;
        aws.home().instance(instance);
        let respecting = function(&aws, EKS).await;
        let answer = handled(&respecting, notice(ID, "terminate")).await;
        assert_eq!(answer["outcome"], "skipped");
        assert!(answer["reason"].as_str().unwrap().contains(named), "{answer}");
        assert!(aws.writes().is_empty() && count(&aws, "DescribeCluster") == 0);
        let overriding = function(&aws, &[EKS[0], ("MANAGED_DRAINING", "override")]).await;
        let expected = if can_be_overridden { "drained" } else { "skipped" };
        assert_eq!(handled(&overriding, notice(ID, "terminate")).await["outcome"], expected, "{named}");
    }
}

#[tokio::test]
async fn node_is_found_by_dns_name_by_instance_id_and_in_a_list() {
    for (name, lookups) in
        [(ID, vec!["GetNode"; 2]), ("custom-name", vec!["GetNode", "GetNode", "ListNodes", "GetNode"])]
    {
        let aws = standin().await;
        let home = aws.home();
        home.eks_cluster(EksCluster::new("prod"));
        let of_instance = add_node(&home, "prod", ID, []);
        home.forget_node("prod", &of_instance);
        home.node("prod", Node::new(name, ID));
        // Another instance has the node of this name.
        home.node("prod", Node::new(&of_instance, OTHER));
        let function = function(&aws, EKS).await;
        let answer = handled(&function, notice(ID, "terminate")).await;
        assert_eq!(
            (&answer["outcome"], &answer["nodes"][0]["nodeName"]),
            (&"drained".into(), &name.into()),
            "{answer}"
        );
        let calls = aws.calls();
        let found: Vec<_> =
            apis(&calls).into_iter().filter(|api| api.ends_with("Node") || *api == "ListNodes").collect();
        assert_eq!(found[..found.len() - 1], lookups[..], "{name}");
        assert!(!home.node_at("prod", &of_instance).unwrap().unschedulable);
    }
}

#[tokio::test]
async fn node_in_one_of_several_clusters_is_proven_by_its_provider_id() {
    let aws = standin().await;
    let home = aws.home();
    for cluster in ["blue", "green"] {
        home.eks_cluster(EksCluster::new(cluster));
    }
    let name = add_node(&home, "green", ID, app_pods(1));
    let tagged =
        |of: Instance| of.tag("kubernetes.io/cluster/blue", "shared").tag("kubernetes.io/cluster/green", "owned");
    home.instance(tagged(Instance::new(ID)));
    home.node("blue", Node::new(&name, OTHER));
    let function = function(&aws, EKS).await;
    let answer = handled(&function, notice(ID, "terminate")).await;
    assert_eq!((&answer["outcome"], &answer["nodes"][0]["clusterName"]), (&"drained".into(), &"green".into()));
    assert!(!home.node_at("blue", &name).unwrap().unschedulable);
}

#[tokio::test]
async fn instance_without_a_node_is_not_found() {
    for status in [None, Some("CREATING"), Some("ACTIVE")] {
        let aws = standin().await;
        let home = aws.home();
        home.instance(Instance::new(ID).tag("aws:eks:cluster-name", "prod"));
        if let Some(status) = status {
            home.eks_cluster(EksCluster::new("prod").status(status));
        }
        let function = function(&aws, EKS).await;
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "not-found", "{status:?}");
        assert!(aws.writes().is_empty());
    }
}

#[tokio::test]
async fn missing_access_entry_is_reported_with_the_role() {
    let (aws, _) = prod(app_pods(1)).await;
    aws.home().change_eks_cluster("prod", EksCluster::no_access_entry);
    let function = function(&aws, EKS).await;
    let (error_type, message) = failed(&function, notice(ID, "terminate")).await;
    assert_eq!(error_type, "AccessDenied");
    for part in ["cluster prod has no access entry", &format!("arn:aws:iam::{ACCOUNT}:"), "spot-interruption-handler"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(count(&aws, "GetCallerIdentity"), 1);
    assert!(aws.writes().is_empty());
    assert!(!message.contains("k8s-aws-v1"));
}

#[tokio::test]
async fn missing_permission_is_reported_with_its_verb() {
    for (verb, resource) in [("get", "nodes"), ("patch", "nodes"), ("list", "pods")] {
        let (aws, name) = prod(app_pods(1)).await;
        aws.home().change_eks_cluster("prod", |cluster| cluster.deny(verb, resource));
        let function = function(&aws, EKS).await;
        let (error_type, message) = failed(&function, notice(ID, "terminate")).await;
        assert_eq!(error_type, "AccessDenied");
        assert!(message.contains(&format!("cannot {verb} resource \"{resource}\"")), "{message}");
        assert_eq!(count(&aws, "GetCallerIdentity"), 0);
        if verb == "list" {
            // It was cordoned.
            assert!(aws.home().node_at("prod", &name).unwrap().unschedulable);
            let [line] = &metrics_of(&function)[..] else { panic!("{:?}", function.logs()) };
            assert!(line["Cluster"] == "prod" && line["SecondsToAct"].is_number(), "{line}");
            assert!(function.logs().iter().any(|line| line.contains("failed") && line.contains(&name)));
        }
    }
}

#[tokio::test]
async fn endpoint_is_read_again_when_the_connection_fails() {
    let (aws, _) = prod(app_pods(1)).await;
    add_node(&aws.home(), "prod", "i-1234abcd", app_pods(1));
    let function = function(&aws, EKS).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "drained");
    aws.home().move_eks_cluster("prod");
    // An endpoint that was just read is not read again.
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!(handled(&function, notice("i-1234abcd", "terminate")).await["outcome"], "drained");
    assert_eq!(count(&aws, "DescribeCluster"), 2);
}

#[tokio::test]
async fn rejected_token_is_made_again_once() {
    let (aws, _) = prod(app_pods(1)).await;
    add_node(&aws.home(), "prod", "i-1234abcd", app_pods(1));
    let function = function(&aws, EKS).await;
    handled(&function, notice(ID, "terminate")).await;
    aws.fault(Fault::on("GetNode").times(1).error(401, "Unauthorized", "Unauthorized"));
    assert_eq!(handled(&function, notice("i-1234abcd", "terminate")).await["outcome"], "drained");
    assert_eq!(count(&aws, "GetCallerIdentity"), 0);
}

#[tokio::test]
async fn node_in_another_account_is_drained_with_the_member_role() {
    const MEMBER: &str = "210987654321";
    let aws = standin().await;
    let member = aws.region(MEMBER, aws.home().name().to_owned());
    member.eks_cluster(EksCluster::new("prod"));
    let name = add_node(&member, "prod", ID, app_pods(2));
    aws.role(Role::new(format!("arn:aws:iam::{MEMBER}:role/handler")).trusts(ACCOUNT));
    let function = function(&aws, &[EKS[0], ("MEMBER_ROLE_NAME", "handler")]).await;
    let mut notice = notice(ID, "terminate");
    notice["account"] = MEMBER.into();
    assert_eq!(handled(&function, notice).await["outcome"], "drained");
    assert!(member.node_at("prod", &name).unwrap().unschedulable);
}

#[tokio::test]
async fn dry_run_counts_pods_and_changes_nothing() {
    let (aws, name) = prod(app_pods(5).chain([Pod::new("default", "db-0").stateful_set("db")])).await;
    aws.home().pdb("prod", Pdb::new("default", "db").never());
    let function = function(&aws, &[EKS[0], ("DRY_RUN", "true")]).await;
    let answer = handled(&function, notice(ID, "terminate")).await;
    let expected = json!([{
        "clusterName": "prod", "nodeName": name, "outcome": "dry-run", "reason": "it would be drained",
        "podsToEvict": 6, "podsBlocked": 1,
    }]);
    assert_eq!((&answer["outcome"], &answer["nodes"]), (&"dry-run".into(), &expected));
    assert!(aws.writes().is_empty());
    assert!(!aws.home().node_at("prod", &name).unwrap().unschedulable);
    assert!(aws.home().pod_fates("prod").iter().all(|fate| fate.sigterm.is_none()));
}

#[tokio::test]
async fn ec2_that_does_not_answer_is_an_error() {
    let (aws, _) = prod(app_pods(1)).await;
    aws.fault(Fault::on("DescribeInstances").always().error(403, "UnauthorizedOperation", "no"));
    let function = function(&aws, EKS).await;
    let (error_type, _) = failed(&function, notice(ID, "terminate")).await;
    assert_eq!(error_type, "AccessDenied");
    assert!(aws.writes().is_empty());
}

#[tokio::test]
async fn terminated_node_needs_nothing() {
    let (aws, _) = prod(app_pods(1)).await;
    let function = function(&aws, &[EKS[0], ("CLEAN_UP_TERMINATED", "true")]).await;
    let event = state_change(&aws.home(), ID, "terminated", std::time::SystemTime::now());
    assert_eq!(handled(&function, event).await["outcome"], "skipped");
    assert!(aws.calls().iter().all(|call| call.service != "kubernetes"));
}

fn metrics_of(function: &Environment) -> Vec<Value> {
    let lines = function.logs().into_iter().filter(|line| line.contains("CloudWatchMetrics"));
    lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
}

#[tokio::test]
async fn cluster_and_outcome_are_in_the_metrics_and_the_log_and_the_token_is_not() {
    let (aws, name) = prod(app_pods(3)).await;
    let function = function(&aws, &[EKS[0], ("AWS_LAMBDA_LOG_LEVEL", "DEBUG")]).await;
    let notice = notice(ID, "terminate");
    handled(&function, notice.clone()).await;
    let metrics = metrics_of(&function);
    assert_eq!((&metrics[0]["Cluster"], &metrics[0]["Outcome"]), (&"prod".into(), &"drained".into()), "{metrics:?}");
    assert!(metrics[0]["SecondsToSpare"].as_f64().unwrap() > 100.0);
    let logs = function.logs().join("\n");
    for part in [&name, "\"podsEvicted\":3", "\"cluster\":\"prod\""] {
        assert!(logs.contains(part), "{logs}");
    }
    // Once more: there is nothing left to change.
    handled(&function, notice).await;
    let again = metrics_of(&function).remove(1);
    assert!(again["Outcome"] == "drained" && again["SecondsToAct"].is_null(), "{again}");
    assert!(!logs.contains("k8s-aws-v1") && !logs.contains("X-Amz-Signature"));
}
