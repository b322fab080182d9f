//! ECS services.

use std::time::Duration;

use super::LoadBalancer;

/// A service, whose tasks the scheduler moves off draining container instances.
///
/// Tasks that are on no container instance of the stand-in run elsewhere and are healthy.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name, unique in its cluster.
    pub name: String,
    /// The number of tasks that it is to have.
    pub desired_count: usize,
    /// The share of its tasks that has to be healthy, in percent; 100 unless set.
    pub minimum_healthy_percent: u32,
    /// The share of its tasks that may run or start, in percent; 200 unless set.
    pub maximum_percent: u32,
    /// Whether it has one task on each container instance.
    pub daemon: bool,
    /// The deregistration delay of its load balancer; `None` if it has none.
    pub deregistration_delay: Option<Duration>,
    /// How long a replacement takes from its start until it is healthy; `None` if it never starts.
    pub replaced_after: Option<Duration>,
    /// The family of its task definition; `app` where unset.
    pub task_definition: Option<String>,
    /// Its capacity provider; `None` if it is on container instances by launch type.
    pub capacity_provider: Option<String>,
    load_balancers: Vec<LoadBalancer>,
}

impl Service {
    /// A replica service without a load balancer, whose replacements are healthy after 20 seconds.
    #[must_use]
    pub fn new(name: impl Into<String>, desired_count: usize) -> Self {
        Self {
            name: name.into(),
            desired_count,
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            daemon: false,
            deregistration_delay: None,
            replaced_after: Some(Duration::from_secs(20)),
            task_definition: None,
            capacity_provider: None,
            load_balancers: Vec::new(),
        }
    }

    /// Sets the share of its tasks that has to be healthy.
    #[must_use]
    pub fn minimum_healthy_percent(mut self, percent: u32) -> Self {
        self.minimum_healthy_percent = percent;
        self
    }

    /// Sets the share of its tasks that may run or start.
    #[must_use]
    pub fn maximum_percent(mut self, percent: u32) -> Self {
        self.maximum_percent = percent;
        self
    }

    /// Makes it a daemon, with one task on each container instance, which is stopped last.
    #[must_use]
    pub fn daemon(mut self) -> Self {
        self.daemon = true;
        self
    }

    /// Registers its tasks in a target group, by the port of a container. The target group is created if it does not
    /// exist.
    #[must_use]
    pub fn target_group(mut self, name: impl Into<String>, container: impl Into<String>, port: u16) -> Self {
        self.deregistration_delay.get_or_insert(Duration::from_mins(5));
        let (target_group, container) = (name.into(), container.into());
        self.load_balancers.push(LoadBalancer { target_group, alternate: None, container, port });
        self
    }

    /// Makes it a blue/green service, with another target group beside the last one.
    #[must_use]
    pub fn alternate_target_group(mut self, name: impl Into<String>) -> Self {
        if let Some(last) = self.load_balancers.last_mut() {
            last.alternate = Some(name.into());
        }
        self
    }

    /// Sets its capacity provider.
    #[must_use]
    pub fn capacity_provider(mut self, name: impl Into<String>) -> Self {
        self.capacity_provider = Some(name.into());
        self
    }

    /// Its load balancers: where only a deregistration delay is set, one whose target group has the service's name.
    pub(crate) fn load_balancers(&self) -> Vec<LoadBalancer> {
        let default =
            LoadBalancer { target_group: self.name.clone(), alternate: None, container: "app".to_owned(), port: 80 };
        match self.deregistration_delay {
            Some(_) if self.load_balancers.is_empty() => vec![default],
            _ => self.load_balancers.clone(),
        }
    }

    /// Puts it behind a load balancer with this deregistration delay. Its target group has the service's name, unless
    /// another is set.
    #[must_use]
    pub fn load_balancer(mut self, deregistration_delay: Duration) -> Self {
        self.deregistration_delay = Some(deregistration_delay);
        self
    }

    /// Sets how long a replacement takes until it is healthy; `None` if there is no capacity for one.
    #[must_use]
    pub fn replaced_after(mut self, time: Option<Duration>) -> Self {
        self.replaced_after = time;
        self
    }

    /// Sets the family of its task definition.
    #[must_use]
    pub fn task_definition(mut self, family: impl Into<String>) -> Self {
        self.task_definition = Some(family.into());
        self
    }

    /// The `group` of its tasks.
    pub(crate) fn group(&self) -> String {
        format!("service:{}", self.name)
    }

    /// How many of its tasks have to be healthy.
    pub(crate) fn minimum(&self) -> usize {
        self.share(self.minimum_healthy_percent).div_ceil(100)
    }

    /// How many of its tasks may run or start.
    pub(crate) fn maximum(&self) -> usize {
        self.share(self.maximum_percent) / 100
    }

    fn share(&self, percent: u32) -> usize {
        self.desired_count.saturating_mul(usize::try_from(percent).unwrap_or(usize::MAX))
    }
}
