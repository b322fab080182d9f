//! Target groups of Elastic Load Balancing.

use std::time::Duration;

/// A target group.
#[derive(Clone, Debug)]
pub struct TargetGroup {
    /// Its name, unique in its account and Region.
    pub name: String,
    /// Whether its targets are instances; addresses otherwise.
    pub of_instances: bool,
    /// Whether its addresses are IPv6 addresses; IPv4 addresses otherwise.
    pub is_ipv6: bool,
    /// The port of targets that are registered without one.
    pub port: u16,
    /// How long a deregistered target drains.
    pub deregistration_delay: Duration,
}

impl TargetGroup {
    /// A target group of addresses, with port 80 and a deregistration delay of 300 seconds.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let deregistration_delay = Duration::from_mins(5);
        Self { name: name.into(), of_instances: false, is_ipv6: false, port: 80, deregistration_delay }
    }

    /// Makes it one of instances.
    #[must_use]
    pub fn of_instances(mut self) -> Self {
        self.of_instances = true;
        self
    }

    /// Makes its addresses IPv6 addresses.
    #[must_use]
    pub fn ipv6(mut self) -> Self {
        self.is_ipv6 = true;
        self
    }

    /// Sets the port of targets that are registered without one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets how long a deregistered target drains.
    #[must_use]
    pub fn deregistration_delay(mut self, delay: Duration) -> Self {
        self.deregistration_delay = delay;
        self
    }
}

/// A target of a target group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The instance or the address.
    pub id: String,
    /// Its port.
    pub port: u16,
    /// Whether it was deregistered and drains.
    pub draining: bool,
}

/// A target group that a service registers its tasks in.
#[derive(Clone, Debug)]
pub(crate) struct LoadBalancer {
    pub(crate) target_group: String,
    /// The other target group of a blue/green service.
    pub(crate) alternate: Option<String>,
    pub(crate) container: String,
    pub(crate) port: u16,
}
