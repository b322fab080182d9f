//! `EC2 Spot Instance Interruption Warning`, source `aws.ec2`.
//!
//! `resources` is not read: there a zone stands where an ARN has its Region, and no account.

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use serde::Deserialize;
use serde_json::Value;

use super::{detail, required, time};
use crate::{
    error::Error,
    interruption::{InstanceAction, InstanceId, Interruption},
};

pub(super) const DETAIL_TYPE: &str = "EC2 Spot Instance Interruption Warning";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    instance_id: InstanceId,
    instance_action: InstanceAction,
}

pub(super) fn interruption(event: EventBridgeEvent<Value>) -> Result<Interruption, Error> {
    let time = time(&event)?;
    let Detail { instance_id, instance_action } = detail(event.detail)?;
    Ok(Interruption {
        instance: instance_id,
        action: instance_action,
        account: required("account", event.account)?,
        region: required("region", event.region)?,
        time,
    })
}
