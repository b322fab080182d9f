//! `EC2 Instance State-change Notification`, source `aws.ec2`.

use serde_json::Value;

use super::envelope::{required, text};
use crate::{
    error::Error,
    identifier::{InstanceId, quote},
    interruption::Kind,
};

pub(super) const DETAIL_TYPE: &str = "EC2 Instance State-change Notification";

/// Reads the state that the instance has reached. The inner error is the reason to ignore any other state.
pub(super) fn read(detail: &Value) -> Result<Result<(InstanceId, Kind), String>, Error> {
    let instance = required(detail, "detail.instance-id")?;
    Ok(match text(detail, "detail.state", "the state of an instance, such as running")? {
        "running" => Ok((instance, Kind::Running)),
        "terminated" => Ok((instance, Kind::Terminated)),
        other => Err(format!("its state is {}: handled are running and terminated", quote(other))),
    })
}
