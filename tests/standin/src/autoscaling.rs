//! Amazon EC2 Auto Scaling, as far as interruptions need it.

mod describe;
mod detach;
mod lifecycle;

use serde_json::Value;

use crate::error::ApiError;
use crate::page::{self, Page};
use crate::query::list;
use crate::resources::PlacedGroup;
use crate::state::CallContext;
use crate::xml::response;

pub(crate) const NAMESPACE: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";

/// Answers a call in XML.
pub(crate) fn call(context: &mut CallContext<'_>, api: &str, params: &Value) -> Result<String, ApiError> {
    let result = match api {
        "DescribeAutoScalingInstances" => describe::instances(context, params)?,
        "DescribeAutoScalingGroups" => describe::groups(context, params)?,
        "DescribeLifecycleHooks" => lifecycle::describe(context, params)?,
        "DetachInstances" => detach::call(context, params)?,
        "CompleteLifecycleAction" => lifecycle::complete(context, params)?,
        "RecordLifecycleActionHeartbeat" => lifecycle::record_heartbeat(context, params)?,
        _ => {
            let message = format!("Could not find operation {api} for version 2011-01-01");
            return Err(ApiError::new(400, "InvalidAction", message));
        }
    };
    Ok(response(api, NAMESPACE, &result))
}

/// The ARN of a group.
pub(crate) fn arn(region: &str, account: &str, name: &str) -> String {
    let uuid = "5f9f1a1e-0c4b-4d7c-9a43-1b2c3d4e5f60";
    crate::arn::arn("autoscaling", region, account, &format!("autoScalingGroup:{uuid}:autoScalingGroupName/{name}"))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationError", message)
}

/// A parameter that has to be there.
fn required<'a>(params: &'a Value, name: &str) -> Result<&'a str, ApiError> {
    let value = params[name].as_str().filter(|value| !value.is_empty());
    value
        .ok_or_else(|| invalid(format!("Value null at '{name}' failed to satisfy constraint: Member must not be null")))
}

/// `NAME.member.N`, at most `max` of them.
fn bounded<'a>(params: &'a Value, name: &str, max: usize) -> Result<Vec<&'a str>, ApiError> {
    let values = list(params, &format!("{name}.member"));
    if values.len() > max {
        return Err(invalid(format!("The number of {name} that may be passed in is limited to {max}")));
    }
    Ok(values)
}

/// The group that a call is about.
fn group<'a>(context: &'a CallContext<'_>, params: &Value) -> Result<&'a PlacedGroup, ApiError> {
    let name = required(params, "AutoScalingGroupName")?;
    let missing = || invalid(format!("AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"));
    context.resources.groups.get(name).ok_or_else(missing)
}

/// Cuts a page of at most `MaxRecords`, which is 50 by default.
fn paginate<T: AsRef<str>>(
    context: &CallContext<'_>,
    api: &str,
    params: &Value,
    max: usize,
    items: impl IntoIterator<Item = T>,
) -> Result<Page<T>, ApiError> {
    let asked = match params["MaxRecords"].as_str() {
        None => 50,
        Some(text) => {
            let asked = text.parse().ok().filter(|asked| (1..=max).contains(asked));
            asked.ok_or_else(|| invalid(format!("The number of records must be between 1 and {max}")))?
        }
    };
    let size = context.settings.page_sizes.get(api).map_or(asked, |size| asked.min(*size));
    let mut query = params.clone();
    if let Some(fields) = query.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "MaxRecords" | "NextToken"));
    }
    let query = format!("{} {} {api} {query}", context.account, context.region);
    page::cut(&query, params["NextToken"].as_str(), size, items)
        .map_err(|_| ApiError::new(400, "InvalidNextToken", "The token is not valid"))
}
