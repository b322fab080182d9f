//! The actions on a container instance.

use std::time::Duration;

use serde_json::json;
use standin::{Cluster, ContainerInstance, Fault};

use crate::{ID, apis, failed, function, handled, notice, notice_of, register, standin};

#[tokio::test]
async fn terminate_deregisters_only_this_instance() {
    let aws = standin().await;
    let (arn, other) = register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    let answer = handled(&function, notice(ID, "terminate")).await;
    assert_eq!(
        answer,
        json!({
            "instanceId": ID,
            "instanceAction": "terminate",
            "account": "123456789012",
            "region": "us-east-2",
            "outcome": "deregistered",
            "secondsLeft": answer["secondsLeft"],
            "containerInstances": [{
                "clusterName": "web",
                "containerInstanceArn": arn,
                "outcome": "deregistered",
                "runningTasksCount": 2,
            }],
        })
    );
    assert!((110..=120).contains(&answer["secondsLeft"].as_u64().unwrap()), "{answer}");
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(aws.home().status(&other).as_deref(), Some("ACTIVE"));
    let writes = aws.writes();
    assert_eq!(apis(&writes), ["DeregisterContainerInstance"]);
    assert_eq!(writes[0].params["force"], true);
}

#[tokio::test]
async fn each_action_ends_as_the_strategy_says() {
    for (strategy, action, before, outcome, after, writes) in [
        ("drain", "terminate", "ACTIVE", "draining", "DRAINING", 1),
        ("drain", "terminate", "DRAINING", "draining", "DRAINING", 0),
        ("deregister", "terminate", "DRAINING", "deregistered", "INACTIVE", 1),
        // The second write is the mark, by which it is reactivated later.
        ("deregister", "stop", "ACTIVE", "draining", "DRAINING", 2),
        ("deregister", "stop", "DRAINING", "draining", "DRAINING", 0),
        ("deregister", "hibernate", "ACTIVE", "draining", "DRAINING", 2),
        ("drain", "hibernate", "ACTIVE", "draining", "DRAINING", 2),
    ] {
        let aws = standin().await;
        let (arn, other) = register(&aws.home(), "web");
        aws.home().set_status(&arn, before);
        let function = function(&aws, &[("STRATEGY", strategy)]).await;
        let answer = handled(&function, notice(ID, action)).await;
        let case = format!("{strategy} {action} {before}: {answer}");
        assert_eq!(answer["outcome"], outcome, "{case}");
        assert_eq!(aws.home().status(&arn).as_deref(), Some(after), "{case}");
        assert_eq!(aws.home().status(&other).as_deref(), Some("ACTIVE"), "{case}");
        assert_eq!(aws.writes().len(), writes, "{case}");
    }
}

#[tokio::test]
async fn hibernation_has_no_seconds_left() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    assert_eq!(handled(&function, notice(ID, "hibernate")).await["secondsLeft"], 0);
}

#[tokio::test]
async fn repeated_notice_changes_nothing() {
    for strategy in ["deregister", "drain"] {
        let aws = standin().await;
        register(&aws.home(), "web");
        let function = function(&aws, &[("STRATEGY", strategy)]).await;
        let event = notice(ID, "terminate");
        handled(&function, event.clone()).await;
        let again = handled(&function, event).await;
        let expected = if strategy == "drain" { "draining" } else { "not-found" };
        assert_eq!(again["outcome"], expected, "{again}");
        assert_eq!(aws.writes().len(), 1, "{strategy}");
    }
}

#[tokio::test]
async fn every_registration_of_the_instance_is_handled() {
    for (strategy, status) in [("deregister", "INACTIVE"), ("drain", "DRAINING")] {
        let aws = standin().await;
        let home = aws.home();
        let (arn, other) = register(&home, "web");
        let more: Vec<_> = (0..12).map(|_| home.container_instance("web", ContainerInstance::new(ID))).collect();
        let function = function(&aws, &[("STRATEGY", strategy)]).await;
        let answer = handled(&function, notice(ID, "terminate")).await;
        assert_eq!(answer["containerInstances"].as_array().unwrap().len(), 13);
        for arn in more.iter().chain([&arn]) {
            assert_eq!(home.status(arn).as_deref(), Some(status), "{strategy}");
        }
        assert_eq!(home.status(&other).as_deref(), Some("ACTIVE"));
        // Ten go into one update.
        assert_eq!(aws.writes().len(), if strategy == "drain" { 2 } else { 13 });
    }
}

