use serde_json::{Value, json};
use standin::{CapacityProvider, Cluster, ContainerInstance, Instance, Region, Standin, Task};

use crate::client::{Client, Reply};

async fn start() -> (Standin, Region, Client) {
    let aws = Standin::builder().start().await.unwrap();
    let (home, client) = (aws.home(), Client::new(&aws));
    (aws, home, client)
}

fn assert_error(reply: &Reply, code: &str, message: &str) {
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert_eq!(reply.json(), json!({"__type": code, "message": message}));
    assert_eq!(reply.headers["x-amzn-errortype"], code);
}

/// Follows every page of an API and returns the pages' items.
async fn pages(client: &Client, api: &str, params: Value, items: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut params) = (Vec::new(), params);
    loop {
        let answer = client.ecs(api, params.clone()).await.json();
        pages.push(answer[items].as_array().unwrap().clone());
        match answer.get("nextToken") {
            Some(token) => params["nextToken"] = token.clone(),
            None => return pages,
        }
    }
}

fn sizes(pages: &[Vec<Value>]) -> Vec<usize> {
    pages.iter().map(Vec::len).collect()
}

#[tokio::test]
async fn clusters_are_listed_in_pages_and_described_with_counts() {
    let (_aws, home, client) = start().await;
    for n in 0..250 {
        home.cluster(Cluster::new(format!("c-{n}")));
    }
    home.cluster(Cluster::new("gone").status("INACTIVE"));
    home.cluster(Cluster::new("batch").tag("AWSBatchServiceTag", "batch").capacity_provider("cp"));
    home.container_instance("batch", ContainerInstance::new("i-1").running_tasks(2));
    home.container_instance("batch", ContainerInstance::new("i-2").status("DRAINING").pending_tasks(1));
    home.container_instance("batch", ContainerInstance::new("i-3").status("INACTIVE"));
    let listed = pages(&client, "ListClusters", json!({}), "clusterArns").await;
    assert_eq!(sizes(&listed), [100, 100, 51]);

    let arn = "arn:aws:ecs:us-east-2:123456789012:cluster/batch";
    let asked = json!({"clusters": [arn, "nope", "gone"], "include": ["TAGS"]});
    let answer = client.ecs("DescribeClusters", asked).await.json();
    let batch = &answer["clusters"][0];
    assert_eq!(batch["clusterArn"], arn);
    assert_eq!(batch["registeredContainerInstancesCount"], 2);
    assert_eq!((&batch["runningTasksCount"], &batch["pendingTasksCount"]), (&json!(2), &json!(1)));
    assert_eq!(batch["tags"], json!([{"key": "AWSBatchServiceTag", "value": "batch"}]));
    assert_eq!(batch["capacityProviders"], json!(["cp"]));
    assert_eq!(answer["clusters"][1]["status"], "INACTIVE");
    let missing = "arn:aws:ecs:us-east-2:123456789012:cluster/nope";
    assert_eq!(answer["failures"], json!([{"arn": missing, "reason": "MISSING"}]));

    let untagged = client.ecs("DescribeClusters", json!({"clusters": ["batch"]})).await.json();
    assert_eq!(untagged["clusters"][0]["tags"], json!([]));
    let default = client.ecs("DescribeClusters", json!({})).await.json();
    assert_eq!(default["failures"][0]["reason"], "MISSING");
    let too_many = client.ecs("DescribeClusters", json!({"clusters": vec!["c"; 101]})).await;
    assert_error(&too_many, "InvalidParameterException", "Clusters cannot have more than 100 elements.");
}

