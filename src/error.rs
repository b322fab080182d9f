//! Why a notice could not be handled.

use lambda_runtime::Diagnostic;

use crate::interruption::AccountId;

/// Why a notice could not be handled.
///
/// Cloneable, since one failed call may concern many notices.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The payload is not the event it should be; the message names the field.
    #[error("the event is malformed: {0}")]
    InvalidEvent(String),

    /// The event is of another account, and there is no role to act there with.
    #[error("MEMBER_ROLE_NAME is not set: events of account {0}, which is not this function's, can't be handled")]
    ForeignAccount(AccountId),

    /// An AWS API call failed for good.
    ///
    /// One variant for all operations: they are handled alike, by their class.
    #[error("{operation} for {about} failed: {cause}")]
    Call {
        /// The API, in AWS's own name.
        operation: &'static str,
        /// What the call was about: a cluster, a container instance, an instance.
        about: String,
        /// What kind of failure it was.
        class: Class,
        /// AWS's error code, where an answer came.
        code: Option<String>,
        /// The error and its causes, as the SDK prints them.
        cause: String,
    },

    /// An answer of 200 that says, for this container instance, that nothing was done.
    #[error("{operation} for {about} changed nothing: {reason}")]
    Unchanged {
        /// The API, in AWS's own name.
        operation: &'static str,
        /// The container instance's ARN.
        about: String,
        /// The reason in `failures[]`, or what a second look showed.
        reason: String,
    },
}

/// The kinds of failed calls that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A request quota was used up.
    Throttled,
    /// No answer, or one that says the service is at fault.
    Unavailable,
    /// The function's role may not do this.
    Denied,
    /// Anything else: asking again would not help.
    Rejected,
}

impl Class {
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
            Self::Call { class: Class::Throttled, .. } => "Throttled",
            // It was tried again until there was no time left.
            Self::Call { class: Class::Unavailable, .. } => "DeadlineExceeded",
            Self::Call { class: Class::Denied, .. } => "AccessDenied",
            Self::Call { class: Class::Rejected, .. } => "CallRejected",
            Self::Unchanged { .. } => "Unchanged",
        }
    }

    /// An answer of 200 that says, for what it was about, that it was not given.
    pub(crate) fn refused(operation: &'static str, about: &str, reason: Option<&str>) -> Self {
        let cause = reason.unwrap_or("no reason given").to_owned();
        Self::Call { operation, about: about.to_owned(), class: Class::Rejected, code: None, cause }
    }

    /// Whether the same may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Call { class, .. } if class.is_transient())
    }

    /// AWS's error code, where a call was answered with one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Call { code, .. } => code.as_deref(),
            _ => None,
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error_type: error.error_type().to_owned(), error_message: error.to_string() }
    }
}
