//! A client for services of which only a few calls are needed: an SDK crate costs some 0.3 MB each.
//!
//! Requests go through the SDK's own runtime. Credentials, signatures, the correction of the clock, timeouts,
//! connections and the kinds of errors are those of every SDK client; only the generated code is left out.

pub(crate) mod answer;
mod endpoint;
mod error;

use std::fmt::Display;

use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_runtime::{
    auth::{
        SigV4OperationSigningConfig,
        sigv4::{SCHEME_ID, SigV4AuthScheme},
    },
    service_clock_skew::{DisableClockSkewCorrection, ServiceClockSkewInterceptor},
};
use aws_smithy_runtime::client::orchestrator::operation::Operation as SdkOperation;
use aws_smithy_runtime_api::client::{
    auth::{
        AuthSchemeOptionResolverParams, SharedAuthSchemeOptionResolver, static_resolver::StaticAuthSchemeOptionResolver,
    },
    endpoint::{EndpointResolverParams, SharedEndpointResolver},
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponentsBuilder,
    runtime_plugin::StaticRuntimePlugin,
};
use aws_smithy_types::{body::SdkBody, config_bag::Layer};
use serde_json::Value;

use self::{
    answer::{List, Page, Record},
    endpoint::Endpoint,
    error::ServiceError,
};
use super::{USER_AGENT, calls::Calls, escape, failure::call_error, operation::Operation};
use crate::error::{BoxError, Error, ErrorClass};

#[derive(Debug)]
pub(crate) struct Service {
    /// As in SDKs' settings: `Auto Scaling`.
    pub(crate) id: &'static str,
    /// The first part of its host names, and its name in signatures.
    pub(crate) name: &'static str,
    /// The version of its query API, or the prefix of its JSON operations; empty if it has neither.
    pub(crate) version: &'static str,
}

/// A client for one service in one account and Region.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    service: &'static Service,
    endpoint: Endpoint,
    sdk: SdkOperation<Request, String, ServiceError>,
}

/// What a service is asked that answers in JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Json<'a> {
    /// The parameters of an operation, in version 1.0 of the AWS JSON protocol.
    V1_0(&'a Value),
    /// The parameters of an operation, in version 1.1 of the AWS JSON protocol.
    V1_1(&'a Value),
    /// The path of what is read by `GET`.
    Get(&'a str),
}

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    path: String,
    /// Empty if there is no body.
    content_type: &'static str,
    /// The `X-Amz-Target` header.
    target: Option<String>,
    body: String,
}

/// The parameters of an operation of a query API.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(String);

impl Parameters {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.extend(["&", name, "=", &escape(value)]);
        self
    }

    /// Adds `NAME.1` and so on.
    pub(crate) fn with_list<'a>(self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        let numbered = (1..).zip(values);
        numbered.fold(self, |of, (n, value)| of.with(&format!("{name}.{n}"), value))
    }
}

