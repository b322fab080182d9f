//! Event buses.

use serde_json::{Value, json};

use crate::arn;
use crate::error::ApiError;
use crate::state::Failure;

/// The most entries that a call takes.
const MAX_ENTRIES: usize = 10;

/// Answers a call in JSON, and stores the accepted entries.
pub(crate) fn call(
    accepted: &mut Vec<Value>,
    api: &str,
    params: &Value,
    failure: Option<&Failure>,
) -> Result<Value, ApiError> {
    if api != "PutEvents" {
        return Err(ApiError::new(400, "UnknownOperationException", ""));
    }
    let entries = params["Entries"].as_array().filter(|entries| (1..=MAX_ENTRIES).contains(&entries.len()));
    let entries = entries.ok_or_else(|| {
        let message = format!("Value at 'entries' failed to satisfy constraint: length between 1 and {MAX_ENTRIES}");
        ApiError::new(400, "ValidationException", message)
    })?;
    if entries.iter().any(|entry| !(entry["Time"].is_number() || entry["Time"].is_null())) {
        return Err(ApiError::new(400, "SerializationException", ""));
    }
    let answer = |entry| match failure {
        Some((_, reason)) => json!({ "ErrorCode": "InternalFailure", "ErrorMessage": reason }),
        None => put(accepted, entry),
    };
    let answers: Vec<_> = entries.iter().map(answer).collect();
    let failed = answers.iter().filter(|answer| answer.get("ErrorCode").is_some()).count();
    Ok(json!({ "FailedEntryCount": failed, "Entries": answers }))
}

fn put(accepted: &mut Vec<Value>, entry: &Value) -> Value {
    let field = |name: &str| entry[name].as_str().unwrap_or_default();
    let refused = |message: &str| json!({ "ErrorCode": "MalformedDetail", "ErrorMessage": message });
    if field("Source").is_empty() || field("DetailType").is_empty() {
        return json!({ "ErrorCode": "InvalidArgument", "ErrorMessage": "Parameter Source or DetailType is not valid." });
    }
    if field("Source").starts_with("aws.") {
        return json!({ "ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source." });
    }
    if !serde_json::from_str::<Value>(field("Detail")).is_ok_and(|detail| detail.is_object()) {
        return refused("Detail is malformed.");
    }
    accepted.push(entry.clone());
    json!({ "EventId": arn::uuid() })
}
