//! `EC2 Instance Rebalance Recommendation`, source `aws.ec2`.

use serde_json::Value;

use super::envelope::required;
use crate::{error::Error, identifier::InstanceId, interruption::Kind};

pub(super) const DETAIL_TYPE: &str = "EC2 Instance Rebalance Recommendation";

pub(super) fn read(detail: &Value) -> Result<(InstanceId, Kind), Error> {
    Ok((required(detail, "detail.instance-id")?, Kind::Rebalance))
}
