//! Tasks of services that Fargate Spot interrupts: their targets are deregistered at once.

use std::sync::Arc;

use serde_json::{Value, json};
use standin::{Container, FargateTask, Fault, Service, SpotShape, Standin, TargetGroup, Task, TaskDefinition};
use tokio::time::sleep;

use crate::{batch, in_process::Process, s, standin};

const HANDLE: (&str, &str) = ("FARGATE_SPOT", "handle");

/// Starts two tasks of a blue/green service, and returns the first.
fn start(aws: &Standin) -> String {
    let home = aws.home();
    let container = Container::new("app").exits_after(s(30));
    home.task_definition(TaskDefinition::new("api").container(container).awsvpc());
    let service = Service::new("api", 2).target_group("blue", "app", 8080).alternate_target_group("green");
    home.service("web", service.task_definition("api").capacity_provider("FARGATE_SPOT"));
    let tasks = [(); 2].map(|()| home.fargate_task("web", FargateTask::new(Task::of_service("api"))));
    let [task, _] = tasks;
    task
}

/// The ids of targets that receive traffic.
fn targets(aws: &Standin, group: &str) -> usize {
    aws.home().targets(group).iter().filter(|target| !target.draining).count()
}

/// The calls after the warm-up.
fn calls(aws: &Standin) -> Vec<String> {
    let calls = aws.calls_where(|call| call.service != "ecs" || !call.api.contains("Clusters"));
    calls.into_iter().map(|call| call.api).collect()
}

