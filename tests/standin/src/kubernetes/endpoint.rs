//! The endpoints of clusters.

use std::io;
use std::net::TcpListener;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::task::AbortHandle;

use super::ClusterId;
use crate::model::Reach;
use crate::server;
use crate::state::Shared;
use crate::tls::Authority;

/// A port of 127.0.0.1 with a certificate authority of its own.
#[derive(Debug)]
pub(crate) struct Endpoint {
    port: u16,
    /// The certificate of the authority: PEM in base64.
    authority: String,
    server: Option<AbortHandle>,
    /// Keeps the port without a server.
    silent: Option<TcpListener>,
}

impl Endpoint {
    /// Starts to listen, if connections are to be made; in a tokio runtime.
    pub(super) fn open(shared: &Shared, cluster: &ClusterId, reach: Reach) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let Authority { pem, acceptor } = Authority::new()?;
        let mut endpoint = Self { port, authority: STANDARD.encode(pem), server: None, silent: None };
        match reach {
            Reach::Refused => {}
            Reach::Silent => endpoint.silent = Some(listener),
            Reach::Open => {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let server = server::run(listener, Some(acceptor), shared.clone(), Some(cluster.clone()));
                endpoint.server = Some(tokio::spawn(server).abort_handle());
            }
        }
        Ok(endpoint)
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Ends its connections and refuses others.
    pub(crate) fn close(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
        self.silent = None;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.close();
    }
}
