use serde_json::json;
use standin::{Standin, fleet};

use crate::client::Client;

#[tokio::test]
async fn one_of_each_kind() {
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
}
