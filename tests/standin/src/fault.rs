//! Faults of calls: which calls, when and how often.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::error::ApiError;
use crate::request::AwsService;

type Predicate = Box<dyn Fn(&Value) -> bool + Send + Sync>;

/// A fault of calls, each time unless [`times`](Fault::times) or [`probability`](Fault::probability) limits it.
///
/// Quotas come first: a throttled call uses up no fault. If several faults match a call, the one that was added first
/// applies.
pub struct Fault {
    api: String,
    account: Option<String>,
    region: Option<String>,
    predicate: Option<Predicate>,
    times: Option<u32>,
    probability: f64,
    pub(crate) effect: Effect,
}

/// The effect of a fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effect {
    pub(crate) delay: Duration,
    pub(crate) after_call: bool,
    pub(crate) response: FaultResponse,
    pub(crate) retry_after_s: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum FaultResponse {
    /// The call is answered normally.
    #[default]
    Normal,
    Throttle,
    Status(u16),
    Cut,
    Error(ApiError),
    Failure {
        item: Option<String>,
        reason: String,
    },
}

impl Fault {
    /// A fault on every call of an API. Without an action it does nothing.
    #[must_use]
    pub fn on(api: impl Into<String>) -> Self {
        Self {
            api: api.into(),
            account: None,
            region: None,
            predicate: None,
            times: None,
            probability: 1.0,
            effect: Effect::default(),
        }
    }

    /// A fault on every call.
    #[must_use]
    pub fn on_any() -> Self {
        Self::on("*")
    }

    /// Applies only to calls with matching [`params`](crate::Call::params).
    #[must_use]
    pub fn matching(mut self, predicate: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        self.predicate = Some(Box::new(predicate));
        self
    }

    /// Applies only in this account.
    #[must_use]
    pub fn in_account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Applies only in this Region.
    #[must_use]
    pub fn in_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Applies only to the first few matching calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Applies each time, which is the default.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Applies to each matching call with this probability, between 0 and 1.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// The call is throttled, in the words of its service; by a Kubernetes API server, with the 429 of API priority and
    /// fairness.
    #[must_use]
    pub fn throttle(self) -> Self {
        self.response(FaultResponse::Throttle)
    }

    /// The call is answered with this HTTP status and an error that goes with it.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        self.response(FaultResponse::Status(status))
    }

    /// The connection is closed without an answer.
    #[must_use]
    pub fn cut(self) -> Self {
        self.response(FaultResponse::Cut)
    }

    /// The call is answered with this error. For a Kubernetes API server, the code is the reason of the `Status`.
    #[must_use]
    pub fn error(self, status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.response(FaultResponse::Error(ApiError::new(status, code, message)))
    }

    /// The call is answered with success, and every item of it fails in `failures[]` for this reason.
    ///
    /// For `DescribeClusters`, `DescribeCapacityProviders`, `DescribeContainerInstances`, `DescribeTasks`,
    /// `DescribeServices` and `UpdateContainerInstancesState`. A `RunTask` then starts nothing; its item is the cluster's
    /// name. `EvictPod` is answered with 201 and a `Status` of failure
    /// with this message, and `PutEvents` with this `ErrorMessage` for each entry.
    #[must_use]
    pub fn failure(self, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        self.response(FaultResponse::Failure { item: None, reason })
    }

    /// Like [`failure`](Fault::failure), but only the item with this name or ARN fails.
    #[must_use]
    pub fn failure_of(self, item: impl Into<String>, reason: impl Into<String>) -> Self {
        let (item, reason) = (Some(item.into()), reason.into());
        self.response(FaultResponse::Failure { item, reason })
    }

    /// The answer comes this much later; alone, it is a normal answer.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.effect.delay = delay;
        self
    }

    /// The answer of a Kubernetes API server says to wait for so many seconds.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.effect.retry_after_s = Some(seconds);
        self
    }

    /// The call has its effect first, and only its answer is lost.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.effect.after_call = true;
        self
    }

    fn response(mut self, response: FaultResponse) -> Self {
        self.effect.response = response;
        self
    }

    /// The effect, if the fault applies to this call.
    pub(crate) fn apply(&mut self, api: &str, params: &Value, region: &str, account: &str) -> Option<Effect> {
        let fits = (self.api == "*" || self.api == api)
            && self.times != Some(0)
            && self.account.as_deref().is_none_or(|wanted| wanted == account)
            && self.region.as_ref().is_none_or(|wanted| wanted == region)
            && self.predicate.as_ref().is_none_or(|fits| fits(params))
            && (self.probability >= 1.0 || fastrand::f64() < self.probability);
        if !fits {
            return None;
        }
        self.times = self.times.map(|left| left - 1);
        Some(self.effect.clone())
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("api", &self.api)
            .field("times", &self.times)
            .field("effect", &self.effect)
            .finish_non_exhaustive()
    }
}

impl FaultResponse {
    /// The error that the service answers with, if there is one.
    pub(crate) fn error(&self, service: AwsService) -> Option<ApiError> {
        match self {
            Self::Normal | Self::Cut | Self::Failure { .. } => None,
            Self::Throttle => Some(service.throttled()),
            Self::Status(status) => Some(service.failed(*status)),
            Self::Error(error) => Some(error.clone()),
        }
    }
}
