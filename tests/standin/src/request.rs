//! Requests and answers as they are on the wire.

use std::collections::BTreeMap;

use hyper::Method;
use hyper::http::request::Parts;
use serde_json::{Map, Value, json};

use crate::account::Refusal;
use crate::error::ApiError;
use crate::xml::{element, text};
use crate::{arn, autoscaling, elb, iam, sts};

/// A service, with its protocol and its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AwsService {
    Ecs,
    Ec2,
    Sts,
    Events,
    Eks,
    AutoScaling,
    Elb,
    Iam,
    Sqs,
}

/// A request, understood as far as every service's is.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) service: AwsService,
    pub(crate) api: String,
    pub(crate) params: Value,
    pub(crate) region: String,
    pub(crate) access_key: String,
    pub(crate) session_token: Option<String>,
    /// When it was signed.
    pub(crate) signed: Option<String>,
}

/// What a service answers with success.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Json(Value),
    Xml(String),
}

/// An answer, ready for the wire.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<&'static str, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn parse(parts: &Parts, body: &[u8]) -> Result<Self, (AwsService, ApiError)> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let scope = header("authorization").map(Scope::parse).unwrap_or_default();
        let target = header("x-amz-target");
        let service = match scope.service.as_str() {
            "ecs" => AwsService::Ecs,
            "ec2" => AwsService::Ec2,
            "sts" => AwsService::Sts,
            "events" => AwsService::Events,
            "eks" => AwsService::Eks,
            "autoscaling" => AwsService::AutoScaling,
            "elasticloadbalancing" => AwsService::Elb,
            "sqs" => AwsService::Sqs,
            "iam" => AwsService::Iam,
            _ if parts.uri.path().starts_with("/clusters/") => AwsService::Eks,
            _ if target.is_some_and(|target| target.starts_with("AmazonSQS.")) => AwsService::Sqs,
            _ if target.is_some() => AwsService::Ecs,
            _ if find(body, b"Version=2011-06-15") => AwsService::Sts,
            _ if find(body, b"Version=2010-05-08") => AwsService::Iam,
            _ if find(body, b"Version=2011-01-01") => AwsService::AutoScaling,
            _ if find(body, b"Version=2015-12-01") => AwsService::Elb,
            _ => AwsService::Ec2,
        };
        let (api, params) = match service {
            AwsService::Ecs => json_call(target, "AmazonEC2ContainerServiceV20141113.", body),
            AwsService::Events => match header("content-type") {
                Some("application/x-amz-json-1.1") => json_call(target, "AWSEvents.", body),
                _ => Err(ApiError::new(400, "UnknownOperationException", "")),
            },
            AwsService::Sqs => match header("content-type") {
                Some("application/x-amz-json-1.0") => json_call(target, "AmazonSQS.", body),
                _ => Err(ApiError::new(400, "InvalidAction", "The request is not in JSON 1.0")),
            },
            AwsService::Ec2 => query_call(body, "2016-11-15"),
            AwsService::Sts => query_call(body, "2011-06-15"),
            AwsService::AutoScaling => query_call(body, "2011-01-01"),
            AwsService::Elb => query_call(body, "2015-12-01"),
            AwsService::Iam => query_call(body, "2010-05-08"),
            AwsService::Eks => eks_call(parts),
        }
        .map_err(|error| (service, error))?;
        Ok(Self {
            service,
            api,
            params,
            region: scope.region,
            access_key: scope.access_key,
            session_token: header("x-amz-security-token").map(str::to_owned),
            signed: header("x-amz-date").map(str::to_owned),
        })
    }
}

