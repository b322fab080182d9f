//! `RunTask`.

use serde_json::{Value, json};
use standin::{Bucket, Call, Cluster, Container, Fault, TaskDefinition};

use crate::paused::{Paused, pass};

/// The cluster `web` with Fargate, and the task definitions `job` (awsvpc) and `bridge`.
async fn paused() -> Paused {
    let paused = Paused::start().await;
    paused.home.cluster(Cluster::new("web").capacity_provider("FARGATE_SPOT").capacity_provider("FARGATE"));
    paused.home.task_definition(TaskDefinition::new("job").container(Container::new("main")).awsvpc().tag("of", "job"));
    paused.home.task_definition(TaskDefinition::new("bridge"));
    paused.home.task_definition(TaskDefinition::new("old").inactive());
    paused
}

fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED"}})
}

fn spot() -> Value {
    json!({
        "taskDefinition": "job",
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        "networkConfiguration": network(),
    })
}

fn with(mut params: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    params
}

#[tokio::test(start_paused = true)]
async fn task_starts_on_fargate_with_what_was_asked_for() {
    let paused = paused().await;
    let more = json!({
        "overrides": {"containerOverrides": [{"name": "main", "command": ["x"]}]},
        "tags": [{"key": "team", "value": "a"}],
        "propagateTags": "TASK_DEFINITION",
        "startedBy": "events-rule/nightly",
        "platformVersion": "1.4.0",
        "enableExecuteCommand": true,
    });
    let answer = paused.ecs("RunTask", with(spot(), &more)).await;
    let task = &answer["tasks"][0];
    assert_eq!((&answer["failures"], &task["lastStatus"]), (&json!([]), &json!("PROVISIONING")));
    assert_eq!((&task["capacityProviderName"], &task["group"]), (&json!("FARGATE_SPOT"), &json!("family:job")));
    assert_eq!(task["overrides"]["containerOverrides"][0]["command"], json!(["x"]));
    assert_eq!(task["tags"], json!([{"key": "of", "value": "job"}, {"key": "team", "value": "a"}]));
    assert_eq!(task.get("startedAt"), None);
    pass(10.0).await;
    let task = paused.describe(task["taskArn"].as_str().unwrap()).await;
    assert_eq!((&task["lastStatus"], task["startedAt"].is_number()), (&json!("RUNNING"), true));
    let reply = paused.query("ec2", "DescribeNetworkInterfaces").await;
    assert_eq!((reply.xml("subnetId"), reply.xml("groupId")), (Some("subnet-1"), Some("sg-1")));
    assert_eq!(reply.count("publicIp"), 1);
    let call = &paused.aws.calls_to("RunTask")[0];
    assert_eq!((call.is_write(), call.bucket()), (true, Some(Bucket::ClusterResourceModify)));
}

#[tokio::test(start_paused = true)]
async fn task_starts_on_a_container_instance() {
    let paused = paused().await;
    let answer = paused.ecs("RunTask", json!({"taskDefinition": "bridge:1", "count": 3})).await;
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 3);
    let task = &answer["tasks"][0];
    assert_eq!((&task["launchType"], &task["lastStatus"]), (&json!("EC2"), &json!("PENDING")));
    assert_eq!(task["containerInstanceArn"], json!(paused.container_instance));
    assert_eq!(paused.home.tasks_of("web").len(), 3);
    paused.drain().await;
    let answer = paused.ecs("RunTask", json!({"taskDefinition": "bridge"})).await;
    assert_eq!(answer["failures"], json!([{"arn": paused.container_instance, "reason": "AGENT"}]));
    paused.home.cluster(Cluster::new("empty"));
    let reply = paused.ecs_reply("RunTask", json!({"cluster": "empty", "taskDefinition": "bridge"})).await;
    assert_eq!(reply.json()["message"], "No Container Instances were found in your cluster.");
}

