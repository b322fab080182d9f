//! `ChangeMessageVisibility`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Queue;
use crate::clock;
use crate::error::ApiError;
use crate::request::Request;

/// Queues by Region, account and name.
pub(crate) type Queues = BTreeMap<(String, String, String), Queue>;

/// The longest visibility timeout, 12 h.
const LONGEST_S: u64 = 43_200;

/// Answers a call in JSON.
pub(crate) fn call(queues: &Queues, request: &Request) -> Result<Value, ApiError> {
    if request.api != "ChangeMessageVisibility" {
        return Err(ApiError::new(400, "InvalidAction", format!("Could not find operation {}", request.api)));
    }
    let text = |name: &str| {
        let missing =
            || ApiError::new(400, "MissingParameter", format!("The request must contain the parameter {name}."));
        request.params[name].as_str().ok_or_else(missing)
    };
    let url = text("QueueUrl")?;
    let mut parts = url.rsplit('/');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let key = (request.region.clone(), account.to_owned(), name.to_owned());
    let unknown = || ApiError::new(400, "QueueDoesNotExist", "The specified queue does not exist.");
    let queue = queues.get(&key).ok_or_else(unknown)?;
    let timeout = &request.params["VisibilityTimeout"];
    let invalid = || invalid(timeout, "VisibilityTimeout", "Must be between 0 and 43200, if provided.");
    let seconds = timeout.as_u64().filter(|seconds| *seconds <= LONGEST_S).ok_or_else(invalid)?;
    queue.change_visibility(text("ReceiptHandle")?, Duration::from_secs(seconds))?;
    Ok(json!({}))
}

fn invalid(value: &Value, name: &str, reason: &str) -> ApiError {
    let message = format!("Value {value} for parameter {name} is invalid. Reason: {reason}");
    ApiError::new(400, "InvalidParameterValue", message)
}

impl Queue {
    /// Hides a message in flight for this long from now on.
    fn change_visibility(&self, receipt_handle: &str, timeout: Duration) -> Result<(), ApiError> {
        let now = clock::now();
        let mut state = self.lock();
        let mut messages = state.messages.iter_mut();
        let message = messages.find(|message| receipt_handle.starts_with(&message.copy)).ok_or_else(|| {
            let message = format!("The input receipt handle \"{receipt_handle}\" is not a valid receipt handle.");
            ApiError::new(404, "ReceiptHandleIsInvalid", message)
        })?;
        if message.receipt_handle() != receipt_handle {
            let reason = "Message does not exist or is not available for visibility timeout change.";
            return Err(invalid(&json!(receipt_handle), "ReceiptHandle", reason));
        }
        if message.visible <= now {
            return Err(ApiError::new(400, "MessageNotInflight", "The specified message isn't in flight."));
        }
        message.visible = now + timeout;
        Ok(())
    }
}
