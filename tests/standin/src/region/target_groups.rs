//! Target groups.

use super::Region;
use crate::model::{Target, TargetGroup};
use crate::resources::PlacedTargetGroup;
use crate::{arn, elb};

impl Region {
    /// Adds a target group or replaces its description, and returns its ARN; its targets stay. Tasks of services with a
    /// network interface of their own are registered as they start.
    pub fn target_group(&self, group: TargetGroup) -> String {
        let arn = self.target_group_arn(&group.name);
        self.with(|resources| {
            let groups = &mut resources.target_groups;
            match groups.get_mut(&group.name) {
                Some(placed) => placed.model = group,
                None => drop(groups.insert(group.name.clone(), PlacedTargetGroup::new(group))),
            }
        });
        arn
    }

    /// The ARN that a target group of this name has.
    #[must_use]
    pub fn target_group_arn(&self, name: &str) -> String {
        arn::arn("elasticloadbalancing", &self.name, &self.account, &elb::resource(name))
    }

    /// Registers an instance or an address; nothing happens where there is no such target group.
    pub fn register_target(&self, group: &str, id: &str, port: u16) {
        self.with(|resources| resources.register_target(group, id, port));
    }

    /// The targets of a target group as they are now, draining ones included.
    #[must_use]
    pub fn targets(&self, group: &str) -> Vec<Target> {
        self.with(|resources| {
            resources.target_groups.get(group).map(|group| group.targets().collect()).unwrap_or_default()
        })
    }
}
