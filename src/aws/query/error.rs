//! Errors that a service answers with.

use aws_sdk_sts::error::{ErrorMetadata, ProvideErrorMetadata};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_xml::decode::Document;
use serde_json::Value;

use super::answer::Record;
use crate::error::BoxError;

/// Where XML has an error's code and message: from all services, and from Amazon EC2.
const FIELDS: [&str; 4] = ["Error/Code", "Error/Message", "Errors/Error/Code", "Errors/Error/Message"];

/// An error with the code and the message that the service gives, if it gives any.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ServiceError(ErrorMetadata);

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
    let (in_body, message) = from_json(&body).or_else(|| from_xml(&body).ok()).unwrap_or_default();
    // A proxy's error has no code; its status says enough.
    let code = answer.headers().get("x-amzn-errortype").map(str::to_owned).or(in_body);
    Err(OrchestratorError::operation(ServiceError(metadata(code.as_deref().map(name), message.as_deref()))))
}

/// The code and the message of an error.
type Described = (Option<String>, Option<String>);

fn from_xml(body: &str) -> Result<Described, BoxError> {
    let error = Record::read(&mut Document::new(body).root_element()?, &FIELDS, &[])?;
    let [code, message, code_of_ec2, message_of_ec2] = FIELDS.map(|field| error.get(field).map(str::to_owned));
    Ok((code.or(code_of_ec2), message.or(message_of_ec2)))
}

fn from_json(body: &str) -> Option<Described> {
    let body: Value = serde_json::from_str(body).ok()?;
    let text = |names: [&str; 2]| names.into_iter().find_map(|name| body[name].as_str()).map(str::to_owned);
    Some((text(["code", "__type"]), text(["message", "Message"])))
}

/// `QueueDoesNotExist` of `com.amazonaws.sqs#QueueDoesNotExist:http://internal.amazon.com/`.
fn name(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or(code);
    code.split_once('#').map_or(code, |(_, name)| name)
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

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn error(header: Option<&'static str>, body: &'static str) -> (Option<String>, Option<String>) {
        let mut answer = HttpResponse::new(404.try_into().unwrap(), SdkBody::from(body));
        if let Some(header) = header {
            answer.headers_mut().insert("x-amzn-errortype", header);
        }
        let error = body_or_error(&answer).unwrap_err();
        let error = error.as_operation_error().unwrap();
        (error.code().map(str::to_owned), error.message().map(str::to_owned))
    }

    #[test]
    fn code_and_message_are_read_from_each_protocol() {
        let found = (Some("NotFound".to_owned()), Some("No cluster.".to_owned()));
        for (header, body) in [
            (Some("NotFound"), r#"{"message": "No cluster."}"#),
            (Some("NotFound:http://internal.amazon.com/x#y"), r#"{"Message": "No cluster.", "clusterName": null}"#),
            (Some("com.amazonaws.eks#NotFound"), r#"{"__type": "Other", "message": "No cluster."}"#),
            (None, r#"{"__type": "com.amazonaws.sqs#NotFound", "message": "No cluster."}"#),
            (None, r#"{"code": "NotFound", "__type": "Other", "message": "No cluster.", "Message": ""}"#),
            (None, "<R><Error><Code>NotFound</Code><Message>No cluster.</Message></Error></R>"),
            (None, "<R><Errors><Error><Code>NotFound</Code><Message>No cluster.</Message></Error></Errors></R>"),
        ] {
            assert_eq!(error(header, body), found, "{header:?} {body}");
        }
        for body in ["", "<html>Not found</html>", "[]", "null", r#"{"code": 404}"#] {
            assert_eq!(error(None, body), (None, None), "{body}");
            assert_eq!(error(Some("NotFound"), body).0, found.0, "{body}");
        }
    }
}
