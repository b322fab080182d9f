//! The call log.

use std::time::Instant;

use serde_json::Value;

/// One request to the stand-in and how it was answered.
#[derive(Clone, Debug)]
pub struct Call {
    /// `ecs`, `ec2` or `sts`, as the signature's scope names it.
    pub service: String,
    /// The API's name, such as `ListContainerInstances`.
    pub api: String,
    /// The account of the access key; empty where the key is unknown.
    pub account: String,
    /// The Region of the signature's scope.
    pub region: String,
    /// The access key id that signed the request.
    pub access_key: String,
    /// When the request had been read.
    pub started: Instant,
    /// When the answer was handed over; latency and delays are included.
    pub finished: Instant,
    /// The request's body; for EC2 and STS the query as an object of strings.
    pub params: Value,
    /// The HTTP status; 0 where the connection was cut without an answer.
    pub status: u16,
    /// The error's code, such as `ThrottlingException`; `ConnectionCut` where there was no answer.
    pub error: Option<String>,
}

impl Call {
    /// Whether the call was answered with success.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.error.is_none()
    }

    /// Whether the call was throttled, by a quota or a fault.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        matches!(self.error.as_deref(), Some("ThrottlingException" | "RequestLimitExceeded" | "Throttling"))
    }

    /// Whether the call asks for a change: `DeregisterContainerInstance`, `UpdateContainerInstancesState` or `StopTask`.
    #[must_use]
    pub fn is_write(&self) -> bool {
        is_write(&self.api)
    }
}

pub(crate) fn is_write(api: &str) -> bool {
    matches!(api, "DeregisterContainerInstance" | "UpdateContainerInstancesState" | "StopTask")
}
