//! The stages in which a task stops.

use serde_json::{Value, json};
use standin::{Container, Service, Standin, Task, TaskDefinition};

use crate::paused::{Paused, pass, seconds};

#[tokio::test(start_paused = true)]
async fn running_task_is_described() {
    let paused = Paused::start().await;
    let arn = paused
        .home
        .task_definition(TaskDefinition::new("two").container(Container::new("a")).container(Container::new("b")));
    assert_eq!(arn, "arn:aws:ecs:us-east-2:123456789012:task-definition/two:1");
    let with_definition = paused.put(1, &Task::standalone("job").task_definition("two"));
    let without_definition = paused.put(1, &Task::standalone("job"));
    let task = paused.describe(&with_definition[0]).await;
    assert_eq!((&task["desiredStatus"], &task["lastStatus"]), (&json!("RUNNING"), &json!("RUNNING")));
    assert_eq!((&task["taskDefinitionArn"], &task["stopCode"]), (&json!(arn), &Value::Null));
    assert_eq!((&task["containers"][0]["name"], &task["containers"][1]["name"]), (&json!("a"), &json!("b")));
    assert_eq!(task["containers"][1]["lastStatus"], "RUNNING");
    assert!(task["startedAt"].as_f64().unwrap() > 1e9 && task["createdAt"] == task["startedAt"]);
    assert_eq!(task["attributes"][0]["name"], "ecs.cpu-architecture");
    let task = paused.describe(&without_definition[0]).await;
    assert_eq!(task["taskDefinitionArn"], "arn:aws:ecs:us-east-2:123456789012:task-definition/app:1");
    assert_eq!(task["containers"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stop_task_sends_sigterm_and_waits_for_each_container() {
    let paused = Paused::start().await;
    let slow = Container::new("slow").exits_after(seconds(20));
    let deaf = Container::new("deaf").ignores_sigterm().stop_timeout(90);
    let late = Container::new("late").exits_after(seconds(40));
    let definition = TaskDefinition::new("three").container(slow).container(deaf).container(late);
    paused.home.task_definition(definition);
    let tasks = paused.put(1, &Task::standalone("job").task_definition("three"));
    let stopped = paused.stop(&tasks[0]).await;
    assert_eq!((&stopped["desiredStatus"], &stopped["lastStatus"]), (&json!("STOPPED"), &json!("STOPPING")));
    assert_eq!(
        (&stopped["stopCode"], &stopped["stoppedReason"]),
        (&json!("UserInitiated"), &json!("Spot interruption"))
    );
    pass(50.0).await;
    let task = paused.describe(&tasks[0]).await;
    let containers: Vec<_> = (0..3).map(|n| task["containers"][n]["lastStatus"].clone()).collect();
    assert_eq!(containers, ["STOPPED", "RUNNING", "STOPPED"]);
    pass(41.5).await;
    assert_eq!(paused.statuses(), ["DEPROVISIONING"]);
    pass(1.0).await;
    assert_eq!(paused.statuses(), ["STOPPED"]);
    let when = |what| paused.times(what);
    assert_eq!((when("SIGTERM"), when("slow exited")), (vec![1.0], vec![21.0]));
    // Without a stopTimeout, it is 30 seconds.
    assert_eq!((when("late was killed"), when("deaf was killed")), (vec![31.0], vec![91.0]));
    assert_eq!(when("STOPPED"), [92.0]);
    // The first reason stays.
    paused.ecs("StopTask", json!({"task": tasks[0], "reason": "again"})).await;
    assert_eq!(paused.describe(&tasks[0]).await["stoppedReason"], "Spot interruption");
    assert_eq!(paused.refused("StopTask", json!({"task": "nope"})).await, "InvalidParameterException");
}

#[tokio::test(start_paused = true)]
async fn stopping_task_is_listed_as_stopped_and_forgotten_after_an_hour() {
    let paused = Paused::start().await;
    let tasks = paused.put(2, &Task::standalone("job"));
    let list = async |desired: &str| {
        let asked = json!({"containerInstance": paused.container_instance, "desiredStatus": desired});
        paused.ecs("ListTasks", asked).await["taskArns"].clone()
    };
    let counts = async || {
        let asked = json!({"containerInstances": [paused.container_instance]});
        let shown = paused.ecs("DescribeContainerInstances", asked).await["containerInstances"][0].clone();
        (shown["runningTasksCount"].as_u64().unwrap(), shown["pendingTasksCount"].as_u64().unwrap())
    };
    paused.stop(&tasks[0]).await;
    assert_eq!((list("RUNNING").await, list("STOPPED").await), (json!([tasks[1]]), json!([tasks[0]])));
    assert_eq!(counts().await, (1, 0));
    paused.home.change_task(&tasks[1], |task| "PENDING".clone_into(&mut task.last_status));
    assert_eq!(counts().await, (0, 1));
    pass(3_602.0).await;
    assert_eq!(list("STOPPED").await, json!([tasks[0]]));
    pass(2.0).await;
    assert_eq!(list("STOPPED").await, json!([]));
    let answer = paused.ecs("DescribeTasks", json!({"tasks": [tasks[0]]})).await;
    assert_eq!(answer["failures"], json!([{"arn": tasks[0], "reason": "MISSING"}]));
    assert_eq!(paused.refused("StopTask", json!({"task": tasks[0]})).await, "InvalidParameterException");
}

#[tokio::test(start_paused = true)]
async fn scheduler_deregisters_the_target_before_sigterm() {
    let paused = Paused::start().await;
    paused.home.service("web", Service::new("web", 4).minimum_healthy_percent(50).load_balancer(seconds(10)));
    paused.put(1, &Task::of_service("web"));
    paused.drain().await;
    assert_eq!(paused.statuses(), ["DEACTIVATING"]);
    let task = &paused.home.tasks(&paused.container_instance)[0];
    assert_eq!(
        (task.desired_status.as_str(), task.stop_code.as_deref()),
        ("STOPPED", Some("ServiceSchedulerInitiated"))
    );
    pass(10.0).await;
    assert_eq!(paused.statuses(), ["STOPPING"]);
    pass(3.0).await;
    assert_eq!(paused.statuses(), ["STOPPED"]);
    assert_eq!((paused.times("target deregistered"), paused.times("SIGTERM")), (vec![0.0], vec![11.0]));
}

#[tokio::test(start_paused = true)]
async fn stop_task_does_not_wait_for_the_load_balancer() {
    let paused = Paused::start().await;
    let service = Service::new("web", 4).minimum_healthy_percent(50).load_balancer(seconds(300));
    paused.home.service("web", service);
    let tasks = paused.put(2, &Task::of_service("web"));
    paused.stop(&tasks[0]).await;
    assert_eq!(paused.statuses(), ["STOPPING", "RUNNING"]);
    pass(20.0).await;
    assert_eq!((paused.times("SIGTERM"), paused.times("target deregistered")), (vec![1.0], vec![6.0]));
    paused.drain().await;
    assert_eq!(paused.statuses(), ["STOPPED", "DEACTIVATING"]);
    paused.stop(&tasks[1]).await;
    pass(5.0).await;
    assert_eq!(paused.statuses(), ["STOPPED", "STOPPED"]);
    assert_eq!(paused.times("SIGTERM"), [1.0, 21.0]);
    assert_eq!(paused.describe(&tasks[1]).await["stopCode"], "UserInitiated");
}

#[tokio::test(start_paused = true)]
async fn container_is_stopped_after_its_dependents() {
    let paused = Paused::start().await;
    let container = |name: &str| Container::new(name).exits_after(seconds(5));
    let definition = TaskDefinition::new("chain")
        .container(container("setup"))
        .container(container("router").log_router())
        .container(container("proxy").volumes_from("router"))
        .container(container("db").log_driver("awsfirelens"))
        .container(container("app").depends_on("proxy", "HEALTHY").depends_on("setup", "COMPLETE").link("db:sql"));
    paused.home.task_definition(definition);
    let tasks = paused.put(1, &Task::standalone("job").task_definition("chain"));
    let task = paused.describe(&tasks[0]).await;
    let statuses: Vec<_> = (0..5).map(|n| task["containers"][n]["lastStatus"].clone()).collect();
    assert_eq!(statuses, ["STOPPED", "RUNNING", "RUNNING", "RUNNING", "RUNNING"], "what had to complete has");
    paused.stop(&tasks[0]).await;
    pass(30.0).await;
    assert_eq!(paused.statuses(), ["STOPPED"]);
    // The app, what it depends on, and the router of the logs.
    assert_eq!(paused.times("SIGTERM"), [1.0, 6.0, 11.0]);
    assert_eq!((paused.times("app exited"), paused.times("db exited")), (vec![6.0], vec![11.0]));
    assert_eq!((paused.times("proxy exited"), paused.times("router exited")), (vec![11.0], vec![16.0]));
}

#[tokio::test(start_paused = true)]
async fn lists_and_counts_may_lag_behind() {
    let aws = Standin::builder().lists_lag(seconds(3)).counts_lag(seconds(2)).start().await.unwrap();
    let paused = Paused::with(aws);
    paused.put(1, &Task::standalone("job"));
    let shown = async || {
        let listed = paused.ecs("ListTasks", json!({"containerInstance": paused.container_instance})).await;
        let described =
            paused.ecs("DescribeContainerInstances", json!({"containerInstances": [paused.container_instance]})).await;
        let count = described["containerInstances"][0]["runningTasksCount"].as_u64().unwrap();
        (listed["taskArns"].as_array().unwrap().len(), count)
    };
    assert_eq!(shown().await, (0, 0));
    let change = json!({"containerInstances": [paused.container_instance], "status": "DRAINING"});
    let changed = paused.ecs("UpdateContainerInstancesState", change).await;
    assert_eq!(changed["containerInstances"][0]["runningTasksCount"], 1);
    pass(2.0).await;
    assert_eq!(shown().await, (0, 1));
    pass(1.0).await;
    assert_eq!(shown().await, (1, 1));
}
