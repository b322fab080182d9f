//! Tasks on Fargate.

use serde_json::{Value, json};
use standin::{Container, Ending, FargateTask, Service, SpotShape, Task, TaskDefinition, task_state_change};

use crate::paused::{Paused, pass, seconds};

/// A service's task behind a load balancer, whose container exits 20 seconds after SIGTERM.
async fn web() -> (Paused, String) {
    let paused = Paused::start().await;
    let nginx = Container::new("nginx").exits_after(seconds(20)).sigterm_exit_code(0);
    paused.home.task_definition(TaskDefinition::new("web").container(nginx).awsvpc());
    paused.home.service("web", Service::new("web", 1).load_balancer(seconds(300)).task_definition("web"));
    let task = paused.home.fargate_task("web", FargateTask::new(Task::of_service("web")).security_groups(["sg-7"]));
    (paused, task)
}

fn detail<'a>(task: &'a Value, name: &str) -> &'a str {
    let details = task["attachments"][0]["details"].as_array().unwrap();
    details.iter().find(|detail| detail["name"] == name).unwrap()["value"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn task_is_listed_and_described() {
    let (paused, arn) = web().await;
    let task = paused.describe(&arn).await;
    assert_eq!((&task["launchType"], &task["capacityProviderName"]), (&json!("FARGATE"), &json!("FARGATE_SPOT")));
    assert_eq!((&task["platformVersion"], task.get("containerInstanceArn")), (&json!("1.4.0"), None));
    assert_eq!(task["attachments"][0]["type"], "ElasticNetworkInterface");
    assert_eq!(
        detail(&task, "privateIPv4Address"),
        task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    );
    for (filter, found) in [
        (json!({}), 1),
        (json!({"launchType": "FARGATE"}), 1),
        (json!({"launchType": "EC2"}), 0),
        (json!({"family": "web"}), 1),
        (json!({"serviceName": "api"}), 0),
    ] {
        assert_eq!(
            paused.ecs("ListTasks", filter.clone()).await["taskArns"].as_array().unwrap().len(),
            found,
            "{filter}"
        );
    }
    let both = json!({"startedBy": "x", "family": "web"});
    assert_eq!(paused.refused("ListTasks", both).await, "InvalidParameterException");
    let service = paused.ecs("DescribeServices", json!({"services": ["web"]})).await["services"][0].clone();
    assert_eq!((&service["runningCount"], &service["pendingCount"]), (&json!(1), &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn network_interface_goes_with_the_task() {
    let (paused, arn) = web().await;
    let task = paused.describe(&arn).await;
    let query = format!("DescribeNetworkInterfaces&NetworkInterfaceId.1={}", detail(&task, "networkInterfaceId"));
    let reply = paused.query("ec2", &query).await;
    assert_eq!((reply.xml("groupId"), reply.count("association")), (Some("sg-7"), 0));
    assert_eq!(reply.xml("privateIpAddress"), Some(detail(&task, "privateIPv4Address")));
    paused.home.fargate_task("web", FargateTask::new(Task::standalone("job")).public_ip().subnet("subnet-9"));
    let filtered = "DescribeNetworkInterfaces&Filter.1.Name=subnet-id&Filter.1.Value.1=subnet-9";
    let public = paused.query("ec2", filtered).await;
    assert_eq!((public.count("networkInterfaceId"), public.count("publicIp")), (1, 1));
    paused.home.interrupt_task(&arn);
    assert_eq!(paused.query("ec2", &query).await.status, 200);
    pass(30.0).await;
    let gone = paused.query("ec2", &query).await;
    assert_eq!((gone.status, gone.xml("Code")), (400, Some("InvalidNetworkInterfaceID.NotFound")));
    let stopped = paused.describe(&arn).await;
    assert_eq!(
        (&stopped["attachments"][0]["status"], detail(&stopped, "subnetId")),
        (&json!("DELETED"), detail(&task, "subnetId"))
    );
}

#[tokio::test(start_paused = true)]
async fn interruption_sends_sigterm_at_once_and_several_events() {
    let (paused, arn) = web().await;
    let events = paused.home.interrupt_task(&arn);
    let of = |key: &str| events.iter().map(|event| event["detail"][key].clone()).collect::<Vec<_>>();
    assert_eq!(of("lastStatus"), ["RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING"]);
    assert_eq!((&of("desiredStatus")[3], &of("stopCode")[3]), (&json!("STOPPED"), &json!("SpotInterruption")));
    assert!(of("version")[0].as_u64() < of("version")[1].as_u64());
    let event = &events[0];
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("aws.ecs"), &json!("ECS Task State Change")));
    assert_eq!((&event["resources"], &event["detail"]["taskArn"]), (&json!([arn]), &json!(arn)));
    assert_eq!((&event["detail"]["stoppedReason"]), (&json!("Your Spot Task was interrupted.")));
    assert_eq!((&event["detail"]["attachments"][0]["type"], event["detail"].get("tags")), (&json!("eni"), None));
    assert!(event["detail"]["createdAt"].as_str().unwrap().contains(".000Z"));
    assert!(paused.home.interrupt_task(&arn).is_empty() && paused.home.interrupt_task("nope").is_empty());

    pass(19.0).await;
    assert_eq!(paused.describe(&arn).await["lastStatus"], "STOPPING");
    pass(3.0).await;
    let stopped = task_state_change(&paused.home, &arn).unwrap();
    let detail = &stopped["detail"];
    assert_eq!((&detail["lastStatus"], &detail["stopCode"]), (&json!("STOPPED"), &json!("SpotInterruption")));
    assert_eq!(detail["containers"][0]["exitCode"], 0);
    assert!(detail["stoppedAt"].is_string() && detail["executionStoppedAt"].is_string());
    let fates = paused.home.fates();
    assert_eq!((fates.len(), fates[0].sigterm, fates[0].ended), (1, Some(seconds(0)), Some(seconds(20))));
    assert_eq!((fates[0].ending, fates[0].is_graceful()), (Ending::Exited, true));
    // The load balancer is notified after SIGTERM.
    assert!(fates[0].sigterm_with_traffic && !fates[0].with_traffic);
    assert_eq!(fates[0].deregistered, Some(seconds(5)));
    // The scheduler replaces the task.
    assert_eq!(paused.times("replacement started").len(), 1);
    pass(3_601.0).await;
    assert!(task_state_change(&paused.home, &arn).is_none());
    let asked = paused.ecs("DescribeTasks", json!({"tasks": [arn]})).await;
    assert_eq!(asked["failures"][0]["reason"], "MISSING");
}

#[tokio::test(start_paused = true)]
async fn events_have_all_known_shapes() {
    for (shape, code) in
        [(SpotShape::TerminationNotice, json!("TerminationNotice")), (SpotShape::ReasonOnly, json!(null))]
    {
        let (paused, arn) = web().await;
        let events = paused.home.interrupt_task_as(&arn, shape);
        assert_eq!(events[1]["detail"]["stopCode"], code);
        pass(60.0).await;
        let stopped = paused.describe(&arn).await;
        assert_eq!((&stopped["lastStatus"], &stopped["stopCode"]), (&json!("STOPPED"), &code));
        assert_eq!(stopped["stoppedReason"], "Your Spot Task was interrupted.");
    }
}

#[tokio::test(start_paused = true)]
async fn container_that_ignores_sigterm_is_killed_at_its_stop_timeout() {
    let paused = Paused::start().await;
    paused.home.task_definition(TaskDefinition::new("job").container(Container::new("job").ignores_sigterm()).awsvpc());
    let arn = paused.home.fargate_task("web", FargateTask::new(Task::standalone("job").task_definition("job")));
    paused.home.interrupt_task(&arn);
    pass(29.0).await;
    assert_eq!(paused.describe(&arn).await["containers"][0].get("exitCode"), None);
    pass(3.0).await;
    let stopped = paused.describe(&arn).await;
    assert_eq!((&stopped["lastStatus"], &stopped["containers"][0]["exitCode"]), (&json!("STOPPED"), &json!(137)));
    assert_eq!(paused.home.fates()[0].ending, Ending::Killed);
}

#[tokio::test(start_paused = true)]
async fn tags_are_shown_on_request_and_lost_by_stop_task() {
    let paused = Paused::start().await;
    let task = Task::standalone("job").tag("team", "a").started_by("events-rule/nightly").enable_execute_command();
    let task = task.overrides(json!({"containerOverrides": [{"name": "app", "command": ["x"]}]}));
    let arn = paused.home.fargate_task("web", FargateTask::new(task).capacity_provider(None));
    let tagged =
        async || paused.ecs("DescribeTasks", json!({"tasks": [arn], "include": ["TAGS"]})).await["tasks"][0].clone();
    let shown = tagged().await;
    assert_eq!(shown["tags"], json!([{"key": "team", "value": "a"}]));
    assert_eq!((&shown["startedBy"], &shown["enableExecuteCommand"]), (&json!("events-rule/nightly"), &json!(true)));
    assert_eq!(shown["overrides"]["containerOverrides"][0]["command"], json!(["x"]));
    assert_eq!((shown.get("capacityProviderName"), &paused.describe(&arn).await["tags"]), (None, &json!([])));
    paused.stop(&arn).await;
    assert_eq!(tagged().await["tags"], json!([]));
    pass(10.0).await;
    let stopped = tagged().await;
    assert_eq!((&stopped["stopCode"], &stopped["containers"][0]["exitCode"]), (&json!("UserInitiated"), &json!(143)));
    assert_eq!(stopped["stoppedReason"], "Spot interruption");
}

#[tokio::test(start_paused = true)]
async fn tasks_that_ended_show_why() {
    let paused = Paused::start().await;
    paused.home.task_definition(TaskDefinition::new("job").container(Container::new("job").exit_code(3)));
    let short = Task::standalone("job").task_definition("job").finishes_after(seconds(5));
    let ended = paused.put(1, &short)[0].clone();
    let killed = paused.put(1, &Task::standalone("job").task_definition("job"))[0].clone();
    paused.home.interrupt(crate::paused::ID, "terminate");
    pass(121.0).await;
    let ended = paused.describe(&ended).await;
    assert_eq!(
        (&ended["stopCode"], &ended["containers"][0]["exitCode"]),
        (&json!("EssentialContainerExited"), &json!(3))
    );
    let event = task_state_change(&paused.home, &killed).unwrap();
    assert_eq!((&event["detail"]["lastStatus"], &event["detail"]["launchType"]), (&json!("STOPPED"), &json!("EC2")));
    assert_eq!(event["detail"]["stopCode"], "TerminationNotice");
    assert_eq!(event["detail"]["containers"][0].get("exitCode"), None);
    assert_eq!(event["detail"]["containerInstanceArn"], json!(paused.container_instance));
}
