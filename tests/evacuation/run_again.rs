//! Interrupted standalone tasks, which are started again when they have stopped.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use standin::{
    Cluster, Container, ContainerInstance, FargateTask, Fault, Instance, Queue, Standin, Task, TaskDefinition,
    task_state_change,
};
use tokio::time::sleep;

use crate::{EVACUATE, ID, batch, in_process::Process, s, standin, start};

const TAGGED: (&str, &str) = ("RUN_AGAIN", "tagged");
const ALL: (&str, &str) = ("RUN_AGAIN", "all");
const TAG: &str = "spot-interruption-handler:run-again";
const COUNT: &str = "spot-interruption-handler:run-again-count";

/// A job that needs 20 s to stop, on Fargate Spot.
fn job(aws: &Standin, of: impl FnOnce(Task) -> Task) -> String {
    let home = aws.home();
    home.cluster(Cluster::new("web").capacity_provider("FARGATE_SPOT"));
    let container = Container::new("app").stop_timeout(30).exits_after(s(20)).sigterm_exit_code(143);
    home.task_definition(TaskDefinition::new("job").container(container).awsvpc());
    let task = of(Task::standalone("job").task_definition("job").started_by("nightly"));
    let fargate = FargateTask::new(task).subnet("subnet-7").security_groups(["sg-2", "sg-1"]).public_ip();
    home.fargate_task("web", fargate)
}

fn tagged(task: Task) -> Task {
    task.tag(TAG, "true").tag("team", "data")
}

/// The tasks beside this one.
fn others(aws: &Standin, task: &str) -> Vec<Task> {
    aws.home().tasks_of("web").into_iter().filter(|other| other.arn != task).collect()
}

/// The event of a task that has stopped.
async fn stopped(aws: &Standin, task: &str) -> Value {
    while aws.home().task_at(task).unwrap().last_status != "STOPPED" {
        sleep(s(1)).await;
    }
    task_state_change(&aws.home(), task).unwrap()
}

/// Settings, the task, the outcome and what the reason names.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a dyn Fn(Task) -> Task, &'a str, &'a str);

