//! Identifiers, validated once when they are parsed. Clones share one allocation.

/// A text that is not a valid identifier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("found {found}, expected {expected}")]
pub struct ParseError {
    /// The text in quotes, or the kind of a JSON value that is not a string.
    pub(crate) found: String,
    pub(crate) expected: &'static str,
}

/// Defines a type for an identifier that is validated when it is parsed.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The identifier as AWS writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::identifier::ParseError;

            fn try_from(found: String) -> Result<Self, Self::Error> {
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(&found) {
                    Ok(Self(found.into()))
                } else {
                    Err($crate::identifier::ParseError::new(&found, $expected))
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

impl ParseError {
    pub(crate) fn new(found: &str, expected: &'static str) -> Self {
        Self { found: quote(found), expected }
    }
}

/// Quotes at most 64 characters of a text: it may be of any length, and ends up in logs.
pub(crate) fn quote(found: &str) -> String {
    match found.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}…", &found[..end]),
        None => format!("{found:?}"),
    }
}

pub(crate) use identifier;

identifier!(
    /// The name of an Auto Scaling group.
    GroupName,
    "the name of an Auto Scaling group (1 to 255 characters)",
    |name| (1..=255).contains(&name.chars().count())
);

identifier!(
    /// The name of a lifecycle hook.
    HookName,
    "the name of a lifecycle hook (1 to 255 letters, digits, -, _ and /)",
    |name| (1..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/'))
);

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
    "an AWS account id (a string of 12 digits)",
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

identifier!(
    /// The name of a cluster of Amazon ECS or Amazon EKS.
    ClusterName,
    "the name of a cluster (1 to 255 letters, digits, - and _)",
    |name| (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
);

identifier!(
    /// The ARN of an ECS task.
    TaskArn,
    "the ARN of an ECS task",
    |arn| arn.starts_with("arn:") && arn.contains(":task/")
);

identifier!(
    /// The ARN of an ECS container instance.
    ContainerInstanceArn,
    "the ARN of an ECS container instance",
    |arn| arn.starts_with("arn:") && arn.contains(":container-instance/")
);

identifier!(
    /// The ARN of an SQS queue.
    QueueArn,
    "the ARN of an SQS queue",
    |arn| {
        let parts: Vec<_> = arn.split(':').collect();
        matches!(parts[..], ["arn", _, "sqs", region, account, name]
            if ![region, account, name].contains(&"") && !name.contains('/'))
    }
);

impl Region {
    /// The Region of a resource, if its ARN has one.
    pub(crate) fn of_arn(arn: &str) -> Option<Self> {
        arn.split(':').nth(3)?.to_owned().try_into().ok()
    }
}

impl QueueArn {
    /// The path of the queue's URL: the account and the name.
    pub(crate) fn path(&self) -> String {
        self.0.split(':').skip(4).collect::<Vec<_>>().join("/")
    }
}

impl ClusterName {
    /// Reads a cluster's name or its full ARN.
    pub(crate) fn from_name_or_arn(text: &str) -> Option<Self> {
        let name = if text.starts_with("arn:") { text.split_once(":cluster/")?.1 } else { text };
        Self::try_from(name.to_owned()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_error_names_the_expectation_and_stays_short() {
        let error = InstanceId::try_from("x".repeat(10_000)).unwrap_err().to_string();
        assert!(error.contains("8 or 17 hexadecimal digits"), "{error}");
        assert!(error.len() < 200, "{}", error.len());
    }

    fn is<T: TryFrom<String>>(text: &str) -> bool {
        T::try_from(text.to_owned()).is_ok()
    }

    #[test]
    fn instance_ids_are_validated() {
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
    fn accounts_and_regions_are_validated() {
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
    fn cluster_name_is_read_from_name_or_arn() {
        let name = |text| ClusterName::from_name_or_arn(text).map(|name| name.to_string());
        assert_eq!(name("web_1-a").as_deref(), Some("web_1-a"));
        assert_eq!(name("arn:aws-cn:ecs:cn-north-1:123456789012:cluster/web").as_deref(), Some("web"));
        for bad in
            ["", "arn:aws:ecs:us-east-1:123456789012:service/web", "a b", "web/api", "arn:x:cluster/", &"x".repeat(256)]
        {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
