//! Replacements that an Auto Scaling group launches during the notice.

use std::{sync::Arc, time::SystemTime};

use serde_json::{Value, json};
use standin::{AutoScalingGroup, ContainerInstance, EksCluster, Fault, Instance, Node, Pdb, Pod, Standin};
use tokio::time::sleep;

use crate::{ID, OTHER, batch, in_process::Process, s, standin};

const DETACH: (&str, &str) = ("REPLACE_INSTANCES", "detach");
const GROUP: &str = "web-spot";

/// The instance `ID` in a cluster and in this group.
fn register(aws: &Standin, group: AutoScalingGroup) -> String {
    let home = aws.home();
    home.instance(Instance::new(ID).asg(GROUP)).auto_scaling_group(group);
    home.container_instance("web", ContainerInstance::new(ID))
}

fn group() -> AutoScalingGroup {
    AutoScalingGroup::new(GROUP).desired(1).max(2)
}

async fn handle(aws: &Arc<Standin>, settings: &[(&str, &str)]) -> Value {
    let process = Process::start(aws, settings).await;
    let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap();
    sleep(s(300)).await;
    answer
}

fn seconds_to_launch(aws: &Standin) -> Vec<u64> {
    aws.home().launches().iter().map(|launch| launch.at.as_secs()).collect()
}

fn calls(aws: &Standin, service: &str) -> usize {
    aws.calls_where(|call| call.service == service).len()
}

#[tokio::test(start_paused = true)]
async fn replacement_is_launched_at_once_instead_of_after_the_end() {
    for strategy in ["deregister", "drain", "evacuate"] {
        let aws = standin().await;
        register(&aws, group());
        let answer = handle(&aws, &[DETACH, ("STRATEGY", strategy)]).await;
        assert_eq!(answer["replacement"], json!({"autoScalingGroup": GROUP, "isStarted": true}), "{answer}");
        assert_eq!(seconds_to_launch(&aws), [0], "{strategy}");
        assert_eq!(aws.home().auto_scaling_group_at(GROUP).unwrap().desired, 1);
    }
    let aws = standin().await;
    register(&aws, group());
    let answer = handle(&aws, &[]).await;
    assert!(answer.get("replacement").is_none() && calls(&aws, "autoscaling") == 0);
    assert!(seconds_to_launch(&aws)[0] >= 120, "{:?}", seconds_to_launch(&aws));
}