fn find(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn json_call(target: Option<&str>, prefix: &str, body: &[u8]) -> Result<(String, Value), ApiError> {
    let api = target
        .and_then(|target| target.strip_prefix(prefix))
        .ok_or_else(|| ApiError::new(400, "UnknownOperationException", ""))?;
    let params: Value = serde_json::from_slice(body).map_err(|_| ApiError::new(400, "SerializationException", ""))?;
    if !params.is_object() {
        return Err(ApiError::new(400, "SerializationException", ""));
    }
    Ok((api.to_owned(), params))
}

fn query_call(body: &[u8], version: &str) -> Result<(String, Value), ApiError> {
    let mut params: Map<String, Value> = form_urlencoded::parse(body)
        .map(|(key, value)| (key.into_owned(), Value::String(value.into_owned())))
        .collect();
    let mut take = |key| match params.remove(key) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let (api, asked) = (take("Action"), take("Version"));
    if api.is_empty() || asked != version {
        let message = format!("The action {api} is not valid for this web service.");
        return Err(ApiError::new(400, "InvalidAction", message));
    }
    Ok((api, Value::Object(params)))
}

fn eks_call(parts: &Parts) -> Result<(String, Value), ApiError> {
    match parts.uri.path().strip_prefix("/clusters/") {
        Some(name) if parts.method == Method::GET && !name.is_empty() && !name.contains('/') => {
            Ok(("DescribeCluster".to_owned(), json!({"name": name})))
        }
        _ => Err(ApiError::new(404, "UnknownOperationException", "")),
    }
}

/// What an `Authorization` header says of a request: key and credential scope.
#[derive(Debug, Default)]
struct Scope {
    access_key: String,
    region: String,
    service: String,
}

impl Scope {
    fn parse(authorization: &str) -> Self {
        let credential =
            authorization.split_once("Credential=").and_then(|(_, rest)| rest.split(',').next()).unwrap_or_default();
        let parts: Vec<&str> = credential.split('/').collect();
        match parts[..] {
            [access_key, _date, region, service, "aws4_request"] => {
                Self { access_key: access_key.to_owned(), region: region.to_owned(), service: service.to_owned() }
            }
            _ => Self::default(),
        }
    }
}

impl AwsService {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::Events => "events",
            Self::Eks => "eks",
            Self::AutoScaling => "autoscaling",
            Self::Elb => "elasticloadbalancing",
            Self::Iam => "iam",
            Self::Sqs => "sqs",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Ecs, Self::Ec2, Self::Sts, Self::Events, Self::Eks, Self::AutoScaling, Self::Elb, Self::Iam, Self::Sqs]
            .into_iter()
            .find(|service| service.name() == name)
    }

    /// The error for a call over its quota.
    pub(crate) fn throttled(self) -> ApiError {
        match self {
            Self::Ecs | Self::Events | Self::Elb => ApiError::new(400, "ThrottlingException", "Rate exceeded"),
            Self::Sqs => ApiError::new(400, "RequestThrottled", "Rate exceeded"),
            Self::Ec2 => ApiError::new(503, "RequestLimitExceeded", "Request limit exceeded."),
            Self::Sts | Self::Iam | Self::AutoScaling => ApiError::new(400, "Throttling", "Rate exceeded"),
            Self::Eks => ApiError::new(429, "ThrottlingException", "Rate exceeded"),
        }
    }

    /// An error that goes with an HTTP status.
    pub(crate) fn failed(self, status: u16) -> ApiError {
        let (code, message) = match (self, status) {
            (Self::Eks, 503) => ("ServiceUnavailableException", "The service is unavailable."),
            (Self::Eks, 500..) => ("ServerException", "An internal error has occurred"),
            (Self::Ecs | Self::Events, 500..) => ("ServerException", "AwsService Unavailable. Please try again later."),
            (Self::Ecs | Self::Events | Self::Eks, _) => ("ClientException", "The request was refused."),
            (Self::Ec2, 503) => ("Unavailable", "The server is overloaded and can't handle the request."),
            (Self::Ec2, 500..) => ("InternalError", "An internal error has occurred"),
            (Self::AutoScaling | Self::Elb, 503) => ("ServiceUnavailable", "The service is unavailable."),
            (Self::Sts | Self::Iam | Self::AutoScaling | Self::Elb | Self::Sqs, 500..) => {
                ("InternalFailure", "An internal error has occurred")
            }
            (Self::Sqs, _) => ("InvalidParameterValue", "The request was refused."),
            (Self::Iam | Self::AutoScaling | Self::Elb, _) => ("ValidationError", "The request was refused."),
            (Self::Ec2 | Self::Sts, _) => ("InvalidRequest", "The request was refused."),
        };
        ApiError::new(status, code, message)
    }

    /// The error for credentials that are not accepted.
    pub(crate) fn refused(self, refusal: Refusal) -> ApiError {
        let (status, code, message) = match (self, refusal) {
            (Self::Ecs | Self::Events, Refusal::Unsigned) => {
                (400, "MissingAuthenticationTokenException", "Missing Authentication Token")
            }
            (Self::Ecs | Self::Events, Refusal::Unknown) => {
                (400, "UnrecognizedClientException", "The security token included in the request is invalid.")
            }
            (Self::Ecs | Self::Events, Refusal::Expired) => {
                (400, "ExpiredTokenException", "The security token included in the request is expired")
            }
            (Self::Ecs | Self::Events, Refusal::Skewed) => {
                (400, "InvalidSignatureException", "Signature expired: it is now earlier than it may be")
            }
            (Self::Sts | Self::Iam | Self::AutoScaling | Self::Elb | Self::Sqs, Refusal::Skewed) => {
                (403, "SignatureDoesNotMatch", "Signature expired: it is now earlier than it may be")
            }
            (Self::Ec2, Refusal::Expired | Refusal::Skewed) => (400, "RequestExpired", "Request has expired."),
            (Self::Ec2, _) => (401, "AuthFailure", "AWS was not able to validate the provided access credentials"),
            (Self::Eks, Refusal::Unsigned) => {
                (403, "MissingAuthenticationTokenException", "Missing Authentication Token")
            }
            (Self::Eks, Refusal::Unknown) => {
                (403, "UnrecognizedClientException", "The security token included in the request is invalid.")
            }
            (Self::Eks, Refusal::Expired) => {
                (403, "ExpiredTokenException", "The security token included in the request is expired")
            }
            (Self::Eks, Refusal::Skewed) => {
                (403, "InvalidSignatureException", "Signature expired: it is now earlier than it may be")
            }
            (Self::Sts | Self::Iam | Self::AutoScaling | Self::Elb | Self::Sqs, Refusal::Unsigned) => {
                (403, "MissingAuthenticationToken", "Request is missing Authentication Token")
            }
            (Self::Sts | Self::Iam | Self::AutoScaling | Self::Elb | Self::Sqs, Refusal::Unknown) => {
                (403, "InvalidClientTokenId", "The security token included in the request is invalid.")
            }
            (Self::Sts | Self::Iam | Self::AutoScaling | Self::Elb | Self::Sqs, Refusal::Expired) => {
                (403, "ExpiredToken", "The security token included in the request is expired")
            }
        };
        ApiError::new(status, code, message)
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Ecs | Self::Events => "application/x-amz-json-1.1",
            Self::Ec2 => "text/xml;charset=UTF-8",
            Self::Sts | Self::Iam | Self::AutoScaling | Self::Elb => "text/xml",
            Self::Eks => "application/json",
            Self::Sqs => "application/x-amz-json-1.0",
        }
    }
}