#[tokio::test]
async fn container_instances_are_found_by_filter_and_status() {
    let (_aws, home, client) = start().await;
    let one = home.container_instance("web", ContainerInstance::new("i-1"));
    let two = home.container_instance("web", ContainerInstance::new("i-2").status("DRAINING"));
    home.container_instance("web", ContainerInstance::new("i-3").status("INACTIVE"));
    home.cluster(Cluster::new("gone").status("INACTIVE"));
    let list = async |params: Value| client.ecs("ListContainerInstances", params).await;
    let found = async |params: Value| list(params).await.json()["containerInstanceArns"].clone();

    assert_eq!(found(json!({"cluster": "web", "filter": "ec2InstanceId == 'i-1'"})).await, json!([one]));
    let cluster = "arn:aws:ecs:us-east-2:123456789012:cluster/web";
    assert_eq!(found(json!({"cluster": cluster, "filter": "ec2InstanceId in ['i-2', 'i-3']"})).await, json!([two]));
    assert_eq!(found(json!({"cluster": "web", "status": "DRAINING"})).await, json!([two]));
    assert_eq!(
        found(json!({"cluster": "web", "status": "DRAINING", "filter": "ec2InstanceId == 'i-1'"})).await,
        json!([])
    );

    for bad in [json!({"filter": "attribute:x == 'y'"}), json!({"status": "INACTIVE"}), json!({"maxResults": 101})] {
        let mut params = bad;
        params["cluster"] = json!("web");
        let reply = list(params).await;
        assert_eq!((reply.status, &reply.json()["__type"]), (400, &json!("InvalidParameterException")));
    }
    for unknown in ["nope", "gone", "arn:aws:ecs:us-east-1:123456789012:cluster/web"] {
        assert_error(&list(json!({"cluster": unknown})).await, "ClusterNotFoundException", "Cluster not found.");
    }
    // The default cluster is there only once it was made.
    assert_error(&list(json!({})).await, "ClusterNotFoundException", "Cluster not found.");
    assert_eq!(list(json!({"cluster": 7})).await.json()["__type"], "SerializationException");
}

#[tokio::test]
async fn pages_can_be_short_and_tokens_are_checked() {
    let (_aws, home, client) = start().await;
    for n in 0..230 {
        home.container_instance("web", ContainerInstance::new(format!("i-{n}")));
    }
    let all = pages(&client, "ListContainerInstances", json!({"cluster": "web"}), "containerInstanceArns").await;
    assert_eq!(sizes(&all), [100, 100, 30]);
    let first = client.ecs("ListContainerInstances", json!({"cluster": "web", "maxResults": 2})).await.json();
    let token = &first["nextToken"];
    let other = json!({"cluster": "web", "status": "ACTIVE", "nextToken": token});
    assert_error(&client.ecs("ListContainerInstances", other).await, "InvalidParameterException", "Invalid token.");

    let aws = Standin::builder().sparse_pages(true).page_size("ListContainerInstances", 1).start().await.unwrap();
    for id in ["i-1", "i-2", "i-3"] {
        aws.home().container_instance("web", ContainerInstance::new(id));
    }
    let filtered = json!({"cluster": "web", "filter": "ec2InstanceId == 'i-2'"});
    let found = pages(&Client::new(&aws), "ListContainerInstances", filtered, "containerInstanceArns").await;
    let mut lengths = sizes(&found);
    lengths.sort_unstable();
    assert_eq!(lengths, [0, 0, 1]);
}

#[tokio::test]
async fn descriptions_show_the_ec2_instance() {
    let (_aws, home, client) = start().await;
    let instance = ContainerInstance::new("i-1").capacity_provider("cp").running_tasks(2).agent_connected(false);
    let arn = home.container_instance("web", instance);
    let elsewhere = home.container_instance("api", ContainerInstance::new("i-2").short_arn());
    let asked = json!({"cluster": "web", "containerInstances": [arn, elsewhere, "0123"]});
    let answer = client.ecs("DescribeContainerInstances", asked).await.json();
    let shown = &answer["containerInstances"][0];
    assert_eq!(shown["containerInstanceArn"], arn.as_str());
    assert_eq!(shown["ec2InstanceId"], "i-1");
    assert_eq!((&shown["status"], &shown["agentConnected"]), (&json!("ACTIVE"), &json!(false)));
    assert_eq!((&shown["runningTasksCount"], &shown["capacityProviderName"]), (&json!(2), &json!("cp")));
    let missing = "arn:aws:ecs:us-east-2:123456789012:container-instance/web/0123";
    assert_eq!(
        answer["failures"],
        json!([{"arn": elsewhere, "reason": "MISSING"}, {"arn": missing, "reason": "MISSING"}])
    );
    for count in [0, 101] {
        let asked = json!({"cluster": "web", "containerInstances": vec!["x"; count]});
        let reply = client.ecs("DescribeContainerInstances", asked).await;
        assert_eq!(reply.json()["__type"], "InvalidParameterException");
    }
}

