//! `DetachInstances`.

use std::time::SystemTime;

use serde_json::Value;

use super::{arn, bounded, group, invalid, required};
use crate::arn::uuid;
use crate::error::ApiError;
use crate::state::CallContext;
use crate::timestamp::iso8601_ms;
use crate::xml::{element, text};

pub(super) fn call(context: &mut CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let decrement = match required(params, "ShouldDecrementDesiredCapacity")? {
        "true" => true,
        "false" => false,
        _ => return Err(invalid("ShouldDecrementDesiredCapacity has to be true or false")),
    };
    let ids = bounded(params, "InstanceIds", 20)?;
    if ids.is_empty() {
        return Err(invalid("At least one instance ID has to be given"));
    }
    let placed = group(context, params)?;
    let (name, model) = (placed.model.name.clone(), &placed.model);
    if let Some(operator) = &model.operator {
        return Err(invalid(format!("AutoScalingGroup {name} is managed by {operator}.")));
    }
    for id in &ids {
        let unknown = || invalid(format!("The instance {id} is not part of Auto Scaling group {name}."));
        let member = placed.members.get(*id).ok_or_else(unknown)?;
        if !matches!(member.state.as_str(), "InService" | "Standby") {
            return Err(invalid(format!("The instance {id} is not in InService or Standby.")));
        }
    }
    if decrement && model.desired < model.min + ids.len() {
        let (min, max, desired, count) = (model.min, model.max, model.desired, ids.len());
        return Err(invalid(format!(
            "AutoScalingGroup {name} has min-size={min}, max-size={max}, and desired-size={desired}. To detach {count} \
             instance(s), please update the AutoScalingGroup sizes appropriately.",
        )));
    }
    for id in &ids {
        context.resources.detach(&name, id, decrement);
    }
    let activities: String = ids.iter().map(|id| show(context, &name, id)).collect();
    Ok(element("Activities", &activities))
}

fn show(context: &CallContext<'_>, group: &str, instance: &str) -> String {
    let now = iso8601_ms(SystemTime::now());
    let parts = [
        text("ActivityId", &uuid()),
        text("AutoScalingGroupName", group),
        text("AutoScalingGroupARN", &arn(context.region, context.account, group)),
        text("Description", &format!("Detaching EC2 instance: {instance}")),
        text("Cause", &format!("At {now} instance {instance} was detached in response to a user request.")),
        text("StartTime", &now),
        text("StatusCode", "InProgress"),
        text("Progress", "50"),
        text("Details", "{}"),
    ];
    element("member", &parts.concat())
}