fn reason(answer: &Value) -> &str {
    answer["reason"].as_str().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn target_is_deregistered_at_once() {
    for shape in [SpotShape::SpotInterruption, SpotShape::TerminationNotice, SpotShape::ReasonOnly] {
        for with_function in [true, false] {
            let aws = standin().await;
            let task = start(&aws);
            let process = Process::start(&aws, &[HANDLE]).await;
            let events = aws.home().interrupt_task_as(&task, shape);
            if with_function {
                let answer = process.invoke(&events[0]).await.unwrap();
                assert_eq!(answer["outcome"], "target-deregistered", "{answer}");
                let groups = ["blue", "green"].map(|group| aws.home().target_group_arn(group));
                assert_eq!(answer["task"]["targetGroups"], json!(groups));
                assert_eq!((&answer["task"]["taskArn"], &answer["task"]["serviceName"]), (&json!(task), &json!("api")));
                assert_eq!(targets(&aws, "blue"), 1, "that of the other task stays");
                assert_eq!(calls(&aws), ["DescribeServices", "DeregisterTargets", "DeregisterTargets"]);
                assert_eq!(aws.writes().len(), 2);
            }
            sleep(s(1)).await;
            assert_eq!(targets(&aws, "blue"), if with_function { 1 } else { 2 });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn first_event_of_an_interruption_counts() {
    let aws = standin().await;
    let task = start(&aws);
    let process = Process::start(&aws, &[HANDLE]).await;
    let events = aws.home().interrupt_task(&task);
    assert!(events.len() > 2);
    process.invoke(&batch(&events)).await.unwrap();
    let after_batch = calls(&aws).len();
    for event in &events {
        let answer = process.invoke(event).await.unwrap();
        assert!(answer["outcome"] == "skipped" && reason(&answer).contains("earlier event"), "{answer}");
    }
    assert_eq!((after_batch, calls(&aws).len()), (3, 3));
    // Another process may be the only one that got a later event.
    let other = Process::start(&aws, &[HANDLE]).await;
    assert_eq!(other.invoke(&events[2]).await.unwrap()["outcome"], "target-deregistered");
    sleep(s(125)).await;
    let stopped = standin::task_state_change(&aws.home(), &task).unwrap();
    assert_eq!(stopped["detail"]["lastStatus"], "STOPPED");
    let answer = process.invoke(&stopped).await.unwrap();
    assert!(answer["outcome"] == "ignored" && reason(&answer).contains("has stopped"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn task_is_left_alone_for_a_reason() {
    for (settings, outcome, named) in [
        (&[][..], "ignored", "FARGATE_SPOT is ignore"),
        (&[HANDLE, ("ACCOUNTS", "210987654321")], "ignored", "ACCOUNTS"),
        (&[HANDLE, ("CLUSTERS", "api")], "skipped", "CLUSTERS does not name its cluster"),
        (&[HANDLE, ("EXCLUDE_CLUSTERS", "w*")], "skipped", "EXCLUDE_CLUSTERS names its cluster"),
        (&[HANDLE, ("DRY_RUN", "true")], "dry-run", "would be deregistered"),
    ] {
        let aws = standin().await;
        let task = start(&aws);
        let process = Process::start(&aws, settings).await;
        let answer = process.invoke(&aws.home().interrupt_task(&task)[0]).await.unwrap();
        assert!(answer["outcome"] == outcome && reason(&answer).contains(named), "{settings:?}: {answer}");
        assert!(aws.writes().is_empty());
        if outcome != "dry-run" {
            assert_eq!(calls(&aws), [""; 0], "{settings:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn service_without_target_groups_is_skipped() {
    let aws = standin().await;
    let home = aws.home();
    home.task_definition(TaskDefinition::new("worker").awsvpc());
    home.service("web", Service::new("worker", 1).task_definition("worker").capacity_provider("FARGATE_SPOT"));
    let task = home.fargate_task("web", FargateTask::new(Task::of_service("worker")));
    let process = Process::start(&aws, &[HANDLE]).await;
    let answer = process.invoke(&home.interrupt_task(&task)[0]).await.unwrap();
    assert!(answer["outcome"] == "skipped" && reason(&answer).contains("no target group"), "{answer}");
    assert_eq!(calls(&aws), ["DescribeServices"]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_or_reported() {
    let aws = standin().await;
    let task = start(&aws);
    let process = Process::start(&aws, &[HANDLE]).await;
    aws.fault(Fault::on("DeregisterTargets").times(3).throttle()).fault(Fault::on("DescribeServices").times(1).cut());
    let answer = process.invoke(&aws.home().interrupt_task(&task)[0]).await.unwrap();
    assert_eq!(answer["outcome"], "target-deregistered");

    let aws = standin().await;
    let task = start(&aws);
    let process = Process::start(&aws, &[HANDLE]).await;
    aws.fault(Fault::on("DeregisterTargets").always().error(403, "AccessDenied", "no"));
    let events = aws.home().interrupt_task(&task);
    let error = process.invoke(&events[0]).await.unwrap_err();
    assert_eq!(error.error_type(), "AccessDenied");
    // What failed is not remembered as done.
    aws.forget_faults();
    assert_eq!(process.invoke(&events[1]).await.unwrap()["outcome"], "target-deregistered");
}

#[tokio::test(start_paused = true)]
async fn tasks_of_many_services_share_calls() {
    let aws = standin().await;
    let home = aws.home();
    home.task_definition(TaskDefinition::new("api").awsvpc());
    let mut events = Vec::new();
    for n in 0..20 {
        let (service, group) = (format!("api-{n}"), format!("group-{n}"));
        let model = Service::new(&service, 20).target_group(group, "app", 8080).task_definition("api");
        home.service("web", model.capacity_provider("FARGATE_SPOT"));
        for _ in 0..20 {
            let task = home.fargate_task("web", FargateTask::new(Task::of_service(&service)));
            events.extend(home.interrupt_task(&task).into_iter().take(2));
        }
    }
    let process = Arc::new(Process::start(&aws, &[HANDLE]).await);
    let answer = process.invoke(&batch(&events)).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let calls = calls(&aws);
    let count = |api: &str| calls.iter().filter(|call| *call == api).count();
    assert_eq!((count("DescribeServices"), count("DeregisterTargets"), calls.len()), (2, 20, 22));
    assert!((0..20).all(|n| targets(&aws, &format!("group-{n}")) == 0));
}

#[tokio::test(start_paused = true)]
async fn address_is_left_alone_when_the_notice_is_over() {
    let aws = standin().await;
    let task = start(&aws);
    let process = Process::start(&aws, &[HANDLE]).await;
    let event = crate::aged(&aws.home().interrupt_task(&task)[0], s(121));
    let answer = process.invoke(&event).await.unwrap();
    assert!(answer["outcome"] == "skipped" && reason(&answer).contains("older than its notice"), "{answer}");
    assert_eq!(calls(&aws), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn late_event_is_handled_only_while_the_task_has_its_address() {
    for (since_event, outcome, writes) in [(1, "target-deregistered", 2), (100, "skipped", 0)] {
        let aws = standin().await;
        let task = start(&aws);
        let process = Process::start(&aws, &[HANDLE]).await;
        let event = crate::aged(&aws.home().interrupt_task(&task)[0], s(26));
        sleep(s(since_event)).await;
        let answer = process.invoke(&event).await.unwrap();
        assert_eq!(answer["outcome"], outcome, "{answer}");
        let made = calls(&aws);
        assert_eq!(
            (&made[..2], aws.writes().len()),
            (&["DescribeServices", "DescribeTasks"].map(Into::into)[..], writes)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn address_is_given_up_when_the_task_stops_before_its_turn() {
    let aws = standin().await;
    let task = start(&aws);
    let process = Process::start(&aws, &[HANDLE]).await;
    let event = aws.home().interrupt_task(&task).remove(0);
    aws.fault(Fault::on("DeregisterTargets").always().throttle());
    let started = tokio::time::Instant::now();
    let answer = process.invoke(&event).await.unwrap();
    assert!(answer["outcome"] == "skipped" && reason(&answer).contains("another task"), "{answer}");
    assert_eq!(aws.home().task_at(&task).unwrap().last_status, "STOPPED");
    // 30 s, 5 s after the last look, and the backoff of the ECS agent's reports.
    assert!(started.elapsed() < s(45), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn address_of_the_target_groups_family_is_taken_out() {
    let aws = standin().await;
    aws.home().target_group(TargetGroup::new("green").ipv6());
    let task = start(&aws);
    aws.home().register_target("green", "2001:db8::7", 8080);
    let process = Process::start(&aws, &[HANDLE]).await;
    let mut event = aws.home().interrupt_task(&task).remove(0);
    let details = event["detail"]["attachments"][0]["details"].as_array_mut().unwrap();
    details.push(json!({ "name": "ipv6Address", "value": "2001:db8::7" }));
    let answer = process.invoke(&event).await.unwrap();
    assert_eq!(answer["outcome"], "target-deregistered", "{answer}");
    assert_eq!(targets(&aws, "blue"), 1, "that of the other task stays");
    let green = aws.home().targets("green");
    assert!(green.iter().all(|target| target.draining == (target.id == "2001:db8::7")), "{green:?}");
    assert_eq!((aws.calls_to("DescribeTargetGroups").len(), aws.calls_to("DeregisterTargets").len()), (2, 2));
}