fn reason(answer: &Value) -> &str {
    answer["reason"].as_str().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn task_runs_again_as_it_was_when_it_has_stopped() {
    for on in ["same", "FARGATE"] {
        let aws = standin().await;
        let overrides = json!({"containerOverrides": [{"name": "app", "command": ["--part", "7"],
            "environment": [{"name": "TOKEN", "value": "secret"}]}], "cpu": "512"});
        let task = job(&aws, |task| tagged(task).overrides(overrides).group("nightly").enable_execute_command());
        let process = Process::start(&aws, &[TAGGED, ("RUN_AGAIN_ON", on)]).await;
        let events = aws.home().interrupt_task(&task);
        let never_beside_it = async {
            while aws.home().task_at(&task).unwrap().last_status != "STOPPED" {
                assert!(others(&aws, &task).is_empty());
                sleep(s(1)).await;
            }
        };
        let (answer, ()) = tokio::join!(process.invoke(&events[0]), never_beside_it);
        let answer = answer.unwrap();
        assert_eq!(answer["outcome"], "run-again", "{answer}");
        assert!(!answer.to_string().contains("secret"));

        let [new] = &others(&aws, &task)[..] else { panic!("{answer}") };
        assert_eq!(answer["task"]["newTaskArn"], json!(new.arn));
        let old = aws.home().task_at(&task).unwrap();
        for field in ["containerOverrides", "cpu"] {
            assert_eq!(new.overrides[field], old.overrides[field]);
        }
        assert_eq!((&new.group, new.enable_execute_command), (&old.group, true));
        let tags = [(COUNT, "1"), (TAG, "true"), ("team", "data")];
        let tags: BTreeMap<_, _> = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert_eq!(new.tags, tags);
        assert!(new.started_by.as_deref().unwrap_or_default().starts_with("spot-interruption-handler/"));

        let [run] = &aws.calls_to("RunTask")[..] else { panic!("one call") };
        let network = &run.params["networkConfiguration"]["awsvpcConfiguration"];
        let groups = json!(["sg-1", "sg-2"]);
        let expected = json!({"subnets": ["subnet-7"], "securityGroups": groups, "assignPublicIp": "ENABLED"});
        assert_eq!((network, &run.params["platformVersion"]), (&expected, &json!("1.4.0")));
        if on == "FARGATE" {
            assert_eq!(run.params["launchType"], "FARGATE");
        } else {
            assert_eq!(run.params["capacityProviderStrategy"][0]["capacityProvider"], "FARGATE_SPOT");
        }

        // The events that follow change nothing.
        let last = task_state_change(&aws.home(), &task).unwrap();
        for event in events.iter().chain([&last]) {
            let answer = process.invoke(event).await.unwrap();
            assert!(answer["outcome"] == "skipped" || answer["outcome"] == "run-again", "{answer}");
        }
        assert_eq!(others(&aws, &task).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn task_runs_again_once_however_often_and_wherever_its_events_come() {
    let aws = standin().await;
    let task = job(&aws, tagged);
    let processes = [
        Process::start(&aws, &[TAGGED]).await,
        Process::start(&aws, &[TAGGED]).await,
        Process::start(&aws, &[TAGGED]).await,
    ];
    // The answer to the first request is lost, as if its process had died.
    aws.fault(Fault::on("RunTask").times(1).cut().after_effect());
    let events = aws.home().interrupt_task(&task);
    let all = (0..5).map(|n| processes[n % 3].invoke(&events[n % events.len()]));
    let end = async {
        let event = stopped(&aws, &task).await;
        join_all(processes.iter().map(|process| process.invoke(&event))).await
    };
    let (answers, late) = tokio::join!(join_all(all), end);
    assert!(answers.into_iter().chain(late).all(|answer| answer.is_ok()));
    assert_eq!(others(&aws, &task).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_tasks_run_again_once_each_despite_failing_calls() {
    let aws = standin().await;
    let tasks: Vec<_> = (0..200).map(|_| job(&aws, tagged)).collect();
    let processes = [Process::start(&aws, &[TAGGED]).await, Process::start(&aws, &[TAGGED]).await];
    aws.fault(Fault::on_any().probability(0.1).always().throttle());
    aws.fault(Fault::on_any().probability(0.1).always().status(500));
    aws.fault(Fault::on_any().probability(0.1).always().cut().after_effect());
    let events: Vec<_> = tasks.iter().flat_map(|task| aws.home().interrupt_task(task)).collect();
    let answers = join_all(events.chunks(50).enumerate().map(|(n, events)| {
        let (process, batch) = (&processes[n % 2], batch(events));
        async move { process.invoke(&batch).await }
    }));
    for answer in answers.await {
        assert_eq!(answer.unwrap(), json!({"batchItemFailures": []}));
    }
    assert_eq!(aws.home().tasks_of("web").len(), 400);
}

#[tokio::test(start_paused = true)]
async fn evacuation_starts_its_tasks_again_with_the_tags_that_stopping_deletes() {
    for with_event in [false, true] {
        let aws = standin().await;
        let home = aws.home();
        let container = Container::new("app").stop_timeout(30).exits_after(s(5)).sigterm_exit_code(143);
        home.task_definition(TaskDefinition::new("job").container(container));
        home.instance(Instance::new(ID));
        let arn = home.container_instance("web", ContainerInstance::new(ID));
        home.container_instance("web", ContainerInstance::new("i-0fedcba9876543210"));
        let task = home.task(&arn, tagged(Task::standalone("job").task_definition("job"))).unwrap();
        let left = home.task(&arn, Task::standalone("job").task_definition("job")).unwrap();
        let process = Process::start(&aws, &[EVACUATE[0], TAGGED]).await;
        let other = Process::start(&aws, &[EVACUATE[0], TAGGED]).await;
        let notice = home.interrupt(ID, "terminate");
        let events = async {
            if with_event {
                let event = stopped(&aws, &task).await;
                assert_eq!(aws.home().task_at(&task).unwrap().tags.len(), 0);
                other.invoke(&event).await.unwrap();
            }
        };
        let (answer, ()) = tokio::join!(process.invoke(&notice), events);
        let answer = answer.unwrap();
        let instance = &answer["containerInstances"][0];
        assert_eq!((&instance["tasksStopped"], &instance["tasksRunAgain"]), (&json!(2), &json!(1)), "{answer}");
        let new: Vec<_> = others(&aws, &task).into_iter().filter(|other| other.arn != left).collect();
        assert_eq!(new.len(), 1, "{new:?}");
        assert_eq!(new[0].tags["team"], "data");
        assert_eq!(new[0].tags[COUNT], "1");
    }
}

#[tokio::test(start_paused = true)]
async fn task_of_an_evacuation_that_died_runs_again_with_its_event() {
    let aws = standin().await;
    let home = aws.home();
    home.task_definition(TaskDefinition::new("job").container(Container::new("app").sigterm_exit_code(143)));
    home.instance(Instance::new(ID));
    let arn = home.container_instance("web", ContainerInstance::new(ID));
    home.container_instance("web", ContainerInstance::new("i-0fedcba9876543210"));
    let task = home.task(&arn, tagged(Task::standalone("job").task_definition("job"))).unwrap();
    let process = Process::start(&aws, &[EVACUATE[0], TAGGED]).await;
    let notice = home.interrupt(ID, "terminate");
    let died = async {
        while aws.calls_to("StopTask").is_empty() {
            sleep(s(1)).await;
        }
    };
    tokio::select! {
        _ = process.invoke(&notice) => panic!("it waits for the task"),
        () = died => {}
    }
    let event = stopped(&aws, &task).await;
    let answer = Process::start(&aws, &[TAGGED]).await.invoke(&event).await.unwrap();
    assert_eq!(answer["outcome"], "run-again", "{answer}");
    assert_eq!(others(&aws, &task)[0].tags[COUNT], "1");
}

#[tokio::test(start_paused = true)]
async fn task_that_was_killed_with_its_host_runs_again() {
    let aws = standin().await;
    let home = aws.home();
    home.task_definition(TaskDefinition::new("job").tag(TAG, "2"));
    home.instance(Instance::new(ID));
    let arn = home.container_instance("web", ContainerInstance::new(ID));
    home.container_instance("web", ContainerInstance::new("i-0fedcba9876543210"));
    let task = home.task(&arn, Task::standalone("job").task_definition("job")).unwrap();
    home.interrupt(ID, "terminate");
    let event = stopped(&aws, &task).await;
    assert!(event["detail"]["stoppedReason"].as_str().unwrap().starts_with("Host EC2"));
    let process = Process::start(&aws, &[TAGGED]).await;
    let answer = process.invoke(&event).await.unwrap();
    assert_eq!((&answer["outcome"], &answer["task"]["cause"]), (&json!("run-again"), &json!("host")), "{answer}");
    assert_eq!(others(&aws, &task).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn task_is_not_started_again_for_a_reason() {
    let of = |tag: &'static str| move |task: Task| task.tag(TAG, tag);
    let counted = |task: Task| task.tag(TAG, "2").tag(COUNT, "2");
    let by_step_functions = |task: Task| tagged(task).started_by("AWS Step Functions");
    let plain = |task: Task| task;
    let cases: [Case<'_>; 9] = [
        (&[], &tagged, "ignored", "RUN_AGAIN is never"),
        (&[TAGGED], &plain, "skipped", "neither it nor its task definition has the tag"),
        (&[TAGGED], &of("0"), "skipped", "0 is the limit"),
        (&[TAGGED], &of("maybe"), "skipped", "expected true, always or a number"),
        (&[TAGGED], &counted, "skipped", "2 is the limit"),
        (&[TAGGED], &by_step_functions, "skipped", "AWS Step Functions"),
        (&[ALL], &by_step_functions, "skipped", "AWS Step Functions"),
        (&[ALL, ("EXCLUDE_CLUSTERS", "web")], &plain, "skipped", "EXCLUDE_CLUSTERS"),
        (&[ALL, ("DRY_RUN", "true")], &plain, "dry-run", "would be started again"),
    ];
    for (settings, task, outcome, named) in cases {
        let aws = standin().await;
        let task = job(&aws, task);
        let process = Process::start(&aws, settings).await;
        let answer = process.invoke(&aws.home().interrupt_task(&task)[0]).await.unwrap();
        assert!(answer["outcome"] == outcome && reason(&answer).contains(named), "{settings:?}: {answer}");
        sleep(s(60)).await;
        assert!(aws.writes().is_empty() && others(&aws, &task).is_empty(), "{settings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn task_that_ended_by_itself_is_not_started_again_unless_it_asks_for_it() {
    for (tag, code, outcome) in [("true", 0, "ended"), ("always", 0, "run-again"), ("true", 1, "run-again")] {
        let aws = standin().await;
        let home = aws.home();
        home.cluster(Cluster::new("web").capacity_provider("FARGATE_SPOT"));
        let app = Container::new("app").stop_timeout(30).exits_after(s(3)).sigterm_exit_code(code);
        let sidecar = Container::new("sidecar").not_essential().sigterm_exit_code(143);
        home.task_definition(TaskDefinition::new("job").container(app).container(sidecar).awsvpc());
        let task = Task::standalone("job").task_definition("job").tag(TAG, tag);
        let task = home.fargate_task("web", FargateTask::new(task));
        let process = Process::start(&aws, &[TAGGED]).await;
        let answer = process.invoke(&home.interrupt_task(&task)[0]).await.unwrap();
        assert_eq!(answer["outcome"], outcome, "{tag} {code}: {answer}");
        assert_eq!(others(&aws, &task).len(), usize::from(outcome == "run-again"));
    }
}

#[tokio::test(start_paused = true)]
async fn capacity_that_comes_back_is_used_whatever_tokens_remember() {
    for binds in [false, true] {
        let aws = start(Standin::builder().failures_bind_tokens(binds)).await;
        let task = job(&aws, tagged);
        let processes = [Process::start(&aws, &[TAGGED]).await, Process::start(&aws, &[TAGGED]).await];
        let events = aws.home().interrupt_task(&task);
        aws.home().no_capacity(true);
        let comes_back = async {
            sleep(s(70)).await;
            aws.home().no_capacity(false);
        };
        let all = join_all(processes.iter().map(|process| process.invoke(&events[0])));
        let (answers, ()) = tokio::join!(all, comes_back);
        let outcomes: Vec<_> = answers.into_iter().map(|answer| answer.unwrap()["outcome"].clone()).collect();
        assert!(outcomes.contains(&json!("run-again")), "{binds}: {outcomes:?}");
        assert_eq!(others(&aws, &task).len(), 1, "{binds}");
        // A process that comes later goes through all tokens, and finds the task.
        let answer = processes[0].invoke(&events[1]).await.unwrap();
        assert!(answer["outcome"] == "run-again" || answer["outcome"] == "skipped", "{answer}");
        assert_eq!(others(&aws, &task).len(), 1, "{binds}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_capacity_another_invocation_goes_on_with_what_was_read() {
    let aws = standin().await;
    let task = job(&aws, tagged);
    let queue = Queue::new(&aws.home(), "continuation", s(120), 1000);
    let process = Process::start(&aws, &[TAGGED]).await;
    aws.home().no_capacity(true);
    queue.send(&aws.home().interrupt_task(&task)[0].to_string());
    for is_first in [true, false, false] {
        let event = queue.receive_event(1);
        let is_new = event.to_string().contains("recalled");
        assert_eq!(is_new, !is_first, "a new message says what only a running task shows: {event}");
        assert_eq!(process.invoke(&event).await.unwrap(), json!({"batchItemFailures": []}));
        queue.delete_event(&event);
        assert!(queue.receive_event(1)["Records"].as_array().unwrap().is_empty(), "not at once");
        sleep(s(30)).await;
    }
    assert_eq!(aws.home().task_at(&task).unwrap().last_status, "STOPPED");
    aws.home().no_capacity(false);
    assert!(others(&aws, &task).is_empty());
    process.invoke(&queue.receive_event(10)).await.unwrap();
    let [new] = &others(&aws, &task)[..] else { panic!("one new task") };
    assert_eq!(new.tags["team"], "data");
    let runs = aws.calls_to("RunTask");
    let network = &runs.last().unwrap().params["networkConfiguration"]["awsvpcConfiguration"];
    assert_eq!(network["subnets"], json!(["subnet-7"]));

    // Without a queue, Lambda has to invoke the function again.
    let aws = standin().await;
    let task = job(&aws, tagged);
    let process = Process::start(&aws, &[TAGGED]).await;
    aws.home().no_capacity(true);
    let error = process.invoke(&aws.home().interrupt_task(&task)[0]).await.unwrap_err();
    assert_eq!(error.error_type(), "Unfinished");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_known_is_reported_and_not_guessed() {
    // Only the end of the task is seen, and its network interface is not there.
    let aws = standin().await;
    let task = job(&aws, tagged);
    aws.home().interrupt_task(&task);
    let event = stopped(&aws, &task).await;
    let process = Process::start(&aws, &[TAGGED]).await;
    let error = process.invoke(&event).await.unwrap_err();
    assert_eq!(error.error_type(), "NotRunAgain");
    assert!(error.to_string().contains("network interface is not there"), "{error}");
    assert!(aws.writes().is_empty());
    // Another delivery would only repeat that.
    assert_eq!(process.invoke(&batch(&[event])).await.unwrap(), json!({"batchItemFailures": []}));

    // A late duplicate, whose client token may be forgotten.
    let aws = standin().await;
    let task = job(&aws, tagged);
    let event = crate::aged(&aws.home().interrupt_task(&task)[0], s(56 * 60));
    let process = Process::start(&aws, &[TAGGED]).await;
    let error = process.invoke(&event).await.unwrap_err();
    assert!(error.error_type() == "NotRunAgain" && error.to_string().contains("55 minutes"), "{error}");
    assert!(aws.writes().is_empty());

    // Without the permission to find out more. Another delivery would come in vain.
    let aws = standin().await;
    let task = job(&aws, tagged);
    let event = crate::aged(&aws.home().interrupt_task(&task)[0], s(56 * 60));
    aws.fault(Fault::on("DescribeTasks").always().error(400, "AccessDeniedException", "no"));
    let process = Process::start(&aws, &[TAGGED]).await;
    assert_eq!(process.invoke(&event).await.unwrap_err().error_type(), "NotRunAgain");
    assert_eq!(process.invoke(&batch(&[event])).await.unwrap(), json!({"batchItemFailures": []}));
}

#[tokio::test(start_paused = true)]
async fn refused_request_is_an_error() {
    let aws = standin().await;
    let task = job(&aws, tagged);
    let process = Process::start(&aws, &[TAGGED]).await;
    aws.fault(Fault::on("RunTask").always().error(400, "AccessDeniedException", "iam:PassRole"));
    let error = process.invoke(&aws.home().interrupt_task(&task)[0]).await.unwrap_err();
    assert_eq!(error.error_type(), "AccessDenied");
    assert!(error.to_string().contains("iam:PassRole"));
}

#[tokio::test(start_paused = true)]
async fn tasks_share_calls() {
    let aws = standin().await;
    let tasks: Vec<_> = (0..50).map(|_| job(&aws, tagged)).collect();
    let process = Arc::new(Process::start(&aws, &[TAGGED]).await);
    aws.forget_calls();
    let events: Vec<_> = tasks.iter().map(|task| aws.home().interrupt_task(task).remove(0)).collect();
    process.invoke(&batch(&events)).await.unwrap();
    let calls = aws.calls_by_api();
    assert_eq!((calls["RunTask"], calls["DescribeNetworkInterfaces"]), (50, 1), "{calls:?}");
    // A description every 3 s for 20 s and the time that ECS takes.
    assert!(calls["DescribeTasks"] <= 12, "{calls:?}");
    assert!(!calls.contains_key("ListTasks"), "{calls:?}");
}

/// A container instance with tasks of this kind that need 5 s to stop, and another one with room for them.
fn host(aws: &Standin, tasks: usize, of: impl Fn(Task) -> Task) -> Vec<String> {
    let home = aws.home();
    let container = Container::new("app").stop_timeout(30).exits_after(s(5)).sigterm_exit_code(143);
    home.task_definition(TaskDefinition::new("job").container(container));
    home.instance(Instance::new(ID));
    let arn = home.container_instance("web", ContainerInstance::new(ID));
    home.container_instance("web", ContainerInstance::new("i-0fedcba9876543210"));
    let task = || home.task(&arn, of(Task::standalone("job").task_definition("job"))).unwrap();
    (0..tasks).map(|_| task()).collect()
}

#[tokio::test(start_paused = true)]
async fn evacuation_that_knows_the_tags_comes_before_the_events_of_its_tasks() {
    for later_ms in [0, 500, 1_000, 1_500, 2_000, 2_500] {
        let aws = standin().await;
        let task = host(&aws, 1, tagged).remove(0);
        let process = Process::start(&aws, &[EVACUATE[0], TAGGED]).await;
        let other = Process::start(&aws, &[EVACUATE[0], TAGGED]).await;
        let notice = aws.home().interrupt(ID, "terminate");
        let event = async {
            while aws.calls_to("StopTask").is_empty() {
                sleep(Duration::from_millis(100)).await;
            }
            sleep(Duration::from_millis(later_ms)).await;
            let event = task_state_change(&aws.home(), &task).unwrap();
            assert_ne!(event["detail"]["lastStatus"], "STOPPED");
            other.invoke(&event).await.unwrap()
        };
        let (answer, event) = tokio::join!(process.invoke(&notice), event);
        let [new] = &others(&aws, &task)[..] else { panic!("{answer:?} {event}") };
        assert_eq!(new.tags.get(TAG).map(String::as_str), Some("true"), "{later_ms}: {event}");
    }
}

#[tokio::test(start_paused = true)]
async fn evacuation_knows_the_tags_of_tasks_despite_slow_answers() {
    let aws = standin().await;
    let tasks = host(&aws, 3, tagged);
    let process = Process::start(&aws, &[EVACUATE[0], TAGGED]).await;
    aws.fault(Fault::on("DescribeTasks").always().delay(s(2)));
    let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap();
    assert_eq!(answer["containerInstances"][0]["tasksStopped"], json!(tasks.len()), "{answer}");
    for stop in aws.calls_to("StopTask") {
        assert!(stop.params["reason"].as_str().unwrap().contains("run again"), "{stop:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_not_lost_to_another_event_of_the_same_batch() {
    let aws = standin().await;
    let task = job(&aws, tagged);
    let queue = Queue::new(&aws.home(), "continuation", s(120), 1000);
    let process = Process::start(&aws, &[TAGGED]).await;
    aws.home().no_capacity(true);
    let events = aws.home().interrupt_task(&task);
    queue.send(&events[0].to_string());
    let first = queue.receive_event(1);
    process.invoke(&first).await.unwrap();
    queue.delete_event(&first);
    aws.home().no_capacity(false);
    sleep(s(30)).await;
    for earlier in [events[1].clone(), crate::aged(&events[1], s(1))] {
        let mut both = batch(&[earlier]);
        let again = queue.receive_event(1)["Records"].as_array_mut().unwrap().remove(0);
        both["Records"].as_array_mut().unwrap().push(again);
        process.invoke(&both).await.unwrap();
        assert_eq!(others(&aws, &task).len(), 1);
        sleep(s(120)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn old_event_of_a_task_that_is_not_to_run_again_is_no_error() {
    let aws = standin().await;
    let task = job(&aws, |task| task);
    let event = crate::aged(&aws.home().interrupt_task(&task)[0], s(56 * 60));
    let answer = Process::start(&aws, &[TAGGED]).await.invoke(&event).await.unwrap();
    assert_eq!(answer["outcome"], "skipped", "{answer}");
}

#[tokio::test(start_paused = true)]
async fn evacuation_starts_its_tasks_again_even_if_it_fails() {
    let aws = standin().await;
    let task = host(&aws, 1, tagged).remove(0);
    let process = Process::start(&aws, &[EVACUATE[0], TAGGED]).await;
    aws.fault(Fault::on("DeregisterContainerInstance").always().error(403, "AccessDeniedException", "no"));
    aws.home().no_capacity(true);
    let notice = aws.home().interrupt(ID, "terminate");
    let comes_back = async {
        // The task is stopped at about 80 s, and the instance is polled every 10 s.
        sleep(s(105)).await;
        assert!(aws.home().registered(ID) == 1 && !aws.calls_to("DeregisterContainerInstance").is_empty());
        aws.home().no_capacity(false);
    };
    let (error, ()) = tokio::join!(process.invoke(&notice), comes_back);
    assert_eq!(error.unwrap_err().error_type(), "AccessDenied");
    assert_eq!(others(&aws, &task).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn end_of_a_task_is_no_error_while_another_invocation_waits_for_capacity() {
    let aws = standin().await;
    let task = job(&aws, tagged);
    let queue = Queue::new(&aws.home(), "continuation", s(120), 1000);
    let processes = [Process::start(&aws, &[TAGGED]).await, Process::start(&aws, &[TAGGED]).await];
    aws.home().no_capacity(true);
    let events = aws.home().interrupt_task(&task);
    let end = async {
        queue.send(&stopped(&aws, &task).await.to_string());
        let message = queue.receive_event(1);
        let answer = processes[1].invoke(&message).await.unwrap();
        assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1, "it is looked at again");
        sleep(s(40)).await;
        aws.home().no_capacity(false);
    };
    let (first, ()) = tokio::join!(processes[0].invoke(&events[0]), end);
    assert_eq!(first.unwrap()["outcome"], "run-again");
    sleep(s(300)).await;
    let message = queue.receive_event(1);
    assert_eq!(message["Records"].as_array().unwrap().len(), 1);
    assert_eq!(processes[1].invoke(&message).await.unwrap(), json!({"batchItemFailures": []}));
    assert_eq!(others(&aws, &task).len(), 1);
}
