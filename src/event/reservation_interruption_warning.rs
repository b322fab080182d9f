//! `EC2 Capacity Reservation Instance Interruption Warning`, source `aws.ec2`: of instances in interruptible capacity
//! reservations and in Capacity Blocks.
//!
//! `resources` is not read: it is a string or a list.

use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};
use serde_json::Value;

use super::envelope::required;
use crate::{
    error::Error,
    identifier::InstanceId,
    interruption::{InstanceAction, Kind},
};

pub(super) const DETAIL_TYPE: &str = "EC2 Capacity Reservation Instance Interruption Warning";

pub(super) fn read(detail: &Value) -> Result<(InstanceId, Kind), Error> {
    let instance = required(detail, "detail.instance-id")?;
    // EC2 does nothing else with such instances.
    let action = match detail.get("instance-action") {
        Some(_) => required(detail, "detail.instance-action")?,
        None => InstanceAction::Terminate,
    };
    Ok((instance, Kind::Notice(action)))
}

/// When EC2 ends the instance. A time that can't be read counts as none: the notice has two minutes at least.
pub(super) fn end(detail: &Value) -> Option<SystemTime> {
    let time = detail.get("instance-termination-time")?.as_str()?;
    DateTime::from_str(time, Format::DateTimeWithOffset).ok()?.try_into().ok()
}