#[tokio::test(start_paused = true)]
async fn same_token_and_parameters_give_the_same_task() {
    let paused = paused().await;
    let params = with(spot(), &json!({"clientToken": "a".repeat(64)}));
    let first = paused.ecs("RunTask", params.clone()).await;
    let again = paused.ecs("RunTask", params.clone()).await;
    assert_eq!((&first, paused.home.tasks_of("web").len()), (&again, 1));
    let task = first["tasks"][0]["taskArn"].clone();

    // Other parameters conflict, in whatever they differ.
    for more in
        [json!({"startedBy": "x"}), json!({"tags": [{"key": "a", "value": "b"}]}), json!({"taskDefinition": "nope"})]
    {
        let reply = paused.ecs_reply("RunTask", with(with(params.clone(), &more), &json!({"cluster": "web"}))).await;
        let body = reply.json();
        assert_eq!((reply.status, &body["__type"]), (400, &json!("ConflictException")));
        assert_eq!(body["resourceIds"], json!([task]));
    }
    // A token belongs to its cluster, and case matters.
    paused.home.cluster(Cluster::new("api").capacity_provider("FARGATE_SPOT"));
    let other = paused.ecs_reply("RunTask", with(params.clone(), &json!({"cluster": "api"}))).await;
    assert_eq!(other.json()["tasks"].as_array().unwrap().len(), 1);
    paused.ecs("RunTask", with(params.clone(), &json!({"clientToken": "A".repeat(64)}))).await;
    assert_eq!(paused.home.tasks_of("web").len(), 2);

    // A stopped task is answered in short, for an hour.
    pass(20.0).await;
    paused.stop(task.as_str().unwrap()).await;
    pass(60.0).await;
    let short = paused.ecs("RunTask", params.clone()).await;
    assert_eq!(short["tasks"][0], json!({"taskArn": task, "lastStatus": "STOPPED", "desiredStatus": "STOPPED"}));
    pass(3_600.0).await;
    let new = paused.ecs("RunTask", params).await;
    assert_ne!(new["tasks"][0]["taskArn"], task);
}

#[tokio::test(start_paused = true)]
async fn token_of_a_running_task_lasts_a_day() {
    let paused = paused().await;
    let params = with(spot(), &json!({"clientToken": "day"}));
    let first = paused.ecs("RunTask", params.clone()).await["tasks"][0]["taskArn"].clone();
    pass(86_390.0).await;
    assert_eq!(paused.ecs("RunTask", params.clone()).await["tasks"][0]["taskArn"], first);
    pass(20.0).await;
    assert_ne!(paused.ecs("RunTask", params).await["tasks"][0]["taskArn"], first);
}

