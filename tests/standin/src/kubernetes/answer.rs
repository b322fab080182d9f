//! Answers of the API server.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::fault::FaultResponse;

/// What is logged as the error of a 429 of API priority and fairness, whose answer has no reason.
const THROTTLING: &str = "Throttling";

/// What is logged as the error of an eviction that fails with 201.
const FAILURE: &str = "Failure";

/// An answer, and what the call log says of it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) content: Content,
    /// The reason of the status.
    pub(super) error: Option<String>,
    /// How long the API server takes for it.
    pub(super) takes: Duration,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Json(Value),
    Text(String),
}

impl Answer {
    pub(super) fn ok(object: Value) -> Self {
        Self { status: 200, headers: Vec::new(), content: Content::Json(object), error: None, takes: Duration::ZERO }
    }

    /// A `Status` of success, with 201.
    pub(super) fn created() -> Self {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        Self { status: 201, ..Self::ok(status) }
    }

    /// The answer of an eviction that fails although its HTTP status is 201.
    pub(super) fn failed_with_201(message: impl Into<String>) -> Self {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": message.into(), "code": 500
        });
        Self { status: 201, error: Some(FAILURE.to_owned()), ..Self::ok(status) }
    }

    /// A `Status` of failure.
    pub(super) fn failure(code: u16, reason: &str, message: impl Into<String>, details: Value) -> Self {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message.into(),
        });
        if !reason.is_empty() {
            status["reason"] = reason.into();
        }
        if !details.is_null() {
            status["details"] = details;
        }
        status["code"] = code.into();
        let answer = Self { status: code, error: Some(reason.to_owned()), ..Self::ok(status) };
        let answer = if reason.is_empty() { Self { error: Some(FAILURE.to_owned()), ..answer } } else { answer };
        let seconds = answer.details("retryAfterSeconds").and_then(Value::as_u64);
        match seconds {
            Some(seconds) if seconds > 0 => answer.header("retry-after", seconds.to_string()),
            _ => answer,
        }
    }

    fn details(&self, key: &str) -> Option<&Value> {
        match &self.content {
            Content::Json(status) => status.pointer("/details")?.get(key),
            Content::Text(_) => None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message, Value::Null)
    }

    pub(super) fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized", Value::Null)
    }

    pub(super) fn forbidden(resource: &str, name: &str, message: &str) -> Self {
        let whom = if name.is_empty() { resource.to_owned() } else { format!("{resource} \"{name}\"") };
        Self::failure(403, "Forbidden", format!("{whom} is forbidden: {message}"), details(resource, name))
    }

    pub(super) fn not_found(resource: &str, name: &str) -> Self {
        Self::failure(404, "NotFound", format!("{resource} \"{name}\" not found"), details(resource, name))
    }

    /// A path that is none of the API's.
    pub(super) fn no_resource() -> Self {
        Self::failure(404, "NotFound", "the server could not find the requested resource", json!({}))
    }

    pub(super) fn conflict(resource: &str, name: &str, message: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {message}");
        Self::failure(409, "Conflict", message, details(resource, name))
    }

    pub(super) fn invalid(kind: &str, name: &str, message: &str) -> Self {
        let message = format!("{kind} \"{name}\" is invalid: {message}");
        Self::failure(422, "Invalid", message, json!({"name": name, "kind": kind}))
    }

    /// The 429 of API priority and fairness: no `Status`.
    pub(super) fn throttled(retry_after_s: u64) -> Self {
        Self {
            status: 429,
            headers: vec![("retry-after", retry_after_s.to_string())],
            content: Content::Text("Too many requests, please try again later.\n".to_owned()),
            error: Some(THROTTLING.to_owned()),
            takes: Duration::ZERO,
        }
    }

    /// The answer that a fault stands for; `None` if the call is answered normally, or not at all.
    pub(super) fn of_fault(api: &str, response: &FaultResponse, retry_after_s: Option<u64>) -> Option<Self> {
        let retry = match retry_after_s {
            Some(seconds) => json!({"retryAfterSeconds": seconds}),
            None => Value::Null,
        };
        match response {
            FaultResponse::Normal | FaultResponse::Cut => None,
            FaultResponse::Throttle | FaultResponse::Status(429) => Some(Self::throttled(retry_after_s.unwrap_or(1))),
            FaultResponse::Status(401) => Some(Self::unauthorized()),
            FaultResponse::Status(status) => {
                let (reason, message) = words(*status);
                Some(Self::failure(*status, reason, message, retry))
            }
            FaultResponse::Error(ApiError { status, code, message, .. }) => {
                Some(Self::failure(*status, code, message, retry))
            }
            FaultResponse::Failure { reason, .. } if api == "EvictPod" => Some(Self::failed_with_201(reason)),
            FaultResponse::Failure { reason, .. } => Some(Self::failure(500, "InternalError", reason, retry)),
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn takes(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }
}

/// The resource that a `Status` is about.
pub(super) fn details(resource: &str, name: &str) -> Value {
    let mut details = Map::new();
    if !name.is_empty() {
        details.insert("name".to_owned(), name.into());
    }
    let (kind, group) = resource.split_once('.').unwrap_or((resource, ""));
    if !group.is_empty() {
        details.insert("group".to_owned(), group.into());
    }
    details.insert("kind".to_owned(), kind.into());
    Value::Object(details)
}

fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        403 => ("Forbidden", "forbidden"),
        404 => ("NotFound", "the server could not find the requested resource"),
        409 => ("Conflict", "the object has been modified"),
        410 => ("Expired", "The provided continue parameter is too old"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
        500.. => ("InternalError", "Internal error occurred"),
        _ => ("BadRequest", "the server rejected our request for an unknown reason"),
    }
}
