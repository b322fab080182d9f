//! Why an event could not be handled.

use std::time::Duration;

use lambda_runtime::Diagnostic;

use crate::{
    aws::operation::Operation,
    identifier::{AccountId, TaskArn},
};

/// An error whose text is all that matters.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an event could not be handled.
///
/// `Clone`, since one failed call may have been made for many instances.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The payload is not a valid event. The message names the field.
    #[error("the event is malformed: {0}")]
    InvalidEvent(String),

    /// The event belongs to another account, and no role to assume there is configured.
    #[error("the event belongs to account {0}, which is not this function's: set MEMBER_ROLE_NAME to handle it")]
    ForeignAccount(AccountId),

    /// A call to an AWS API failed for good.
    ///
    /// One variant covers all operations: they are handled alike, by class.
    #[error("{operation} for {resource} failed: {cause}")]
    Call {
        /// The API operation.
        operation: Operation,
        /// The subject of the call: a cluster, a container instance, an instance.
        resource: String,
        /// The kind of failure.
        class: ErrorClass,
        /// AWS's error code, if AWS answered.
        code: Option<String>,
        /// The error and its causes, as the SDK prints them.
        cause: String,
        /// How long the server wants callers to wait, if its answer says so.
        retry_after: Option<Duration>,
    },

    /// A change was accepted, but the answer says that this container instance or node was not changed.
    #[error("{operation} for {resource} changed nothing: {reason}")]
    Unchanged {
        /// The API operation.
        operation: Operation,
        /// The container instance's ARN, or the node's name and cluster.
        resource: String,
        /// The reason in `failures[]`, or what a second read showed.
        reason: String,
    },

    /// An interrupted task can't be started again as it was.
    #[error("{task} was interrupted and is not started again: {reason}")]
    NotRunAgain {
        /// The old task.
        task: TaskArn,
        /// The reason.
        reason: String,
    },

    /// There was no capacity for an interrupted task for as long as it could be started again.
    #[error("{task} was interrupted and is not started again: there is no capacity: {reason}")]
    NoCapacity {
        /// The old task.
        task: TaskArn,
        /// The reason in `failures[]`.
        reason: String,
    },

    /// Handling takes longer than the invocation.
    #[error("handling takes longer than the invocation: another one has to go on")]
    Unfinished,
}

/// The kinds of failed calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// A request quota was used up.
    Throttled,
    /// AWS did not answer, or answered with a server error.
    Unavailable,
    /// The role lacks a permission.
    Denied,
    /// AWS rejected the call for another reason: a retry would not help.
    Rejected,
}

impl ErrorClass {
    /// Whether the same call may succeed later.
    pub(crate) fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable)
    }
}

impl Error {
    /// The stable `errorType` that Lambda reports, for alarms and dead letters.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::ForeignAccount(_) => "ForeignAccount",
            Self::Call { class: ErrorClass::Throttled, .. } => "Throttled",
            // The call was retried until the deadline.
            Self::Call { class: ErrorClass::Unavailable, .. } => "DeadlineExceeded",
            Self::Call { class: ErrorClass::Denied, .. } => "AccessDenied",
            Self::Call { class: ErrorClass::Rejected, .. } => "CallRejected",
            Self::Unchanged { .. } => "Unchanged",
            Self::NotRunAgain { .. } => "NotRunAgain",
            Self::NoCapacity { .. } => "NoCapacity",
            Self::Unfinished => "Unfinished",
        }
    }

    /// Whether it is final and reported in full, so that another delivery of the event would only repeat it.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::NotRunAgain { .. } | Self::NoCapacity { .. })
    }

    /// A failed call without an error code.
    pub(crate) fn call(
        operation: Operation,
        resource: &(impl ToString + ?Sized),
        class: ErrorClass,
        cause: impl Into<String>,
    ) -> Self {
        let (resource, cause) = (resource.to_string(), cause.into());
        Self::Call { operation, resource, class, code: None, cause, retry_after: None }
    }

    /// This error of a call, with an error code.
    pub(crate) fn with_code(mut self, with: &str) -> Self {
        if let Self::Call { code, .. } = &mut self {
            *code = Some(with.to_owned());
        }
        self
    }

    /// How long the server wants callers to wait, if its answer says so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the call was not sent, since its request quota was used up until the deadline.
    pub(crate) fn is_unsent(&self) -> bool {
        self.class() == Some(ErrorClass::Throttled) && self.code().is_none()
    }

    /// Whether the same call may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        self.class().is_some_and(ErrorClass::is_transient)
    }

    /// The class of a failed call.
    pub(crate) fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Call { class, .. } => Some(*class),
            _ => None,
        }
    }

    /// AWS's error code, if AWS answered with one.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Call { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// Whether AWS rejected a call, possibly because of one of several keys in it.
    pub(crate) fn may_concern_one_key(&self) -> bool {
        self.class() == Some(ErrorClass::Rejected) && self.code() != Some("ClusterNotFoundException")
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error_type: error.error_type().to_owned(), error_message: error.to_string() }
    }
}
