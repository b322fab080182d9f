//! ECS task definitions.

use std::collections::BTreeMap;

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
    /// Whether it was deregistered, so that no new task can be started from it.
    pub inactive: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl TaskDefinition {
    /// A task definition for Linux in bridge mode.
    #[must_use]
    pub fn new(family: impl Into<String>) -> Self {
        Self {
            family: family.into(),
            containers: Vec::new(),
            windows: false,
            awsvpc: false,
            inactive: false,
            tags: BTreeMap::new(),
        }
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

    /// Deregisters it: tasks run on, and no new one can be started.
    #[must_use]
    pub fn inactive(mut self) -> Self {
        self.inactive = true;
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Its containers, of which there is at least one.
    pub(crate) fn all_containers(&self) -> Vec<Container> {
        if self.containers.is_empty() { vec![Container::new("app")] } else { self.containers.clone() }
    }

    /// For each container, the containers that it depends on, as the agent sees it.
    pub(crate) fn dependencies(&self) -> BTreeMap<String, Vec<(String, String)>> {
        let all = self.all_containers();
        let mut dependencies: BTreeMap<_, _> = all
            .iter()
            .map(|container| {
                let volumes = container.volumes_from.iter().map(|name| (name.clone(), "CREATE".to_owned()));
                let links = container.links.iter().map(|link| link.split(':').next().unwrap_or_default());
                let links = links.map(|name| (name.to_owned(), "START".to_owned()));
                let depends_on = container.depends_on.iter().cloned().chain(volumes).chain(links);
                (container.name.clone(), depends_on.collect::<Vec<_>>())
            })
            .collect();
        let router = all.iter().rfind(|container| container.log_router);
        if let Some(router) = router.filter(|router| dependencies[&router.name].is_empty()) {
            let is_routed = |container: &&Container| container.log_driver.as_deref() == Some("awsfirelens");
            for routed in all.iter().filter(is_routed).filter(|container| container.name != router.name) {
                let depends_on = dependencies.entry(routed.name.clone()).or_default();
                depends_on.push((router.name.clone(), "START".to_owned()));
            }
        }
        dependencies
    }
}
