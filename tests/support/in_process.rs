//! The function in this process, with clients that reach the stand-in without sockets, so that time can be paused and
//! two minutes pass in an instant.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_ecs::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::Value;
use spot_interruption_handler::{
    config::Config,
    error::Error,
    handle,
    scope::{Connect, Scopes},
    warm_up,
};
use standin::{ACCOUNT, REGION, Standin};

/// A process of the function, with the state that it keeps from one event to the next.
pub(crate) struct Process {
    scopes: Scopes,
    config: Config,
}

impl Process {
    /// Starts a process with these environment variables, as `main` does.
    pub(crate) async fn start(standin: &Arc<Standin>, settings: &[(&str, &str)]) -> Self {
        let keys = standin.credentials_for(ACCOUNT);
        let credentials =
            Credentials::new(keys.access_key, keys.secret_key, Some(keys.session_token), None, "the stand-in");
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(Direct(Arc::clone(standin)))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .region(Region::new(REGION))
            .endpoint_url("http://standin");
        let variable = |name: &str| settings.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let config = Config::read(variable).unwrap_or_else(|error| unreachable!("{error}"));
        let direct = Direct(Arc::clone(standin));
        let connect = Connect::new(move |_| Ok(SharedHttpConnector::new(direct.clone())));
        let scopes = Scopes::load(loader, connect).await;
        warm_up(&scopes, &config).await;
        Self { scopes, config }
    }

    /// Sends it an event, and returns its answer. The invocation has no timeout; only the notice limits it.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, Error> {
        self.invoke_in(event, Context::default()).await
    }

    /// Like [`Process::invoke`], with Lambda's data on the invocation.
    pub(crate) async fn invoke_in(&self, event: &Value, context: Context) -> Result<Value, Error> {
        let payload = serde_json::from_value(event.clone()).unwrap_or_else(|error| unreachable!("{error}"));
        let answer = handle(&self.scopes, &self.config, LambdaEvent::new(payload, context)).await?;
        Ok(serde_json::to_value(answer).unwrap_or_default())
    }
}

/// An HTTP client that calls the stand-in directly.
#[derive(Clone)]
struct Direct(Arc<Standin>);

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Direct")
    }
}

impl HttpClient for Direct {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Direct {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let standin = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { exchange(&standin, request).await })
    }
}

async fn exchange(standin: &Standin, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let request = request.map(|body| body.bytes().unwrap_or_default().to_vec().into());
    let cut = || ConnectorError::io("the connection was cut".into());
    let response = standin.answer(request).await.ok_or_else(cut)?;
    let response = response.map(|body| SdkBody::from(body.to_vec()));
    HttpResponse::try_from(response).map_err(|error| ConnectorError::user(error.into()))
}
