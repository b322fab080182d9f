//! The stand-in itself.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::{Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::account::{Accounts, Credentials, Role};
use crate::call::{Call, Tally};
use crate::clock::Clock;
use crate::fault::Fault;
use crate::kubernetes;
use crate::quota::Quotas;
use crate::region::Region;
use crate::server;
use crate::settings::Builder;
use crate::state::{Shared, State};
use crate::tls::Tls;

/// The account of [`Standin::env`]'s credentials.
pub const ACCOUNT: &str = "123456789012";

/// The Region of [`Standin::env`], unless set.
pub const REGION: &str = "us-east-2";

/// AWS on a loopback port, until it is dropped.
pub struct Standin {
    url: String,
    region: String,
    tls: Option<Tls>,
    shared: Shared,
    server: AbortHandle,
}

impl Standin {
    /// Sets one up.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn start(builder: Builder) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", builder.port)).await?;
        let port = listener.local_addr()?.port();
        let tls = builder.tls.then(Tls::new).transpose()?;
        let url = match &tls {
            None => format!("http://127.0.0.1:{port}"),
            Some(_) => format!("https://localhost:{port}"),
        };
        let shared = Shared::new(State::new(builder.settings, Clock::new(builder.speed), Accounts::new(builder.open)));
        let acceptor = tls.as_ref().map(|tls| tls.acceptor.clone());
        let server = tokio::spawn(server::run(listener, acceptor, shared.clone(), None)).abort_handle();
        Ok(Self { url, region: builder.region, tls, shared, server })
    }

    /// Where it listens: `http://127.0.0.1:PORT`, or `https://localhost:PORT` with TLS.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers a request as if it had come over the wire, with latency, quotas and faults, and logs it; `None` if the
    /// connection is cut.
    ///
    /// A client that sends its requests this way needs no sockets, so that it can run while tokio's time is paused. A
    /// request whose URI or `Host` has the port of an EKS cluster's endpoint goes there; `None` also where that endpoint
    /// refuses connections or is no longer there.
    pub async fn answer(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let host = request.headers().get("host").and_then(|host| host.to_str().ok()?.rsplit_once(':')?.1.parse().ok());
        let port = request.uri().port_u16().or(host);
        let cluster = port.and_then(|port| self.shared.lock().endpoints.get(&port).cloned().zip(Some(port)));
        if let Some((cluster, port)) = &cluster {
            kubernetes::connect(&self.shared, cluster, *port).await?;
        }
        server::answer(self.shared.clone(), cluster.map(|(cluster, _)| cluster), request).await.ok()
    }

    /// The environment that points an SDK here: endpoint, Region, credentials of [`ACCOUNT`], and the certificate
    /// authority where there is TLS.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let mut env = self.credentials_for(ACCOUNT).env();
        env.push(("AWS_ENDPOINT_URL".to_owned(), self.url.clone()));
        env.push(("AWS_REGION".to_owned(), self.region.clone()));
        if let Some(tls) = &self.tls {
            let path = tls.roots.path().to_string_lossy().into_owned();
            env.push(("SSL_CERT_FILE".to_owned(), path));
        }
        env
    }

    /// Credentials of an account, which do not expire: the same each time.
    #[must_use]
    pub fn credentials_for(&self, account: &str) -> Credentials {
        self.shared.lock().accounts.credentials_for(account)
    }

    /// Adds a role that can be assumed.
    pub fn role(&self, role: Role) -> &Self {
        self.shared.lock().accounts.add_role(role);
        self
    }

    /// An account's resources in a Region; there is nothing to set up first.
    #[must_use]
    pub fn region(&self, account: impl Into<String>, region: impl Into<String>) -> Region {
        Region::new(self.shared.clone(), account.into(), region.into())
    }

    /// [`ACCOUNT`]'s resources in the Region of [`Standin::env`].
    #[must_use]
    pub fn home(&self) -> Region {
        self.region(ACCOUNT, self.region.clone())
    }

    /// Every call so far, in the order in which they were answered.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }

    /// The calls to one API.
    #[must_use]
    pub fn calls_to(&self, api: &str) -> Vec<Call> {
        self.calls_where(|call| call.api == api)
    }

    /// The calls that requested a change, whether it was made or not.
    #[must_use]
    pub fn writes(&self) -> Vec<Call> {
        self.calls_where(Call::is_write)
    }

    /// The calls that match a predicate.
    #[must_use]
    pub fn calls_where(&self, predicate: impl Fn(&Call) -> bool) -> Vec<Call> {
        let state = self.shared.lock();
        state.calls.iter().filter(|call| predicate(call)).cloned().collect()
    }

    /// How often each API was called.
    #[must_use]
    pub fn calls_by_api(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in &self.shared.lock().calls {
            *counts.entry(call.api.clone()).or_default() += 1;
        }
        counts
    }

    /// How often each API was called, throttled and failed.
    #[must_use]
    pub fn tally(&self) -> BTreeMap<String, Tally> {
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for call in &self.shared.lock().calls {
            tallies.entry(call.api.clone()).or_default().add(call);
        }
        tallies
    }

    /// The entries that were put on event buses, in their order.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.shared.lock().events.clone()
    }

    /// Empties the call log.
    pub fn forget_calls(&self) {
        self.shared.lock().calls.clear();
    }

    /// Adds a fault, after the existing ones.
    pub fn fault(&self, fault: Fault) -> &Self {
        self.shared.lock().faults.push(fault);
        self
    }

    /// Removes all faults.
    pub fn forget_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Changes the latency of every call from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.lock().settings.latency = latency;
    }

    /// Sets AWS's clock ahead of this machine's from now on, or behind it.
    pub fn set_clock_ahead_s(&self, seconds: i64) {
        self.shared.lock().settings.clock_ahead_s = seconds;
    }

    /// Lets `SimulatePrincipalPolicy` answer that everything is allowed except these actions. Until then, nobody may call it.
    pub fn simulate_denials(&self, actions: &[&str]) {
        let denied = actions.iter().map(|action| (*action).to_owned()).collect();
        self.shared.lock().settings.simulated_denials = Some(denied);
    }

    /// Has `SimulatePrincipalPolicy` answer that the organization's policies deny these actions.
    pub fn simulate_organization_denials(&self, actions: &[&str]) {
        self.shared.lock().settings.organization_denials = actions.iter().map(|action| (*action).to_owned()).collect();
    }

    /// Ends every session of an account's roles, as when they are deleted and created again.
    pub fn end_sessions(&self, account: &str) {
        self.shared.lock().accounts.end_sessions(account);
    }

    /// Changes how long reads take to show a change of status, for changes from now on.
    pub fn set_settle(&self, settle: Duration) {
        self.shared.lock().settings.settle = settle;
    }

    /// Changes the quotas and fills every bucket.
    pub fn set_quotas(&self, quotas: Quotas) {
        let mut state = self.shared.lock();
        state.settings.quotas = quotas;
        state.meter.refill();
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.server.abort();
        self.shared.lock().close_endpoints();
    }
}
