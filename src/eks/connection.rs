//! Connections to Kubernetes API servers.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_smithy_http_client::{
    Connector,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::time::Instant;

use super::token::Token;
use crate::{
    aws::{CONNECT, USER_AGENT},
    error::BoxError,
};

/// Makes connectors that trust a certificate authority, given in PEM.
#[derive(Clone)]
pub struct Connect(Arc<MakeConnector>);

type MakeConnector = dyn Fn(&[u8]) -> Connected + Send + Sync;

type Connected = Result<SharedHttpConnector, BoxError>;

impl Connect {
    /// Makes connectors with this function, in place of TLS.
    pub fn new(connect: impl Fn(&[u8]) -> Connected + Send + Sync + 'static) -> Self {
        Self(Arc::new(connect))
    }

    pub(super) fn connector(&self, certificate_authority: &[u8]) -> Connected {
        (self.0)(certificate_authority)
    }
}

impl Default for Connect {
    fn default() -> Self {
        Self::new(over_tls)
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connect")
    }
}

/// The HTTP client of the SDK, which is linked in any case.
fn over_tls(certificate_authority: &[u8]) -> Connected {
    // The client panics if it can't parse the certificates.
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(certificate_authority) {
        roots.add(certificate?)?;
    }
    let roots = TrustStore::empty().with_pem_certificate(certificate_authority);
    let connector = Connector::builder()
        .connector_settings(HttpConnectorSettings::builder().connect_timeout(CONNECT).build())
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(TlsContext::builder().with_trust_store(roots).build()?)
        .build();
    Ok(SharedHttpConnector::new(connector))
}

/// An answer of a Kubernetes API server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The `Retry-After` header.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// A request to a Kubernetes API server.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    /// With the query.
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
    /// When it was sent first, which may be long after it was made.
    pub(crate) sent: Sent,
}

/// When a request was sent first.
pub(crate) type Sent = Arc<OnceLock<Instant>>;

impl Request {
    pub(crate) fn get(path: String) -> Self {
        Self { method: "GET", path, ..Self::default() }
    }

    /// Sends the request, and reads the answer.
    pub(super) async fn send(
        &self,
        connector: &SharedHttpConnector,
        endpoint: &str,
        token: &Token,
    ) -> Result<Answer, BoxError> {
        let mut request = HttpRequest::new(SdkBody::from(self.body.as_str()));
        request.set_method(self.method)?;
        request.set_uri(format!("{}{}", endpoint.trim_end_matches('/'), self.path))?;
        let headers = request.headers_mut();
        headers.insert("accept", "application/json");
        headers.insert("authorization", token.bearer());
        headers.insert("user-agent", USER_AGENT);
        if !self.body.is_empty() {
            headers.insert("content-type", self.content_type);
        }
        self.sent.get_or_init(Instant::now);
        let answer = connector.call(request).await?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after").and_then(|seconds| seconds.parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let body = ByteStream::new(answer.into_body()).collect().await?.into_bytes().into();
        Ok(Answer { status, retry_after, body })
    }
}
