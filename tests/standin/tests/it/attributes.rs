use std::collections::BTreeMap;

use serde_json::{Value, json};
use standin::{Bucket, ContainerInstance};

use crate::paused::{ID, Paused};

const NAME: &str = "spot-interruption-handler.drained";

fn attribute(target: &str, value: &str) -> Value {
    json!({"name": NAME, "value": value, "targetType": "container-instance", "targetId": target})
}

#[tokio::test]
async fn attributes_are_put_shown_and_deleted() {
    let paused = Paused::start().await;
    let id = paused.container_instance.rsplit('/').next().unwrap();
    let time = "2026-11-02T07:00:00Z";
    for target in [id, &paused.container_instance] {
        paused.ecs("PutAttributes", json!({"attributes": [attribute(target, time)]})).await;
        assert_eq!(
            paused.home.attributes(&paused.container_instance),
            BTreeMap::from([(NAME.to_owned(), time.to_owned())])
        );
        let shown = paused.ecs("DescribeContainerInstances", json!({"containerInstances": [id]})).await;
        let attributes = shown["containerInstances"][0]["attributes"].as_array().unwrap();
        assert!(attributes.contains(&json!({"name": NAME, "value": time})), "{attributes:?}");
        for _ in 0..2 {
            let unnamed = json!({"name": NAME, "targetType": "container-instance", "targetId": target});
            paused.ecs("DeleteAttributes", json!({"attributes": [unnamed]})).await;
            assert!(paused.home.attributes(&paused.container_instance).is_empty());
        }
    }
    assert_eq!((paused.aws.writes().len(), paused.aws.writes()[0].bucket()), (6, Some(Bucket::ClusterResourceModify)));
    let marked = paused.home.container_instance("web", ContainerInstance::new(ID).attribute(NAME, "x"));
    assert_eq!(paused.home.attributes(&marked)[NAME], "x");
}

#[tokio::test]
async fn invalid_attributes_are_rejected() {
    let paused = Paused::start().await;
    let gone = paused.home.container_instance("web", ContainerInstance::new(ID).status("INACTIVE"));
    let put = async |attributes: Vec<Value>| paused.refused("PutAttributes", json!({"attributes": attributes})).await;
    assert_eq!(put(vec![attribute("0123", "x")]).await, "TargetNotFoundException");
    assert_eq!(put(vec![attribute(&gone, "x")]).await, "TargetNotFoundException");
    let good = attribute(&paused.container_instance, "x");
    for (field, value) in [
        ("name", json!("no blanks")),
        ("name", json!("n".repeat(129))),
        ("name", json!("")),
        ("value", json!("v".repeat(129))),
        ("value", json!("a;b")),
        ("targetType", json!("task")),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(put(vec![good.clone(), bad.clone()]).await, "InvalidParameterException", "{bad}");
    }
    assert_eq!(put(vec![]).await, "InvalidParameterException");
    assert_eq!(put(vec![good.clone(); 11]).await, "InvalidParameterException");
    assert_eq!(put(vec![json!("name")]).await, "SerializationException");
    assert_eq!(paused.refused("DeleteAttributes", json!({"attributes": [good]})).await, "InvalidParameterException");
    assert!(paused.home.attributes(&paused.container_instance).is_empty());

    for n in 0..10 {
        let mut more = attribute(&paused.container_instance, "x");
        more["name"] = json!(format!("a-{n}"));
        paused.ecs("PutAttributes", json!({"attributes": [more]})).await;
    }
    assert_eq!(put(vec![attribute(&paused.container_instance, "x")]).await, "AttributeLimitExceededException");
}
