//! `EC2 Spot Instance Interruption Warning`, source `aws.ec2`.
//!
//! `resources` is not read: its ARN has an Availability Zone in place of the Region, and no account.

use serde_json::Value;

use super::envelope::required;
use crate::{error::Error, identifier::InstanceId, interruption::Kind};

pub(super) const DETAIL_TYPE: &str = "EC2 Spot Instance Interruption Warning";

pub(super) fn read(detail: &Value) -> Result<(InstanceId, Kind), Error> {
    let instance = required(detail, "detail.instance-id")?;
    Ok((instance, Kind::Notice(required(detail, "detail.instance-action")?)))
}
