//! ECS container instances.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::resources::PlacedTask;

/// A container instance: an EC2 instance's registration with a cluster.
#[derive(Clone, Debug)]
pub struct ContainerInstance {
    /// Its ARN, set when it is registered.
    pub arn: String,
    /// The name of its cluster, set when it is registered.
    pub cluster: String,
    /// The EC2 instance behind it.
    pub ec2_instance_id: String,
    /// `ACTIVE` unless set; in a snapshot, the status it has now.
    pub status: String,
    /// In a snapshot, when it got the status it has now; `None` if it never had another.
    pub status_since: Option<Instant>,
    /// The capacity provider that launched it.
    pub capacity_provider: Option<String>,
    /// Whether its agent is connected.
    pub agent_connected: bool,
    /// Tasks to start it with; in a snapshot, the tasks that run now.
    pub running_tasks: usize,
    /// Tasks on their way to running.
    pub pending_tasks: usize,
    /// Its custom attributes.
    pub attributes: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    pub(crate) short_arn: bool,
}

impl ContainerInstance {
    /// An active container instance without tasks.
    #[must_use]
    pub fn new(ec2_instance_id: impl Into<String>) -> Self {
        Self {
            arn: String::new(),
            cluster: String::new(),
            ec2_instance_id: ec2_instance_id.into(),
            status: "ACTIVE".to_owned(),
            status_since: None,
            capacity_provider: None,
            agent_connected: true,
            running_tasks: 0,
            pending_tasks: 0,
            attributes: BTreeMap::new(),
            tags: BTreeMap::new(),
            short_arn: false,
        }
    }

    /// Sets the status: `REGISTERING`, `ACTIVE`, `DRAINING`, `INACTIVE` and so on.
    #[must_use]
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.status = status.into();
        self
    }

    /// Sets the capacity provider that launched it.
    #[must_use]
    pub fn capacity_provider(mut self, name: impl Into<String>) -> Self {
        self.capacity_provider = Some(name.into());
        self
    }

    /// Starts it with this many tasks of a service.
    #[must_use]
    pub fn running_tasks(mut self, count: usize) -> Self {
        self.running_tasks = count;
        self
    }

    /// Sets how many tasks are pending.
    #[must_use]
    pub fn pending_tasks(mut self, count: usize) -> Self {
        self.pending_tasks = count;
        self
    }

    /// Sets whether its agent is connected.
    #[must_use]
    pub fn agent_connected(mut self, connected: bool) -> Self {
        self.agent_connected = connected;
        self
    }

    /// Adds a custom attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Gives it an ARN in the old format, which does not name the cluster.
    #[must_use]
    pub fn short_arn(mut self) -> Self {
        self.short_arn = true;
        self
    }
}

/// A registered container instance, with its history.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) model: ContainerInstance,
    /// All tasks that were ever placed on it.
    pub(crate) runs: Vec<PlacedTask>,
    pub(crate) version: u64,
    /// The status that reads still show, and until when.
    stale: Option<(String, Instant)>,
}

impl Record {
    pub(crate) fn new(model: ContainerInstance) -> Self {
        Self { model, runs: Vec::new(), version: 1, stale: None }
    }

    /// Changes the status; reads show it after `settle`.
    pub(crate) fn set_status(&mut self, status: &str, now: Instant, settle: Duration) {
        let shown = self.shown_status(now).to_owned();
        self.stale = (!settle.is_zero()).then(|| (shown, now + settle));
        status.clone_into(&mut self.model.status);
        self.model.status_since = Some(now);
        self.version += 1;
    }

    /// The status that a read shows at this time.
    pub(crate) fn shown_status(&self, now: Instant) -> &str {
        match &self.stale {
            Some((status, until)) if now < *until => status,
            _ => &self.model.status,
        }
    }

    /// The tasks that ECS knows of.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &PlacedTask> {
        self.runs.iter().filter(|run| !run.left)
    }

    pub(crate) fn running_tasks(&self) -> usize {
        self.tasks().filter(|run| run.task.is_running()).count()
    }

    pub(crate) fn pending_tasks(&self) -> usize {
        self.model.pending_tasks + self.tasks().filter(|run| run.task.is_pending()).count()
    }

    pub(crate) fn snapshot(&self) -> ContainerInstance {
        ContainerInstance { running_tasks: self.running_tasks(), ..self.model.clone() }
    }
}
