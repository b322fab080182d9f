//! Events before and after a notice: rebalance recommendations, restarts, and terminations without notice.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use standin::{Container, ContainerInstance, Fault, Instance, Region, Standin, TaskDefinition, notice};

use crate::{ID, OTHER, apis, crowd, failed, function, handled, register, standin};

/// The attribute that marks what the function drained.
const MARK: &str = "spot-interruption-handler.drained";

/// An event about `ID`, of this age.
fn event(detail_type: &str, detail: Value, age: Duration) -> Value {
    let mut event = crate::notice_of(ID, "stop", age);
    event["detail-type"] = detail_type.into();
    event["detail"] = detail;
    event
}

fn state_change(state: &str, age: Duration) -> Value {
    event("EC2 Instance State-change Notification", json!({ "instance-id": ID, "state": state }), age)
}

fn rebalance_recommendation() -> Value {
    event("EC2 Instance Rebalance Recommendation", json!({ "instance-id": ID }), Duration::ZERO)
}

fn mark(home: &Region, arn: &str) -> Option<String> {
    home.attributes(arn).remove(MARK)
}

/// Makes `ID` an instance that was stopped and started again: its network interface is older than its start.
fn came_back(home: &Region) {
    let launched = SystemTime::now();
    home.instance(Instance::new(ID).launched(launched).attached(launched - Duration::from_hours(5)));
}

#[tokio::test]
async fn stopped_instance_is_reactivated_when_it_runs_again() {
    for action in ["stop", "hibernate"] {
        for strategy in ["deregister", "drain", "evacuate"] {
            let aws = standin().await;
            let home = aws.home();
            let (arn, other) = register(&home, "web");
            let function = function(&aws, &[("STRATEGY", strategy)]).await;
            let stopped = crate::notice_of(ID, action, Duration::from_mins(10));
            assert_eq!(handled(&function, stopped.clone()).await["outcome"], "draining");
            assert_eq!(home.status(&arn).as_deref(), Some("DRAINING"), "{strategy} {action}");
            assert_eq!(mark(&home, &arn).unwrap()[..19], stopped["time"].as_str().unwrap()[..19]);

            came_back(&home);
            let answer = handled(&function, state_change("running", Duration::ZERO)).await;
            assert_eq!((&answer["outcome"], &answer["event"]), (&"reactivated".into(), &"running".into()), "{answer}");
            assert_eq!(home.status(&arn).as_deref(), Some("ACTIVE"));
            assert_eq!(mark(&home, &arn), None);
            assert_eq!(home.status(&other).as_deref(), Some("ACTIVE"));
            assert_eq!(mark(&home, &other), None);

            // The event is delivered again.
            aws.forget_calls();
            assert_eq!(handled(&function, state_change("running", Duration::ZERO)).await["outcome"], "skipped");
            assert_eq!(aws.writes().len(), 0);
        }
    }
}

#[tokio::test]
async fn draining_by_someone_else_is_not_undone() {
    let aws = standin().await;
    let home = aws.home();
    let (arn, _) = register(&home, "web");
    home.set_status(&arn, "DRAINING");
    let function = function(&aws, &[]).await;
    // The notice finds it drained by someone else, which is not to be undone.
    assert_eq!(handled(&function, crate::notice(ID, "stop")).await["outcome"], "draining");
    assert_eq!(mark(&home, &arn), None);
    came_back(&home);
    let answer = handled(&function, state_change("running", Duration::ZERO)).await;
    assert_eq!(answer["outcome"], "skipped");
    assert_eq!((aws.writes().len(), home.status(&arn).as_deref()), (0, Some("DRAINING")));
}

#[tokio::test]
async fn late_running_event_does_not_undo_a_later_draining() {
    let aws = standin().await;
    let home = aws.home();
    let (arn, _) = register(&home, "web");
    came_back(&home);
    let function = function(&aws, &[]).await;
    handled(&function, crate::notice(ID, "stop")).await;
    let answer = handled(&function, state_change("running", Duration::from_mins(1))).await;
    assert_eq!(answer["outcome"], "skipped", "{answer}");
    assert_eq!(home.status(&arn).as_deref(), Some("DRAINING"));
    assert!(mark(&home, &arn).is_some());
}

