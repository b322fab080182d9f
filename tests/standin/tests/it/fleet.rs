use serde_json::json;
use standin::{Standin, fleet};

use crate::client::Client;

#[tokio::test]
async fn fleet_has_one_instance_of_each_kind() {
    let aws = Standin::builder().start().await.unwrap();
    fleet(&aws);
    let home = aws.home();
    let instances = home.container_instances();
    let count = |id| instances.iter().filter(|instance| instance.ec2_instance_id == id).count();
    assert_eq!(count("i-1234567890abcdef0"), 1);
    assert_eq!(count("i-0000000000000004a"), 2);
    assert_eq!(count("i-0000000000000009a"), 0);
    assert_eq!(instances.iter().filter(|instance| instance.status == "DRAINING").count(), 2);
    for instance in &instances {
        assert!(home.instance_at(&instance.ec2_instance_id).is_some(), "{}", instance.ec2_instance_id);
    }
    assert!(home.instance_at("i-0000000000000004a").unwrap().user_data.unwrap().starts_with(&[0x1f, 0x8b]));
    let clusters = Client::new(&aws).ecs("ListClusters", json!({})).await.json();
    assert_eq!(clusters["clusterArns"].as_array().unwrap().len(), 9);

    let arn = |id: &str| instances.iter().find(|instance| instance.ec2_instance_id == id).unwrap().arn.clone();
    let resumed = home.attributes(&arn("i-0000000000000011a"));
    assert_eq!(resumed["spot-interruption-handler.drained"], "2026-11-02T07:00:00Z");
    let groups = |id: &str| home.tasks(&arn(id)).into_iter().map(|task| task.group).collect::<Vec<_>>();
    assert_eq!(groups("i-1234567890abcdef0"), ["service:web"; 3]);
    assert_eq!(groups("i-0000000000000003a")[2..], ["service:app", "family:report"]);
    for (id, tasks) in [("i-0000000000000001a", 2), ("i-0000000000000002a", 1), ("i-0000000000000010a", 1)] {
        assert_eq!(home.container_instance_at(&arn(id)).unwrap().running_tasks, tasks, "{id}");
    }
}
