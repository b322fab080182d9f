//! Classifies errors of the SDK.

use std::{fmt::Display, iter::successors};

use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_sts::{
    error::{ProvideErrorMetadata, SdkError},
    operation::assume_role::AssumeRoleError,
};

use super::operation::Operation;
use crate::error::{Error, ErrorClass};

pub(super) fn call_error<E>(operation: Operation, resource: &impl Display, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    Error::Call {
        operation,
        resource: resource.to_string(),
        class: class(error),
        code: error.code().map(str::to_owned),
        // Not `DisplayErrorContext`: it adds the answer's debug form, which can contain user data.
        cause: error
            .code()
            .map_or_else(|| with_causes(error), |code| format!("{code}: {}", error.message().unwrap_or("no message"))),
        retry_after: None,
    }
}

/// An error and the chain of its causes.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = successors(Some(error), |&cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn class<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> ErrorClass {
    let SdkError::ServiceError(answer) = error else {
        return match (not_assumed(error), error) {
            (Some(error), _) => class(error),
            // The request was invalid or had no credentials, and was not sent.
            (None, SdkError::ConstructionFailure(_)) => ErrorClass::Rejected,
            (None, _) => ErrorClass::Unavailable,
        };
    };
    let status = answer.raw().status().as_u16();
    match error.code().unwrap_or_default() {
        code if THROTTLING_ERRORS.contains(&code) => ErrorClass::Throttled,
        code if TRANSIENT_ERRORS.contains(&code) => ErrorClass::Unavailable,
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => ErrorClass::Denied,
        _ if status == 429 => ErrorClass::Throttled,
        _ if status >= 500 => ErrorClass::Unavailable,
        _ => ErrorClass::Rejected,
    }
}

/// The error of `AssumeRole` behind an error, if a role could not be assumed.
pub(super) fn not_assumed(error: &dyn std::error::Error) -> Option<&SdkError<AssumeRoleError>> {
    let mut causes = successors(error.source(), |&cause| cause.source());
    causes.find_map(|cause| cause.downcast_ref())
}
