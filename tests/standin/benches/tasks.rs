//! Interrupted tasks: `cargo bench -p standin --bench tasks`.
//!
//! The release build, fed from queues as the template does it, against the stand-in with the request quotas that AWS
//! documents and 10 ms a call.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the terminal that may give up")]
#![expect(clippy::cast_precision_loss, reason = "figures of three digits")]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use standin::{
    Cluster, Container, EventSourceMapping, FargateTask, Fault, Function, Pool, Queue, Quotas, Region, Service,
    Standin, Task, TaskDefinition, build_release, task_state_change,
};
use tokio::{task::JoinSet, time::sleep};

const LATENCY: Duration = Duration::from_millis(10);

/// The burst of `DeregisterTargets` calls, and the calls per second after that.
const ELB: (f64, f64) = (20.0, 4.0);

#[tokio::main]
async fn main() {
    let handler = build_release(&["-p", "spot-interruption-handler"]).unwrap().join("spot-interruption-handler");
    fargate_spot(&handler).await;
    for failing in [0.0, 0.3] {
        run_again(&handler, failing).await;
    }
}

async fn standin() -> Standin {
    Standin::builder().quotas(Quotas::aws()).latency(LATENCY).start().await.unwrap()
}

/// Runs the function on a queue, as `template.yaml` has it.
fn consume(
    aws: &Standin,
    function: Function,
    name: &str,
    mapping: EventSourceMapping,
    receives: u32,
) -> (Queue, Arc<Pool>, JoinSet<()>) {
    let timeout = Duration::from_mins(2);
    let pool = Arc::new(Pool::new(function.envs(aws.env()).timeout(timeout)));
    let queue = Queue::new(&aws.home(), name, timeout, receives);
    let mut tasks = JoinSet::new();
    tasks.spawn(mapping.run(queue.clone(), Arc::clone(&pool)));
    (queue, pool, tasks)
}

/// 1,000 events of 400 tasks in 20 services within 5 s.
async fn fargate_spot(handler: &Path) {
    const SERVICES: usize = 20;
    const TASKS: usize = 400;
    const EVENTS: usize = 1_000;
    let aws = standin().await;
    let home = aws.home();
    home.task_definition(TaskDefinition::new("api").awsvpc());
    for n in 0..SERVICES {
        let service = Service::new(format!("api-{n}"), TASKS / SERVICES).target_group(group(n), "app", 8080);
        // Nothing replaces the tasks meanwhile: new targets would be counted as old ones.
        home.service("web", service.task_definition("api").capacity_provider("FARGATE_SPOT").replaced_after(None));
    }
    let start =
        |n: usize| home.fargate_task("web", FargateTask::new(Task::of_service(&format!("api-{}", n % SERVICES))));
    let tasks: Vec<_> = (0..TASKS).map(start).collect();
    let mapping = EventSourceMapping { batch_size: 1_000, window: Duration::from_secs(1), concurrency: 2 };
    let function = Function::new(handler).env("FARGATE_SPOT", "handle");
    let (queue, pool, _running) = consume(&aws, function, "notices", mapping, 2);
    aws.forget_calls();
    let started = Instant::now();
    // Of each task two or three events, one soon after the other.
    let mut events = Vec::with_capacity(EVENTS);
    for (n, task) in tasks.iter().enumerate() {
        let more = if n % 2 == 0 { 3 } else { 2 };
        while started.elapsed() < Duration::from_secs(5).mul_f64(n as f64 / TASKS as f64) {
            sleep(Duration::from_millis(2)).await;
        }
        for event in home.interrupt_task(task).into_iter().take(more) {
            queue.send(&event.to_string());
            events.push(event);
        }
    }
    settle(&queue, &pool, started).await;
    let calls = aws.calls_to("DeregisterTargets");
    let admitted = calls.iter().filter(|call| call.is_ok()).count();
    let last = calls.iter().filter(|call| call.is_ok()).map(|call| call.finished - started).max().unwrap();
    let left: usize = (0..SERVICES).map(|n| home.targets(&group(n)).iter().filter(|of| !of.draining).count()).sum();
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.is_ok()) {
        for id in strings(&call.params, "Id") {
            *named.entry(id).or_default() += 1;
        }
    }
    let others: BTreeMap<_, _> = aws.calls_by_api().into_iter().filter(|(api, _)| api != "DeregisterTargets").collect();
    let bound = (admitted as f64 - ELB.0).max(0.0) / ELB.1;
    println!("Fargate Spot: {} events of {TASKS} tasks in {SERVICES} services within 5 s, from a queue", events.len());
    println!("  last target deregistered after {:.1} s; {left} targets left", last.as_secs_f64());
    println!(
        "  {admitted} DeregisterTargets calls admitted, which the quota allows in {bound:.1} s, and {} throttled",
        calls.iter().filter(|call| call.is_throttled()).count(),
    );
    println!(
        "  targets named: {}, of which more than once: {}",
        named.len(),
        named.values().filter(|n| **n > 1).count()
    );
    println!("  other calls: {others:?}\n");
}

