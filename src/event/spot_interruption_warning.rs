//! `EC2 Spot Instance Interruption Warning`, source `aws.ec2`.
//!
//! `resources` is not read: there a zone stands where an ARN has its Region, and no account.

use serde::Deserialize;
use serde_json::Value;

use super::envelope::detail;
use crate::{
    error::Error,
    identifier::InstanceId,
    interruption::{InstanceAction, Kind},
};

pub(super) const DETAIL_TYPE: &str = "EC2 Spot Instance Interruption Warning";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    instance_id: InstanceId,
    instance_action: InstanceAction,
}

pub(super) fn read(value: Value) -> Result<(InstanceId, Kind), Error> {
    let Detail { instance_id, instance_action } = detail(value)?;
    Ok((instance_id, Kind::Notice(instance_action)))
}
