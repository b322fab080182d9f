//! Auto Scaling groups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::LifecycleHook;

/// An Auto Scaling group. Its instances are those that are tagged as launched by it.
#[derive(Clone, Debug)]
pub struct AutoScalingGroup {
    /// Its name, unique in its account and Region.
    pub name: String,
    /// The number of instances that it is to have; at least the number that it has when it is added.
    pub desired: usize,
    /// Its smallest size.
    pub min: usize,
    /// Its largest size.
    pub max: usize,
    /// Whether Capacity Rebalancing is turned on.
    pub capacity_rebalance: bool,
    /// Its suspended processes.
    pub suspended: BTreeSet<String>,
    /// Whether it has a warm pool.
    pub warm_pool: bool,
    /// Whether its instances are protected from scale-in.
    pub protected: bool,
    /// How long an instance takes from its launch until it is in service.
    pub launch_delay: Duration,
    /// How long after its end the health check finds an instance.
    pub health_check_after: Duration,
    /// The target groups that its instances are in.
    pub target_groups: Vec<String>,
    /// Its lifecycle hooks.
    pub hooks: Vec<LifecycleHook>,
    /// Its tags, which its instances get.
    pub tags: BTreeMap<String, String>,
    /// The service that manages it.
    pub operator: Option<String>,
}

impl AutoScalingGroup {
    /// A group of up to ten instances, without Capacity Rebalancing. An instance that ended is found after 60 seconds,
    /// and a new one is in service after 30.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            desired: 0,
            min: 0,
            max: 10,
            capacity_rebalance: false,
            suspended: BTreeSet::new(),
            warm_pool: false,
            protected: false,
            launch_delay: Duration::from_secs(30),
            health_check_after: Duration::from_mins(1),
            target_groups: Vec::new(),
            hooks: Vec::new(),
            tags: BTreeMap::new(),
            operator: None,
        }
    }

    /// Sets the number of instances that it is to have.
    #[must_use]
    pub fn desired(mut self, desired: usize) -> Self {
        self.desired = desired;
        self
    }

    /// Sets its smallest size.
    #[must_use]
    pub fn min(mut self, min: usize) -> Self {
        self.min = min;
        self
    }

    /// Sets its largest size.
    #[must_use]
    pub fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// Turns on Capacity Rebalancing.
    #[must_use]
    pub fn capacity_rebalance(mut self) -> Self {
        self.capacity_rebalance = true;
        self
    }

    /// Suspends a process: `Launch`, `Terminate`, `HealthCheck`, `ReplaceUnhealthy` and so on.
    #[must_use]
    pub fn suspended(mut self, process: impl Into<String>) -> Self {
        self.suspended.insert(process.into());
        self
    }

    /// Gives it a warm pool.
    #[must_use]
    pub fn warm_pool(mut self) -> Self {
        self.warm_pool = true;
        self
    }

    /// Protects its instances from scale-in.
    #[must_use]
    pub fn protected(mut self) -> Self {
        self.protected = true;
        self
    }

    /// Sets how long an instance takes from its launch until it is in service.
    #[must_use]
    pub fn launch_delay(mut self, delay: Duration) -> Self {
        self.launch_delay = delay;
        self
    }

    /// Sets how long after its end the health check finds an instance.
    #[must_use]
    pub fn health_check_after(mut self, delay: Duration) -> Self {
        self.health_check_after = delay;
        self
    }

    /// Adds a target group that its instances are in.
    #[must_use]
    pub fn target_group(mut self, name: impl Into<String>) -> Self {
        self.target_groups.push(name.into());
        self
    }

    /// Adds a lifecycle hook; instances go through them in this order.
    #[must_use]
    pub fn hook(mut self, hook: LifecycleHook) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Adds a tag, such as `eks:nodegroup-name`.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Sets the service that manages it.
    #[must_use]
    pub fn operator(mut self, principal: impl Into<String>) -> Self {
        self.operator = Some(principal.into());
        self
    }
}