/// 200 interrupted standalone tasks.
async fn run_again(handler: &Path, failing: f64) {
    const TASKS: usize = 200;
    let aws = standin().await;
    let home = aws.home();
    home.cluster(Cluster::new("web").capacity_provider("FARGATE_SPOT"));
    let container = Container::new("app").stop_timeout(30).exits_after(Duration::from_secs(10)).sigterm_exit_code(143);
    home.task_definition(TaskDefinition::new("job").container(container).awsvpc());
    let job = || Task::standalone("job").task_definition("job").tag("spot-interruption-handler:run-again", "true");
    let tasks: Vec<_> = (0..TASKS).map(|_| home.fargate_task("web", FargateTask::new(job()))).collect();
    let mapping = EventSourceMapping { batch_size: 10, window: Duration::ZERO, concurrency: 50 };
    let function = Function::new(handler).env("RUN_AGAIN", "tagged");
    let (queue, pool, _running) = consume(&aws, function, "continuation", mapping, 1_000);
    if failing > 0.0 {
        aws.fault(Fault::on_any().always().probability(failing / 2.0).throttle());
        aws.fault(Fault::on_any().always().probability(failing / 2.0 / (1.0 - failing / 2.0)).cut().after_effect());
    }
    aws.forget_calls();
    let started = Instant::now();
    // The template's rule leaves out STOPPING and DEPROVISIONING.
    let events: Vec<Value> = tasks.iter().flat_map(|task| home.interrupt_task(task).into_iter().take(2)).collect();
    for event in events {
        queue.send(&event.to_string());
    }
    settle_tasks(&home, &tasks, &queue).await;
    settle(&queue, &pool, started).await;
    let last = aws.calls_to("RunTask").iter().map(|call| call.finished - started).max().unwrap_or_default();
    let new = home.tasks_of("web").len() - TASKS;
    println!("Run again: {TASKS} interrupted tasks that need 10 s to stop, {:.0} % of calls failing", failing * 100.0);
    let (all, runs) = (aws.calls().len(), aws.calls_to("RunTask").len());
    println!(
        "  {new} new tasks, the last one after {:.1} s; {runs} RunTask calls, {all} calls in all\n",
        last.as_secs_f64()
    );
    assert_eq!(new, TASKS);
}

/// Sends the events of tasks that have stopped.
async fn settle_tasks(home: &Region, tasks: &[String], queue: &Queue) {
    let mut open: Vec<_> = tasks.iter().collect();
    while !open.is_empty() {
        open.retain(|task| {
            let event = task_state_change(home, task).filter(|event| event["detail"]["lastStatus"] == "STOPPED");
            event.as_ref().inspect(|event| queue.send(&event.to_string())).is_none()
        });
        sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until every message is handled.
async fn settle(queue: &Queue, pool: &Pool, started: Instant) {
    while pool.figures().invocations == 0 || pool.figures().in_flight > 0 || !queue.is_empty() {
        sleep(Duration::from_millis(20)).await;
        assert!(started.elapsed() < Duration::from_mins(10), "messages are left");
    }
}

fn group(n: usize) -> String {
    format!("group-{n}")
}

/// All strings of this name in the parameters of a call.
fn strings(value: &Value, name: &str) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(text) if key == name || key.ends_with(&format!(".{name}")) => vec![text.clone()],
                value => strings(value, name),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(|value| strings(value, name)).collect(),
        _ => Vec::new(),
    }
}
