//! Assignments of the cluster's name.

use crate::identifier::ClusterName;

/// The cluster that user data makes the ECS agent join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConfiguredCluster {
    /// This cluster, which is given by name or ARN.
    Cluster(ClusterName),
    /// No cluster is given: an ECS agent without a name joins `default`.
    Default,
    /// The name can only be determined on the instance, or the user data can't be read.
    Unknown,
}

/// An assignment of the cluster's name.
pub(super) struct Assignment {
    pub(super) cluster: ConfiguredCluster,
    /// Whether it sets the agent's configuration, rather than a variable of a script.
    is_setting: bool,
    /// The conditional block of the script that contains it; 0 is always run.
    block: usize,
    /// The number of the file that it is written to.
    file_number: usize,
}

impl Assignment {
    pub(super) fn new(value: Option<&str>, is_setting: bool, block: usize, file_number: usize) -> Self {
        let cluster = match value {
            Some("") => ConfiguredCluster::Default,
            Some(name) => {
                ClusterName::from_name_or_arn(name).map_or(ConfiguredCluster::Unknown, ConfiguredCluster::Cluster)
            }
            None => ConfiguredCluster::Unknown,
        };
        Self { cluster, is_setting, block, file_number }
    }

    /// Combines two assignments in sequence.
    ///
    /// A variable of a script does not replace the agent's setting, and a look-up at run time that is written to
    /// another file does not replace a name. A different name for another file, or one that may not be assigned, makes
    /// the cluster unknown.
    pub(super) fn followed_by(self, new: Self) -> Self {
        let is_other_file = !new.is_setting && self.file_number != new.file_number && self.is_name();
        if (!new.is_setting && self.is_setting) || (is_other_file && !new.is_name()) {
            return self;
        }
        if !is_other_file && (self.block >= new.block || self.cluster == ConfiguredCluster::Default) {
            return new;
        }
        let cluster = if self.cluster == new.cluster { new.cluster } else { ConfiguredCluster::Unknown };
        Self { cluster, block: self.block.min(new.block), ..new }
    }

    fn is_name(&self) -> bool {
        matches!(self.cluster, ConfiguredCluster::Cluster(_))
    }
}
