//! The domain: which instance, what happens to it, and until when.

use std::{
    cmp::Ordering,
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::identifier::{AccountId, InstanceId, NotAnId, Region};

/// How long after an interruption notice EC2 acts, for `terminate` and `stop`.
///
/// Source: "Spot Instance interruption notices" in the Amazon EC2 User Guide.
pub const NOTICE: Duration = Duration::from_mins(2);

/// One instance that EC2 is about to take back, may take back, has taken back or has brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// The instance.
    pub instance: InstanceId,
    /// What happens to it.
    pub kind: Kind,
    /// The account of the instance.
    pub account: AccountId,
    /// The Region of the instance.
    pub region: Region,
    /// When EC2 said so; never in the future.
    pub time: SystemTime,
}

/// What happens to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// EC2 gave notice that it will do this.
    Notice(InstanceAction),
    /// EC2 sees a higher risk that it will have to give notice.
    Rebalance,
    /// It was launched, or has come back after it was stopped or hibernated.
    Running,
    /// It is gone, with or without notice.
    Terminated,
}

/// Whose interruption it is: an instance of an account and Region.
pub(crate) type Whose<'a> = (&'a AccountId, &'a Region, &'a InstanceId);

impl Interruption {
    pub(crate) fn whose(&self) -> Whose<'_> {
        (&self.account, &self.region, &self.instance)
    }

    /// Of two for one instance that after which it does not come back, the first of such; else the latest.
    pub(crate) fn more_decisive<'a>(&'a self, other: &'a Self) -> &'a Self {
        let rank = |interruption: &Self| match interruption.kind {
            Kind::Terminated => 2,
            Kind::Notice(InstanceAction::Terminate) => 1,
            _ => 0,
        };
        let is_decisive = match rank(self).cmp(&rank(other)) {
            Ordering::Equal if rank(self) == 0 => self.time > other.time,
            Ordering::Equal => self.time < other.time,
            different => different == Ordering::Greater,
        };
        if is_decisive { self } else { other }
    }

    /// When EC2 acts: two minutes after the notice, but at once for `hibernate`. Nothing else has a time of its own.
    #[must_use]
    pub fn deadline(&self) -> Option<SystemTime> {
        match self.kind {
            Kind::Notice(InstanceAction::Terminate | InstanceAction::Stop) => Some(self.time + NOTICE),
            Kind::Notice(InstanceAction::Hibernate) => Some(self.time),
            Kind::Rebalance | Kind::Running | Kind::Terminated => None,
        }
    }

    /// Whole seconds until EC2 acts; 0 when that is over.
    #[must_use]
    pub fn seconds_left(&self) -> Option<u64> {
        Some(self.deadline()?.duration_since(SystemTime::now()).unwrap_or_default().as_secs())
    }
}

/// What EC2 does with an interrupted instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceAction {
    /// The instance is gone for good.
    Terminate,
    /// The instance comes back when there is capacity, started by EC2.
    Stop,
    /// As `Stop`, with its memory kept; begins with the notice, not after it.
    Hibernate,
}

impl TryFrom<String> for InstanceAction {
    type Error = NotAnId;

    fn try_from(found: String) -> Result<Self, Self::Error> {
        let all = [Self::Terminate, Self::Stop, Self::Hibernate];
        let action = all.into_iter().find(|action| action.to_string() == found);
        action.ok_or_else(|| NotAnId::new(&found, "terminate, stop or hibernate"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notice(action) => action.fmt(f),
            Self::Rebalance => f.write_str("rebalance"),
            Self::Running => f.write_str("running"),
            Self::Terminated => f.write_str("terminated"),
        }
    }
}

impl fmt::Display for InstanceAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "terminate",
            Self::Stop => "stop",
            Self::Hibernate => "hibernate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hibernation_starts_with_the_notice() {
        let mut interruption = Interruption {
            instance: "i-1234abcd".to_owned().try_into().unwrap(),
            kind: Kind::Notice(InstanceAction::Terminate),
            account: "123456789012".to_owned().try_into().unwrap(),
            region: "us-east-1".to_owned().try_into().unwrap(),
            time: SystemTime::UNIX_EPOCH,
        };
        assert_eq!(interruption.deadline(), Some(SystemTime::UNIX_EPOCH + NOTICE));
        interruption.kind = Kind::Notice(InstanceAction::Hibernate);
        assert_eq!(interruption.deadline(), Some(SystemTime::UNIX_EPOCH));
    }
}
