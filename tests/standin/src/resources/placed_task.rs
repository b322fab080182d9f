//! Placed tasks, and the stages in which they stop.

mod running_container;
mod step;
mod stop;
mod traffic;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{DEFAULT_FAMILY, NetworkInterface, Services};
use crate::arn;
use crate::fate::Ending;
use crate::model::{Container, ContainerInstance, FargateTask, Task, TaskDefinition};
pub(crate) use running_container::RunningContainer;
use step::Step;
use traffic::Traffic;

/// How long a task that `RunTask` started takes until it runs.
const START: Duration = Duration::from_secs(10);

/// The subnet and the security group of container instances.
const SUBNET: &str = "subnet-0123456789abcdef0";
const SECURITY_GROUP: &str = "sg-0123456789abcdef0";

/// A placed task.
#[derive(Clone, Debug)]
pub(crate) struct PlacedTask {
    pub(crate) task: Task,
    /// The family of its task definition.
    pub(crate) family: String,
    pub(crate) containers: Vec<RunningContainer>,
    /// Its EC2 instance; empty on Fargate.
    pub(crate) instance: String,
    /// Its capacity provider, if it was started by one.
    pub(crate) capacity_provider: Option<String>,
    /// Its platform version, on Fargate.
    pub(crate) platform_version: Option<String>,
    /// Its own network interface, if it has one, also after it was deleted.
    pub(crate) network: Option<NetworkInterface>,
    /// When it was created.
    pub(crate) started: Instant,
    /// When it runs from.
    pub(crate) runs_from: Instant,
    /// When it was first meant to stop.
    pub(crate) stopping_at: Option<Instant>,
    pub(crate) stopped_at: Option<Instant>,
    /// When Fargate Spot interrupted it.
    pub(crate) interrupted: Option<Instant>,
    /// When its load balancer's target was deregistered.
    pub(crate) deregistered: Option<Instant>,
    /// The number of its states so far.
    pub(crate) version: u64,
    /// Its position in the order of placement.
    pub(crate) order: usize,
    /// Whether ECS no longer knows it.
    pub(crate) left: bool,
    cluster: String,
    awsvpc: bool,
    traffic: Traffic,
    /// Where its address is registered: target groups and ports; `None` if that was not done yet.
    targets: Option<Vec<(String, u16)>>,
    /// Whether the agent has begun to send SIGTERM.
    is_signalled: bool,
    next: Option<(Instant, Step)>,
}

impl PlacedTask {
    pub(crate) fn new(task: Task, container_instance: &ContainerInstance, started: Instant, order: usize) -> Self {
        Self {
            task,
            family: String::new(),
            containers: Vec::new(),
            instance: container_instance.ec2_instance_id.clone(),
            capacity_provider: container_instance.capacity_provider.clone(),
            platform_version: None,
            network: None,
            started,
            runs_from: started,
            stopping_at: None,
            stopped_at: None,
            interrupted: None,
            deregistered: None,
            version: 1,
            order,
            left: false,
            cluster: container_instance.cluster.clone(),
            awsvpc: false,
            traffic: Traffic::Off,
            targets: None,
            is_signalled: false,
            next: None,
        }
    }

    pub(super) fn on_fargate(fargate: FargateTask, cluster: &str, started: Instant, order: usize) -> Self {
        let FargateTask { task, capacity_provider, platform_version, subnet, security_groups, public_ip } = fargate;
        let nowhere = ContainerInstance { cluster: cluster.to_owned(), ..ContainerInstance::new("") };
        Self {
            capacity_provider,
            platform_version: Some(platform_version),
            network: Some(NetworkInterface::new(order, &subnet, &security_groups, public_ip)),
            ..Self::new(task, &nowhere, started, order)
        }
    }

    /// Whether it runs on Fargate.
    pub(crate) fn is_on_fargate(&self) -> bool {
        self.platform_version.is_some()
    }

    /// Makes it start now: it runs after some time.
    pub(super) fn start(&mut self, now: Instant) {
        let status = if self.network.is_some() { "PROVISIONING" } else { "PENDING" };
        status.clone_into(&mut self.task.last_status);
        self.runs_from = now + START;
        self.next = Some((self.runs_from, Step::Started));
    }

    /// Its network interface, while that exists.
    pub(crate) fn live_network(&self) -> Option<&NetworkInterface> {
        self.network.as_ref().filter(|_| !self.left && !self.task.is_stopped())
    }

    /// Sets its containers from its definition, and its load balancer from its service.
    pub(super) fn define(&mut self, definitions: &BTreeMap<String, TaskDefinition>, services: &Services) {
        let name = self.task.group.strip_prefix("service:").unwrap_or_default();
        let service = services.get(&(self.cluster.clone(), name.to_owned())).map(|scheduled| &scheduled.model);
        let family =
            self.task.task_definition.as_ref().or(service.and_then(|service| service.task_definition.as_ref()));
        family.map_or(DEFAULT_FAMILY, String::as_str).clone_into(&mut self.family);
        let definition = definitions.get(&self.family).cloned().unwrap_or_else(|| TaskDefinition::new(&self.family));
        let mut dependencies = definition.dependencies();
        let process = |container: Container| {
            let depends_on = dependencies.remove(&container.name).unwrap_or_default();
            RunningContainer::new(container, depends_on)
        };
        self.containers = definition.all_containers().into_iter().map(process).collect();
        let has_ended = |name: &str| self.containers.iter().any(|other| other.needs_end_of(name));
        let ended: Vec<_> = self.containers.iter().map(|process| has_ended(&process.model.name)).collect();
        for (process, _) in self.containers.iter_mut().zip(ended).filter(|(_, ended)| *ended) {
            process.ended = Some((self.started, Ending::Exited));
        }
        self.awsvpc = definition.awsvpc || self.is_on_fargate();
        if self.awsvpc && self.network.is_none() {
            self.network = Some(NetworkInterface::new(self.order, SUBNET, &[SECURITY_GROUP.to_owned()], false));
        }
        let balanced = service.is_some_and(|service| service.deregistration_delay.is_some());
        if self.deregistered.is_none() {
            self.traffic = if balanced { Traffic::On } else { Traffic::Off };
        }
    }

    /// Whether it runs and nothing has happened to it yet.
    pub(super) fn is_whole(&self) -> bool {
        self.is_running()
            && self.containers.iter().all(|process| process.ended.is_none_or(|(at, _)| at == self.started))
    }

    pub(super) fn is_running(&self) -> bool {
        !self.left && self.task.is_running()
    }

    /// Its service or family, and the start of its id.
    pub(crate) fn subject(&self) -> String {
        let (_, name) = self.task.group.split_once(':').unwrap_or_default();
        let id: String = arn::last(&self.task.arn).chars().take(8).collect();
        format!("{name} {id}")
    }

    /// The time of its next change.
    pub(super) fn due(&self) -> Option<Instant> {
        let deregister_target = if let Traffic::Until(until) = self.traffic { Some(until) } else { None };
        let ends = self.containers.iter().filter_map(|process| process.end(self.finish())).map(|(at, _)| at);
        ends.chain(deregister_target).chain(self.next.map(|(at, _)| at)).min()
    }

    fn finish(&self) -> Option<Instant> {
        Some(self.runs_from + self.task.finishes_after?)
    }
}
