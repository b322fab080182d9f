//! The domain: which instance, what happens to it, and until when.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::identifier::identifier;

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
    /// When EC2 said so.
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

impl Interruption {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceAction {
    /// The instance is gone for good.
    Terminate,
    /// The instance comes back when there is capacity, started by EC2.
    Stop,
    /// As `Stop`, with its memory kept; begins with the notice, not after it.
    Hibernate,
}

identifier!(
    /// The id of an EC2 instance.
    InstanceId,
    "an EC2 instance id (i- and 8 or 17 hexadecimal digits)",
    |id| id.strip_prefix("i-").is_some_and(|hex| {
        matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
);

identifier!(
    /// The id of an AWS account.
    AccountId,
    "an AWS account id (12 digits)",
    |id| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit())
);

identifier!(
    /// The name of an AWS Region, of any partition.
    Region,
    "an AWS Region (such as us-east-1)",
    |region| {
        let mut parts = region.rsplit('-');
        parts.next().is_some_and(|n| matches!(n.len(), 1 | 2) && n.bytes().all(|b| b.is_ascii_digit()))
            && region.len() <= 32
            && parts.clone().count() >= 2
            && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()))
    }
);

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

    fn is<T: TryFrom<String>>(text: &str) -> bool {
        T::try_from(text.to_owned()).is_ok()
    }

    #[test]
    fn instance_ids() {
        for good in ["i-1234567890abcdef0", "i-1234abcd"] {
            assert!(is::<InstanceId>(good), "{good}");
        }
        for bad in [
            "",
            "i-",
            "i-1234567890ABCDEF0",
            "i-1234567890abcdef",
            "1234567890abcdef0",
            "i-1234abcd' or '1",
            "I-1234abcd",
        ] {
            assert!(!is::<InstanceId>(bad), "{bad}");
        }
    }

    #[test]
    fn accounts_and_regions() {
        assert!(is::<AccountId>("012345678901"));
        for bad in ["", "12345678901", "1234567890123", "12345678901x", "１２３４５６７８９０１２"] {
            assert!(!is::<AccountId>(bad), "{bad}");
        }
        for good in
            ["us-east-1", "ap-southeast-12", "us-gov-west-1", "cn-northwest-1", "us-isob-east-1", "eusc-de-east-1"]
        {
            assert!(is::<Region>(good), "{good}");
        }
        for bad in [
            "",
            "us-east",
            "us-east-1a",
            "useast1",
            "us--east-1",
            "us-1",
            "-east-1",
            "us-east-1.evil.example",
            "us-east-123",
            "US-EAST-1",
        ] {
            assert!(!is::<Region>(bad), "{bad}");
        }
    }

    #[test]
    fn hibernation_starts_with_the_notice() {
        let mut interruption = Interruption {
            instance: InstanceId("i-1234abcd".into()),
            kind: Kind::Notice(InstanceAction::Terminate),
            account: AccountId("123456789012".into()),
            region: Region("us-east-1".into()),
            time: SystemTime::UNIX_EPOCH,
        };
        assert_eq!(interruption.deadline(), Some(SystemTime::UNIX_EPOCH + NOTICE));
        interruption.kind = Kind::Notice(InstanceAction::Hibernate);
        assert_eq!(interruption.deadline(), Some(SystemTime::UNIX_EPOCH));
    }
}
