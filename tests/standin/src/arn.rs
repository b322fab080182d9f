//! Amazon Resource Names of one account and Region.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// The partition that a Region belongs to.
pub(crate) fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// An ARN: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
pub(crate) fn arn(service: &str, region: &str, account: &str, resource: &str) -> String {
    format!("arn:{}:{service}:{region}:{account}:{resource}", partition(region))
}

/// What comes after the last slash of an ARN; a bare name or id is answered as it is.
pub(crate) fn last(name_or_arn: &str) -> &str {
    name_or_arn.rsplit('/').next().unwrap_or(name_or_arn)
}

/// As many random hexadecimal digits as asked for, in lower case.
pub(crate) fn hex(digits: usize) -> String {
    (0..digits).map(|_| fastrand::digit(16)).collect()
}

/// A random UUID, as in request ids.
pub(crate) fn uuid() -> String {
    let parts: Vec<String> = [8, 4, 4, 4, 12].into_iter().map(hex).collect();
    parts.join("-")
}

/// Bytes as hexadecimal digits in lower case.
pub(crate) fn hex_of(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A number that depends on a text only.
pub(crate) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