#[tokio::test]
async fn interrupted_reactivation_is_completed() {
    let aws = standin().await;
    let home = aws.home();
    let arn = home.container_instance("web", ContainerInstance::new(ID).attribute(MARK, "2026-01-01T00:00:00Z"));
    came_back(&home);
    let function = function(&aws, &[]).await;
    assert_eq!(handled(&function, state_change("running", Duration::ZERO)).await["outcome"], "reactivated");
    assert_eq!(mark(&home, &arn), None);

    // A reactivation that can't be completed is an error, so that it is retried.
    let arn = home.container_instance("web", ContainerInstance::new(ID).attribute(MARK, "2026-01-01T00:00:00Z"));
    aws.fault(Fault::on("DeleteAttributes").error(400, "AccessDeniedException", "no"));
    assert_eq!(failed(&function, state_change("running", Duration::ZERO)).await.0, "AccessDenied");
    assert!(mark(&home, &arn).is_some());
}

#[tokio::test]
async fn draining_succeeds_without_a_mark() {
    let aws = standin().await;
    let home = aws.home();
    let (arn, _) = register(&home, "web");
    aws.fault(Fault::on("PutAttributes").error(400, "AccessDeniedException", "no"));
    let function = function(&aws, &[]).await;
    assert_eq!(handled(&function, crate::notice(ID, "stop")).await["outcome"], "draining");
    assert_eq!(home.status(&arn).as_deref(), Some("DRAINING"));
    assert!(function.logs().iter().any(|line| line.contains("WARN") && line.contains("PutAttributes")));
}

#[tokio::test]
async fn reactivation_can_be_turned_off() {
    let aws = standin().await;
    let home = aws.home();
    let (arn, _) = register(&home, "web");
    let function = function(&aws, &[("REACTIVATE_RESUMED", "false")]).await;
    handled(&function, crate::notice(ID, "stop")).await;
    assert_eq!((mark(&home, &arn), aws.calls_to("PutAttributes").len()), (None, 0));
    aws.forget_calls();
    assert_eq!(handled(&function, state_change("running", Duration::ZERO)).await["outcome"], "ignored");
    assert_eq!(aws.calls().len(), 0);
}

#[tokio::test]
async fn ordinary_launch_takes_one_call() {
    for clusters in [1, 5, 100] {
        let aws = standin().await;
        crowd(&aws.home(), clusters);
        let now = SystemTime::now();
        aws.home().instance(Instance::new(ID).launched(now).attached(now + Duration::from_secs(1)));
        let function = function(&aws, &[]).await;
        let answer = handled(&function, state_change("running", Duration::ZERO)).await;
        assert_eq!(answer["outcome"], "not-found");
        assert_eq!(apis(&aws.calls()), ["DescribeInstances"], "{clusters} clusters");
        assert_eq!(function.logs().len(), 1, "no line but that of the start: {:?}", function.logs());
    }
}

#[tokio::test]
async fn instance_of_unknown_start_is_searched_for() {
    let aws = standin().await;
    let home = aws.home();
    let arn = home.instance(Instance::new(ID)).container_instance(
        "web",
        ContainerInstance::new(ID).status("DRAINING").attribute(MARK, "2026-01-01T00:00:00Z"),
    );
    let function = function(&aws, &[]).await;
    assert_eq!(handled(&function, state_change("running", Duration::ZERO)).await["outcome"], "reactivated");
    assert_eq!(home.status(&arn).as_deref(), Some("ACTIVE"));
}

