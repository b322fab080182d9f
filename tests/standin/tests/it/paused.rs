//! A stand-in with paused time.

use std::time::Duration;

use serde_json::{Value, json};
use standin::{ContainerInstance, Instance, Moment, Region, Standin, Task};

use crate::client::{Client, Reply};

/// The instance that is interrupted.
pub(crate) const ID: &str = "i-1234567890abcdef0";

/// One instance in the cluster `web`.
pub(crate) struct Paused {
    pub(crate) aws: Standin,
    pub(crate) home: Region,
    /// Its container instance.
    pub(crate) container_instance: String,
    client: Client,
}

impl Paused {
    pub(crate) async fn start() -> Self {
        Self::with(Standin::builder().start().await.unwrap())
    }

    pub(crate) fn with(aws: Standin) -> Self {
        let (home, client) = (aws.home(), Client::new(&aws));
        home.instance(Instance::new(ID));
        let container_instance = home.container_instance("web", ContainerInstance::new(ID));
        Self { aws, home, container_instance, client }
    }

    /// Places tasks on the instance.
    pub(crate) fn put(&self, count: usize, task: &Task) -> Vec<String> {
        (0..count).map(|_| self.home.task(&self.container_instance, task.clone()).unwrap()).collect()
    }

    /// Calls ECS about the cluster and expects success.
    pub(crate) async fn ecs(&self, api: &str, mut params: Value) -> Value {
        params["cluster"] = json!("web");
        let reply = self.client.here(&self.aws, api, params).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    /// Calls ECS about the cluster and expects an error, of which it gives the code.
    pub(crate) async fn refused(&self, api: &str, mut params: Value) -> String {
        params["cluster"] = json!("web");
        let reply = self.client.here(&self.aws, api, params).await.unwrap();
        assert_eq!(reply.status, 400, "{}", reply.body);
        reply.json()["__type"].as_str().unwrap().to_owned()
    }

    /// Calls a service with a query protocol: `ec2`, `autoscaling` or `elasticloadbalancing`.
    pub(crate) async fn query(&self, service: &str, query: &str) -> Reply {
        self.client.query_here(&self.aws, service, query).await
    }

    /// Calls ECS and returns the whole answer.
    pub(crate) async fn ecs_reply(&self, api: &str, params: Value) -> Reply {
        self.client.here(&self.aws, api, params).await.unwrap()
    }

    pub(crate) async fn set_state(&self, status: &str) {
        self.ecs(
            "UpdateContainerInstancesState",
            json!({"containerInstances": [self.container_instance], "status": status}),
        )
        .await;
    }

    pub(crate) async fn drain(&self) {
        self.set_state("DRAINING").await;
    }

    pub(crate) async fn stop(&self, task: &str) -> Value {
        self.ecs("StopTask", json!({"task": task, "reason": "Spot interruption"})).await["task"].clone()
    }

    pub(crate) async fn deregister(&self) {
        self.ecs("DeregisterContainerInstance", json!({"containerInstance": self.container_instance, "force": true}))
            .await;
    }

    pub(crate) async fn describe(&self, task: &str) -> Value {
        self.ecs("DescribeTasks", json!({"tasks": [task]})).await["tasks"][0].clone()
    }

    /// The last status of each of the instance's tasks, in order.
    pub(crate) fn statuses(&self) -> Vec<String> {
        self.home.tasks(&self.container_instance).into_iter().map(|task| task.last_status).collect()
    }

    /// When a change happened, in seconds since the notice or the start.
    pub(crate) fn times(&self, what: &str) -> Vec<f64> {
        let moments = self.home.history().into_iter();
        moments.filter(|moment: &Moment| moment.what == what).map(|moment| moment.at.as_secs_f64()).collect()
    }
}

/// Lets time pass.
pub(crate) async fn pass(seconds: f64) {
    tokio::time::advance(Duration::from_secs_f64(seconds)).await;
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
