//! `EC2 Instance-terminate Lifecycle Action`, source `aws.autoscaling`.

use serde_json::Value;

use super::envelope::required;
use crate::{
    error::Error,
    identifier::{GroupName, HookName, InstanceId},
    interruption::LifecycleAction,
};

pub(super) const SOURCE: &str = "aws.autoscaling";
pub(super) const DETAIL_TYPE: &str = "EC2 Instance-terminate Lifecycle Action";

/// What Auto Scaling sends when a lifecycle hook with a notification target is created.
pub(super) const TEST: &str = "autoscaling:TEST_NOTIFICATION";

pub(super) fn read(detail: &Value) -> Result<(InstanceId, LifecycleAction), Error> {
    let instance = required(detail, "detail.EC2InstanceId")?;
    let group: GroupName = required(detail, "detail.AutoScalingGroupName")?;
    let hook: HookName = required(detail, "detail.LifecycleHookName")?;
    Ok((instance, LifecycleAction { group, hook }))
}
