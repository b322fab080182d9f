use std::time::{Duration, Instant};

use serde_json::json;
use standin::{Bucket, ContainerInstance, Fault, Quotas, Standin, Task};

use crate::client::Client;
use crate::paused::{Paused, pass};

#[tokio::test(start_paused = true)]
async fn call_without_a_socket_is_like_any_other() {
    let quotas = Quotas::none().set(Bucket::ClusterRead, 1, 0.5);
    let builder = Standin::builder().latency(Duration::from_secs(30)).quotas(quotas);
    let aws = builder.start().await.unwrap();
    let client = Client::new(&aws);
    let list = async || client.here(&aws, "ListClusters", json!({})).await.map(|reply| reply.status);
    let began = Instant::now();
    assert_eq!(list().await, Some(200));
    aws.fault(Fault::on_any().times(1).cut());
    assert_eq!(list().await, None);
    aws.set_latency(Duration::ZERO);
    assert_eq!(list().await, Some(400));
    pass(2.0).await;
    assert_eq!(list().await, Some(200));
    assert!(began.elapsed() < Duration::from_secs(10));
    let calls = aws.calls();
    assert_eq!(calls[0].finished - calls[0].started, Duration::from_secs(30));
    let errors: Vec<_> = calls.iter().map(|call| call.error.as_deref()).collect();
    assert_eq!(errors, [None, Some("ConnectionCut"), Some("ThrottlingException"), None]);
}

#[tokio::test(start_paused = true)]
async fn changes_keep_their_time_when_read_late() {
    let paused = Paused::start().await;
    let job = paused.put(1, &Task::standalone("job").finishes_after(Duration::from_secs(10)));
    pass(5.0).await;
    assert_eq!(paused.statuses(), ["RUNNING"]);
    pass(6.0).await;
    let task = paused.describe(&job[0]).await;
    assert_eq!((&task["lastStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("EssentialContainerExited")));
    pass(100.0).await;
    assert_eq!((paused.times("app exited"), paused.times("STOPPED")), (vec![10.0], vec![11.0]));
}

#[tokio::test(start_paused = true)]
async fn world_can_be_faster() {
    let builder = Standin::builder().speed(10.0).settle(Duration::from_secs(10)).latency(Duration::from_secs(1));
    let aws = builder.start().await.unwrap();
    let home = aws.home();
    let container_instance = home.container_instance("web", ContainerInstance::new("i-1"));
    let task = home.task(&container_instance, Task::standalone("job")).unwrap();
    let client = Client::new(&aws);
    let status = async || {
        let asked = json!({"cluster": "web", "containerInstances": [container_instance]});
        let reply = client.here(&aws, "DescribeContainerInstances", asked).await.unwrap().json();
        reply["containerInstances"][0]["status"].as_str().unwrap().to_owned()
    };
    // Seconds of the world: at 10, stopped; at 11, SIGTERM; at 12, the end; at 13, cleared up.
    client.here(&aws, "StopTask", json!({"cluster": "web", "task": task})).await.unwrap();
    pass(0.29).await;
    assert_eq!(home.tasks(&container_instance)[0].last_status, "DEPROVISIONING");
    pass(0.02).await;
    assert_eq!(home.tasks(&container_instance)[0].last_status, "STOPPED");

    let asked = json!({"cluster": "web", "containerInstances": [container_instance], "status": "DRAINING"});
    client.here(&aws, "UpdateContainerInstancesState", asked).await.unwrap();
    aws.set_latency(Duration::from_millis(900));
    assert_eq!(status().await, "ACTIVE");
    pass(0.2).await;
    assert_eq!(status().await, "DRAINING");
    let call = &aws.calls()[0];
    assert_eq!(call.finished - call.started, Duration::from_secs(1));
}
