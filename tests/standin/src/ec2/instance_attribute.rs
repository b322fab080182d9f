//! `DescribeInstanceAttribute`, for user data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{check_id, not_found};
use crate::error::ApiError;
use crate::state::CallContext;
use crate::xml::{element, text};

pub(super) fn call(context: &CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let id = params["InstanceId"].as_str().unwrap_or_default();
    check_id(id)?;
    let attribute = params["Attribute"].as_str().unwrap_or_default();
    if attribute != "userData" {
        let message = format!("Value ({attribute}) for parameter attribute is invalid. Unknown attribute.");
        return Err(ApiError::new(400, "InvalidParameterValue", message));
    }
    let instance = context.resources.instances.get(id).ok_or_else(|| not_found(&[id]))?;
    let value = match &instance.user_data {
        None => String::new(),
        Some(bytes) => text("value", &STANDARD.encode(bytes)),
    };
    Ok(text("instanceId", id) + &element("userData", &value))
}
