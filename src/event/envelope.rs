//! The envelope of an `EventBridge` event, and functions that read its fields.

use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};
use serde_json::Value;

use super::wrapped;
use crate::{
    error::Error,
    identifier::{ParseError, QueueArn, quote},
    interrupted_task::Recalled,
};

/// A payload that may be an `EventBridge` event, or the reason why it is not one.
///
/// The reason is stored rather than returned, so that even a payload that is not JSON results in an
/// [`Error::InvalidEvent`].
#[derive(Debug)]
pub struct RawEvent(pub(super) Result<Value, String>);

/// The field of an event that a former invocation added.
pub(super) const RECALLED: &str = "recalled";

impl RawEvent {
    /// The event, with what another invocation has to know of its task.
    pub(crate) fn with_recalled(&self, recalled: &Recalled) -> Option<String> {
        let mut event = self.0.as_ref().ok()?.clone();
        event.as_object_mut()?.insert(RECALLED.to_owned(), serde_json::to_value(recalled).ok()?);
        Some(event.to_string())
    }
}

/// A message of a batch.
#[derive(Debug)]
pub struct Message {
    /// The id by which the message is reported to SQS as failed.
    pub id: String,
    /// The event in the message's body.
    pub event: RawEvent,
    /// What it takes to have the message delivered again later.
    pub receipt: Option<Receipt>,
}

/// What identifies a message that was received from a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The ARN of the queue.
    pub queue: QueueArn,
    /// The receipt handle.
    pub handle: String,
}

/// Reads the source and the detail type of an event. The error for a payload that wraps an event explains the wrapper.
pub(super) fn kind(event: &Value) -> Result<(&str, &str), Error> {
    let read = || {
        if event.is_object() {
            let source = text(event, "source", "the source of an EventBridge event, such as aws.ec2")?;
            let expected = "the detail-type of an EventBridge event, such as EC2 Spot Instance Interruption Warning";
            Ok((source, text(event, "detail-type", expected)?))
        } else {
            let found = ParseError { found: kind_of(event), expected: "an EventBridge event" };
            Err(Error::InvalidEvent(found.to_string()))
        }
    };
    read().map_err(|error| wrapped::explain(event).map_or(error, Error::InvalidEvent))
}

/// Reads an event's `detail`.
pub(super) fn detail(event: &Value) -> Result<&Value, Error> {
    let detail = event.get("detail").unwrap_or(&Value::Null);
    if detail.is_object() {
        return Ok(detail);
    }
    let found = ParseError { found: kind_of(detail), expected: "an object" };
    Err(Error::InvalidEvent(format!("detail: {found}")))
}

/// Reads a field of an event, or of its `detail`, with a text that is not empty.
pub(super) fn text<'a>(of: &'a Value, path: &str, expected: &'static str) -> Result<&'a str, Error> {
    let found = match field(of, path) {
        Value::String(text) if !text.is_empty() => return Ok(text),
        Value::String(text) => quote(text),
        other => kind_of(other),
    };
    Err(Error::InvalidEvent(format!("{path}: {}", ParseError { found, expected })))
}

fn field<'a>(of: &'a Value, path: &str) -> &'a Value {
    of.get(path.strip_prefix("detail.").unwrap_or(path)).unwrap_or(&Value::Null)
}

/// Reads a field of an event, or of its `detail`, that the events handled here always have.
pub(super) fn required<T: TryFrom<String, Error = ParseError>>(of: &Value, path: &str) -> Result<T, Error> {
    parse(field(of, path)).map_err(|error| Error::InvalidEvent(format!("{path}: {error}")))
}

/// Parses a string.
pub(super) fn parse<T: TryFrom<String, Error = ParseError>>(value: &Value) -> Result<T, ParseError> {
    match value {
        Value::String(text) => T::try_from(text.clone()),
        // An empty text is invalid for all of these types, and its error names the expectation.
        other => T::try_from(String::new()).map_err(|error| ParseError { found: kind_of(other), ..error }),
    }
}

/// Reads the envelope's `time`. A time in the future comes from a sample event or from a clock that is ahead; it counts
/// as now.
pub(super) fn time(event: &Value) -> Result<SystemTime, Error> {
    let Time(time) = required(event, "time")?;
    Ok(time.min(SystemTime::now()))
}

struct Time(SystemTime);

impl TryFrom<String> for Time {
    type Error = ParseError;

    fn try_from(found: String) -> Result<Self, Self::Error> {
        let time = DateTime::from_str(&found, Format::DateTimeWithOffset).ok();
        let time = time.and_then(|time| SystemTime::try_from(time).ok());
        time.map(Self).ok_or_else(|| ParseError::new(&found, "a time, such as 2026-11-02T08:00:00Z"))
    }
}

/// The kind of a JSON value. A string is not repeated: it may be a whole event.
pub(super) fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
