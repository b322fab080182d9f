//! A handle to one account's resources in one Region.

mod auto_scaling;
mod fargate;
mod interruptions;
mod kubernetes;
mod target_groups;

pub use auto_scaling::Launch;
pub use fargate::SpotShape;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arn;
use crate::model::{CapacityProvider, Cluster, ContainerInstance, Instance, Record, Service, Task, TaskDefinition};
use crate::queue::Queues;
use crate::resources::{Resources, Scheduled};
use crate::state::Shared;

/// An account's resources in a Region, which can be filled, changed and read at any time.
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

    pub(crate) fn queues<T>(&self, change: impl FnOnce(&mut Queues) -> T) -> T {
        change(&mut self.shared.lock().queues)
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
        self.with(|resources| resources.clusters.insert(cluster.name.clone(), cluster));
        self
    }

    /// Adds an EC2 instance or replaces it.
    pub fn instance(&self, instance: Instance) -> &Self {
        self.with(|resources| {
            resources.instances.insert(instance.id.clone(), instance);
            resources.enroll();
        });
        self
    }

    /// Adds a capacity provider or replaces it. A cluster lists it only if it is added to the cluster.
    pub fn capacity_provider(&self, provider: CapacityProvider) -> &Self {
        self.with(|resources| resources.providers.insert(provider.name.clone(), provider));
        self
    }

    /// Adds a task definition or replaces it, also for running tasks, and returns its ARN.
    pub fn task_definition(&self, definition: TaskDefinition) -> String {
        let resource = format!("task-definition/{}:1", definition.family);
        self.with(|resources| {
            resources.definitions.insert(definition.family.clone(), definition);
            resources.redefine();
        });
        arn::arn("ecs", &self.name, &self.account, &resource)
    }

    /// Adds a service or replaces it. The cluster is created if it does not exist.
    pub fn service(&self, cluster: &str, service: Service) -> &Self {
        self.with(|resources| {
            resources.clusters.entry(cluster.to_owned()).or_insert_with(|| Cluster::new(cluster));
            if let Some(delay) = service.deregistration_delay {
                let balancers = service.load_balancers().into_iter();
                let names = balancers.flat_map(|balancer| [Some(balancer.target_group), balancer.alternate]);
                resources.add_target_groups(&names.flatten().collect::<Vec<_>>(), delay);
            }
            resources.services.insert((cluster.to_owned(), service.name.clone()), Scheduled::new(service));
            resources.redefine();
        });
        self
    }

    /// Registers a container instance with a cluster and returns its ARN. The cluster is created if it does not exist.
    ///
    /// The EC2 instance is not created: a container instance without one belongs to an instance that is gone.
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
        self.with(|resources| {
            resources.clusters.entry(cluster.to_owned()).or_insert_with(|| Cluster::new(cluster));
            let records = resources.records.entry(cluster.to_owned()).or_default();
            records.insert(arn.clone(), Record::new(instance));
            for task in tasks {
                resources.put(&arn, task);
            }
        });
        arn
    }

    /// Places a task on a container instance and returns the task's ARN; `None` where there is no such instance.
    pub fn task(&self, container_instance: &str, task: Task) -> Option<String> {
        let cluster = self.container_instance_at(container_instance)?.cluster;
        let task = self.placed(&cluster, task);
        let arn = task.arn.clone();
        self.with(|resources| resources.put(container_instance, task));
        Some(arn)
    }

    /// The status that a container instance has now, settled or not; `None` where there is none.
    #[must_use]
    pub fn status(&self, arn: &str) -> Option<String> {
        self.container_instance_at(arn).map(|instance| instance.status)
    }

    /// Sets a container instance's status, as another drainer would. An INACTIVE one loses its tasks.
    pub fn set_status(&self, arn: &str, status: &str) {
        self.with(|resources| {
            resources.set_status(arn, status, Duration::ZERO);
            if status == "INACTIVE" {
                resources.release(arn);
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
        self.with(|resources| resources.record_mut(arn).map(|record| record.snapshot()))
    }

    /// Every container instance as it is now, deregistered ones included.
    #[must_use]
    pub fn container_instances(&self) -> Vec<ContainerInstance> {
        self.with(|resources| resources.records_mut().map(|record| record.snapshot()).collect())
    }

    /// The tasks of a container instance as they are now.
    #[must_use]
    pub fn tasks(&self, container_instance: &str) -> Vec<Task> {
        self.with(|resources| {
            let record = resources.record_mut(container_instance);
            record.map(|record| record.tasks().map(|run| run.task.clone()).collect()).unwrap_or_default()
        })
    }

    /// Changes a task; nothing happens where there is no such task.
    pub fn change_task(&self, arn: &str, change: impl FnOnce(&mut Task)) {
        self.with(|resources| {
            let now = resources.now;
            if let Some(run) = resources.task_mut(arn) {
                change(&mut run.task);
                run.follow(now);
            }
        });
    }

    /// An EC2 instance as it is now.
    #[must_use]
    pub fn instance_at(&self, id: &str) -> Option<Instance> {
        self.with(|resources| resources.instances.get(id).cloned())
    }

    /// Changes an EC2 instance; nothing happens where there is no such instance.
    pub fn change_instance(&self, id: &str, change: impl FnOnce(&mut Instance)) {
        self.with(|resources| resources.instances.get_mut(id).map(change));
    }

    /// Removes an EC2 instance, as EC2 does some time after it ended.
    pub fn forget_instance(&self, id: &str) {
        self.with(|resources| resources.instances.remove(id));
    }

    /// Connects the agent of a container instance, or disconnects it.
    pub fn connect_agent(&self, arn: &str, connected: bool) {
        self.with(|resources| resources.record_mut(arn).map(|record| record.model.agent_connected = connected));
    }

    /// Removes a container instance, as ECS does some time after it was deregistered.
    pub fn forget_container_instance(&self, arn: &str) {
        self.with(|resources| resources.records.values_mut().for_each(|records| drop(records.remove(arn))));
    }

    /// Removes a cluster with its container instances and services.
    pub fn forget_cluster(&self, name: &str) {
        self.with(|resources| {
            resources.clusters.remove(name);
            resources.records.remove(name);
            resources.fargate.remove(name);
            resources.services.retain(|(cluster, _), _| cluster != name);
        });
    }

    fn placed(&self, cluster: &str, task: Task) -> Task {
        let resource = format!("task/{cluster}/{}", arn::hex(32));
        let arn = arn::arn("ecs", &self.name, &self.account, &resource);
        Task { arn, ..task }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Resources) -> T) -> T {
        act(self.shared.lock().resources_of(&self.account, &self.name))
    }
}
