//! The call log.

use std::time::Instant;

use serde_json::Value;

use crate::quota::Bucket;
use crate::request::AwsService;

/// A request to the stand-in, and its answer.
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

    /// The quota that the call drew on; `None` where it is not limited.
    #[must_use]
    pub fn bucket(&self) -> Option<Bucket> {
        Bucket::of(AwsService::named(&self.service)?, &self.api, &self.params)
    }

    /// Whether the call requests a change: `DeregisterContainerInstance`, `UpdateContainerInstancesState`, `StopTask`,
    /// `PutAttributes` or `DeleteAttributes`.
    #[must_use]
    pub fn is_write(&self) -> bool {
        is_write(&self.api)
    }
}

/// How often an API was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All calls, each attempt counted.
    pub calls: usize,
    /// Throttled calls.
    pub throttled: usize,
    /// Calls that were answered with another error, or not at all.
    pub failed: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, call: &Call) {
        self.calls += 1;
        self.throttled += usize::from(call.is_throttled());
        self.failed += usize::from(!call.is_ok() && !call.is_throttled());
    }
}

pub(crate) fn is_write(api: &str) -> bool {
    matches!(
        api,
        "DeregisterContainerInstance"
            | "UpdateContainerInstancesState"
            | "StopTask"
            | "PutAttributes"
            | "DeleteAttributes"
    )
}
