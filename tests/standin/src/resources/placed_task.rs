//! Placed tasks, and the stages in which they stop.

mod running_container;
mod stop;
mod traffic;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{DEFAULT_FAMILY, NetworkInterface, Services};
use crate::arn;
use crate::fate::Ending;
use crate::history::History;
use crate::model::{Container, ContainerInstance, FargateTask, Task, TaskDefinition};
pub(crate) use running_container::RunningContainer;
use traffic::Traffic;

/// The time that the agent takes from the decision to stop a task until SIGTERM.
const SIGNAL: Duration = Duration::from_secs(1);

/// The time that cleaning up after the last container takes.
const DEPROVISIONING: Duration = Duration::from_secs(1);

/// How long a task that `RunTask` started takes until it runs.
const START: Duration = Duration::from_secs(10);

/// The subnet and the security group of container instances.
const SUBNET: &str = "subnet-0123456789abcdef0";
const SECURITY_GROUP: &str = "sg-0123456789abcdef0";

/// How long ECS remembers a stopped task.
const REMEMBERED: Duration = Duration::from_hours(1);

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

/// The next stage of a task that is being stopped.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The deregistration delay has passed.
    Deactivated,
    /// It runs.
    Started,
    /// An interrupted task of Fargate Spot shows that it stops.
    Stopping,
    /// The agent sends SIGTERM.
    Signal,
    /// It is cleaned up.
    Stopped,
    /// ECS forgets it.
    Forgotten,
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

    /// Makes the changes that are due.
    pub(super) fn advance(&mut self, now: Instant, history: &mut History) {
        if matches!(self.traffic, Traffic::Until(until) if until <= now) {
            self.deregister_target(now, history);
        }
        if let Some((_, step)) = self.next.take_if(|(at, _)| *at <= now) {
            self.step(step, now, history);
        }
        let (subject, finish) = (self.subject(), self.finish());
        for process in &mut self.containers {
            if let Some((at, ending)) = process.end(finish).filter(|(at, _)| *at <= now) {
                process.ended = Some((at, ending));
                process.with_traffic |= self.traffic != Traffic::Off;
                let how = if ending == Ending::Killed { "was killed" } else { "exited" };
                history.note(now, subject.clone(), format!("{} {how}", process.model.name));
            }
        }
        if self.is_signalled {
            self.signal(now, history);
        }
        let has_ended = self.containers.iter().all(|process| process.ended.is_some());
        if has_ended && !self.left && !matches!(self.task.last_status.as_str(), "DEPROVISIONING" | "STOPPED") {
            let reason = "Essential container in task exited";
            self.stop("DEPROVISIONING", Some("EssentialContainerExited"), reason, now);
            self.next = Some((now + DEPROVISIONING, Step::Stopped));
        }
    }

    fn step(&mut self, step: Step, now: Instant, history: &mut History) {
        match step {
            Step::Started => {
                self.version += 1;
                "RUNNING".clone_into(&mut self.task.last_status);
                history.note(now, self.subject(), "RUNNING");
            }
            Step::Stopping => {
                self.version += 1;
                "STOPPING".clone_into(&mut self.task.last_status);
            }
            Step::Deactivated => {
                "STOPPING".clone_into(&mut self.task.last_status);
                self.next = Some((now + SIGNAL, Step::Signal));
            }
            Step::Signal => {
                self.is_signalled = true;
                self.signal(now, history);
            }
            Step::Stopped => {
                self.version += 1;
                self.stopped_at = Some(now);
                "STOPPED".clone_into(&mut self.task.last_status);
                self.next = Some((now + REMEMBERED, Step::Forgotten));
                history.note(now, self.subject(), "STOPPED");
            }
            Step::Forgotten => self.left = true,
        }
    }

    /// Sends SIGTERM to the containers that no other running container depends on.
    fn signal(&mut self, now: Instant, history: &mut History) {
        let waits = |name: &str| self.containers.iter().any(|other| other.is_stopped_before(name));
        let is_next = |process: &RunningContainer| process.ended.is_none() && process.sigterm.is_none();
        let next = self.containers.iter().map(|process| is_next(process) && !waits(&process.model.name));
        let next: Vec<_> = next.collect();
        if next.contains(&true) {
            history.note(now, self.subject(), "SIGTERM");
        }
        for (process, _) in self.containers.iter_mut().zip(next).filter(|(_, next)| *next) {
            process.sigterm = Some(now);
            process.sigterm_with_traffic = self.traffic != Traffic::Off;
        }
    }
}
