//! Amazon EC2, as far as finding a cluster and starting a task again need it.

mod describe_instances;
mod instance_attribute;
mod network_interfaces;
mod query;
mod tags;

use serde_json::Value;

use crate::error::ApiError;
use crate::request::REQUEST_ID;
use crate::state::CallContext;
use crate::xml::element;

/// Answers a call in XML.
pub(crate) fn call(context: &CallContext<'_>, api: &str, params: &Value) -> Result<String, ApiError> {
    let body = match api {
        "DescribeInstances" => describe_instances::call(context, params)?,
        "DescribeInstanceAttribute" => instance_attribute::call(context, params)?,
        "DescribeNetworkInterfaces" => network_interfaces::call(context, params)?,
        "DescribeTags" => tags::call(context, params)?,
        _ => {
            let message = format!("The action {api} is not valid for this web service.");
            return Err(ApiError::new(400, "InvalidAction", message));
        }
    };
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <{api}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">{}{body}</{api}Response>",
        element("requestId", REQUEST_ID)
    ))
}

/// Refuses an instance id that is none.
fn check_id(id: &str) -> Result<(), ApiError> {
    let digits = id.strip_prefix("i-").unwrap_or_default();
    let is_hex = digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    if is_hex && matches!(digits.len(), 8 | 17) {
        return Ok(());
    }
    let message = format!("Invalid id: \"{id}\"");
    Err(ApiError::new(400, "InvalidInstanceID.Malformed", message))
}

fn not_found(ids: &[&str]) -> ApiError {
    let message = match ids {
        [id] => format!("The instance ID '{id}' does not exist"),
        ids => format!("The instance IDs '{}' do not exist", ids.join(", ")),
    };
    ApiError::new(400, "InvalidInstanceID.NotFound", message)
}
