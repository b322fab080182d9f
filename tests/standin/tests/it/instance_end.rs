//! EC2 ends an interrupted instance.

use std::time::{Duration, SystemTime};

use serde_json::json;
use standin::{
    ContainerInstance, Instance, Reservation, Service, Task, capacity_block_expirations, notice,
    rebalance_recommendation, reservation_interruption, state_change,
};

use crate::paused::{ID, Paused, pass, seconds};

#[tokio::test(start_paused = true)]
async fn instance_ends_two_minutes_after_the_notice() {
    let paused = Paused::start().await;
    let tasks = paused.put(2, &Task::standalone("job"));
    pass(30.0).await;
    let event = paused.home.interrupt(ID, "terminate");
    assert_eq!(event["detail"], json!({"instance-id": ID, "instance-action": "terminate"}));
    pass(119.9).await;
    assert_eq!(paused.home.instance_at(ID).unwrap().state, "running");
    assert_eq!(paused.statuses(), ["RUNNING", "RUNNING"]);
    pass(0.1).await;
    assert_eq!(paused.home.instance_at(ID).unwrap().state, "terminated");
    assert_eq!(paused.statuses(), ["STOPPED", "STOPPED"]);
    assert_eq!(paused.describe(&tasks[0]).await["stopCode"], "TerminationNotice");
    let left = paused.home.container_instance_at(&paused.container_instance).unwrap();
    assert_eq!((left.status.as_str(), left.agent_connected, left.running_tasks), ("ACTIVE", false, 0));
    assert_eq!(paused.home.registered(ID), 1);
    // Nothing runs there, so it needs no force.
    paused.ecs("DeregisterContainerInstance", json!({"containerInstance": paused.container_instance})).await;
    assert_eq!(paused.home.registered(ID), 0);
    assert_eq!((paused.times("terminated by EC2"), paused.times("INACTIVE in web")), (vec![120.0], vec![120.0]));
}

#[tokio::test(start_paused = true)]
async fn stopped_instance_can_be_started_again() {
    let paused = Paused::start().await;
    let attached = SystemTime::UNIX_EPOCH;
    paused.home.change_instance(ID, |instance| instance.attached = Some(attached));
    paused.home.service("web", Service::new("web", 1));
    paused.put(1, &Task::of_service("web"));
    paused.home.interrupt(ID, "stop");
    paused.home.interrupt(ID, "stop");
    pass(120.0).await;
    assert_eq!(paused.home.instance_at(ID).unwrap().state, "stopped");
    assert_eq!(paused.home.fates().len(), 1);
    paused.home.start_again(ID);
    let back = paused.home.instance_at(ID).unwrap();
    assert_eq!((back.state.as_str(), back.attached), ("running", Some(attached)));
    assert!(back.launched.unwrap() > SystemTime::now() - Duration::from_mins(1));
    assert!(paused.home.container_instance_at(&paused.container_instance).unwrap().agent_connected);
    assert_eq!((paused.statuses(), paused.times("replacement started")), (vec!["STOPPED".to_owned()], vec![120.0]));

    // Its second interruption is independent of the first.
    paused.put(1, &Task::standalone("job"));
    pass(60.0).await;
    paused.home.interrupt(ID, "stop");
    pass(120.0).await;
    let ended: Vec<_> = paused.home.fates().into_iter().map(|fate| (fate.group, fate.ended.unwrap())).collect();
    assert_eq!(ended, [("service:web".to_owned(), seconds(120)), ("family:job".to_owned(), seconds(120))]);
}

#[tokio::test(start_paused = true)]
async fn hibernation_starts_at_once_and_a_late_notice_leaves_less_time() {
    let paused = Paused::start().await;
    paused.put(1, &Task::standalone("job"));
    paused.home.interrupt(ID, "hibernate");
    assert_eq!(paused.home.instance_at(ID).unwrap().state, "stopped");
    assert_eq!((paused.home.fates()[0].ended, paused.statuses()), (Some(seconds(0)), vec!["RUNNING".to_owned()]));

    let late = Paused::start().await;
    let event = late.home.interrupt_at(ID, "terminate", seconds(50));
    let dated_back = notice(&late.home, ID, "terminate", SystemTime::now() - seconds(70));
    let earlier = notice(&late.home, ID, "terminate", SystemTime::now() - seconds(72));
    assert!(event["time"].as_str() <= dated_back["time"].as_str() && event["time"].as_str() > earlier["time"].as_str());
    pass(50.0).await;
    assert_eq!(late.home.instance_at(ID).unwrap().state, "terminated");
}

#[tokio::test(start_paused = true)]
async fn each_registration_is_counted() {
    let paused = Paused::start().await;
    let second = paused.home.container_instance("api", ContainerInstance::new(ID));
    assert_eq!(paused.home.registered(ID), 2);
    paused.home.set_status(&second, "INACTIVE");
    assert_eq!(paused.home.registered(ID), 1);
}

#[tokio::test]
async fn events_name_the_instance() {
    let paused = Paused::start().await;
    let time = SystemTime::UNIX_EPOCH;
    let event = state_change(&paused.home, ID, "running", time);
    assert_eq!(event["detail-type"], "EC2 Instance State-change Notification");
    assert_eq!(event["detail"], json!({"instance-id": ID, "state": "running"}));
    assert_eq!(event["resources"], json!([format!("arn:aws:ec2:us-east-2:123456789012:instance/{ID}")]));
    let event = rebalance_recommendation(&paused.home, ID, time);
    assert_eq!(event["detail-type"], "EC2 Instance Rebalance Recommendation");
    assert_eq!((&event["detail"], &event["time"]), (&json!({"instance-id": ID}), &json!("1970-01-01T00:00:00Z")));
}

#[tokio::test(start_paused = true)]
async fn reservation_takes_its_instance_with_it() {
    let paused = Paused::start().await;
    let kind = "EC2 Capacity Reservation Instance Interruption Warning";
    paused.home.instance(Instance::new(ID).lifecycle("interruptible-capacity-reservation"));
    let shown = paused.query("ec2", "DescribeInstances&Filter.1.Name=instance-lifecycle&Filter.1.Value.1=inter*").await;
    assert_eq!(shown.xml("instanceLifecycle"), Some("interruptible-capacity-reservation"));
    let arn = format!("arn:aws:ec2:us-east-2:123456789012:instance/{ID}");
    let event = paused.home.interrupt_reservation(ID, Reservation::Interruptible, seconds(90));
    assert_eq!((&event["detail-type"], &event["resources"]), (&json!(kind), &json!(arn)));
    let detail = &event["detail"];
    assert_eq!((&detail["instance-id"], &detail["instance-action"]), (&json!(ID), &json!("terminate")));
    assert!(event["time"].as_str() < detail["instance-termination-time"].as_str());
    pass(90.0).await;
    assert_eq!(paused.home.instance_at(ID).unwrap().state, "terminated");

    let event = reservation_interruption(&paused.home, ID, Reservation::CapacityBlock, None);
    assert_eq!((&event["detail-type"], &event["resources"]), (&json!(kind), &json!([arn])));
    assert_eq!(event["detail"]["instance-lifecycle"], "capacity-block");
    assert_eq!(event["detail"].get("instance-termination-time"), None);
    let [one, other] = capacity_block_expirations(&paused.home, "cr-1", SystemTime::UNIX_EPOCH);
    assert_ne!(one["detail-type"], other["detail-type"]);
    assert_eq!(one["detail"], json!({"capacity-reservation-id": "cr-1", "end-date": "1970-01-01T00:00:00Z"}));
}
