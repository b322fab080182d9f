//! Errors of services.

use serde_json::Value;

/// An error as a service states it: HTTP status, code and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// Another field of the answer.
    pub(crate) field: Option<(&'static str, Value)>,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), field: None }
    }

    /// Adds a field to the answer, of services that speak JSON.
    pub(crate) fn with(self, name: &'static str, value: Value) -> Self {
        Self { field: Some((name, value)), ..self }
    }

    /// A parameter that ECS does not accept.
    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameterException", message)
    }

    /// ECS's error for an unknown cluster.
    pub(crate) fn cluster_not_found() -> Self {
        Self::new(400, "ClusterNotFoundException", "Cluster not found.")
    }
}
