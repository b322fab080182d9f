//! Rehearsals: every instance is looked up, nothing is changed, and the report says what would go wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant as Clock},
};

use serde_json::{Value, json};
use standin::{
    Answer, AutoScalingGroup, Container, ContainerInstance, EksCluster, Environment, Fault, Function, Instance, Node,
    Pdb, Pod, Quotas, Role, Service, Standin, Task, TaskDefinition, fleet, sqs_batch,
};

use crate::{ID, OTHER, apis, crowd, failed, function, handled, notice, register, standin};

const ALL: (&str, &str) = ("REHEARSAL_READS", "all");
const EKS: (&str, &str) = ("EKS_CLUSTERS", "*");

fn event(detail: &Value) -> Value {
    json!({ "detail-type": "Spot Interruption Rehearsal", "source": "spot-interruption-handler", "detail": detail })
}

/// Rehearses, and checks that nothing was changed.
async fn rehearsed(aws: &Standin, function: &Environment, detail: Value) -> Value {
    let report = handled(function, event(&detail)).await;
    assert_eq!(aws.writes().len(), 0, "{:?}", aws.writes());
    report
}

/// The findings' kinds, in their order, with their examples.
fn findings(report: &Value) -> Vec<(&str, Vec<&str>)> {
    fn examples(of: &Value) -> Vec<&str> {
        of["examples"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
    }
    report["findings"].as_array().unwrap().iter().map(|of| (of["kind"].as_str().unwrap(), examples(of))).collect()
}

fn kinds(report: &Value) -> Vec<&str> {
    findings(report).into_iter().map(|(kind, _)| kind).collect()
}

/// The outcomes that are not 0.
fn outcomes(report: &Value) -> BTreeMap<&str, u64> {
    let all = report["outcomes"].as_object().unwrap().iter();
    all.map(|(name, count)| (name.as_str(), count.as_u64().unwrap())).filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn account_without_spot_instances_takes_one_call() {
    let aws = standin().await;
    aws.home().instance(Instance::new(ID).on_demand()).instance(Instance::new(OTHER).state("stopped"));
    let function = function(&aws, &[ALL, EKS]).await;
    let report = rehearsed(&aws, &function, json!({})).await;
    assert_eq!(apis(&aws.calls()), ["DescribeInstances"]);
    assert_eq!((&report["instances"], &report["notCovered"]), (&json!(0), &json!(0)));
    assert!(report["findings"] == json!([]) && report.get("timeline").is_none(), "{report}");
}

#[tokio::test]
async fn each_instance_is_counted_by_what_would_become_of_it() {
    for (strategy, of_ecs) in [("deregister", "deregistered"), ("drain", "draining"), ("evacuate", "evacuated")] {
        let aws = standin().await;
        fleet(&aws);
        let function = function(&aws, &[ALL, EKS, ("STRATEGY", strategy)]).await;
        let report = rehearsed(&aws, &function, json!(null)).await;
        assert_eq!(
            outcomes(&report),
            [(of_ecs, 8), ("drained", 1), ("notFound", 1), ("skipped", 3)].into(),
            "{report}"
        );
        assert_eq!((&report["instances"], &report["strategy"]), (&json!(13), &json!(strategy)));
        assert_eq!(report["notCovered"], 0);
        let skipped: Vec<_> = report["skippedBy"].as_object().unwrap().keys().collect();
        assert!(skipped.len() == 3 && skipped[1].contains("Managed Instances"), "{skipped:?}");
        let ways = report["ways"].as_object().unwrap();
        assert_eq!(ways.values().filter_map(Value::as_u64).sum::<u64>(), 12, "{ways:?}");
        assert_eq!((&ways["tag"], &ways["capacityProvider"]), (&json!(1), &json!(2)), "{ways:?}");
        let calls: u64 = report["calls"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(calls, aws.calls().len() as u64);
        assert!(report["callsToLocate"].as_u64().unwrap() < calls);
        let text = report["text"].as_str().unwrap();
        assert!(text.contains("Would be") && text.contains("m6i.large in us-east-2a"), "{text}");
        // The strategy of the event takes precedence.
        let report = rehearsed(&aws, &function, json!({ "strategy": "drain" })).await;
        assert_eq!(outcomes(&report)["draining"], 8);
    }
}

#[tokio::test]
async fn notice_after_a_rehearsal_is_handled_as_ever() {
    let aws = standin().await;
    let (arn, _) = register(&aws.home(), "web");
    let function = function(&aws, &[ALL]).await;
    rehearsed(&aws, &function, json!({})).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn few_reads_are_those_of_a_notice() {
    let aws = standin().await;
    fleet(&aws);
    let function = function(&aws, &[EKS]).await;
    let report = rehearsed(&aws, &function, json!({})).await;
    assert_eq!(report["reads"], "few");
    let more = ["ListTasks", "DescribeTasks", "DescribeServices", "DescribeTaskDefinition", "ListPodDisruptionBudgets"];
    assert!(more.iter().all(|api| aws.calls_to(api).is_empty()), "{:?}", aws.calls_by_api());
    assert_eq!(kinds(&report), Vec::<&str>::new());
}

#[tokio::test]
async fn detail_narrows_the_rehearsal() {
    let aws = standin().await;
    fleet(&aws);
    let function = function(&aws, &[EKS]).await;
    let report = rehearsed(&aws, &function, json!({ "clusters": ["web", "shop"] })).await;
    assert_eq!(outcomes(&report), [("deregistered", 2), ("drained", 1)].into(), "{report}");
    let ids = json!({ "instance-ids": [ID, "i-0000000000000000f"] });
    let report = rehearsed(&aws, &function, ids).await;
    assert_eq!(outcomes(&report), [("deregistered", 1), ("notFound", 1)].into(), "{report}");
    let (kind, message) = failed(&function, event(&json!({ "strategy": "explode" }))).await;
    assert!(kind == "InvalidEvent" && message.contains("detail.strategy"), "{message}");
}

/// The planted faults, by the kind of finding.
fn plant(aws: &Standin) -> BTreeMap<&'static str, &'static str> {
    let home = aws.home();
    let container = |seconds| Container::new("app").stop_timeout(seconds);
    home.task_definition(TaskDefinition::new("app").container(container(30)));
    home.task_definition(TaskDefinition::new("slow").container(container(115)));
    home.task_definition(TaskDefinition::new("unset").container(Container::new("app")));
    for n in 0..900 {
        let (id, cluster) = (format!("i-f{n:016x}"), format!("ecs-{}", n % 50));
        let arn = home.container_instance(&cluster, ContainerInstance::new(&id));
        let instance = Instance::new(&id).asg(&cluster).zone(if n % 50 < 30 { "us-east-2a" } else { "us-east-2b" });
        // The last one has no hint.
        home.instance(if n == 899 { instance } else { instance.tag("cluster", &cluster) });
        home.task(&arn, Task::of_service("app"));
        if n == 7 {
            home.task(&arn, Task::standalone("nightly").task_definition("app").started_by("events-rule/nightly"));
            home.task(&arn, Task::standalone("step").task_definition("slow").started_by("AWS Step Functions"));
            home.task(&arn, Task::of_service("full"));
            home.task(&arn, Task::of_service("behind").task_definition("unset"));
        }
    }
    for n in 0..50 {
        let cluster = format!("ecs-{n}");
        home.service(&cluster, Service::new("app", 40).load_balancer(Duration::from_secs(20)));
        let group = AutoScalingGroup::new(&cluster).max(100);
        home.auto_scaling_group(if n == 9 { group } else { group.capacity_rebalance() });
    }
    home.service("ecs-7", Service::new("full", 4).maximum_percent(100));
    let behind = Service::new("behind", 4).load_balancer(Duration::from_mins(5)).task_definition("unset");
    home.service("ecs-7", behind);
    for cluster in 0..5 {
        let name = format!("eks-{cluster}");
        let eks = EksCluster::new(&name);
        home.eks_cluster(match cluster {
            3 => eks.no_access_entry(),
            4 => eks.unreachable(),
            _ => eks,
        });
        for n in 0..20 {
            let instance = Instance::new(format!("i-{cluster:04x}{n:012x}e")).tag("aws:eks:cluster-name", &name);
            let node = instance.private_dns_in(home.name());
            let id = instance.id.clone();
            home.instance(instance).node(&name, Node::new(&node, &id));
            for app in ["front", "back"] {
                home.pod(&name, &node, Pod::new("default", format!("{app}-{n}")).replica_set(app));
            }
            if cluster == 1 && n == 5 {
                home.pod(&name, &node, Pod::new("default", "slow").replica_set("slow").grace_period_s(300));
                home.pod(&name, &node, Pod::new("default", "db-0").stateful_set("db"));
            }
        }
        home.pdb(&name, Pdb::new("default", "front"));
    }
    home.pdb("eks-1", Pdb::new("default", "db").never());
    [
        ("permission-missing", "ecs:DescribeCapacityProviders"),
        ("eks-no-access-entry", "eks-3"),
        ("eks-unreachable", "eks-4"),
        ("scan-out-of-quota", "i-f0000000000000383"),
        ("standalone-task-not-restarted", "ecs-7/"),
        ("stop-timeout-too-long", "slow:1 (115 s)"),
        ("deregistration-delay-too-long", "behind (300 s)"),
        ("service-without-room", "ecs-7/full"),
        ("pod-grace-period-too-long", "eks-1: default/slow (300 s)"),
        ("pod-disruption-budget-never-allows", "eks-1: default/db-0 (budget default/db)"),
        ("auto-scaling-waits-for-health-check", "ecs-9"),
        ("stop-timeout-not-set", "unset:1"),
    ]
    .into()
}

#[tokio::test]
async fn every_planted_fault_is_found_and_no_other_within_half_of_the_quotas() {
    let aws = standin().await;
    let planted = plant(&aws);
    // A capacity provider that a cluster lists, and may not be read.
    aws.home().cluster(standin::Cluster::new("ecs-8").capacity_provider("own"));
    aws.fault(Fault::on("DescribeCapacityProviders").error(400, "AccessDeniedException", "not authorized"));
    let function = function(&aws, &[ALL, EKS, ("CLUSTER_TAG", "cluster")]).await;
    // The rehearsal uses 45 %. The rest is for a machine that stalls, whose calls then arrive closer together.
    aws.set_quotas(Quotas::aws().times(0.6));
    let started = Clock::now();
    let report = rehearsed(&aws, &function, json!({})).await;
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    let throttled: Vec<_> = aws.calls_where(standin::Call::is_throttled).into_iter().map(|call| call.api).collect();
    assert!(throttled.is_empty(), "{throttled:?}");
    let found = findings(&report);
    assert_eq!(found.iter().map(|(kind, _)| *kind).collect::<BTreeSet<_>>(), planted.keys().copied().collect());
    for (kind, examples) in found {
        assert!(examples.len() == 1 && examples[0].contains(planted[kind]), "{kind}: {examples:?}");
    }
    assert_eq!(outcomes(&report), [("deregistered", 900), ("drained", 60), ("failed", 40)].into());
    assert_eq!((&report["notCovered"], &report["incomplete"]), (&json!(40), &json!([])), "{report}");
    let timeline = &report["timeline"];
    assert_eq!((&timeline["availabilityZone"], &timeline["isInTime"]), (&json!("us-east-2a"), &json!(true)));
}

#[tokio::test]
async fn scan_that_a_wave_has_to_wait_for_is_found() {
    const FOUND: &[&str] = &["scan-out-of-quota"];
    for (clusters, instances, expected, figures) in [
        (20, 2, &[][..], ["", ""]),
        (20, 60, &[], ["", ""]),
        (20, 160, FOUND, ["takes 0 s", "direct, 171 s"]),
        (700, 2, FOUND, ["takes 65 s", "direct, 65 s"]),
    ] {
        let aws = standin().await;
        crowd(&aws.home(), clusters);
        for id in (0..instances).map(|n| format!("i-f{n:016x}")) {
            aws.home().instance(Instance::new(&id));
            aws.home().container_instance("web", ContainerInstance::new(id));
        }
        let function = function(&aws, &[]).await;
        let report = rehearsed(&aws, &function, json!({})).await;
        assert_eq!(kinds(&report), expected, "{report}");
        if let Some(finding) = report["findings"].get(0) {
            assert_eq!(
                (&finding["count"], &report["timeline"]["isInTime"]),
                (&json!(instances), &json!(true)),
                "{report}"
            );
            let what = finding["what"].as_str().unwrap();
            assert!(figures.iter().all(|figure| what.contains(figure)), "{finding}");
        }
    }
}

#[tokio::test]
async fn denied_read_is_a_finding_and_not_an_error() {
    for (api, action) in [
        ("DescribeInstances", "ec2:DescribeInstances"),
        ("DescribeInstanceAttribute", "ec2:DescribeInstanceAttribute"),
        ("ListClusters", "ecs:ListClusters"),
        ("ListContainerInstances", "ecs:ListContainerInstances"),
        ("DescribeContainerInstances", "ecs:DescribeContainerInstances"),
        ("ListTasks", "ecs:ListTasks"),
        ("DescribeTasks", "ecs:DescribeTasks"),
        ("DescribeServices", "ecs:DescribeServices"),
        ("DescribeTaskDefinition", "ecs:DescribeTaskDefinition"),
        ("DescribeCluster", "eks:DescribeCluster"),
        ("DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingGroups"),
        ("DescribeTargetGroupAttributes", "elasticloadbalancing:DescribeTargetGroupAttributes"),
    ] {
        let aws = standin().await;
        fleet(&aws);
        let function = function(&aws, &[ALL, EKS]).await;
        let code = if api.starts_with("DescribeInstance") { "UnauthorizedOperation" } else { "AccessDeniedException" };
        aws.fault(Fault::on(api).error(if code.starts_with('U') { 403 } else { 400 }, code, "not authorized"));
        let report = rehearsed(&aws, &function, json!({})).await;
        let first = findings(&report).remove(0);
        assert!(first.0 == "permission-missing" && first.1.contains(&action), "{api}: {first:?}");
        assert!(report["findings"][0]["whatToDo"].as_str().unwrap().contains("allow the action"));
    }
    for (verb, resource, expected) in [
        ("get", "nodes", "GetNode in EKS cluster shop"),
        ("list", "pods", "ListPods in EKS cluster shop"),
        ("list", "poddisruptionbudgets", "ListPodDisruptionBudgets in EKS cluster shop"),
    ] {
        let aws = standin().await;
        fleet(&aws);
        aws.home().change_eks_cluster("shop", |cluster| cluster.deny(verb, resource));
        let function = function(&aws, &[ALL, EKS]).await;
        let report = rehearsed(&aws, &function, json!({})).await;
        let found = findings(&report);
        assert!(found[0].0 == "permission-missing" && found[0].1.contains(&expected), "{resource}: {found:?}");
    }
}

#[tokio::test]
async fn changes_are_checked_by_simulation_if_the_role_may_simulate() {
    const CHANGES: [&str; 5] = [
        "ecs:DeregisterContainerInstance",
        "ecs:StopTask",
        "ecs:UpdateContainerInstancesState",
        "ecs:PutAttributes",
        "ecs:DeleteAttributes",
    ];
    let aws = standin().await;
    fleet(&aws);
    let function = function(&aws, &[EKS, ("STRATEGY", "evacuate"), ("REPLACE_INSTANCES", "detach")]).await;
    let report = rehearsed(&aws, &function, json!({})).await;
    let not_checked = report["notChecked"].to_string();
    assert!(CHANGES.iter().all(|action| not_checked.contains(action)), "{not_checked}");
    assert!(not_checked.contains("autoscaling:DetachInstances") && not_checked.contains("nodes and pods"));
    assert_eq!((kinds(&report), aws.calls_to("SimulatePrincipalPolicy").len()), (Vec::new(), 1));
    for denied in CHANGES.into_iter().chain(["autoscaling:DetachInstances"]) {
        aws.simulate_denials(&[denied]);
        let report = rehearsed(&aws, &function, json!({})).await;
        assert_eq!(findings(&report), [("permission-missing", vec![denied])]);
        let not_checked = report["notChecked"].to_string();
        assert!(CHANGES.iter().all(|action| !not_checked.contains(action)), "{not_checked}");
        assert!(!not_checked.contains("DetachInstances") && not_checked.contains("nodes and pods"), "{not_checked}");
    }
    aws.simulate_denials(&[]);
    aws.simulate_organization_denials(&["ecs:StopTask"]);
    let report = rehearsed(&aws, &function, json!({})).await;
    assert_eq!(kinds(&report), Vec::<&str>::new());
    let not_checked = report["notChecked"].as_array().unwrap();
    assert!(not_checked.contains(&"ecs:StopTask: a service control policy may deny it".into()), "{not_checked:?}");
    aws.simulate_organization_denials(&[]);
    assert_eq!(kinds(&rehearsed(&aws, &function, json!({})).await), Vec::<&str>::new());
    let simulated = aws.calls_to("SimulatePrincipalPolicy");
    let of_state = simulated.iter().find(|call| call.params["ActionNames.member.1"] == CHANGES[2]).unwrap();
    assert!(of_state.params["ResourceArns.member.1"].as_str().unwrap().contains(":container-instance/"));
    let entry = |field: &str| &of_state.params[format!("ContextEntries.member.1.{field}")];
    assert_eq!(entry("ContextKeyName"), "ecs:cluster");
    assert!(
        entry("ContextKeyValues.member.1").as_str().unwrap().starts_with("arn:aws:ecs:us-east-2:123456789012:cluster/")
    );
}

#[tokio::test]
async fn actions_that_are_neither_tried_nor_simulated_are_named() {
    let aws = standin().await;
    fleet(&aws);
    let settings = [EKS, ("RUN_AGAIN", "all"), ("FARGATE_SPOT", "handle"), ("LIFECYCLE_HOOKS", "drain")];
    let function = function(&aws, &settings).await;
    let report = rehearsed(&aws, &function, json!({})).await;
    let not_checked = report["notChecked"].to_string();
    for action in ["iam:PassRole", "elasticloadbalancing:DeregisterTargets", "autoscaling:CompleteLifecycleAction"] {
        assert!(not_checked.contains(action), "{action}: {not_checked}");
    }
    assert!(!not_checked.contains("autoscaling:DetachInstances"), "{not_checked}");
}

#[tokio::test]
async fn standalone_tasks_that_run_again_are_no_finding() {
    let aws = standin().await;
    fleet(&aws);
    for (run_again, is_found) in [("tagged", true), ("all", false)] {
        let function = function(&aws, &[ALL, ("RUN_AGAIN", run_again)]).await;
        let report = rehearsed(&aws, &function, json!({})).await;
        assert_eq!(kinds(&report).contains(&"standalone-task-not-restarted"), is_found, "{report}");
    }
}

#[tokio::test]
async fn pod_of_two_budgets_is_found() {
    let aws = standin().await;
    let home = aws.home();
    let instance = Instance::new(ID).tag("aws:eks:cluster-name", "shop");
    let name = instance.private_dns_in(home.name());
    home.eks_cluster(EksCluster::new("shop")).instance(instance).node("shop", Node::new(&name, ID));
    for app in ["front", "back"] {
        home.pod("shop", &name, Pod::new("default", app).replica_set(app));
        home.pdb("shop", Pdb::new("default", app));
    }
    home.pdb("shop", Pdb::new("default", "front").named("other"));
    let function = function(&aws, &[ALL, EKS]).await;
    let report = rehearsed(&aws, &function, json!({})).await;
    let (kind, examples) = findings(&report).remove(0);
    assert_eq!(kind, "pod-disruption-budget-never-allows", "{report}");
    assert!(examples.len() == 1 && examples[0].contains("default/front,"), "{examples:?}");
}

#[tokio::test]
async fn dry_run_needs_no_permission_for_changes() {
    let aws = standin().await;
    fleet(&aws);
    aws.simulate_denials(&["ecs:DeregisterContainerInstance"]);
    let function = function(&aws, &[EKS, ("DRY_RUN", "true")]).await;
    let report = rehearsed(&aws, &function, json!({})).await;
    assert_eq!((kinds(&report), &report["notChecked"]), (Vec::new(), &json!([])));
    assert_eq!(outcomes(&report)["deregistered"], 8);
}

/// Auto Scaling describes 50 groups in a call.
#[tokio::test]
async fn each_of_many_groups_is_judged() {
    let aws = standin().await;
    let home = aws.home();
    for n in 0..60 {
        let (id, group) = (format!("i-{n:017x}"), format!("group-{n}"));
        home.container_instance("web", ContainerInstance::new(&id));
        home.instance(Instance::new(&id).asg(&group)).auto_scaling_group(AutoScalingGroup::new(&group));
    }
    let function = function(&aws, &[ALL]).await;
    let report = rehearsed(&aws, &function, json!({})).await;
    let of_groups = |of: &&Value| of["kind"] == "auto-scaling-waits-for-health-check";
    let finding = report["findings"].as_array().unwrap().iter().find(of_groups);
    assert_eq!((&finding.unwrap()["count"], &report["incomplete"]), (&json!(60), &json!([])), "{report}");
}

#[tokio::test]
async fn node_is_looked_for_in_the_clusters_that_can_be_read() {
    let aws = standin().await;
    let home = aws.home();
    home.eks_cluster(EksCluster::new("blue").no_access_entry());
    home.eks_cluster(EksCluster::new("prod"));
    let both = [("kubernetes.io/cluster/blue", "shared"), ("kubernetes.io/cluster/prod", "owned")];
    let tagged = |id| both.into_iter().fold(Instance::new(id), |instance, (tag, value)| instance.tag(tag, value));
    let found = tagged(ID);
    home.node("prod", Node::new(found.private_dns_in(home.name()), ID));
    home.instance(found).instance(tagged(OTHER));
    let function = function(&aws, &[EKS]).await;
    let report = rehearsed(&aws, &function, json!({})).await;
    assert_eq!(outcomes(&report), [("drained", 1), ("failed", 1)].into(), "{report}");
}

#[tokio::test]
async fn replacement_at_once_needs_no_capacity_rebalancing() {
    for (setting, expected) in [("leave", &["waits", "stuck"][..]), ("detach", &["stuck"])] {
        let aws = standin().await;
        let home = aws.home();
        for (n, group) in [
            AutoScalingGroup::new("waits"),
            AutoScalingGroup::new("rebalances").capacity_rebalance(),
            AutoScalingGroup::new("stuck").suspended("Launch"),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("i-{n:017x}");
            home.container_instance("web", ContainerInstance::new(&id));
            home.instance(Instance::new(&id).asg(&group.name)).auto_scaling_group(group);
        }
        let function = function(&aws, &[ALL, ("REPLACE_INSTANCES", setting)]).await;
        let report = rehearsed(&aws, &function, json!({})).await;
        let (kind, mut examples) = findings(&report).remove(0);
        examples.sort_by_key(|name| std::cmp::Reverse(*name));
        assert_eq!((kind, &examples[..]), ("auto-scaling-waits-for-health-check", expected));
    }
}

#[tokio::test]
async fn rehearsal_has_ten_thousand_instances_at_most() {
    let aws = standin().await;
    for n in 0..10_001 {
        aws.home().instance(Instance::new(format!("i-{n:017x}")));
    }
    let function = function(&aws, &[]).await;
    let report = rehearsed(&aws, &function, json!({})).await;
    assert_eq!(report["instances"], 10_000);
    let incomplete = report["incomplete"].to_string();
    assert!(incomplete.contains("only the first 10000 Spot Instances"), "{incomplete}");
}

#[tokio::test]
async fn what_there_is_no_time_for_is_not_covered() {
    let aws = standin().await;
    // The scan takes longer than the function has.
    for n in 0..200 {
        let id = format!("i-{n:017x}");
        aws.home().instance(Instance::new(&id));
        aws.home().container_instance(&format!("cluster-{n}"), ContainerInstance::new(&id));
    }
    let function = Function::new(env!("CARGO_BIN_EXE_spot-interruption-handler")).timeout(Duration::from_secs(12));
    let function = function.envs(aws.env()).envs([ALL]).start().await.unwrap();
    function.ready().await.unwrap();
    aws.forget_calls();
    let report = rehearsed(&aws, &function, json!({})).await;
    let (not_reached, reached) = (report["notReached"].as_u64().unwrap(), outcomes(&report)["deregistered"]);
    assert!(not_reached > 100 && reached > 10, "{not_reached} {reached}");
    assert_eq!((&report["instances"], &report["notCovered"]), (&json!(200), &json!(not_reached)));
    // The search ends with the quota, and does not try all clusters in vain.
    let unsearched = function.logs().iter().filter(|line| line.contains("could not be searched")).count();
    assert!(unsearched < 50, "{unsearched}");
}

#[tokio::test]
async fn rehearsal_in_a_batch_is_reported_in_log_and_metrics() {
    let aws = standin().await;
    fleet(&aws);
    let function = function(&aws, &[ALL]).await;
    let bad = event(&json!({ "clusters": "web" }));
    let batch = sqs_batch(&[event(&json!({})), bad]);
    let Answer::Ok(answer) = function.invoke(&batch).await.unwrap() else { panic!("{:?}", function.logs()) };
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(aws.writes().len(), 0);
    let lines: Vec<Value> = function.logs().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |metric: &str| lines.iter().filter(|line| line.get(metric).is_some()).cloned().collect::<Vec<_>>();
    let totals = of("Rehearsals");
    // Nobody drains the node, since EKS_CLUSTERS is not set.
    assert_eq!((totals.len(), &totals[0]["NotCovered"]), (1, &json!(1)), "{totals:?}");
    let by_kind = of("Findings");
    assert_eq!(by_kind.len(), 12, "{by_kind:?}");
    for line in by_kind {
        let expected =
            u64::from(line["Kind"] == "standalone-task-not-restarted" || line["Kind"] == "stop-timeout-not-set");
        assert_eq!(line["Findings"], expected, "{line}");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Kind"]]));
    }
    let said = |message: &str| lines.iter().filter(|line| line["fields"]["message"] == message).count();
    assert_eq!((said("rehearsed"), said("finding")), (1, 2), "{lines:?}");
}

#[tokio::test]
async fn hub_rehearses_in_members_and_regions() {
    const MEMBER: &str = "111122223333";
    let settings = [("MEMBER_ROLE_NAME", "spot-member"), ("ACCOUNTS", "123456789012,111122223333,444455556666")];
    let aws = standin().await;
    aws.role(Role::new(format!("arn:aws:iam::{MEMBER}:role/spot-member")).trusts("123456789012"));
    register(&aws.region(MEMBER, "eu-west-1"), "web");
    register(&aws.region("123456789012", "us-east-2"), "api");
    let function = function(&aws, &settings).await;
    let detail = json!({ "accounts": [MEMBER, "444455556666"], "regions": ["eu-west-1"] });
    let report = rehearsed(&aws, &function, detail).await;
    assert_eq!(outcomes(&report), [("deregistered", 2)].into(), "{report}");
    let found = findings(&report);
    assert_eq!(found[0], ("permission-missing", vec!["444455556666 eu-west-1 sts:AssumeRole"]));
    // A place that can't be read counts as one instance.
    assert_eq!(report["notCovered"], 1);
    let places = report["places"].as_array().unwrap();
    assert!(places.len() == 2 && places[1]["error"].as_str().unwrap().contains("AssumeRole"), "{places:?}");
    // Without accounts, those of ACCOUNTS; without Regions, the function's own.
    let report = rehearsed(&aws, &function, json!({})).await;
    assert_eq!(report["places"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(outcomes(&report), [("deregistered", 2)].into(), "{report}");
    let (kind, message) = failed(&function, event(&json!({ "accounts": ["999999999999"] }))).await;
    assert!(kind == "InvalidEvent" && message.contains("detail.accounts"), "{message}");
    assert!(function.logs().iter().any(|line| line.contains("InvalidEvent")), "{:?}", function.logs());
}
