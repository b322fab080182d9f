//! `EC2 Instance State-change Notification`, source `aws.ec2`.

use serde_json::Value;

use super::envelope::required;
use crate::{
    error::Error,
    identifier::{InstanceId, InstanceState, quote},
    interruption::Kind,
};

pub(super) const DETAIL_TYPE: &str = "EC2 Instance State-change Notification";

/// Reads the state that the instance has reached. The inner error is the reason to ignore any other state.
pub(super) fn read(detail: &Value) -> Result<Result<(InstanceId, Kind), String>, Error> {
    let (instance, state): (_, InstanceState) =
        (required(detail, "detail.instance-id")?, required(detail, "detail.state")?);
    Ok(match state.as_str() {
        "running" => Ok((instance, Kind::Running)),
        "terminated" => Ok((instance, Kind::Terminated)),
        other => Err(format!("its state is {}: handled are running and terminated", quote(other))),
    })
}