#[tokio::test]
async fn dry_run_reads_everything_and_changes_nothing() {
    for (action, word) in [("terminate", "deregistered"), ("stop", "DRAINING")] {
        let aws = standin().await;
        let (arn, _) = register(&aws.home(), "web");
        let function = function(&aws, &[("DRY_RUN", "true")]).await;
        let answer = handled(&function, notice(ID, action)).await;
        assert_eq!(answer["outcome"], "dry-run");
        assert_eq!(answer["containerInstances"][0]["containerInstanceArn"], arn.as_str());
        assert!(answer["containerInstances"][0]["reason"].as_str().unwrap().contains(word), "{answer}");
        assert_eq!(aws.writes().len(), 0);
        assert_eq!(aws.home().status(&arn).as_deref(), Some("ACTIVE"));
    }
}

#[tokio::test]
async fn late_notice_is_still_handled() {
    let aws = standin().await;
    let (arn, _) = register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    aws.fault(Fault::on("DeregisterContainerInstance").times(2).throttle());
    let answer = handled(&function, notice_of(ID, "terminate", Duration::from_hours(1))).await;
    assert_eq!(answer["outcome"], "deregistered");
    assert_eq!(answer["secondsLeft"], 0);
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn failure_in_a_successful_answer_is_an_error() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[("STRATEGY", "drain")]).await;
    aws.fault(Fault::on("UpdateContainerInstancesState").always().failure("SOMETHING_ELSE"));
    let (error_type, message) = failed(&function, notice(ID, "terminate")).await;
    assert_eq!(error_type, "Unchanged");
    assert!(message.contains("SOMETHING_ELSE"), "{message}");
}

#[tokio::test]
async fn concurrent_deregistration_is_success() {
    for (strategy, write) in [("drain", "UpdateContainerInstancesState"), ("deregister", "DeregisterContainerInstance")]
    {
        let aws = standin().await;
        let home = aws.home();
        let (arn, _) = register(&home, "web");
        let function = function(&aws, &[("STRATEGY", strategy)]).await;
        // Someone else deregisters it while our call is on its way.
        aws.fault(Fault::on(write).times(1).delay(Duration::from_millis(500)));
        let someone_else = async {
            tokio::time::sleep(Duration::from_millis(250)).await;
            home.set_status(&arn, "INACTIVE");
        };
        let (answer, ()) = tokio::join!(handled(&function, notice(ID, "terminate")), someone_else);
        assert_eq!(answer["outcome"], "deregistered", "{strategy}");
        assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
    }
}

#[tokio::test]
async fn lost_answer_to_a_write_is_no_failure() {
    for (strategy, write, status) in [
        ("drain", "UpdateContainerInstancesState", "DRAINING"),
        ("deregister", "DeregisterContainerInstance", "INACTIVE"),
    ] {
        let aws = standin().await;
        let (arn, _) = register(&aws.home(), "web");
        let function = function(&aws, &[("STRATEGY", strategy)]).await;
        aws.fault(Fault::on(write).times(1).cut().after_effect());
        handled(&function, notice(ID, "terminate")).await;
        assert_eq!(aws.home().status(&arn).as_deref(), Some(status));
    }
}

#[tokio::test]
async fn rejected_deregistration_is_an_error() {
    let aws = standin().await;
    let (arn, _) = register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    aws.fault(Fault::on("DeregisterContainerInstance").always().error(400, "InvalidParameterException", "No."));
    let (error_type, message) = failed(&function, notice(ID, "terminate")).await;
    assert_eq!(error_type, "CallRejected");
    assert!(message.contains(&arn) && message.contains("InvalidParameterException: No."), "{message}");
}

#[tokio::test]
async fn other_partitions_are_supported() {
    for region in ["cn-north-1", "us-gov-west-1"] {
        let aws = standin().await;
        let there = aws.region("123456789012", region);
        there.cluster(Cluster::new("web"));
        let arn = there.container_instance("web", ContainerInstance::new(ID));
        let function = function(&aws, &[]).await;
        let mut event = notice(ID, "terminate");
        event["region"] = json!(region);
        let answer = handled(&function, event).await;
        assert_eq!(answer["containerInstances"][0]["containerInstanceArn"], arn.as_str());
        assert_eq!(there.status(&arn).as_deref(), Some("INACTIVE"));
        assert!(aws.calls().iter().all(|call| call.region == region), "{:?}", aws.calls());
    }
}
