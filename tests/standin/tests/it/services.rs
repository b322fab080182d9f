use serde_json::{Value, json};
use standin::{Bucket, Container, Fault, Service, TaskDefinition};

use crate::paused::{Paused, seconds};

#[tokio::test]
async fn task_definitions_are_described_by_family_revision_and_arn() {
    let paused = Paused::start().await;
    let nginx = Container::new("nginx").stop_timeout(90);
    let arn = paused.home.task_definition(TaskDefinition::new("web").container(nginx).container(Container::new("log")));
    paused.home.task_definition(TaskDefinition::new("win").windows().awsvpc());
    for name in ["web", "web:1", arn.as_str()] {
        let answer = paused.ecs("DescribeTaskDefinition", json!({"taskDefinition": name})).await;
        let found = &answer["taskDefinition"];
        assert_eq!((&found["taskDefinitionArn"], &found["networkMode"]), (&json!(arn), &json!("bridge")));
        let containers = &found["containerDefinitions"];
        assert_eq!((&containers[0]["name"], &containers[0]["stopTimeout"]), (&json!("nginx"), &json!(90)));
        assert_eq!((&containers[1]["name"], containers[1].get("stopTimeout")), (&json!("log"), None));
        assert_eq!(found.get("runtimePlatform"), None);
    }
    let windows =
        paused.ecs("DescribeTaskDefinition", json!({"taskDefinition": "win"})).await["taskDefinition"].clone();
    assert_eq!(windows["runtimePlatform"]["operatingSystemFamily"], "WINDOWS_SERVER_2022_CORE");
    assert_eq!(
        (&windows["networkMode"], &windows["containerDefinitions"][0]["name"]),
        (&json!("awsvpc"), &json!("app"))
    );
    for missing in ["nope", "web:2", "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1"] {
        assert_eq!(
            paused.refused("DescribeTaskDefinition", json!({"taskDefinition": missing})).await,
            "ClientException"
        );
    }
    assert_eq!(paused.aws.calls()[0].bucket(), Some(Bucket::TaskDefinitionRead));
}

#[tokio::test]
async fn services_are_described() {
    let paused = Paused::start().await;
    let web = Service::new("web", 4).minimum_healthy_percent(50).maximum_percent(150).load_balancer(seconds(5));
    paused
        .home
        .service("web", web)
        .service("web", Service::new("agent", 1).daemon())
        .service("api", Service::new("api", 1));
    let prefix = "arn:aws:ecs:us-east-2:123456789012:service/web";
    let asked = json!({"services": ["web", format!("{prefix}/agent"), "api"]});
    let answer = paused.ecs("DescribeServices", asked).await;
    let (web, agent) = (&answer["services"][0], &answer["services"][1]);
    assert_eq!((&web["serviceName"], &web["serviceArn"]), (&json!("web"), &json!(format!("{prefix}/web"))));
    assert_eq!((&web["schedulingStrategy"], &agent["schedulingStrategy"]), (&json!("REPLICA"), &json!("DAEMON")));
    assert_eq!((&web["desiredCount"], &web["runningCount"], &web["pendingCount"]), (&json!(4), &json!(4), &json!(0)));
    assert_eq!(web["deploymentConfiguration"], json!({"minimumHealthyPercent": 50, "maximumPercent": 150}));
    let balanced = |service: &Value| service["loadBalancers"].as_array().unwrap().len();
    assert_eq!((balanced(web), balanced(agent)), (1, 0));
    assert_eq!(answer["failures"], json!([{"arn": format!("{prefix}/api"), "reason": "MISSING"}]));
    assert_eq!(
        paused.refused("DescribeServices", json!({"services": vec!["x"; 11]})).await,
        "InvalidParameterException"
    );
    paused.aws.fault(Fault::on("DescribeServices").failure_of("web", "MISSING"));
    let answer = paused.ecs("DescribeServices", json!({"services": ["web"]})).await;
    assert_eq!((&answer["services"], &answer["failures"][0]["reason"]), (&json!([]), &json!("MISSING")));
}

#[tokio::test]
async fn services_are_listed_in_short_pages() {
    let paused = Paused::start().await;
    for n in 0..12 {
        paused.home.service("web", Service::new(format!("s-{n:02}"), 1));
    }
    paused.home.service("web", Service::new("agent", 1).daemon());
    let list = async |params: Value| paused.ecs("ListServices", params).await;
    let count = |answer: &Value| answer["serviceArns"].as_array().unwrap().len();
    let first = list(json!({})).await;
    let second = list(json!({"nextToken": first["nextToken"]})).await;
    assert_eq!((count(&first), count(&second), second.get("nextToken")), (10, 3, None));
    assert_eq!(count(&list(json!({"maxResults": 100})).await), 13);
    assert_eq!(count(&list(json!({"schedulingStrategy": "DAEMON"})).await), 1);
    assert_eq!(paused.aws.calls()[0].bucket(), Some(Bucket::ServiceRead));
}
