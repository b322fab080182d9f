//! `EC2 Instance State-change Notification`, source `aws.ec2`.

use serde::Deserialize;
use serde_json::Value;

use super::envelope::detail;
use crate::{error::Error, identifier::InstanceId, interruption::Kind};

pub(super) const DETAIL_TYPE: &str = "EC2 Instance State-change Notification";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    instance_id: InstanceId,
    state: String,
}

/// Nothing for the states on the way from one to another.
pub(super) fn read(value: Value) -> Result<Option<(InstanceId, Kind)>, Error> {
    let Detail { instance_id, state } = detail(value)?;
    Ok(match state.as_str() {
        "running" => Some((instance_id, Kind::Running)),
        "terminated" => Some((instance_id, Kind::Terminated)),
        _ => None,
    })
}