#[tokio::test]
async fn running_instance_is_not_searched_for_without_its_description() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    aws.fault(Fault::on("DescribeInstances").always().error(403, "UnauthorizedOperation", "no"));
    let (error_type, _) = failed(&function, state_change("running", Duration::ZERO)).await;
    assert_eq!((error_type.as_str(), &apis(&aws.calls())[..]), ("AccessDenied", &["DescribeInstances"][..]));
}

#[tokio::test]
async fn terminated_instance_is_deregistered_only_if_configured() {
    for (settings, outcome, status) in [
        (&[][..], "ignored", "ACTIVE"),
        (&[("CLEAN_UP_TERMINATED", "true")], "deregistered", "INACTIVE"),
        (&[("CLEAN_UP_TERMINATED", "true"), ("STRATEGY", "drain")], "deregistered", "INACTIVE"),
        (&[("CLEAN_UP_TERMINATED", "true"), ("DRY_RUN", "true")], "dry-run", "ACTIVE"),
        (&[("CLEAN_UP_TERMINATED", "true"), ("EXCLUDE_CLUSTERS", "web")], "skipped", "ACTIVE"),
    ] {
        let aws = standin().await;
        let home = aws.home();
        let (arn, other) = register(&home, "web");
        home.instance(Instance::new(ID).state("terminated"));
        let function = function(&aws, settings).await;
        let answer = handled(&function, state_change("terminated", Duration::ZERO)).await;
        assert_eq!(answer["outcome"], outcome, "{settings:?}");
        assert_eq!(home.status(&arn).as_deref(), Some(status), "{settings:?}");
        assert_eq!(home.status(&other).as_deref(), Some("ACTIVE"));
        assert_eq!(aws.calls().is_empty(), outcome == "ignored");
    }
}

#[tokio::test]
async fn terminated_event_after_a_notice_changes_nothing() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[("CLEAN_UP_TERMINATED", "true")]).await;
    handled(&function, crate::notice(ID, "terminate")).await;
    let writes = aws.writes().len();
    assert_eq!(handled(&function, state_change("terminated", Duration::ZERO)).await["outcome"], "not-found");
    assert_eq!(aws.writes().len(), writes);
}

#[tokio::test]
async fn rebalance_recommendation_drains_only_if_configured() {
    for (strategy, later) in [("deregister", "INACTIVE"), ("drain", "DRAINING"), ("evacuate", "INACTIVE")] {
        let aws = standin().await;
        let home = aws.home();
        home.instance(Instance::new(ID));
        let arn = home.container_instance("web", ContainerInstance::new(ID));
        let ignoring = function(&aws, &[("STRATEGY", strategy)]).await;
        assert_eq!(handled(&ignoring, rebalance_recommendation()).await["outcome"], "ignored");
        assert_eq!(aws.calls().len(), 0);

        let draining = function(&aws, &[("STRATEGY", strategy), ("REBALANCE_RECOMMENDATION", "drain")]).await;
        let answer = handled(&draining, rebalance_recommendation()).await;
        assert_eq!((&answer["outcome"], &answer["event"]), (&"draining".into(), &"rebalance".into()), "{answer}");
        assert_eq!(home.status(&arn).as_deref(), Some("DRAINING"));
        // The notice continues from there.
        handled(&draining, crate::notice(ID, "terminate")).await;
        assert_eq!(home.status(&arn).as_deref(), Some(later), "{strategy}");
    }
}

#[tokio::test]
async fn instance_drained_by_a_rebalance_recommendation_is_reactivated() {
    let aws = standin().await;
    let home = aws.home();
    let (arn, _) = register(&home, "web");
    let function = function(&aws, &[("REBALANCE_RECOMMENDATION", "drain")]).await;
    handled(
        &function,
        event("EC2 Instance Rebalance Recommendation", json!({ "instance-id": ID }), Duration::from_mins(9)),
    )
    .await;
    handled(&function, crate::notice_of(ID, "stop", Duration::from_mins(8))).await;
    came_back(&home);
    assert_eq!(handled(&function, state_change("running", Duration::ZERO)).await["outcome"], "reactivated");
    assert_eq!(home.status(&arn).as_deref(), Some("ACTIVE"));
}

