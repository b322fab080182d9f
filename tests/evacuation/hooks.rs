//! Instances that wait in a lifecycle hook: drained for as long as they may wait, and completed as soon as they are empty.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::{Value, json};
use standin::{
    AutoScalingGroup, CapacityProvider, Cluster, Container, ContainerInstance, EksCluster, Fault, Instance,
    LifecycleHook, Node, Pdb, Pod, Queue, Quotas, Service, Standin, Task, TaskDefinition,
};
use tokio::time::{Instant, sleep};

use crate::{ID, OTHER, aged, in_process::Process, s, standin, start};

const GROUP: &str = "web-spot";
const HOOK: &str = "drain-web";
const HOOKS: (&str, &str) = ("LIFECYCLE_HOOKS", "drain-*");
const BUS: (&str, &str) = ("OUTCOME_BUS", "arn:aws:events:us-east-2:123456789012:event-bus/outcomes");
const SETTINGS: &[(&str, &str)] = &[HOOKS, BUS];

fn hook(heartbeat_s: u64) -> LifecycleHook {
    LifecycleHook::new(HOOK).heartbeat_timeout(s(heartbeat_s))
}

/// The instance `ID` in a group with this hook, but in no cluster.
fn wait(aws: &Standin, hooks: impl IntoIterator<Item = LifecycleHook>) {
    let group = AutoScalingGroup::new(GROUP).desired(1).max(2);
    aws.home().instance(Instance::new(ID).asg(GROUP));
    aws.home().auto_scaling_group(hooks.into_iter().fold(group, AutoScalingGroup::hook));
}

/// The same with a container instance that runs these tasks.
fn wait_with(aws: &Standin, heartbeat_s: u64, tasks: impl IntoIterator<Item = Task>) -> String {
    wait(aws, [hook(heartbeat_s)]);
    let arn = aws.home().container_instance("web", ContainerInstance::new(ID));
    tasks.into_iter().for_each(|task| drop(aws.home().task(&arn, task).unwrap()));
    arn
}

/// The tasks that end by themselves after this time.
fn jobs(count: usize, after_s: u64) -> impl Iterator<Item = Task> {
    (0..count).map(move |_| Task::standalone("job").finishes_after(s(after_s)))
}

/// What the invocations for some events took.
#[derive(Debug)]
struct Run {
    looks: usize,
    billed: Duration,
    took: Duration,
}

/// Delivers events by a queue until they are handled, or this time has passed. Each look is another process.
async fn deliver(aws: &Arc<Standin>, settings: &[(&str, &str)], events: &[Value], most: Duration) -> Run {
    let queue = Queue::new(&aws.home(), "events", s(120), u32::MAX);
    for event in events {
        queue.send(&event.to_string());
    }
    let process = Process::start(aws, settings).await;
    let (started, mut handled) = (Instant::now(), HashSet::new());
    let mut run = Run { looks: 0, billed: Duration::ZERO, took: Duration::ZERO };
    while handled.len() < events.len() && started.elapsed() < most {
        let mut batch = queue.receive_event(10);
        let records = batch["Records"].as_array_mut().unwrap();
        records.retain(|record| !handled.contains(record["messageId"].as_str().unwrap()));
        let ids: Vec<String> = records.iter().map(|record| record["messageId"].as_str().unwrap().to_owned()).collect();
        for record in records.iter_mut() {
            let event = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
            record["body"] = aged(&event, started.elapsed()).to_string().into();
        }
        if ids.is_empty() {
            sleep(Duration::from_millis(200)).await;
            continue;
        }
        let at = Instant::now();
        let answer = process.invoke(&batch).await.unwrap();
        run.looks += 1;
        run.billed += at.elapsed();
        let failures = answer["batchItemFailures"].to_string();
        handled.extend(ids.into_iter().filter(|id| !failures.contains(id)));
    }
    run.took = started.elapsed();
    assert_never_abandoned(aws);
    run
}

fn assert_never_abandoned(aws: &Standin) {
    for call in aws.calls_to("CompleteLifecycleAction") {
        assert_eq!(
            (&call.params["LifecycleActionResult"], &call.params["InstanceId"]),
            (&"CONTINUE".into(), &ID.into())
        );
    }
}

