//! The envelope of an `EventBridge` event, and how its fields are read.

use std::time::SystemTime;

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;

/// An `EventBridge` event, or the reason why it is none.
///
/// The reason is kept rather than returned, so that even a payload that is no JSON ends as an
/// [`Error::InvalidEvent`] of ours.
#[derive(Debug)]
pub struct Received(pub(super) Result<EventBridgeEvent<Value>, String>);

/// A message of a batch.
#[derive(Debug)]
pub struct Message {
    /// By which SQS is told that it failed.
    pub id: String,
    /// The event in its body.
    pub event: Received,
}

impl From<Value> for Received {
    fn from(event: Value) -> Self {
        Self(serde_path_to_error::deserialize(event).map_err(|error| describe(&error, "")))
    }
}

/// Reads an event's `detail`.
pub(super) fn detail<T: DeserializeOwned>(detail: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(detail).map_err(|error| Error::InvalidEvent(describe(&error, "detail")))
}

/// Reads a field of the envelope that the events handled here always have.
pub(super) fn required<T>(field: &str, value: Option<String>) -> Result<T, Error>
where
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    let value = value.ok_or_else(|| Error::InvalidEvent(format!("{field}: missing")))?;
    T::try_from(value).map_err(|error| Error::InvalidEvent(format!("{field}: {error}")))
}

/// Reads the envelope's `time`.
pub(super) fn time(event: &EventBridgeEvent<Value>) -> Result<SystemTime, Error> {
    let time = event.time.ok_or_else(|| Error::InvalidEvent("time: missing".into()))?;
    Ok(time.into())
}

/// Says what is wrong and where, without repeating the event.
fn describe<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>, parent: &str) -> String {
    let path = error.path().to_string();
    let place = [parent, &path].into_iter().filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join(".");
    let separator = if place.is_empty() { "" } else { ": " };
    format!("{place}{separator}{}", error.inner())
}