impl Reply {
    pub(crate) fn of(service: AwsService, answer: &Result<Body, ApiError>) -> Self {
        let id = arn::uuid();
        let mut headers =
            BTreeMap::from([("content-type", service.content_type().to_owned()), ("x-amzn-requestid", id.clone())]);
        let (status, body) = match answer {
            Ok(Body::Json(value)) => (200, value.to_string()),
            Ok(Body::Xml(xml)) => (200, xml.replace(REQUEST_ID, &id)),
            Err(error) => {
                if matches!(service, AwsService::Ecs | AwsService::Events | AwsService::Eks) {
                    headers.insert("x-amzn-errortype", error.code.clone());
                }
                (error.status, error_body(service, error, &id))
            }
        };
        Self { status, headers, body }
    }
}

/// Stands for the request's id in XML answers.
pub(crate) const REQUEST_ID: &str = "{request-id}";

fn error_body(service: AwsService, error: &ApiError, id: &str) -> String {
    let code_and_message = text("Code", &error.code) + &text("Message", &error.message);
    match service {
        AwsService::Ecs | AwsService::Events => {
            let key = if error.code == "AccessDeniedException" { "Message" } else { "message" };
            let mut body = json!({"__type": error.code, key: error.message});
            if let Some((name, value)) = &error.field {
                body[*name] = value.clone();
            }
            body.to_string()
        }
        AwsService::Sqs => {
            json!({"__type": format!("com.amazonaws.sqs#{}", error.code), "message": error.message}).to_string()
        }
        AwsService::Eks => json!({"message": error.message}).to_string(),
        AwsService::Ec2 => {
            let errors = element("Errors", &element("Error", &code_and_message));
            let response = element("Response", &(errors + &text("RequestID", id)));
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{response}")
        }
        AwsService::Sts | AwsService::Iam | AwsService::AutoScaling | AwsService::Elb => {
            let namespace = match service {
                AwsService::AutoScaling => autoscaling::NAMESPACE,
                AwsService::Elb => elb::NAMESPACE,
                AwsService::Iam => iam::NAMESPACE,
                _ => sts::NAMESPACE,
            };
            let party = if error.status < 500 { "Sender" } else { "Receiver" };
            let inner = element("Error", &(text("Type", party) + &code_and_message));
            format!("<ErrorResponse xmlns=\"{namespace}\">{inner}{}</ErrorResponse>", text("RequestId", id))
        }
    }
}
