//! Registrations that are stale, incomplete or new.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use standin::{Cluster, ContainerInstance, Environment, Fault, Instance, Standin, sqs_batch};

use crate::{ID, OTHER, apis, crowd, failed, function, handled, listed, notice, standin};

fn stale() -> ContainerInstance {
    ContainerInstance::new(ID).agent_connected(false)
}

#[tokio::test]
async fn disconnected_registration_does_not_end_the_search() {
    for clusters in [0, 1, 12, 40] {
        for user_data in ["", "ECS_CLUSTER=old", "ECS_CLUSTER=web"] {
            let aws = standin().await;
            let home = aws.home();
            crowd(&home, clusters);
            home.instance(Instance::new(ID).user_data(user_data));
            let old = home.container_instance("old", stale());
            let live = home.container_instance("web", ContainerInstance::new(ID));
            let function = function(&aws, &[]).await;
            assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
            let case = format!("{clusters} clusters, {user_data}");
            assert_eq!(home.status(&live).as_deref(), Some("INACTIVE"), "{case}");
            // A connected registration may end the search before the stale one is found.
            if user_data == "ECS_CLUSTER=old" {
                assert_eq!(home.status(&old).as_deref(), Some("INACTIVE"), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn registration_in_a_list_in_flight_is_handled_too() {
    let aws = standin().await;
    let home = aws.home();
    home.instance(Instance::new(ID));
    let old = home.container_instance("old", stale());
    let live = home.container_instance("web", ContainerInstance::new(ID));
    let function = function(&aws, &[]).await;
    aws.fault(
        Fault::on("ListContainerInstances").matching(|body| body["cluster"] == "old").delay(Duration::from_millis(100)),
    );
    handled(&function, notice(ID, "terminate")).await;
    for arn in [old, live] {
        assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
    }
}

#[tokio::test]
async fn incomplete_search_is_an_error_after_a_disconnected_registration() {
    let aws = standin().await;
    let home = aws.home();
    crowd(&home, 3);
    home.instance(Instance::new(ID));
    let old = home.container_instance("old", stale());
    let function = function(&aws, &[]).await;
    let fault = Fault::on("ListContainerInstances").matching(|body| body["cluster"] == "crowd-1");
    aws.fault(fault.always().error(400, "AccessDeniedException", "no"));
    let (error_type, message) = failed(&function, notice(ID, "terminate")).await;
    assert_eq!((error_type.as_str(), message.contains("crowd-1")), ("AccessDenied", true), "{message}");
    assert_eq!(home.status(&old).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn registering_instance_is_drained_once_it_is_active() {
    for (strategy, action) in [("drain", "terminate"), ("deregister", "stop"), ("evacuate", "hibernate")] {
        let aws = standin().await;
        let home = aws.home();
        home.instance(Instance::new(ID));
        let arn = home.container_instance("web", ContainerInstance::new(ID).status("REGISTERING"));
        home.container_instance("web", ContainerInstance::new(OTHER));
        let function = function(&aws, &[("STRATEGY", strategy)]).await;
        let registers = async {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            assert_eq!(aws.writes().len(), 0, "nothing is changed before");
            home.set_status(&arn, "ACTIVE");
        };
        let (answer, ()) = tokio::join!(handled(&function, notice(ID, action)), registers);
        assert_eq!(answer["outcome"], "draining", "{answer}");
        assert_eq!(home.status(&arn).as_deref(), Some("DRAINING"));
    }
}

#[tokio::test]
async fn failed_registration_is_skipped() {
    for before in ["REGISTERING", "REGISTRATION_FAILED"] {
        let aws = standin().await;
        let home = aws.home();
        home.instance(Instance::new(ID));
        let arn = home.container_instance("web", ContainerInstance::new(ID).status(before));
        home.container_instance("web", ContainerInstance::new(OTHER));
        let function = function(&aws, &[]).await;
        let fails = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            home.set_status(&arn, "REGISTRATION_FAILED");
        };
        let (answer, ()) = tokio::join!(handled(&function, notice(ID, "stop")), fails);
        assert_eq!(answer["outcome"], "skipped", "{answer}");
        assert_eq!(aws.writes().len(), 0);
    }
}

#[tokio::test]
async fn registering_instance_is_found_in_an_otherwise_empty_cluster() {
    for clusters in [0, 40] {
        for user_data in ["", "ECS_CLUSTER=web"] {
            let aws = standin().await;
            let home = aws.home();
            crowd(&home, clusters);
            home.instance(Instance::new(ID).launched(SystemTime::now() - Duration::from_mins(2)).user_data(user_data));
            let arn = home.container_instance("web", ContainerInstance::new(ID).status("REGISTERING"));
            let function = function(&aws, &[]).await;
            assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
            assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
        }
    }
}

#[tokio::test]
async fn empty_clusters_are_not_searched_for_an_old_instance() {
    let aws = standin().await;
    let home = aws.home();
    home.instance(Instance::new(ID).launched(SystemTime::now() - Duration::from_hours(1)));
    for n in 0..40 {
        home.cluster(Cluster::new(format!("empty-{n}")));
    }
    let function = function(&aws, &[]).await;
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "not-found");
    assert_eq!(listed(&aws), Vec::<String>::new());
}

#[tokio::test]
async fn ecs_anywhere_instances_cost_no_calls() {
    let aws = standin().await;
    let home = aws.home();
    home.instance(Instance::new(ID));
    for n in 0..30 {
        home.container_instance("web", ContainerInstance::new(format!("mi-{n:017x}")));
    }
    home.container_instance("web", ContainerInstance::new(ID));
    for n in 0..20 {
        home.instance(Instance::new(format!("i-{n:017x}")));
        home.container_instance("web", ContainerInstance::new(format!("i-{n:017x}")));
    }
    let function = function(&aws, &[("STRATEGY", "drain")]).await;
    let notices: Vec<_> = (0..20).map(|n| notice(&format!("i-{n:017x}"), "terminate")).collect();
    handle_batch(&function, &notices).await;
    let calls = aws.calls();
    assert_eq!(
        apis(&calls).iter().filter(|api| **api == "DescribeContainerInstances").count(),
        1,
        "{:?}",
        apis(&calls)
    );
}

async fn handle_batch(function: &Environment, notices: &[Value]) {
    assert_eq!(handled(function, sqs_batch(notices)).await, json!({ "batchItemFailures": [] }));
}

/// A function that has just read a cluster as a whole for other notices, with the instance in this state.
async fn with_cached_cluster(status: &str) -> (Standin, String, Environment) {
    let aws = standin().await;
    let home = aws.home();
    home.instance(Instance::new(ID));
    let arn = home.container_instance("web", ContainerInstance::new(ID).status(status));
    let ids: Vec<_> = (0..20).map(|n| format!("i-{n:017x}")).collect();
    for id in &ids {
        home.instance(Instance::new(id));
        home.container_instance("web", ContainerInstance::new(id));
    }
    let function = function(&aws, &[("STRATEGY", "drain")]).await;
    handle_batch(&function, &ids.iter().map(|id| notice(id, "terminate")).collect::<Vec<_>>()).await;
    aws.forget_calls();
    (aws, arn, function)
}

#[tokio::test]
async fn cached_draining_state_is_read_again() {
    for is_active_again in [true, false] {
        let (aws, arn, function) = with_cached_cluster("DRAINING").await;
        if is_active_again {
            aws.home().set_status(&arn, "ACTIVE");
        }
        let answer = handled(&function, notice(ID, "terminate")).await;
        assert_eq!(answer["outcome"], "draining");
        assert_eq!(aws.home().status(&arn).as_deref(), Some("DRAINING"));
        assert_eq!(aws.writes().len(), usize::from(is_active_again));
    }
}

#[tokio::test]
async fn new_registration_replaces_a_cached_deregistering_one() {
    let (aws, old, function) = with_cached_cluster("DEREGISTERING").await;
    aws.home().set_status(&old, "INACTIVE");
    let anew = aws.home().container_instance("web", ContainerInstance::new(ID));
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "draining");
    assert_eq!(aws.home().status(&anew).as_deref(), Some("DRAINING"));
}