#[tokio::test(start_paused = true)]
async fn lost_answer_is_repaired_by_the_token() {
    let paused = paused().await;
    paused.aws.fault(Fault::on("RunTask").times(1).status(500).after_effect());
    let params = with(spot(), &json!({"clientToken": "once", "cluster": "web"}));
    assert_eq!(paused.ecs_reply("RunTask", params.clone()).await.status, 500);
    let answer = paused.ecs("RunTask", params).await;
    assert_eq!((answer["tasks"].as_array().unwrap().len(), paused.home.tasks_of("web").len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn failures_come_without_capacity() {
    let paused = paused().await;
    let params = with(spot(), &json!({"clientToken": "t"}));
    paused.home.no_capacity(true);
    let answer = paused.ecs("RunTask", params.clone()).await;
    assert_eq!(answer, json!({"tasks": [], "failures": [{"reason": "RESOURCE:FARGATE"}]}));
    let answer = paused.ecs("RunTask", json!({"taskDefinition": "bridge"})).await;
    assert_eq!(answer["failures"], json!([{"arn": paused.container_instance, "reason": "RESOURCE:MEMORY"}]));
    paused.home.no_capacity_of("FARGATE", false);
    assert_eq!(paused.ecs("RunTask", params.clone()).await["tasks"], json!([]));
    let on_demand = json!({"taskDefinition": "job", "launchType": "FARGATE", "networkConfiguration": network()});
    assert_eq!(paused.ecs("RunTask", on_demand).await["failures"], json!([]));
    // Only a task binds a token.
    paused.home.no_capacity(false);
    assert_eq!(paused.ecs("RunTask", params.clone()).await["failures"], json!([]));
    paused.aws.fault(Fault::on("RunTask").failure("ATTRIBUTE"));
    let answer = paused.ecs("RunTask", spot()).await;
    assert_eq!(answer, json!({"tasks": [], "failures": [{"reason": "ATTRIBUTE"}]}));
}

#[tokio::test(start_paused = true)]
async fn failures_can_bind_a_token() {
    let paused = Paused::with(standin::Standin::builder().failures_bind_tokens(true).start().await.unwrap());
    paused.home.no_capacity(true);
    let params = json!({"taskDefinition": "app", "clientToken": "t"});
    let first = paused.ecs("RunTask", params.clone()).await;
    paused.home.no_capacity(false);
    assert_eq!(paused.ecs("RunTask", params).await, first);
}

#[tokio::test(start_paused = true)]
async fn parameters_are_checked() {
    let paused = paused().await;
    let long = "x".repeat(8_192);
    for more in [
        json!({"launchType": "FARGATE"}),
        json!({"count": 0}),
        json!({"count": 11}),
        json!({"clientToken": "a".repeat(65)}),
        json!({"clientToken": "with space"}),
        json!({"startedBy": "AWS Step Functions"}),
        json!({"startedBy": "a".repeat(129)}),
        json!({"group": "service:web"}),
        json!({"propagateTags": "SERVICE"}),
        json!({"overrides": {"containerOverrides": [{"name": "main", "command": [long]}]}}),
        json!({"overrides": {"containerOverrides": [{"name": "other"}]}}),
        json!({"tags": [{"key": "aws:x", "value": "y"}]}),
        json!({"networkConfiguration": null}),
        json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}}),
        json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"], "assignPublicIp": "YES"}}}),
        json!({"taskDefinition": "bridge"}),
        json!({"capacityProviderStrategy": [{"capacityProvider": "other"}]}),
        json!({"capacityProviderStrategy": vec![json!({"capacityProvider": "FARGATE"}); 21]}),
        json!({"capacityProviderStrategy": [], "launchType": "EC2"}),
        json!({"capacityProviderStrategy": [], "launchType": "MOON"}),
    ] {
        assert_eq!(paused.refused("RunTask", with(spot(), &more)).await, "InvalidParameterException", "{more}");
    }
    for definition in ["old", "nope", "job:2"] {
        let params = with(spot(), &json!({"taskDefinition": definition}));
        assert_eq!(paused.refused("RunTask", params).await, "ClientException", "{definition}");
    }
    let bridged = json!({"taskDefinition": "bridge", "networkConfiguration": network()});
    assert_eq!(paused.refused("RunTask", bridged).await, "InvalidParameterException");
    let versioned = json!({"taskDefinition": "bridge", "platformVersion": "1.4.0"});
    assert_eq!(paused.refused("RunTask", versioned).await, "InvalidParameterException");
    assert!(paused.home.tasks_of("web").is_empty());
    assert_eq!(paused.aws.calls_where(Call::is_ok).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn default_strategy_of_the_cluster_applies() {
    let paused = paused().await;
    paused.home.cluster(Cluster::new("web").default_provider("FARGATE_SPOT"));
    let params = json!({"taskDefinition": "job", "networkConfiguration": network()});
    assert_eq!(paused.ecs("RunTask", params).await["tasks"][0]["capacityProviderName"], "FARGATE_SPOT");
    let shown = paused.ecs("DescribeClusters", json!({"clusters": ["web"]})).await;
    assert_eq!(shown["clusters"][0]["defaultCapacityProviderStrategy"][0]["capacityProvider"], "FARGATE_SPOT");
    let tags = paused.ecs("DescribeTaskDefinition", json!({"taskDefinition": "job", "include": ["TAGS"]})).await;
    assert_eq!(tags["tags"], json!([{"key": "of", "value": "job"}]));
}
