//! Why an event could not be handled.

use lambda_runtime::Diagnostic;

use crate::{aws::operation::Operation, identifier::AccountId};

/// Why an event could not be handled.
///
/// `Clone`, since one failed call may have been made for many instances.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The payload is not the event it should be; the message names the field.
    #[error("the event is malformed: {0}")]
    InvalidEvent(String),

    /// The event is of another account, and there is no role to assume there.
    #[error("MEMBER_ROLE_NAME is not set: events of account {0}, which is not this function's, can't be handled")]
    ForeignAccount(AccountId),

    /// An AWS API call failed for good.
    ///
    /// One variant for all operations: they are handled alike, by their class.
    #[error("{operation} for {resource} failed: {cause}")]
    Call {
        /// The API operation.
        operation: Operation,
        /// What the call was about: a cluster, a container instance, an instance.
        resource: String,
        /// What kind of failure it was.
        class: ErrorClass,
        /// AWS's error code, if AWS answered.
        code: Option<String>,
        /// The error and its causes, as the SDK prints them.
        cause: String,
    },

    /// An answer of 200 that says, for this container instance, that nothing was changed.
    #[error("{operation} for {resource} changed nothing: {reason}")]
    Unchanged {
        /// The API operation.
        operation: Operation,
        /// The container instance's ARN.
        resource: String,
        /// The reason in `failures[]`, or what a second look showed.
        reason: String,
    },
}

/// The kinds of failed calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// A request quota was used up.
    Throttled,
    /// No answer, or one that says the service is at fault.
    Unavailable,
    /// The function's role lacks a permission.
    Denied,
    /// Anything else: a retry would not help.
    Rejected,
}

impl ErrorClass {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(self) -> bool {
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
            // It was retried until the deadline.
            Self::Call { class: ErrorClass::Unavailable, .. } => "DeadlineExceeded",
            Self::Call { class: ErrorClass::Denied, .. } => "AccessDenied",
            Self::Call { class: ErrorClass::Rejected, .. } => "CallRejected",
            Self::Unchanged { .. } => "Unchanged",
        }
    }

    /// A call without an answer that could be used.
    pub(crate) fn call(
        operation: Operation,
        resource: &(impl ToString + ?Sized),
        class: ErrorClass,
        cause: impl Into<String>,
    ) -> Self {
        Self::Call { operation, resource: resource.to_string(), class, code: None, cause: cause.into() }
    }

    /// Whether the same may succeed later.
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
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Call { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// Whether a call was refused, which one of several things that it named may be the reason for.
    pub(crate) fn may_concern_one_key(&self) -> bool {
        self.class() == Some(ErrorClass::Rejected) && self.code() != Some("ClusterNotFoundException")
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error_type: error.error_type().to_owned(), error_message: error.to_string() }
    }
}
