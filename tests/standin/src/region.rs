//! A handle on what one account has in one Region.

mod interruptions;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arn;
use crate::model::{CapacityProvider, Cluster, ContainerInstance, Instance, Record, Service, Task, TaskDefinition};
use crate::place::{Place, Scheduled};
use crate::state::Shared;

/// An account's resources in a Region, to be filled, changed and looked at at any time.
///
/// Changes made here show at once; only changes made over the wire take time to settle.
#[derive(Clone, Debug)]
pub struct Region {
    shared: Shared,
    account: String,
    name: String,
}

impl Region {
    pub(crate) fn new(shared: Shared, account: String, name: String) -> Self {
        Self { shared, account, name }
    }

    /// The account's id.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The Region's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a cluster or replaces its description; its container instances stay.
    pub fn cluster(&self, cluster: Cluster) -> &Self {
        self.with(|place| place.clusters.insert(cluster.name.clone(), cluster));
        self
    }

    /// Adds an EC2 instance or replaces it.
    pub fn instance(&self, instance: Instance) -> &Self {
        self.with(|place| place.instances.insert(instance.id.clone(), instance));
        self
    }

    /// Adds a capacity provider or replaces it. A cluster lists it only if told so.
    pub fn capacity_provider(&self, provider: CapacityProvider) -> &Self {
        self.with(|place| place.providers.insert(provider.name.clone(), provider));
        self
    }

    /// Adds a task definition or replaces it, for tasks that run, too, and returns its ARN.
    pub fn task_definition(&self, definition: TaskDefinition) -> String {
        let resource = format!("task-definition/{}:1", definition.family);
        self.with(|place| {
            place.definitions.insert(definition.family.clone(), definition);
            place.redefine();
        });
        arn::arn("ecs", &self.name, &self.account, &resource)
    }

    /// Adds a service or replaces it; the cluster is made if there is none.
    pub fn service(&self, cluster: &str, service: Service) -> &Self {
        self.with(|place| {
            place.clusters.entry(cluster.to_owned()).or_insert_with(|| Cluster::new(cluster));
            place.services.insert((cluster.to_owned(), service.name.clone()), Scheduled::new(service));
            place.redefine();
        });
        self
    }

    /// Registers a container instance with a cluster and returns its ARN; the cluster is made if there is none.
    ///
    /// The EC2 instance is not made: one without it is an instance that is gone.
    pub fn container_instance(&self, cluster: &str, mut instance: ContainerInstance) -> String {
        let id = arn::hex(32);
        let resource = if instance.short_arn {
            format!("container-instance/{id}")
        } else {
            format!("container-instance/{cluster}/{id}")
        };
        let arn = arn::arn("ecs", &self.name, &self.account, &resource);
        arn.clone_into(&mut instance.arn);
        cluster.clone_into(&mut instance.cluster);
        let tasks: Vec<Task> =
            (0..instance.running_tasks).map(|_| self.placed(cluster, Task::of_service("app"))).collect();
        self.with(|place| {
            place.clusters.entry(cluster.to_owned()).or_insert_with(|| Cluster::new(cluster));
            let records = place.records.entry(cluster.to_owned()).or_default();
            records.insert(arn.clone(), Record::new(instance));
            for task in tasks {
                place.put(&arn, task);
            }
        });
        arn
    }

    /// Places a task on a container instance and returns the task's ARN; `None` where there is no such instance.
    pub fn task(&self, container_instance: &str, task: Task) -> Option<String> {
        let cluster = self.container_instance_at(container_instance)?.cluster;
        let task = self.placed(&cluster, task);
        let arn = task.arn.clone();
        self.with(|place| place.put(container_instance, task));
        Some(arn)
    }

    /// The status that a container instance has now, settled or not; `None` where there is none.
    #[must_use]
    pub fn status(&self, arn: &str) -> Option<String> {
        self.container_instance_at(arn).map(|instance| instance.status)
    }

    /// Sets a container instance's status, as another drainer would; one that is INACTIVE loses its tasks.
    pub fn set_status(&self, arn: &str, status: &str) {
        self.with(|place| {
            place.set_status(arn, status, Duration::ZERO);
            if status == "INACTIVE" {
                place.release(arn);
            }
        });
    }

    /// The custom attributes of a container instance; empty where there is no such instance.
    #[must_use]
    pub fn attributes(&self, arn: &str) -> BTreeMap<String, String> {
        self.container_instance_at(arn).map(|instance| instance.attributes).unwrap_or_default()
    }

    /// A container instance as it is now.
    #[must_use]
    pub fn container_instance_at(&self, arn: &str) -> Option<ContainerInstance> {
        self.with(|place| place.record_mut(arn).map(|record| record.snapshot()))
    }

    /// Every container instance as it is now, deregistered ones included.
    #[must_use]
    pub fn container_instances(&self) -> Vec<ContainerInstance> {
        self.with(|place| place.records_mut().map(|record| record.snapshot()).collect())
    }

    /// The tasks of a container instance as they are now.
    #[must_use]
    pub fn tasks(&self, container_instance: &str) -> Vec<Task> {
        self.with(|place| {
            let record = place.record_mut(container_instance);
            record.map(|record| record.tasks().map(|run| run.task.clone()).collect()).unwrap_or_default()
        })
    }

    /// Changes a task; nothing happens where there is no such task.
    pub fn change_task(&self, arn: &str, change: impl FnOnce(&mut Task)) {
        self.with(|place| {
            let now = place.now;
            let mut runs = place.records_mut().flat_map(|record| &mut record.runs);
            if let Some(run) = runs.find(|run| !run.left && run.task.arn == arn) {
                change(&mut run.task);
                run.follow(now);
            }
        });
    }

    /// An EC2 instance as it is now.
    #[must_use]
    pub fn instance_at(&self, id: &str) -> Option<Instance> {
        self.with(|place| place.instances.get(id).cloned())
    }

    /// Changes an EC2 instance; nothing happens where there is no such instance.
    pub fn change_instance(&self, id: &str, change: impl FnOnce(&mut Instance)) {
        self.with(|place| place.instances.get_mut(id).map(change));
    }

    /// Takes an EC2 instance away, as EC2 does some time after its end.
    pub fn forget_instance(&self, id: &str) {
        self.with(|place| place.instances.remove(id));
    }

    /// Connects the agent of a container instance, or disconnects it.
    pub fn connect_agent(&self, arn: &str, connected: bool) {
        self.with(|place| place.record_mut(arn).map(|record| record.model.agent_connected = connected));
    }

    /// Takes a container instance away, as ECS does some time after it was deregistered.
    pub fn forget_container_instance(&self, arn: &str) {
        self.with(|place| place.records.values_mut().for_each(|records| drop(records.remove(arn))));
    }

    /// Takes a cluster away with its container instances and services.
    pub fn forget_cluster(&self, name: &str) {
        self.with(|place| {
            place.clusters.remove(name);
            place.records.remove(name);
            place.services.retain(|(cluster, _), _| cluster != name);
        });
    }

    fn placed(&self, cluster: &str, task: Task) -> Task {
        let resource = format!("task/{cluster}/{}", arn::hex(32));
        let arn = arn::arn("ecs", &self.name, &self.account, &resource);
        Task { arn, ..task }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Place) -> T) -> T {
        act(self.shared.lock().place(&self.account, &self.name))
    }
}