impl Client {
    pub(crate) fn new(sdk: &SdkConfig, service: &'static Service) -> Self {
        let mut config = Layer::new("Query");
        config.store_put(EndpointResolverParams::new(()));
        config.store_put(AuthSchemeOptionResolverParams::new(()));
        config.store_or_unset(sdk.disable_clock_skew_correction().map(DisableClockSkewCorrection::from));
        let mut signing = SigV4OperationSigningConfig::default();
        signing.signing_options.double_uri_encode = true;
        signing.signing_options.normalize_uri_path = true;
        (signing.region, signing.name) = (sdk.region().cloned().map(Into::into), Some(service.name.into()));
        config.store_put(signing);
        let mut components = RuntimeComponentsBuilder::new("Query");
        let schemes = StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]);
        components.set_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(schemes)));
        components.push_auth_scheme(SigV4AuthScheme::new());
        let endpoint = Endpoint::of(sdk, service.id, service.name);
        components.set_endpoint_resolver(Some(SharedEndpointResolver::new(endpoint.clone())));
        if let Some(credentials) = sdk.credentials_provider() {
            components.set_identity_resolver(SCHEME_ID, credentials);
        }
        if let Some(cache) = sdk.identity_cache() {
            components.set_identity_cache(Some(cache));
        }
        components.set_http_client(sdk.http_client());
        components.set_time_source(sdk.time_source());
        components.set_sleep_impl(sdk.sleep_impl());
        components.push_interceptor(ServiceClockSkewInterceptor::new());
        let plugin = StaticRuntimePlugin::new().with_config(config.freeze()).with_runtime_components(components);
        let mut operation = SdkOperation::builder()
            .service_name(service.id)
            .operation_name(service.id)
            // `Calls` retries.
            .no_retry()
            .with_connection_poisoning()
            .timeout_config(sdk.timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled))
            .runtime_plugin(plugin)
            .serializer(serialize)
            .deserializer(error::body_or_error);
        if let Some(version) = sdk.behavior_version() {
            operation = operation.behavior_version(version);
        }
        Self { service, endpoint, sdk: operation.build() }
    }

    /// Makes a call, and retries transient failures until the deadline. Returns the members of a list in the answer.
    pub(crate) async fn call(
        &self,
        calls: &Calls,
        operation: Operation,
        resource: &impl Display,
        parameters: &Parameters,
        list: &'static List,
    ) -> Result<Vec<Record>, Error> {
        let attempt = || self.attempt(operation, resource, parameters, list);
        Ok(calls.repeat(operation, resource, attempt).await?.members)
    }

    /// One attempt of a call.
    pub(crate) async fn attempt(
        &self,
        operation: Operation,
        resource: &impl Display,
        parameters: &Parameters,
        list: &'static List,
    ) -> Result<Page, Error> {
        let answer = self.send(operation, resource, self.service.request(operation, parameters)).await?;
        list.read(&operation.to_string(), &answer).map_err(|error| unreadable(operation, resource, &error))
    }

    /// Makes a call, and retries transient failures until the deadline. Returns the answer; `Null` if it is empty.
    pub(crate) async fn call_json(
        &self,
        calls: &Calls,
        operation: Operation,
        resource: &impl Display,
        json: Json<'_>,
    ) -> Result<Value, Error> {
        let request = self.service.json_request(operation, json);
        let answer = calls.repeat(operation, resource, || self.send(operation, resource, request.clone())).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        // Not retried: the call was made.
        serde_json::from_str(&answer).map_err(|error| unreadable(operation, resource, &error))
    }

    /// The URL at which the service is called.
    pub(crate) fn url(&self) -> Result<&str, BoxError> {
        self.endpoint.url()
    }

    async fn send(&self, operation: Operation, resource: &impl Display, request: Request) -> Result<String, Error> {
        self.sdk.invoke(request).await.map_err(|error| call_error(operation, resource, &error))
    }
}

impl Service {
    fn request(&self, operation: Operation, parameters: &Parameters) -> Request {
        let body = format!("Action={operation}&Version={}{}", self.version, parameters.0);
        Request::post("application/x-www-form-urlencoded", None, body)
    }

    fn json_request(&self, operation: Operation, json: Json<'_>) -> Request {
        let target = Some(format!("{}.{operation}", self.version));
        match json {
            Json::V1_0(object) => Request::post("application/x-amz-json-1.0", target, object.to_string()),
            Json::V1_1(object) => Request::post("application/x-amz-json-1.1", target, object.to_string()),
            Json::Get(path) => {
                Request { method: "GET", path: path.to_owned(), content_type: "", target: None, body: String::new() }
            }
        }
    }
}

impl Request {
    fn post(content_type: &'static str, target: Option<String>, body: String) -> Self {
        Self { method: "POST", path: "/".to_owned(), content_type, target, body }
    }
}

fn unreadable(operation: Operation, resource: &impl Display, error: &impl Display) -> Error {
    let cause = format!("the answer could not be read: {error}");
    Error::call(operation, resource, ErrorClass::Unavailable, cause)
}