#[tokio::test]
async fn notice_before_a_restart_is_skipped() {
    let aws = standin().await;
    let home = aws.home();
    let (arn, _) = register(&home, "web");
    came_back(&home);
    let function = function(&aws, &[]).await;
    let answer = handled(&function, crate::notice_of(ID, "stop", Duration::from_hours(2))).await;
    assert_eq!(answer["outcome"], "skipped", "{answer}");
    assert_eq!((aws.writes().len(), home.status(&arn).as_deref()), (0, Some("ACTIVE")));
}

#[tokio::test]
async fn deregistered_container_instance_does_not_fail_the_marks_of_others() {
    let aws = standin().await;
    let home = aws.home();
    let (gone, _) = register(&home, "web");
    let arns: Vec<_> =
        (0..4).map(|n| home.container_instance("web", ContainerInstance::new(format!("i-{n:017x}")))).collect();
    let function = function(&aws, &[]).await;
    aws.fault(Fault::on("PutAttributes").times(1).delay(Duration::from_millis(300)));
    let ids = (0..4).map(|n| format!("i-{n:017x}")).chain([ID.to_owned()]);
    let record = |id: String| json!({ "messageId": id, "body": crate::notice(&id, "stop").to_string() });
    let batch = json!({ "Records": ids.map(record).collect::<Vec<_>>() });
    let someone_else = async {
        while aws.calls_to("DescribeContainerInstances").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        home.set_status(&gone, "INACTIVE");
    };
    let (answer, ()) = tokio::join!(handled(&function, batch), someone_else);
    assert_eq!(answer["batchItemFailures"], json!([]));
    assert!(arns.iter().all(|arn| mark(&home, arn).is_some() && home.status(arn).as_deref() == Some("DRAINING")));
}

#[tokio::test]
async fn most_decisive_event_of_an_instance_in_a_batch_counts() {
    let aws = standin().await;
    let home = aws.home();
    let (arn, _) = register(&home, "web");
    came_back(&home);
    let function = function(&aws, &[("REBALANCE_RECOMMENDATION", "drain")]).await;
    let events = [
        state_change("running", Duration::from_mins(5)),
        crate::notice_of(ID, "stop", Duration::from_mins(2)),
        crate::notice_of(ID, "terminate", Duration::from_mins(1)),
        rebalance_recommendation(),
    ];
    let record = |event: &Value| json!({ "messageId": event["time"], "body": event.to_string() });
    let batch = json!({ "Records": events.iter().map(record).collect::<Vec<_>>() });
    assert_eq!(handled(&function, batch).await["batchItemFailures"], json!([]));
    assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(apis(&aws.writes()), ["DeregisterContainerInstance"]);
}

/// As Lambda runs it: a process, sockets and a real clock.
#[tokio::test]
async fn evacuation_works_in_real_time() {
    let aws = Standin::builder().start().await.unwrap();
    let home = aws.home();
    let (arn, other) = register(&home, "web");
    home.task_definition(TaskDefinition::new("job").container(Container::new("job").stop_timeout(2)));
    home.task(&arn, standin::Task::standalone("job").task_definition("job")).unwrap();
    let function = function(&aws, &[("STRATEGY", "evacuate")]).await;
    home.interrupt_at(ID, "terminate", Duration::from_secs(15));
    let notice = notice(&home, ID, "terminate", SystemTime::now() - Duration::from_secs(105));
    let answer = handled(&function, notice).await;
    assert_eq!(answer["outcome"], "deregistered", "{answer}");
    assert_eq!((home.status(&arn).as_deref(), home.status(&other).as_deref()), (Some("INACTIVE"), Some("ACTIVE")));
    assert!(home.fates().iter().filter(|fate| fate.container == "job").all(|fate| fate.sigterm.is_some()));
    assert_eq!(home.container_instance_at(&other).unwrap().ec2_instance_id, OTHER);
}
