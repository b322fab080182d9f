//! The service scheduler and a draining container instance.

use serde_json::json;
use standin::{ContainerInstance, Service, Task};

use crate::paused::{Paused, pass, seconds};

impl Paused {
    /// How many of the instance's tasks run.
    fn running(&self) -> usize {
        self.statuses().iter().filter(|status| *status == "RUNNING").count()
    }
}

#[tokio::test(start_paused = true)]
async fn replacement_comes_first_with_a_minimum_of_100() {
    let paused = Paused::start().await;
    paused.home.service("web", Service::new("web", 6));
    paused.put(4, &Task::of_service("web"));
    paused.drain().await;
    pass(19.9).await;
    assert_eq!(paused.running(), 4);
    assert_eq!(paused.times("replacement started"), [0.0; 4]);
    pass(0.2).await;
    assert_eq!(paused.running(), 0);
    assert_eq!(paused.times("replacement healthy"), [20.0; 4]);
    assert_eq!(paused.times("stopped by the scheduler"), [20.0; 4]);
}

#[tokio::test(start_paused = true)]
async fn some_tasks_stop_at_once_below_a_minimum_of_100() {
    let paused = Paused::start().await;
    paused.home.service("web", Service::new("web", 5).minimum_healthy_percent(50).replaced_after(Some(seconds(30))));
    paused.put(5, &Task::of_service("web"));
    paused.drain().await;
    // Half of five, rounded up, has to stay.
    assert_eq!(paused.running(), 3);
    pass(31.0).await;
    assert_eq!(paused.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn replacements_wait_for_room_within_a_maximum_of_100() {
    let paused = Paused::start().await;
    let service =
        Service::new("web", 4).minimum_healthy_percent(75).maximum_percent(100).replaced_after(Some(seconds(10)));
    paused.home.service("web", service);
    paused.put(3, &Task::of_service("web"));
    paused.drain().await;
    for (running, after) in [(2, 0.0), (1, 10.0), (0, 20.0)] {
        assert_eq!(paused.running(), running, "{after}");
        pass(10.0).await;
    }
    assert_eq!(paused.times("replacement started"), [0.0, 10.0, 20.0]);
}

#[tokio::test(start_paused = true)]
async fn minimum_stays_without_capacity_elsewhere() {
    let paused = Paused::start().await;
    paused.home.service("web", Service::new("web", 4).minimum_healthy_percent(50).replaced_after(None));
    paused.put(4, &Task::of_service("web"));
    paused.drain().await;
    pass(600.0).await;
    assert_eq!(paused.running(), 2);
    assert!(paused.times("replacement healthy").is_empty());
}

#[tokio::test(start_paused = true)]
async fn standalone_tasks_stay_and_daemons_are_stopped_last() {
    let paused = Paused::start().await;
    paused.home.service("web", Service::new("agent", 9).daemon()).service("web", Service::new("logs", 9).daemon());
    let job = paused.put(1, &Task::standalone("job"));
    paused.put(1, &Task::of_service("agent"));
    paused.put(1, &Task::of_service("logs"));
    paused.drain().await;
    pass(60.0).await;
    assert_eq!(paused.statuses(), ["RUNNING", "RUNNING", "RUNNING"]);
    paused.stop(&job[0]).await;
    pass(2.5).await;
    assert_eq!(paused.statuses(), ["DEPROVISIONING", "RUNNING", "RUNNING"]);
    pass(0.5).await;
    assert_eq!(paused.statuses(), ["STOPPED", "STOPPING", "STOPPING"]);

    let static_one = paused.home.container_instance("web", ContainerInstance::new("i-2").running_tasks(2));
    paused.home.set_status(&static_one, "DRAINING");
    pass(600.0).await;
    assert_eq!(paused.home.container_instance_at(&static_one).unwrap().running_tasks, 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stopped_after_reactivation() {
    let paused = Paused::start().await;
    paused.home.service("web", Service::new("web", 4));
    paused.put(2, &Task::of_service("web"));
    paused.drain().await;
    pass(10.0).await;
    paused.set_state("ACTIVE").await;
    pass(60.0).await;
    assert_eq!(paused.running(), 2);
    let what: Vec<_> = paused.home.history().into_iter().map(|moment| moment.what).collect();
    assert_eq!((what[0].as_str(), what[3].as_str()), ("DRAINING in web", "ACTIVE in web"));
}

#[tokio::test(start_paused = true)]
async fn tasks_that_are_gone_are_replaced() {
    let paused = Paused::start().await;
    paused.home.service("web", Service::new("web", 3));
    let tasks = paused.put(3, &Task::of_service("web"));
    let counts = async || {
        let answer = paused.ecs("DescribeServices", json!({"services": ["web"]})).await;
        let service = &answer["services"][0];
        (service["runningCount"].as_u64().unwrap(), service["pendingCount"].as_u64().unwrap())
    };
    assert_eq!(counts().await, (3, 0));
    paused.stop(&tasks[0]).await;
    assert_eq!(counts().await, (2, 1));
    pass(20.0).await;
    assert_eq!(counts().await, (3, 0));
    paused.deregister().await;
    assert_eq!(counts().await, (1, 2));
    pass(20.0).await;
    assert_eq!(counts().await, (3, 0));
}

#[tokio::test(start_paused = true)]
async fn instance_with_many_tasks_is_drained() {
    let paused = Paused::start().await;
    paused.home.service("web", Service::new("web", 500).load_balancer(seconds(5)));
    paused.put(500, &Task::of_service("web"));
    paused.drain().await;
    pass(120.0).await;
    assert!(paused.statuses().iter().all(|status| status == "STOPPED"));
    assert_eq!(paused.times("SIGTERM"), [26.0; 500]);
}
