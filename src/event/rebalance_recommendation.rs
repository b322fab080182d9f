//! `EC2 Instance Rebalance Recommendation`, source `aws.ec2`.

use serde::Deserialize;
use serde_json::Value;

use super::envelope::detail;
use crate::{error::Error, identifier::InstanceId, interruption::Kind};

pub(super) const DETAIL_TYPE: &str = "EC2 Instance Rebalance Recommendation";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    instance_id: InstanceId,
}

pub(super) fn read(value: Value) -> Result<(InstanceId, Kind), Error> {
    let Detail { instance_id } = detail(value)?;
    Ok((instance_id, Kind::Rebalance))
}
