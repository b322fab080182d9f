//! Errors that a service answers with.

use std::fmt;

use aws_sdk_sts::error::{ErrorMetadata, ProvideErrorMetadata};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_xml::decode::Document;
use serde::Deserialize;

use super::answer::Record;
use crate::error::BoxError;

/// An error with the code and the message that the service gives, if it gives any.
#[derive(Debug)]
pub(super) struct ServiceError(ErrorMetadata);

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for ServiceError {}

impl ProvideErrorMetadata for ServiceError {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// The body of a successful answer, or the error in it.
pub(super) fn body_or_error(answer: &HttpResponse) -> Result<String, OrchestratorError<ServiceError>> {
    let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default());
    if answer.status().is_success() {
        return Ok(body.into_owned());
    }
    // A proxy's error has no code; its status says enough.
    let metadata = from_json(&body).or_else(|| from_xml(&body).ok()).unwrap_or_default();
    Err(OrchestratorError::operation(ServiceError(metadata)))
}

fn from_xml(body: &str) -> Result<ErrorMetadata, BoxError> {
    let error = Record::read(&mut Document::new(body).root_element()?, &["Error/Code", "Error/Message"])?;
    Ok(metadata(error.get("Error/Code"), error.get("Error/Message")))
}

fn from_json(body: &str) -> Option<ErrorMetadata> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "__type")]
        code: Option<String>,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let body: Body = serde_json::from_str(body).ok()?;
    // `com.amazonaws.sqs#QueueDoesNotExist`
    let code = body.code.as_deref().map(|code| code.rsplit('#').next().unwrap_or(code));
    Some(metadata(code, body.message.as_deref()))
}

fn metadata(code: Option<&str>, message: Option<&str>) -> ErrorMetadata {
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = code {
        metadata = metadata.code(code);
    }
    if let Some(message) = message {
        metadata = metadata.message(message);
    }
    metadata.build()
}
