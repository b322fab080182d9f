//! The domain: which instance, what happens to it, and until when.

use std::{
    cmp::Ordering,
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::identifier::{AccountId, GroupName, HookName, InstanceId, ParseError, Region};

/// The time between an interruption notice and EC2's action, for `terminate` and `stop`.
///
/// Source: "Spot Instance interruption notices" in the Amazon EC2 User Guide.
pub const NOTICE: Duration = Duration::from_mins(2);

/// An event in the life of a Spot instance: EC2 is about to reclaim it, may reclaim it, has reclaimed it or has started
/// it again.
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
    /// The time of the event; never in the future.
    pub time: SystemTime,
    /// When EC2 acts, if the event says so.
    pub announced_end: Option<SystemTime>,
    /// The lifecycle action that the instance waits for, if this is one.
    pub lifecycle_action: Option<LifecycleAction>,
}

/// A lifecycle action: an instance that its Auto Scaling group terminates waits for its completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleAction {
    /// The Auto Scaling group.
    pub group: GroupName,
    /// The lifecycle hook.
    pub hook: HookName,
}

/// What happens to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// EC2 gave notice of this action.
    Notice(InstanceAction),
    /// EC2 sees an elevated risk of interruption.
    Rebalance,
    /// The instance is running: it was launched, or started again after it was stopped or hibernated.
    Running,
    /// The instance is terminated, with or without notice.
    Terminated,
    /// Its Auto Scaling group terminates it once a lifecycle action is completed.
    LifecycleAction,
}

impl Interruption {
    /// Whether it is handled in the place of another interruption of the same instance. A final one wins over one after
    /// which the instance may come back or that can wait, and a notice over a recommendation; of two final ones the
    /// earlier wins, of two others the later.
    pub(crate) fn is_more_decisive(&self, than: &Self) -> bool {
        let rank = |interruption: &Self| match interruption.kind {
            Kind::Terminated => 2,
            Kind::Notice(InstanceAction::Terminate) => 1,
            _ => 0,
        };
        match rank(self).cmp(&rank(than)) {
            _ if matches!((self.kind, than.kind), (Kind::Notice(_), Kind::Rebalance)) => true,
            _ if matches!((self.kind, than.kind), (Kind::Rebalance, Kind::Notice(_))) => false,
            Ordering::Equal if rank(self) == 0 => self.time > than.time,
            Ordering::Equal => self.time < than.time,
            different => different == Ordering::Greater,
        }
    }

    /// The end of the notice: two minutes after it, unless it says otherwise.
    pub(crate) fn end(&self) -> SystemTime {
        self.announced_end.unwrap_or(self.time + NOTICE)
    }

    /// When EC2 acts: two minutes after the notice, but at once for `hibernate`. A lifecycle action has a deadline once
    /// its hook is known. Other events have none.
    pub(crate) fn deadline(&self) -> Option<SystemTime> {
        match self.kind {
            Kind::Notice(InstanceAction::Terminate | InstanceAction::Stop) => Some(self.end()),
            Kind::Notice(InstanceAction::Hibernate) => Some(self.time),
            Kind::LifecycleAction => self.announced_end,
            Kind::Rebalance | Kind::Running | Kind::Terminated => None,
        }
    }

    /// Whole seconds until EC2 acts; 0 once the deadline has passed.
    pub(crate) fn seconds_left(&self) -> Option<u64> {
        Some(self.deadline()?.duration_since(SystemTime::now()).unwrap_or_default().as_secs())
    }
}

/// What EC2 does with an interrupted instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceAction {
    /// EC2 terminates the instance.
    Terminate,
    /// EC2 stops the instance, and starts it again when there is capacity.
    Stop,
    /// EC2 hibernates the instance, at the time of the notice, and starts it again when there is capacity.
    Hibernate,
}

impl TryFrom<String> for InstanceAction {
    type Error = ParseError;

    fn try_from(found: String) -> Result<Self, Self::Error> {
        let all = [Self::Terminate, Self::Stop, Self::Hibernate];
        let action = all.into_iter().find(|action| action.to_string() == found);
        action.ok_or_else(|| ParseError::new(&found, "terminate, stop or hibernate"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notice(action) => action.fmt(f),
            Self::Rebalance => f.write_str("rebalance"),
            Self::Running => f.write_str("running"),
            Self::Terminated => f.write_str("terminated"),
            Self::LifecycleAction => f.write_str("lifecycle-action"),
        }
    }
}

impl fmt::Display for InstanceAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
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
            announced_end: None,
            lifecycle_action: None,
        };
        assert_eq!(interruption.deadline(), Some(SystemTime::UNIX_EPOCH + NOTICE));
        interruption.kind = Kind::Notice(InstanceAction::Hibernate);
        assert_eq!(interruption.deadline(), Some(SystemTime::UNIX_EPOCH));
    }
}