#[tokio::test(start_paused = true)]
async fn instance_is_left_in_its_group_for_a_reason() {
    for (group, named) in
        [(group().capacity_rebalance(), "Capacity Rebalancing"), (group().suspended("Launch"), "Launch")]
    {
        let aws = standin().await;
        register(&aws, group);
        let process = Process::start(&aws, &[DETACH]).await;
        let notice = aws.home().interrupt(ID, "terminate");
        aws.home().set_lifecycle_state(ID, "InService");
        let answer = process.invoke(&notice).await.unwrap();
        assert_eq!((&answer["outcome"], &answer["replacement"]["isStarted"]), (&"deregistered".into(), &false.into()));
        assert!(answer["replacement"]["reason"].as_str().unwrap().contains(named), "{answer}");
        assert!(aws.calls_to("DetachInstances").is_empty());
    }
    for state in ["Standby", "Terminating:Wait", "Warmed:Running", "a new one"] {
        let aws = standin().await;
        register(&aws, group());
        aws.home().set_lifecycle_state(ID, state);
        let answer = handle(&aws, &[DETACH]).await;
        assert!(answer["replacement"]["reason"].as_str().unwrap().contains(state), "{answer}");
        assert!(aws.calls_to("DetachInstances").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_detached_that_is_not_handled() {
    for (settings, action) in [
        (&[DETACH, ("DRY_RUN", "true")][..], "terminate"),
        (&[DETACH, ("CLUSTERS", "api")], "terminate"),
        (&[DETACH], "stop"),
        (&[DETACH], "hibernate"),
    ] {
        let aws = standin().await;
        register(&aws, group());
        let process = Process::start(&aws, settings).await;
        let answer = process.invoke(&aws.home().interrupt(ID, action)).await.unwrap();
        assert!(answer.get("replacement").is_none() && calls(&aws, "autoscaling") == 0, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn instance_without_a_cluster_is_replaced_if_it_is_tagged() {
    for (value, is_replaced) in [(None, false), (Some("false"), false), (Some("true"), true), (Some(""), true)] {
        let aws = standin().await;
        let instance = Instance::new(ID).asg(GROUP);
        let instance = value.into_iter().fold(instance, |of, value| of.tag("spot-interruption-handler:replace", value));
        aws.home().instance(instance).auto_scaling_group(group());
        let answer = handle(&aws, &[DETACH]).await;
        assert_eq!(answer["outcome"], "not-found");
        assert_eq!(answer["replacement"]["isStarted"] == true, is_replaced, "{value:?}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn instance_that_ec2_does_not_describe_for_seconds_is_replaced_all_the_same() {
    for (in_cluster, outcome) in [(true, "deregistered"), (false, "not-found")] {
        let aws = standin().await;
        aws.home().instance(Instance::new(ID).asg(GROUP).tag("spot-interruption-handler:replace", "true"));
        aws.home().auto_scaling_group(group());
        if in_cluster {
            aws.home().container_instance("web", ContainerInstance::new(ID));
        }
        aws.fault(Fault::on("DescribeInstances").times(10).status(503));
        let answer = handle(&aws, &[DETACH]).await;
        assert_eq!((&answer["outcome"], &answer["replacement"]["isStarted"]), (&outcome.into(), &true.into()));
        assert!(seconds_to_launch(&aws)[0] < 60, "{:?}", seconds_to_launch(&aws));
    }
}

#[tokio::test(start_paused = true)]
async fn replacement_of_a_node_does_not_wait_for_its_pods() {
    let aws = standin().await;
    let home = aws.home();
    let instance = Instance::new(ID).asg(GROUP).tag("aws:eks:cluster-name", "prod");
    let name = instance.private_dns_in(home.name());
    home.eks_cluster(EksCluster::new("prod")).node("prod", Node::new(&name, ID)).instance(instance);
    home.auto_scaling_group(group()).pdb("prod", Pdb::new("default", "db").never());
    home.pod("prod", &name, Pod::new("default", "db").replica_set("db"));
    let answer = handle(&aws, &[DETACH, ("EKS_CLUSTERS", "*")]).await;
    assert_eq!(
        (&answer["outcome"], &answer["replacement"]["isStarted"]),
        (&"drained".into(), &true.into()),
        "{answer}"
    );
    assert_eq!(seconds_to_launch(&aws), [0]);
}

#[tokio::test(start_paused = true)]
async fn instances_of_a_group_are_detached_together_whatever_fails() {
    for probability in [0.0, 0.3] {
        let aws = standin().await;
        let home = aws.home();
        home.auto_scaling_group(AutoScalingGroup::new(GROUP).desired(50).max(100));
        let ids: Vec<_> = (0..50).map(|n| format!("i-{n:017x}")).collect();
        for id in &ids {
            home.instance(Instance::new(id).asg(GROUP));
            home.container_instance("web", ContainerInstance::new(id));
        }
        // It must not be touched.
        home.instance(Instance::new(OTHER).asg(GROUP));
        aws.fault(Fault::on_any().probability(probability).status(500));
        let process = Process::start(&aws, &[DETACH]).await;
        let notices: Vec<_> = ids.iter().map(|id| home.interrupt(id, "terminate")).collect();
        let answer = process.invoke(&batch(&notices)).await.unwrap();
        assert_eq!(answer["batchItemFailures"], json!([]), "{answer}");
        assert_eq!(home.launches().len(), 50);
        if probability == 0.0 {
            assert_eq!(aws.calls_to("DetachInstances").len(), 3);
            assert_eq!(calls(&aws, "autoscaling"), 5);
        }
        assert!(aws.calls_to("DetachInstances").iter().all(|call| !call.params.to_string().contains(OTHER)));
    }
}

#[tokio::test(start_paused = true)]
async fn second_delivery_changes_nothing() {
    let aws = standin().await;
    register(&aws, group());
    let process = Process::start(&aws, &[DETACH]).await;
    let notice = aws.home().interrupt(ID, "terminate");
    for expected in [true, false] {
        let answer = process.invoke(&notice).await.unwrap();
        assert_eq!(answer["replacement"]["isStarted"] == true, expected, "{answer}");
    }
    assert_eq!(aws.home().launches().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn missing_permission_is_an_error_and_the_instance_is_handled() {
    let aws = standin().await;
    let arn = register(&aws, group());
    aws.fault(Fault::on("DetachInstances").error(
        403,
        "AccessDenied",
        "not authorized to perform: autoscaling:DetachInstances",
    ));
    let process = Process::start(&aws, &[DETACH]).await;
    let error = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap_err();
    assert_eq!(error.error_type(), "AccessDenied");
    assert!(error.to_string().contains("DetachInstances"), "{error}");
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
}

#[tokio::test(start_paused = true)]
async fn reservation_that_ends_is_a_notice() {
    for kind in [standin::Reservation::Interruptible, standin::Reservation::CapacityBlock] {
        let aws = standin().await;
        let arn = register(&aws, group());
        let ends = SystemTime::now() + s(120);
        let event = standin::reservation_interruption(&aws.home(), ID, kind, Some(ends));
        let process = Process::start(&aws, &[]).await;
        let answer = process.invoke(&event).await.unwrap();
        assert_eq!((&answer["outcome"], &answer["instanceAction"]), (&"deregistered".into(), &"terminate".into()));
        assert!(answer["secondsLeft"].as_u64().unwrap() > 100);
        assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    }
}
