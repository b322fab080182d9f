//! EC2 instances.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::arn;

/// An EC2 instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its id, `i-` and 8 or 17 hexadecimal digits.
    pub id: String,
    /// `running` unless set.
    pub state: String,
    /// Its instance type.
    pub instance_type: String,
    /// Its Availability Zone; the Region's zone `a` where nothing is set.
    pub zone: Option<String>,
    /// Whether it is a Spot instance, as it is by default.
    pub spot: bool,
    /// Its lifecycle where it is neither a Spot nor an on-demand instance.
    pub lifecycle: Option<String>,
    /// Its private DNS name; one that depends on its id where nothing is set.
    pub private_dns_name: Option<String>,
    /// The service that manages it, such as `ecs.amazonaws.com`.
    pub operator: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its user data, not encoded.
    pub user_data: Option<Vec<u8>>,
    /// When it was started last; 2026-01-01 where nothing is set.
    pub launched: Option<SystemTime>,
    /// When its primary network interface was attached; the interface shows only where this is set.
    pub attached: Option<SystemTime>,
}

impl Instance {
    /// A running Spot instance without tags or user data.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            state: "running".to_owned(),
            instance_type: "m6i.large".to_owned(),
            zone: None,
            spot: true,
            lifecycle: None,
            private_dns_name: None,
            operator: None,
            tags: BTreeMap::new(),
            user_data: None,
            launched: None,
            attached: None,
        }
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Tags it as launched by an Auto Scaling group.
    #[must_use]
    pub fn asg(self, name: impl Into<String>) -> Self {
        self.tag("aws:autoscaling:groupName", name)
    }

    /// Tags it as launched by an EC2 Fleet.
    #[must_use]
    pub fn fleet(self, id: impl Into<String>) -> Self {
        self.tag("aws:ec2:fleet-id", id)
    }

    /// Tags it as launched by a Spot Fleet request.
    #[must_use]
    pub fn spot_fleet(self, id: impl Into<String>) -> Self {
        self.tag("aws:ec2spot:fleet-request-id", id)
    }

    /// Sets the user data, not encoded.
    #[must_use]
    pub fn user_data(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.user_data = Some(bytes.into());
        self
    }

    /// Sets the service that manages it.
    #[must_use]
    pub fn operator(mut self, principal: impl Into<String>) -> Self {
        self.operator = Some(principal.into());
        self
    }

    /// Sets the state: `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = state.into();
        self
    }

    /// Sets the instance type.
    #[must_use]
    pub fn instance_type(mut self, instance_type: impl Into<String>) -> Self {
        self.instance_type = instance_type.into();
        self
    }

    /// Sets the Availability Zone.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Sets the private DNS name.
    #[must_use]
    pub fn private_dns(mut self, name: impl Into<String>) -> Self {
        self.private_dns_name = Some(name.into());
        self
    }

    /// Makes it an on-demand instance.
    #[must_use]
    pub fn on_demand(mut self) -> Self {
        self.spot = false;
        self
    }

    /// Sets its lifecycle: `capacity-block`, `interruptible-capacity-reservation` or `scheduled`.
    #[must_use]
    pub fn lifecycle(mut self, lifecycle: impl Into<String>) -> Self {
        (self.spot, self.lifecycle) = (false, Some(lifecycle.into()));
        self
    }

    /// `spot` or another lifecycle; `None` for an on-demand instance.
    pub(crate) fn shown_lifecycle(&self) -> Option<&str> {
        if self.spot { Some("spot") } else { self.lifecycle.as_deref() }
    }

    /// Sets when it was started last.
    #[must_use]
    pub fn launched(mut self, time: SystemTime) -> Self {
        self.launched = Some(time);
        self
    }

    /// Sets when its primary network interface was attached: at its first start.
    #[must_use]
    pub fn attached(mut self, time: SystemTime) -> Self {
        self.attached = Some(time);
        self
    }

    /// Its private DNS name in a Region; empty once it is terminated.
    #[must_use]
    pub fn private_dns_in(&self, region: &str) -> String {
        if self.state == "terminated" {
            return String::new();
        }
        self.private_dns_name.clone().unwrap_or_else(|| {
            let [.., a, b, c] = arn::hash(&self.id).to_be_bytes();
            match region {
                "us-east-1" => format!("ip-10-{a}-{b}-{c}.ec2.internal"),
                _ => format!("ip-10-{a}-{b}-{c}.{region}.compute.internal"),
            }
        })
    }
}
