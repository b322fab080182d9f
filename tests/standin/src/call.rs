//! The call log.

use std::time::Instant;

use serde_json::Value;

use crate::quota::Bucket;
use crate::request::AwsService;

/// A request to the stand-in, and its answer.
#[derive(Clone, Debug)]
pub struct Call {
    /// `ecs`, `ec2`, `eks`, `autoscaling`, `elasticloadbalancing`, `sqs` or `sts`, as the signature's scope names it;
    /// `kubernetes` for a cluster's API server.
    pub service: String,
    /// The API's name, such as `ListContainerInstances`.
    pub api: String,
    /// The account of the access key; empty where the key is unknown. That of the cluster for `kubernetes`.
    pub account: String,
    /// The Region of the signature's scope; that of the cluster for `kubernetes`.
    pub region: String,
    /// The access key id that signed the request or the bearer token.
    pub access_key: String,
    /// When the request had been read.
    pub started: Instant,
    /// When the answer was handed over; latency and delays are included.
    pub finished: Instant,
    /// The request's body; for services with a query protocol, such as EC2, the query as an object of strings; for EKS
    /// `name`; for `kubernetes` `cluster`, and `namespace`, `name`, `query` and `body` where there are any.
    pub params: Value,
    /// The HTTP status; 0 where the connection was cut without an answer.
    pub status: u16,
    /// The error's code, such as `ThrottlingException`; `ConnectionCut` where there was no answer. For `kubernetes` the
    /// reason of the `Status`, `Failure` where it has none, and `Throttling` for the 429 of API priority and fairness.
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
        matches!(
            self.error.as_deref(),
            Some("ThrottlingException" | "RequestLimitExceeded" | "Throttling" | "RequestThrottled")
        )
    }

    /// The quota that the call drew on; `None` where it is not limited.
    #[must_use]
    pub fn bucket(&self) -> Option<Bucket> {
        Bucket::of(AwsService::named(&self.service)?, &self.api, &self.params)
    }

    /// Whether the call requests a change: `DeregisterContainerInstance`, `UpdateContainerInstancesState`, `StopTask`,
    /// `RunTask`, `PutAttributes` or `DeleteAttributes`; `DeregisterTargets`; `DetachInstances`,
    /// `CompleteLifecycleAction` or `RecordLifecycleActionHeartbeat`; `PatchNode`, `EvictPod` or `DeletePod`, unless it is
    /// a dry run.
    #[must_use]
    pub fn is_write(&self) -> bool {
        is_write(&self.api) || self.service == "kubernetes" && self.is_kubernetes_write()
    }

    fn is_kubernetes_write(&self) -> bool {
        let body = &self.params["body"];
        let dry_runs = [&self.params["query"]["dryRun"], &body["dryRun"], &body["deleteOptions"]["dryRun"]];
        matches!(self.api.as_str(), "PatchNode" | "EvictPod" | "DeletePod") && dry_runs.iter().all(|run| run.is_null())
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
            | "RunTask"
            | "DeregisterTargets"
            | "DetachInstances"
            | "CompleteLifecycleAction"
            | "RecordLifecycleActionHeartbeat"
            | "PutAttributes"
            | "DeleteAttributes"
    )
}