#[tokio::test]
async fn deregistering_needs_force_while_tasks_run_and_happens_once() {
    let (aws, home, client) = start().await;
    let arn = home.container_instance("web", ContainerInstance::new("i-1").running_tasks(1));
    let deregister = async |force: bool| {
        let params = json!({"cluster": "web", "containerInstance": arn, "force": force});
        client.ecs("DeregisterContainerInstance", params).await
    };
    let tasks = "Found running tasks on the instance.";
    assert_error(&deregister(false).await, "InvalidParameterException", tasks);
    assert_eq!(home.status(&arn).as_deref(), Some("ACTIVE"));
    let done = deregister(true).await.json();
    assert_eq!(done["containerInstance"]["status"], "INACTIVE");
    assert_eq!(done["containerInstance"]["runningTasksCount"], 1);
    assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
    let id = arn.rsplit('/').next().unwrap();
    let gone = format!("Referenced container instance {id} not found.");
    assert_error(&deregister(true).await, "ClientException", &gone);
    assert_eq!(aws.writes().len(), 3);

    let asked = json!({"cluster": "web", "containerInstances": [arn]});
    let shown = client.ecs("DescribeContainerInstances", asked).await.json();
    assert_eq!(shown["containerInstances"][0]["status"], "INACTIVE");
}

#[tokio::test]
async fn deregistering_a_managed_instance_ends_it() {
    let (_aws, home, client) = start().await;
    home.capacity_provider(CapacityProvider::managed_instances("mi", "auto"));
    home.instance(Instance::new("i-00000001"));
    let arn = home.container_instance("auto", ContainerInstance::new("i-00000001").capacity_provider("mi"));
    let params = json!({"cluster": "auto", "containerInstance": arn, "force": true});
    assert_eq!(client.ecs("DeregisterContainerInstance", params).await.status, 200);
    assert_eq!(home.instance_at("i-00000001").unwrap().state, "shutting-down");
}

#[tokio::test]
async fn states_change_by_ten_and_fail_one_by_one() {
    let (_aws, home, client) = start().await;
    let active = home.container_instance("web", ContainerInstance::new("i-1"));
    let draining = home.container_instance("web", ContainerInstance::new("i-2").status("DRAINING"));
    let inactive = home.container_instance("web", ContainerInstance::new("i-3").status("INACTIVE"));
    let missing = active.replace(active.rsplit('/').next().unwrap(), "0123");
    let update = async |arns: &[&String], status: &str| {
        let params = json!({"cluster": "web", "containerInstances": arns, "status": status});
        client.ecs("UpdateContainerInstancesState", params).await
    };
    let answer = update(&[&active, &draining, &inactive, &missing], "DRAINING").await.json();
    assert_eq!(answer["containerInstances"].as_array().unwrap().len(), 2);
    let failures = json!([{"arn": inactive, "reason": "INACTIVE"}, {"arn": missing, "reason": "MISSING"}]);
    assert_eq!(answer["failures"], failures);
    assert_eq!(home.status(&active).as_deref(), Some("DRAINING"));

    let invalid = "InvalidParameterException";
    assert_eq!(update(&[&active; 11], "DRAINING").await.json()["__type"], invalid);
    assert_eq!(update(&[], "DRAINING").await.json()["__type"], invalid);
    assert_eq!(update(&[&active], "INACTIVE").await.json()["__type"], invalid);
    assert_eq!(update(&[&active], "ACTIVE").await.status, 200);
    assert_eq!(home.status(&active).as_deref(), Some("ACTIVE"));
}

#[tokio::test]
async fn unverified_answers_can_be_chosen() {
    let builder = Standin::builder()
        .deregistered_error("InvalidParameterException", "Container instance {id} is inactive.")
        .redrain_failure("DRAINING")
        .max_filter_values(2);
    let aws = builder.start().await.unwrap();
    let client = Client::new(&aws);
    let inactive = aws.home().container_instance("web", ContainerInstance::new("i-1").status("INACTIVE"));
    let draining = aws.home().container_instance("web", ContainerInstance::new("i-2").status("DRAINING"));
    let id = inactive.rsplit('/').next().unwrap();
    let params = json!({"cluster": "web", "containerInstance": id, "force": true});
    let message = format!("Container instance {id} is inactive.");
    assert_error(&client.ecs("DeregisterContainerInstance", params).await, "InvalidParameterException", &message);
    let params = json!({"cluster": "web", "containerInstances": [draining], "status": "DRAINING"});
    let answer = client.ecs("UpdateContainerInstancesState", params).await.json();
    assert_eq!(answer["failures"][0]["reason"], "DRAINING");
    let params = json!({"cluster": "web", "filter": "ec2InstanceId in ['a', 'b', 'c']"});
    assert_eq!(client.ecs("ListContainerInstances", params).await.status, 400);
}

