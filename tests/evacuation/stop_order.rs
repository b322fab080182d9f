//! Tasks whose containers the agent stops in sequence.

use standin::{Container, Task, TaskDefinition};

use crate::{EVACUATE, assert_all_well, evacuate, fate, register, s, standalone, standin};

/// A container that takes 28 s of its default stop timeout of 30 s.
fn slow(name: &str) -> Container {
    Container::new(name).exits_after(s(28))
}

/// Evacuates a task of these containers. Returns when its first container gets SIGTERM, in seconds.
async fn sigterm_at(case: &str, task: Task, containers: &[Container]) -> u64 {
    let aws = standin().await;
    let definition = TaskDefinition::new("job");
    aws.home().task_definition(containers.iter().cloned().fold(definition, TaskDefinition::container));
    register(&aws, [task.task_definition("job")]);
    evacuate(&aws, EVACUATE).await;
    assert_all_well(&aws, case);
    aws.home().fates().into_iter().filter_map(|fate| fate.sigterm).min().unwrap().as_secs()
}

#[tokio::test(start_paused = true)]
async fn dependent_containers_get_the_sum_of_their_stop_timeouts() {
    let on = |name: &str, other: &str| slow(name).depends_on(other, "START");
    for (case, containers, needs) in [
        ("a sidecar", vec![on("app", "sidecar"), slow("sidecar")], 60),
        ("a healthy one", vec![slow("sidecar"), slow("app").depends_on("sidecar", "HEALTHY")], 60),
        ("a chain of three", vec![on("app", "proxy"), on("proxy", "net"), slow("net")], 90),
        ("two sidecars", vec![on("app", "a").depends_on("b", "START"), slow("a"), slow("b")], 60),
        ("a log router", vec![slow("app").log_driver("awsfirelens"), slow("router").log_router()], 60),
        ("a link", vec![slow("app").link("db:sql"), slow("db")], 60),
        ("volumes", vec![slow("app").volumes_from("data"), slow("data")], 60),
        ("independent ones", vec![slow("a"), slow("b"), slow("c")], 30),
        ("one that has completed", vec![slow("app").depends_on("setup", "SUCCESS"), slow("setup")], 30),
    ] {
        for task in [Task::standalone("job"), Task::of_service("job")] {
            let sigterm_at = sigterm_at(case, task, &containers).await;
            assert!((120 - needs - 15..=120 - needs).contains(&sigterm_at), "{case}: {sigterm_at}");
        }
    }
}

/// No notice is long enough: the first containers get all their time.
#[tokio::test(start_paused = true)]
async fn chain_longer_than_the_notice_is_stopped_at_once() {
    let aws = standin().await;
    let chain = ["a", "b", "c", "d"].into_iter().zip(["b", "c", "d", ""]);
    let containers = chain.map(|(name, next)| match next {
        "" => slow(name).stop_timeout(60),
        next => slow(name).stop_timeout(60).depends_on(next, "START"),
    });
    aws.home().task_definition(containers.fold(TaskDefinition::new("job"), TaskDefinition::container));
    register(&aws, [standalone("job")]);
    evacuate(&aws, EVACUATE).await;
    assert!(fate(&aws, "a").sigterm.unwrap() < s(5));
    for container in ["a", "b", "c", "d"] {
        assert!(fate(&aws, container).is_graceful(), "{:?}", fate(&aws, container));
    }
}