fn serialize(request: Request) -> Result<HttpRequest, BoxError> {
    let length = request.body.len().to_string();
    let mut http = HttpRequest::new(SdkBody::from(request.body));
    http.set_method(request.method)?;
    http.set_uri(request.path)?;
    let headers = http.headers_mut();
    headers.insert("user-agent", USER_AGENT);
    if !request.content_type.is_empty() {
        headers.insert("content-type", request.content_type);
        headers.insert("content-length", length);
    }
    if let Some(target) = request.target {
        headers.insert("x-amz-target", target);
    }
    Ok(http)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use standin::{AutoScalingGroup, Fault, Standin};
    use tokio::time::Instant;

    use super::*;
    use crate::{aws, aws::deadline::Deadline, direct};

    const SERVICE: Service = Service { id: "Auto Scaling", name: "autoscaling", version: "2011-01-01" };
    const INSTANCES: List = List::new("*/AutoScalingInstances/member", &["InstanceId", "LifecycleState"]);
    const OPERATION: Operation = Operation::DescribeAutoScalingInstances;

    async fn start() -> (Arc<Standin>, Client) {
        let aws = Arc::new(Standin::builder().start().await.unwrap());
        aws.home().auto_scaling_group(AutoScalingGroup::new("web"));
        aws.home().instance(standin::Instance::new("i-1234567890abcdef0").asg("web"));
        let client = Client::new(&aws::load(direct::loader(&aws)).await, &SERVICE);
        (aws, client)
    }

    async fn call(client: &Client) -> Result<Vec<Record>, Error> {
        let calls = Calls::new(Deadline::after(Duration::from_secs(20)), Arc::default(), None, Arc::default());
        client.call(&calls, OPERATION, &"x", &Parameters::default(), &INSTANCES).await
    }

    #[tokio::test(start_paused = true)]
    async fn transient_errors_are_retried_and_others_classified() {
        for (fault, error_type) in [
            (Fault::on_any().throttle(), "Throttled"),
            (Fault::on_any().error(400, "RequestLimitExceeded", "slow down"), "Throttled"),
            (Fault::on_any().error(429, "Other", "slow down"), "Throttled"),
            (Fault::on_any().status(500), "DeadlineExceeded"),
            (Fault::on_any().error(400, "RequestTimeout", "late"), "DeadlineExceeded"),
            (Fault::on_any().cut(), "DeadlineExceeded"),
            (Fault::on_any().delay(Duration::from_mins(1)), "DeadlineExceeded"),
            (Fault::on_any().error(403, "AccessDenied", "not authorized"), "AccessDenied"),
            (Fault::on_any().status(400), "CallRejected"),
        ] {
            let (aws, client) = start().await;
            aws.fault(fault);
            let started = Instant::now();
            let error = call(&client).await.unwrap_err();
            assert_eq!(error.error_type(), error_type, "{error}");
            assert_eq!(started.elapsed() > Duration::from_secs(10), error.is_transient(), "{error}");
            aws.forget_faults();
            assert_eq!(call(&client).await.unwrap()[0].get("LifecycleState"), Some("InService"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clock_that_is_off_is_corrected_once() {
        for ahead_s in [-1_000, 1_000] {
            let (aws, client) = start().await;
            aws.set_clock_ahead_s(ahead_s);
            for calls in [2, 3] {
                assert_eq!(call(&client).await.unwrap().len(), 1);
                assert_eq!(aws.calls().len(), calls);
            }
        }
    }

    #[test]
    fn json_requests_follow_their_protocols() {
        const SERVICE: Service = Service { id: "EventBridge", name: "events", version: "AWSEvents" };
        let object = serde_json::json!({ "Entries": [] });
        for (json, method, path, content_type, target, body) in [
            (
                Json::V1_0(&object),
                "POST",
                "/",
                Some("application/x-amz-json-1.0"),
                Some("AWSEvents.PutEvents"),
                "{\"Entries\":[]}",
            ),
            (
                Json::V1_1(&object),
                "POST",
                "/",
                Some("application/x-amz-json-1.1"),
                Some("AWSEvents.PutEvents"),
                "{\"Entries\":[]}",
            ),
            (Json::Get("/clusters/a%20b"), "GET", "/clusters/a%20b", None, None, ""),
        ] {
            let http = serialize(SERVICE.json_request(Operation::PutEvents, json)).unwrap();
            assert_eq!((http.method(), http.uri()), (method, path));
            let headers = http.headers();
            assert_eq!((headers.get("content-type"), headers.get("x-amz-target")), (content_type, target));
            assert_eq!(http.body().bytes(), Some(body.as_bytes()));
        }
    }

    #[test]
    fn parameters_are_escaped() {
        let parameters = Parameters::default().with("Name", "a b&c=ü+%").with_list("Ids.member", ["1", "2"]);
        let request = SERVICE.request(OPERATION, &parameters);
        let expected = "Action=DescribeAutoScalingInstances&Version=2011-01-01&Name=a%20b%26c%3D%C3%BC%2B%25\
                        &Ids.member.1=1&Ids.member.2=2";
        assert_eq!(request.body, expected);
    }
}
