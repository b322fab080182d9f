//! Spot interruption notices.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::arn;
use crate::clock::iso8601;
use crate::region::Region;

/// The event with which EC2 tells that an instance is interrupted, as a rule delivers it.
///
/// `action` is `terminate`, `stop` or `hibernate`. As in AWS's own events, the time is cut to the second.
#[must_use]
pub fn notice(region: &Region, instance: &str, action: &str, time: SystemTime) -> Value {
    json!({
        "version": "0",
        "id": arn::uuid(),
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": region.account(),
        "time": iso8601(time),
        "region": region.name(),
        "resources": [format!("arn:aws:ec2:{}a:instance/{instance}", region.name())],
        "detail": { "instance-id": instance, "instance-action": action },
    })
}
