//! ECS task definitions.

use super::Container;

/// The first revision of a task definition.
#[derive(Clone, Debug)]
pub struct TaskDefinition {
    /// Its family, unique in its account and Region.
    pub family: String,
    /// Its containers; where none is added, there is one called `app`.
    pub containers: Vec<Container>,
    /// Whether it is for Windows.
    pub windows: bool,
    /// Whether each task has a network interface of its own.
    pub awsvpc: bool,
}

impl TaskDefinition {
    /// A task definition for Linux in bridge mode.
    #[must_use]
    pub fn new(family: impl Into<String>) -> Self {
        Self { family: family.into(), containers: Vec::new(), windows: false, awsvpc: false }
    }

    /// Adds a container.
    #[must_use]
    pub fn container(mut self, container: Container) -> Self {
        self.containers.push(container);
        self
    }

    /// Makes it one for Windows Server 2022 Core.
    #[must_use]
    pub fn windows(mut self) -> Self {
        self.windows = true;
        self
    }

    /// Gives each task a network interface of its own.
    #[must_use]
    pub fn awsvpc(mut self) -> Self {
        self.awsvpc = true;
        self
    }

    /// Its containers, of which there is at least one.
    pub(crate) fn all_containers(&self) -> Vec<Container> {
        if self.containers.is_empty() { vec![Container::new("app")] } else { self.containers.clone() }
    }
}