/// The last answer that was published.
fn answer(aws: &Standin) -> Value {
    let event = aws.events().pop().unwrap();
    let detail = &event["Detail"];
    if detail.is_object() { detail.clone() } else { serde_json::from_str(detail.as_str().unwrap()).unwrap() }
}

/// The times of something that happened, since the start.
fn times(aws: &Standin, what: &str) -> Vec<Duration> {
    aws.home().history().iter().filter(|moment| moment.what.contains(what)).map(|moment| moment.at).collect()
}

fn completed(aws: &Standin) -> Duration {
    assert!(times(aws, "timed out").is_empty(), "{:#?}", aws.home().history());
    let all = times(aws, &format!("{HOOK} completed"));
    assert_eq!(all.len(), 1, "{:#?}", aws.home().history());
    all[0]
}

fn calls(aws: &Standin, api: &str) -> usize {
    aws.calls_to(api).len()
}

#[tokio::test(start_paused = true)]
async fn action_is_completed_within_5_s_of_the_last_tasks_end() {
    for (minimum, replaced_after) in [(0, 20), (100, 5), (100, 40)] {
        let aws = standin().await;
        let home = aws.home();
        home.task_definition(
            TaskDefinition::new("web").container(Container::new("web").stop_timeout(90).ignores_sigterm()),
        );
        let service = Service::new("web", 20).task_definition("web").minimum_healthy_percent(minimum);
        home.service("web", service.replaced_after(Some(s(replaced_after))));
        let arn = wait_with(&aws, 300, (0..20).map(|_| Task::of_service("web")));
        let event = home.begin_termination(ID).unwrap();
        let run = deliver(&aws, SETTINGS, &[event], s(600)).await;
        let last = home.fates().iter().map(|fate| fate.ended.unwrap()).max().unwrap();
        assert!(last >= s(90) && home.fates().iter().all(standin::Fate::is_graceful), "{:#?}", home.fates());
        let at = completed(&aws);
        assert!(last <= at && at <= last + s(5), "{last:?} {at:?} {run:?}");
        assert_eq!(home.status(&arn).as_deref(), Some("DRAINING"));
        assert!(run.billed < s(20), "{run:?}");
        let answer = answer(&aws);
        assert_eq!(answer["outcome"], "draining", "{answer}");
        assert_eq!(
            answer["lifecycleAction"],
            json!({"autoScalingGroup": GROUP, "hook": HOOK, "isCompleted": true}),
            "{answer}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn hook_of_3_hours_costs_little() {
    let aws = standin().await;
    wait_with(&aws, 3 * 3_600, jobs(20, 3_600));
    let event = aws.home().begin_termination(ID).unwrap();
    let run = deliver(&aws, SETTINGS, &[event], s(4 * 3_600)).await;
    let at = completed(&aws);
    assert!(s(3_600) <= at && at <= s(3_661), "{at:?}");
    assert!(run.billed <= s(120), "{run:?}");
    // A third of the heartbeat timeout had passed once.
    assert!(calls(&aws, "RecordLifecycleActionHeartbeat") <= 2, "{run:?}");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_an_instance_waiting_while_its_tasks_leave() {
    for (heartbeat_s, takes_s, most_heartbeats) in [(30, 600, 80), (300, 1_200, 40), (7_200, 8_000, 10)] {
        let aws = standin().await;
        wait_with(&aws, heartbeat_s, jobs(3, takes_s));
        let event = aws.home().begin_termination(ID).unwrap();
        let run = deliver(&aws, SETTINGS, &[event], s(10 * 3_600)).await;
        let (at, took) = (completed(&aws), s(takes_s));
        assert!(took <= at && at <= took + s(61).min(took / 20 + s(5)), "{at:?}");
        let heartbeats = calls(&aws, "RecordLifecycleActionHeartbeat");
        assert!(heartbeats <= most_heartbeats, "{heartbeats} {run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn global_timeout_ends_the_wait() {
    let aws = standin().await;
    wait_with(&aws, 30, [Task::standalone("job")]);
    let event = aws.home().begin_termination(ID).unwrap();
    deliver(&aws, SETTINGS, &[event], s(4_000)).await;
    let at = completed(&aws);
    assert!(s(2_950) <= at && at < s(3_000), "{at:?}");
    let reason = answer(&aws)["lifecycleAction"]["reason"].clone();
    assert!(reason.as_str().unwrap().contains("global timeout"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn instance_that_has_nothing_to_drain_goes_on_at_once() {
    for case in ["in no cluster", "excluded", "managed draining", "empty", "no EKS cluster is set"] {
        let aws = standin().await;
        let home = aws.home();
        let (settings, outcome) = match case {
            "in no cluster" => (vec![], "not-found"),
            "excluded" => (vec![("EXCLUDE_CLUSTERS", "web")], "skipped"),
            _ => (vec![], "skipped"),
        };
        match case {
            "in no cluster" => wait(&aws, [hook(300)]),
            "no EKS cluster is set" => {
                wait(&aws, [hook(300)]);
                home.instance(Instance::new(ID).asg(GROUP).tag("aws:eks:cluster-name", "prod"));
            }
            "managed draining" => {
                wait(&aws, [hook(300)]);
                home.capacity_provider(CapacityProvider::asg("cp", GROUP));
                home.cluster(Cluster::new("web"));
                let arn = home.container_instance("web", ContainerInstance::new(ID).capacity_provider("cp"));
                home.task(&arn, Task::standalone("job")).unwrap();
            }
            "empty" => drop(wait_with(&aws, 300, [])),
            _ => drop(wait_with(&aws, 300, [Task::standalone("job")])),
        }
        let outcome = if case == "empty" { "draining" } else { outcome };
        let event = home.begin_termination(ID).unwrap();
        let settings: Vec<_> = settings.into_iter().chain(SETTINGS.iter().copied()).collect();
        let run = deliver(&aws, &settings, &[event], s(60)).await;
        assert!(run.looks == 1 && completed(&aws) < s(2), "{case}: {run:?}");
        let answer = answer(&aws);
        assert_eq!(
            (&answer["outcome"], &answer["event"]),
            (&outcome.into(), &"lifecycle-action".into()),
            "{case}: {answer}"
        );
        assert_eq!(calls(&aws, "UpdateContainerInstancesState"), usize::from(case == "empty"), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn instance_that_no_longer_waits_is_left_alone() {
    for case in ["completed", "in service again", "hook is gone", "detached"] {
        let aws = standin().await;
        let arn = wait_with(&aws, 300, [Task::standalone("job")]);
        let home = aws.home();
        let event = home.begin_termination(ID).unwrap();
        match case {
            "in service again" => home.set_lifecycle_state(ID, "Terminating:Proceed"),
            "hook is gone" => {
                let _ = home.auto_scaling_group(AutoScalingGroup::new(GROUP).hook(LifecycleHook::new("other")));
            }
            "detached" => home.set_lifecycle_state(ID, "Detached"),
            _ => {
                let instance = home.instance_at(ID).unwrap();
                let other = Process::start(&aws, &[HOOKS, ("EXCLUDE_CLUSTERS", "*")]).await;
                other.invoke(&event).await.unwrap();
                assert_ne!(home.instance_at(ID).unwrap().state, instance.state);
                aws.forget_calls();
            }
        }
        let process = Process::start(&aws, &[HOOKS]).await;
        let answer = process.invoke(&event).await.unwrap();
        assert_eq!((&answer["outcome"], &answer["lifecycleAction"]["isCompleted"]), (&"skipped".into(), &false.into()));
        assert!(answer["lifecycleAction"]["reason"].is_string(), "{case}: {answer}");
        assert!(aws.writes().is_empty(), "{case}: {:?}", aws.writes());
        assert_ne!(home.status(&arn).as_deref(), Some("DRAINING"), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn state_that_is_not_shown_yet_is_waited_for() {
    let aws = standin().await;
    wait_with(&aws, 300, []);
    let event = aws.home().begin_termination(ID).unwrap();
    aws.home().set_lifecycle_state(ID, "InService");
    let later = async {
        sleep(s(8)).await;
        aws.home().set_lifecycle_state(ID, "Terminating:Wait");
    };
    let events = [event];
    let (run, ()) = tokio::join!(deliver(&aws, SETTINGS, &events, s(60)), later);
    assert!(run.looks == 3 && completed(&aws) < s(12), "{run:?}");
}

#[tokio::test(start_paused = true)]
async fn failing_calls_do_no_harm() {
    for (name, fault) in [
        ("500", (|| Fault::on_any().probability(0.3).status(500)) as fn() -> Fault),
        ("throttled", || Fault::on_any().probability(0.3).throttle()),
    ] {
        for seed in 0..4 {
            let aws = standin().await;
            wait_with(&aws, 60, jobs(5, 200));
            let event = aws.home().begin_termination(ID).unwrap();
            fastrand::seed(seed);
            aws.fault(fault());
            deliver(&aws, SETTINGS, &[event], s(600)).await;
            let at = completed(&aws);
            // Half of the looks fail, since tasks are read once in each.
            assert!(s(200) <= at && at <= s(300), "{name} {seed}: {at:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn many_instances_are_drained_at_the_quotas() {
    let aws = start(Standin::builder().quotas(Quotas::aws())).await;
    let home = aws.home();
    home.auto_scaling_group(AutoScalingGroup::new(GROUP).desired(60).max(100).hook(hook(300)));
    let ids: Vec<_> = (0..60).map(|n| format!("i-{n:017x}")).collect();
    for id in &ids {
        home.instance(Instance::new(id).asg(GROUP));
        let arn = home.container_instance("web", ContainerInstance::new(id));
        jobs(3, 120).for_each(|task| drop(home.task(&arn, task).unwrap()));
    }
    let events: Vec<_> = ids.iter().map(|id| home.begin_termination(id).unwrap()).collect();
    let process = Process::start(&aws, &[HOOKS]).await;
    let mut waiting = events.clone();
    let started = Instant::now();
    while !waiting.is_empty() && started.elapsed() < s(280) {
        let records: Vec<_> = waiting
            .iter()
            .enumerate()
            .map(|(at, event)| {
                let body = aged(event, started.elapsed()).to_string();
                json!({"messageId": at.to_string(), "body": body, "receiptHandle": "none",
                    "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:none"})
            })
            .collect();
        let answer = process.invoke(&json!({ "Records": records })).await.unwrap();
        let failed: HashSet<usize> = answer["batchItemFailures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["itemIdentifier"].as_str().unwrap().parse().unwrap())
            .collect();
        waiting =
            waiting.into_iter().enumerate().filter(|(at, _)| failed.contains(at)).map(|(_, event)| event).collect();
        sleep(s(5)).await;
    }
    assert!(waiting.is_empty());
    assert!(times(&aws, "timed out").is_empty());
    assert_eq!(times(&aws, &format!("{HOOK} completed")).len(), 60);
    let tally = aws.tally();
    let sum = |count: fn(&standin::Tally) -> usize| tally.values().map(count).sum::<usize>();
    assert!(sum(|of| of.throttled) * 100 <= sum(|of| of.calls), "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn denied_call_is_an_error_and_the_hook_is_left_to_its_timeout() {
    for api in [
        "CompleteLifecycleAction",
        "UpdateContainerInstancesState",
        "DescribeAutoScalingInstances",
        "DescribeLifecycleHooks",
    ] {
        let aws = standin().await;
        wait_with(&aws, 300, []);
        let event = aws.home().begin_termination(ID).unwrap();
        aws.fault(Fault::on(api).error(400, "AccessDeniedException", "no").always());
        let process = Process::start(&aws, &[HOOKS]).await;
        let error = process.invoke(&event).await.unwrap_err();
        assert_eq!(error.error_type(), "AccessDenied", "{api}: {error}");
        assert!(error.to_string().contains(api), "{error}");
        assert_eq!(aws.home().lifecycle_state(ID).as_deref(), Some("Terminating:Wait"), "{api}");
        assert_eq!(calls(&aws, "CompleteLifecycleAction"), usize::from(api == "CompleteLifecycleAction"), "{api}");
    }
}

#[tokio::test(start_paused = true)]
async fn event_that_is_delivered_five_times_completes_the_action_once() {
    let aws = standin().await;
    wait_with(&aws, 300, jobs(5, 30));
    let event = aws.home().begin_termination(ID).unwrap();
    let deliveries = (0..5).map(|n| {
        let (aws, event) = (&aws, &event);
        async move {
            sleep(Duration::from_millis(n * 300)).await;
            let process = Process::start(aws, &[HOOKS]).await;
            // Without a queue, it goes on within the invocation.
            process.invoke(event).await.unwrap()
        }
    });
    let answers = futures_util::future::join_all(deliveries).await;
    let completed_by = answers.iter().filter(|answer| answer["lifecycleAction"]["isCompleted"] == true).count();
    assert_eq!(completed_by, 1, "{answers:#?}");
    completed(&aws);
}

#[tokio::test(start_paused = true)]
async fn invocation_without_a_queue_goes_on_until_its_deadline() {
    let aws = standin().await;
    wait_with(&aws, 300, jobs(2, 100));
    let event = aws.home().begin_termination(ID).unwrap();
    let process = Process::start(&aws, &[HOOKS]).await;
    let answer = process.invoke(&event).await.unwrap();
    assert_eq!(answer["lifecycleAction"]["isCompleted"], true, "{answer}");
    assert!(completed(&aws) <= s(106));

    let aws = standin().await;
    wait_with(&aws, 300, jobs(2, 200));
    let event = aws.home().begin_termination(ID).unwrap();
    let process = Process::start(&aws, &[HOOKS]).await;
    let started = Instant::now();
    let error = process.invoke(&event).await.unwrap_err();
    assert_eq!(error.error_type(), "Unfinished");
    assert!((s(110)..=s(120)).contains(&started.elapsed()), "{:?}", started.elapsed());
    // Lambda's retry goes on.
    sleep(s(60)).await;
    let answer = process.invoke(&aged(&event, started.elapsed())).await.unwrap();
    assert_eq!(answer["lifecycleAction"]["isCompleted"], true, "{answer}");
    assert!(completed(&aws) <= s(206));
}

#[tokio::test(start_paused = true)]
async fn evacuation_ends_with_the_heartbeat_timeout() {
    for (heartbeat_s, takes_s) in [(600, 100_000), (60, 100_000), (600, 240)] {
        let aws = standin().await;
        let home = aws.home();
        home.task_definition(
            TaskDefinition::new("report").container(Container::new("report").stop_timeout(20).ignores_sigterm()),
        );
        let task = Task::standalone("report").task_definition("report").finishes_after(s(takes_s));
        let arn = wait_with(&aws, heartbeat_s, [task.clone(), task]);
        let event = home.begin_termination(ID).unwrap();
        let settings: Vec<_> = [("STRATEGY", "evacuate")].into_iter().chain(SETTINGS.iter().copied()).collect();
        let run = deliver(&aws, &settings, &[event], s(2_000)).await;
        let at = completed(&aws);
        assert_eq!(calls(&aws, "RecordLifecycleActionHeartbeat"), 0);
        if takes_s < heartbeat_s {
            assert!(s(takes_s) <= at && at <= s(takes_s + 15), "{at:?}");
            assert_eq!((calls(&aws, "StopTask"), home.status(&arn).as_deref()), (0, Some("DRAINING")));
            continue;
        }
        for fate in home.fates() {
            let sigterm = fate.sigterm.unwrap();
            assert!(fate.is_graceful() && s(heartbeat_s - 45) <= sigterm, "{fate:?}");
        }
        assert!(s(heartbeat_s - 30) <= at && at < s(heartbeat_s), "{at:?} {run:?}");
        assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
        assert!(run.billed < s(150), "{run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn evacuation_does_not_hold_up_other_instances_of_its_batch() {
    let aws = standin().await;
    let home = aws.home();
    wait_with(&aws, 60, [Task::standalone("job")]);
    home.instance(Instance::new(OTHER).asg("other"));
    home.auto_scaling_group(AutoScalingGroup::new("other").desired(1).hook(hook(600)));
    let other = home.container_instance("web", ContainerInstance::new(OTHER));
    home.task(&other, Task::standalone("job")).unwrap();
    let queue = Queue::new(&home, "events", s(120), 10);
    for id in [ID, OTHER] {
        queue.send(&home.begin_termination(id).unwrap().to_string());
    }
    let process = Process::start(&aws, &[HOOKS, ("STRATEGY", "evacuate")]).await;
    let batch = queue.receive_event(10);
    let again = async {
        sleep(s(6)).await;
        queue.receive_event(10)
    };
    let (answer, again) = tokio::join!(process.invoke(&batch), again);
    let id = &batch["Records"][1]["messageId"];
    assert_eq!((&again["Records"][0]["messageId"], again["Records"].as_array().unwrap().len()), (id, 1));
    assert_eq!(answer.unwrap()["batchItemFailures"], json!([{ "itemIdentifier": id }]));
    completed(&aws);
}

/// Its cluster is read as a whole, since it had no container instances when they were counted.
#[tokio::test(start_paused = true)]
async fn instance_of_a_cluster_that_was_read_is_found_by_the_next_look() {
    let aws = standin().await;
    let home = aws.home();
    home.cluster(Cluster::new("web"));
    for n in 0..5 {
        home.container_instance(&format!("other-{n}"), ContainerInstance::new(format!("i-{n:017x}")));
    }
    let process = Process::start(&aws, &[HOOKS, ("CLUSTER_TAG", "cluster")]).await;
    wait_with(&aws, 300, jobs(2, 60));
    home.instance(Instance::new(ID).asg(GROUP).tag("cluster", "web"));
    let event = home.begin_termination(ID).unwrap();
    process.invoke(&event).await.unwrap();
    assert!(completed(&aws) >= s(60), "{:?}", completed(&aws));
}

/// The node of `ID`, whose group has a hook.
fn node(aws: &Standin, heartbeat_s: u64, pods: impl IntoIterator<Item = Pod>) -> String {
    let home = aws.home();
    home.eks_cluster(EksCluster::new("prod"));
    let instance = Instance::new(ID).asg(GROUP).tag("aws:eks:cluster-name", "prod");
    let name = instance.private_dns_in(home.name());
    home.instance(instance).node("prod", Node::new(&name, ID));
    home.auto_scaling_group(AutoScalingGroup::new(GROUP).desired(1).hook(hook(heartbeat_s)));
    pods.into_iter().for_each(|pod| drop(home.pod("prod", &name, pod)));
    name
}

fn pod(app: &str, grace_s: u64) -> Pod {
    Pod::new("default", app).replica_set(app).grace_period_s(grace_s).ignores_sigterm()
}

const EKS: &[(&str, &str)] = &[HOOKS, BUS, ("EKS_CLUSTERS", "*")];

#[tokio::test(start_paused = true)]
async fn node_goes_on_once_its_pods_are_gone() {
    let aws = standin().await;
    node(
        &aws,
        300,
        [
            pod("web", 60),
            pod("db", 90),
            Pod::new("kube-system", "logs").daemon_set("logs"),
            Pod::new("kube-system", "static").mirror(),
        ],
    );
    let event = aws.home().begin_termination(ID).unwrap();
    let run = deliver(&aws, EKS, &[event], s(600)).await;
    let at = completed(&aws);
    assert!(s(90) <= at && at <= s(96), "{at:?}");
    assert!(run.billed < s(20), "{run:?}");
    assert_eq!((calls(&aws, "EvictPod"), calls(&aws, "DeletePod"), calls(&aws, "PatchNode")), (2, 0, 1));
    assert_eq!(answer(&aws)["outcome"], "drained");
}

#[tokio::test(start_paused = true)]
async fn blocked_pods_wait_for_their_budgets_until_the_heartbeat_timeout_ends() {
    for (policy, deleted) in [("until-deadline", 1), ("respect", 0)] {
        let aws = standin().await;
        node(&aws, 600, [pod("db", 30), pod("web", 30)]);
        aws.home().pdb("prod", Pdb::new("default", "db").never());
        aws.home().pdb("prod", Pdb::new("default", "web").opens_after(s(200)));
        let event = aws.home().begin_termination(ID).unwrap();
        let settings: Vec<_> = [("POD_DISRUPTION_BUDGETS", policy)].into_iter().chain(EKS.iter().copied()).collect();
        let run = deliver(&aws, &settings, &[event], s(1_000)).await;
        let at = completed(&aws);
        assert!(s(585) <= at && at < s(600), "{policy}: {at:?} {run:?}");
        let fates = aws.home().pod_fates("prod");
        let web = fates.iter().find(|fate| fate.name == "web").unwrap();
        assert!((200..=215).contains(&web.sigterm.unwrap().as_secs()), "{web:?}");
        assert_eq!(calls(&aws, "DeletePod"), deleted, "{policy}");
        assert!(run.billed < s(140), "{policy}: {run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn cordoned_node_goes_on_at_once() {
    let aws = standin().await;
    let name = node(&aws, 300, [pod("web", 60)]);
    let event = aws.home().begin_termination(ID).unwrap();
    let settings: Vec<_> = [("EKS_STRATEGY", "cordon")].into_iter().chain(EKS.iter().copied()).collect();
    deliver(&aws, &settings, &[event], s(600)).await;
    assert!(completed(&aws) < s(2));
    assert!(aws.home().node_at("prod", &name).unwrap().unschedulable);
    assert_eq!(calls(&aws, "EvictPod"), 0);
}

#[tokio::test(start_paused = true)]
async fn notice_completes_the_action_if_nothing_is_left() {
    for (strategy, takes_s, most_s) in [("deregister", 60, 2), ("evacuate", 60, 75), ("drain", 0, 2)] {
        let aws = standin().await;
        let tasks = if takes_s == 0 { 0 } else { 2 };
        wait_with(&aws, 3_600, jobs(tasks, takes_s));
        aws.home().begin_termination(ID).unwrap();
        let process = Process::start(&aws, &[HOOKS, ("STRATEGY", strategy)]).await;
        let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap();
        assert_eq!(
            answer["lifecycleAction"],
            json!({"autoScalingGroup": GROUP, "hook": HOOK, "isCompleted": true}),
            "{strategy}: {answer}"
        );
        assert!(completed(&aws) <= s(most_s), "{strategy}: {:?}", completed(&aws));
        assert_never_abandoned(&aws);
    }
    // Its tasks would be killed.
    let aws = standin().await;
    wait_with(&aws, 3_600, jobs(2, 60));
    let event = aws.home().begin_termination(ID).unwrap();
    let process = Process::start(&aws, &[HOOKS, ("STRATEGY", "drain")]).await;
    let answer = process.invoke(&aws.home().interrupt(ID, "terminate")).await.unwrap();
    assert!(answer.get("lifecycleAction").is_none(), "{answer}");
    assert_eq!(calls(&aws, "CompleteLifecycleAction"), 0);
    deliver(&aws, SETTINGS, &[event], s(100)).await;
    let at = completed(&aws);
    assert!(s(60) <= at && at <= s(66), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn notice_and_action_in_one_batch_are_both_handled() {
    let aws = standin().await;
    let arn = wait_with(&aws, 300, jobs(2, 60));
    let event = aws.home().begin_termination(ID).unwrap();
    let notice = aws.home().interrupt(ID, "terminate");
    let settings: Vec<_> = [("STRATEGY", "drain")].into_iter().chain(SETTINGS.iter().copied()).collect();
    deliver(&aws, &settings, &[notice, event], s(300)).await;
    assert_eq!(aws.home().status(&arn).as_deref(), Some("DRAINING"));
    let at = completed(&aws);
    assert!(s(60) <= at && at <= s(66), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn notice_makes_no_call_without_hooks() {
    let aws = standin().await;
    wait_with(&aws, 300, [Task::standalone("job")]);
    let event = aws.home().begin_termination(ID).unwrap();
    let process = Process::start(&aws, &[]).await;
    let notice = aws.home().interrupt(ID, "terminate");
    assert!(process.invoke(&notice).await.unwrap().get("lifecycleAction").is_none());
    assert_eq!(process.invoke(&event).await.unwrap()["outcome"], "ignored");
    assert!(aws.calls_where(|call| call.service == "autoscaling").is_empty());
}

#[tokio::test(start_paused = true)]
async fn hooks_of_others_are_not_touched() {
    let aws = standin().await;
    wait(&aws, [LifecycleHook::new("logs"), hook(300)]);
    let event = aws.home().begin_termination(ID).unwrap();
    let process = Process::start(&aws, &[HOOKS]).await;
    assert_eq!(process.invoke(&event).await.unwrap()["outcome"], "ignored");
    let notice = aws.home().interrupt(ID, "terminate");
    assert!(process.invoke(&notice).await.unwrap().get("lifecycleAction").is_none());
    assert!(aws.calls_to("CompleteLifecycleAction").iter().all(|call| call.params["LifecycleHookName"] == HOOK));
    assert_eq!(aws.home().lifecycle_state(ID).as_deref(), Some("Terminating:Wait"));
}

#[tokio::test(start_paused = true)]
async fn each_hook_of_an_instance_is_completed() {
    let aws = standin().await;
    wait(&aws, [hook(300), LifecycleHook::new("drain-logs")]);
    aws.home().begin_termination(ID).unwrap();
    let process = Process::start(&aws, &[HOOKS]).await;
    for (at, hook) in [HOOK, "drain-logs"].into_iter().enumerate() {
        let event = aws.home().lifecycle_actions()[at].clone();
        let answer = process.invoke(&event).await.unwrap();
        assert_eq!(
            (&answer["lifecycleAction"]["hook"], &answer["lifecycleAction"]["isCompleted"]),
            (&hook.into(), &true.into())
        );
    }
    assert_eq!(aws.home().lifecycle_state(ID), None);
}

#[tokio::test(start_paused = true)]
async fn dry_run_changes_nothing() {
    let aws = standin().await;
    let arn = wait_with(&aws, 300, [Task::standalone("job")]);
    let event = aws.home().begin_termination(ID).unwrap();
    let process = Process::start(&aws, &[HOOKS, ("DRY_RUN", "true")]).await;
    let answer = process.invoke(&event).await.unwrap();
    assert_eq!((&answer["outcome"], &answer["lifecycleAction"]["isCompleted"]), (&"dry-run".into(), &false.into()));
    assert_eq!(home_state(&aws, &arn), (Some("ACTIVE".to_owned()), Some("Terminating:Wait".to_owned())));
    assert!(aws.writes().is_empty());
}

fn home_state(aws: &Standin, arn: &str) -> (Option<String>, Option<String>) {
    (aws.home().status(arn), aws.home().lifecycle_state(ID))
}

#[tokio::test(start_paused = true)]
async fn only_the_instance_of_the_event_is_touched() {
    let aws = standin().await;
    wait_with(&aws, 300, jobs(2, 20));
    aws.home().instance(Instance::new(OTHER).asg(GROUP));
    let other = aws.home().container_instance("web", ContainerInstance::new(OTHER));
    let event = aws.home().begin_termination(ID).unwrap();
    deliver(&aws, SETTINGS, &[event], s(100)).await;
    completed(&aws);
    assert_eq!(aws.home().status(&other).as_deref(), Some("ACTIVE"));
    assert_eq!(aws.home().lifecycle_state(OTHER).as_deref(), Some("InService"));
    assert!(aws.writes().iter().all(|call| !call.params.to_string().contains(OTHER)));
}

#[tokio::test(start_paused = true)]
async fn test_notification_is_ignored() {
    let aws = standin().await;
    wait(&aws, [hook(300)]);
    let process = Process::start(&aws, &[HOOKS]).await;
    let answer = process.invoke(&standin::test_notification(&aws.home(), GROUP)).await.unwrap();
    assert_eq!(answer["outcome"], "ignored");
    assert!(aws.calls_where(|call| call.service == "autoscaling").is_empty());
}

#[tokio::test(start_paused = true)]
async fn instance_of_a_warm_pool_goes_on() {
    let aws = standin().await;
    wait(&aws, [hook(300)]);
    let event = aws.home().begin_termination(ID).unwrap();
    aws.home().set_lifecycle_state(ID, "Warmed:Terminating:Wait");
    let run = deliver(&aws, SETTINGS, &[event], s(60)).await;
    assert!(run.looks == 1 && completed(&aws) < s(2), "{run:?}");
}
