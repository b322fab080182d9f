//! An HTTP client that reaches the stand-in without sockets, so that time can be paused.

use std::sync::Arc;

use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use standin::{ACCOUNT, REGION, Standin};

/// Loads a configuration for the stand-in.
pub(crate) fn loader(standin: &Arc<Standin>) -> ConfigLoader {
    let keys = standin.credentials_for(ACCOUNT);
    let credentials =
        Credentials::new(keys.access_key, keys.secret_key, Some(keys.session_token), None, "the stand-in");
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(Direct(Arc::clone(standin)))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::new(REGION))
        .endpoint_url("http://standin")
}

/// An HTTP client that calls the stand-in directly.
#[derive(Clone)]
pub(crate) struct Direct(pub(crate) Arc<Standin>);

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