#[tokio::test]
async fn capacity_providers_show_by_cluster() {
    let (_aws, home, client) = start().await;
    home.cluster(Cluster::new("web").capacity_provider("spot").capacity_provider("FARGATE"))
        .cluster(Cluster::new("auto"))
        .capacity_provider(CapacityProvider::asg("spot", "spot-asg"))
        .capacity_provider(CapacityProvider::asg("spot-2", "asg-2").managed_draining(false))
        .capacity_provider(CapacityProvider::managed_instances("mi", "auto"));
    let describe = async |params: Value| client.ecs("DescribeCapacityProviders", params).await.json();
    let names = |answer: &Value| -> Vec<String> {
        let providers = answer["capacityProviders"].as_array().unwrap();
        providers.iter().map(|provider| provider["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&describe(json!({})).await), ["FARGATE", "FARGATE_SPOT", "spot", "spot-2"]);
    assert_eq!(names(&describe(json!({"cluster": "web"})).await), ["FARGATE", "spot"]);
    let managed = describe(json!({"cluster": "auto"})).await;
    assert_eq!(managed["capacityProviders"][0]["type"], "MANAGED_INSTANCES");
    assert_eq!(
        describe(json!({"capacityProviders": ["mi"]})).await["failures"],
        json!([{"arn": "mi", "reason": "MISSING"}])
    );

    let arn = "arn:aws:ecs:us-east-2:123456789012:capacity-provider/spot";
    let spot = &describe(json!({"capacityProviders": [arn]})).await["capacityProviders"][0];
    assert_eq!((&spot["type"], &spot["capacityProviderArn"]), (&json!("EC2_AUTOSCALING"), &json!(arn)));
    let group = &spot["autoScalingGroupProvider"];
    assert!(group["autoScalingGroupArn"].as_str().unwrap().ends_with(":autoScalingGroupName/spot-asg"));
    assert_eq!(group["managedDraining"], "ENABLED");

    for n in 0..25 {
        home.capacity_provider(CapacityProvider::asg(format!("more-{n}"), "asg"));
    }
    let all = pages(&client, "DescribeCapacityProviders", json!({}), "capacityProviders").await;
    assert_eq!(sizes(&all), [10, 10, 9]);
}

#[tokio::test]
async fn tasks_are_listed_stopped_and_described() {
    let (_aws, home, client) = start().await;
    let arn = home.container_instance("web", ContainerInstance::new("i-1").running_tasks(1));
    let job = home.task(&arn, Task::standalone("job")).unwrap();
    let list = async |desired: &str| {
        let params = json!({"cluster": "web", "containerInstance": arn, "desiredStatus": desired});
        client.ecs("ListTasks", params).await.json()["taskArns"].as_array().unwrap().clone()
    };
    assert_eq!(list("RUNNING").await.len(), 2);
    let stop = json!({"cluster": "web", "task": job, "reason": "Spot interruption"});
    assert_eq!(client.ecs("StopTask", stop).await.json()["task"]["desiredStatus"], "STOPPED");
    assert_eq!((list("RUNNING").await.len(), list("STOPPED").await), (1, vec![json!(job)]));
    let asked = json!({"cluster": "web", "tasks": [job, "nope"]});
    let answer = client.ecs("DescribeTasks", asked).await.json();
    assert_eq!(answer["tasks"][0]["stoppedReason"], "Spot interruption");
    assert_eq!(answer["tasks"][0]["group"], "family:job");
    assert_eq!(answer["failures"], json!([{"arn": "nope", "reason": "MISSING"}]));
    assert_eq!(home.container_instance_at(&arn).unwrap().running_tasks, 1);
}
