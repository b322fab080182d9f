//! Payloads that wrap an event, or are a part of one.

use serde_json::Value;

use crate::identifier::quote;

/// For each wrapper: the field that it is recognized by, what it is, and what to do about it.
const WRAPPERS: [(&str, &str); 12] = [
    ("/Records/0/Sns", "an SNS notification: let the EventBridge rule target this function or its queue"),
    ("/TopicArn", "an SNS notification: turn on raw message delivery for the topic's subscription"),
    ("/requestPayload", "Lambda's record of an invocation: send what is in requestPayload"),
    ("/requestContext", HTTP),
    ("/httpMethod", HTTP),
    ("/awslogs", "a message of CloudWatch Logs: let the EventBridge rule target this function or its queue"),
    ("/DetailType", PUT),
    ("/Entries", PUT),
    (
        "/instance-id",
        "the detail of an event alone: let the EventBridge rule pass the whole event, without an input path",
    ),
    ("/Records", "records that are not all SQS messages: send SQS messages only, with messageId and body, or an event"),
    ("/Messages", "an answer of ReceiveMessage: send what is in Body"),
    ("/0", "a list: send what is in it one by one, or as SQS messages"),
];

const HTTP: &str = "an HTTP request: invoke the function with the event itself";
const PUT: &str =
    "a request of PutEvents: send the event as EventBridge delivers it, with source, detail-type and detail";

/// Explains what came in place of an event, and where in it the event is; `None` if neither is known.
pub(super) fn explain(payload: &Value) -> Option<String> {
    if payload.get("detail-type").is_some() {
        return None;
    }
    let wrapper = WRAPPERS.iter().find(|(field, _)| payload.pointer(field).is_some()).map(|(_, wrapper)| *wrapper);
    match (event_in(payload, ""), wrapper) {
        (Some(path), Some(wrapper)) => Some(format!("it is wrapped, in {path} of {wrapper}")),
        (Some(_), None) if payload.is_string() => Some("it is wrapped, in a string: send it by itself".to_owned()),
        (Some(path), None) => Some(format!("it is wrapped, in {path}: send it by itself")),
        (None, wrapper) => wrapper.map(|wrapper| format!("it is {wrapper}")),
    }
}

/// The path of an event within a value, or within a string of JSON.
fn event_in(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(fields) if fields.contains_key("detail-type") => Some(quote(path.trim_start_matches('.'))),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| event_in(value, &format!("{path}.{name}"))),
        Value::Array(values) => {
            values.iter().enumerate().find_map(|(at, value)| event_in(value, &format!("{path}[{at}]")))
        }
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            serde_json::from_str(text).ok().and_then(|value| event_in(&value, path))
        }
        _ => None,
    }
}
