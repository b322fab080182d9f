//! What names the cluster up to a line.

use crate::identifier::ClusterName;

/// What user data says about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mention {
    /// This one is named, by its name or its ARN.
    Cluster(ClusterName),
    /// None is named: an ECS agent that starts without a name joins `default`.
    Default,
    /// It is named by what only the instance can know, or the user data can't be read.
    Unknown,
}

pub(super) struct Named {
    pub(super) mention: Mention,
    /// Whether that is for the agent, rather than for a script.
    is_setting: bool,
    /// The block of the script, which may not be run.
    block: usize,
    /// The file.
    place: usize,
}

impl Named {
    pub(super) fn new(value: Option<&str>, is_setting: bool, block: usize, place: usize) -> Self {
        let mention = match value {
            Some("") => Mention::Default,
            Some(name) => ClusterName::from_name_or_arn(name).map_or(Mention::Unknown, Mention::Cluster),
            None => Mention::Unknown,
        };
        Self { mention, is_setting, block, place }
    }

    /// What a script assigns does not replace the agent's setting, and what is looked up at run time for another file
    /// does not replace a name. A different name for another file, or one that may not be assigned, makes it unknown.
    pub(super) fn followed_by(self, new: Self) -> Self {
        let is_elsewhere = !new.is_setting && self.place != new.place && self.is_name();
        if (!new.is_setting && self.is_setting) || (is_elsewhere && !new.is_name()) {
            return self;
        }
        if !is_elsewhere && (self.block >= new.block || self.mention == Mention::Default) {
            return new;
        }
        let mention = if self.mention == new.mention { new.mention } else { Mention::Unknown };
        Self { mention, block: self.block.min(new.block), ..new }
    }

    fn is_name(&self) -> bool {
        matches!(self.mention, Mention::Cluster(_))
    }
}
