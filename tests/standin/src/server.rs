//! Connections, and the path of a request from the wire to its answer.

use std::fmt;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::call::Call;
use crate::clock;
use crate::error::ApiError;
use crate::fault::{Effect, FaultResponse};
use crate::kubernetes::{self, ClusterId};
use crate::request::{AwsService, Body, Reply, Request};
use crate::state::Shared;
use crate::timestamp::http_date;

/// Accepts connections until it is aborted; they end with it.
///
/// `cluster` is the EKS cluster whose API server listens here; AWS does if `None`.
pub(crate) async fn run(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Shared, cluster: Option<ClusterId>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let (tls, shared, cluster) = (tls.clone(), shared.clone(), cluster.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, shared, cluster).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, shared, cluster).await;
                            }
                        }
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Shared, cluster: Option<ClusterId>) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (shared, cluster) = (shared.clone(), cluster.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| ConnectionCut)?.to_bytes();
            let request = hyper::Request::from_parts(parts, body);
            Ok::<_, ConnectionCut>(answer(shared, cluster, request).await?.map(Full::new))
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Answers a request to a cluster's API server, or to AWS if `None`.
pub(crate) async fn answer(
    shared: Shared,
    cluster: Option<ClusterId>,
    request: hyper::Request<Bytes>,
) -> Result<Response<Bytes>, ConnectionCut> {
    let (parts, body) = request.into_parts();
    // A separate task: a client that disconnects does not undo its request.
    let handled = tokio::spawn(async move {
        match cluster {
            None => handle(&shared, &parts, &body).await,
            Some(cluster) => kubernetes::handle(&shared, &cluster, &parts, &body).await,
        }
    });
    respond(handled.await.map_err(|_| ConnectionCut)??).map_err(|_| ConnectionCut)
}

fn respond(reply: Reply) -> hyper::http::Result<Response<Bytes>> {
    let status = StatusCode::from_u16(reply.status)?;
    let mut builder = Response::builder().status(status);
    for (name, value) in &reply.headers {
        builder = builder.header(*name, value);
    }
    builder.body(Bytes::from(reply.body))
}

/// The connection is closed without an answer.
#[derive(Debug)]
pub(crate) struct ConnectionCut;

impl fmt::Display for ConnectionCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for ConnectionCut {}

async fn handle(shared: &Shared, parts: &Parts, body: &[u8]) -> Result<Reply, ConnectionCut> {
    let started = clock::now();
    let latency = shared.lock().settings.latency;
    pause(latency).await;
    let request = match Request::parse(parts, body) {
        Ok(request) => request,
        Err((service, error)) => {
            let request = unreadable(service);
            let answer = Err(error);
            shared.lock().calls.push(logged(&request, String::new(), started, Some(&answer)));
            return Ok(Reply::of(service, &answer));
        }
    };
    let (account, admitted) = shared.lock().admit(&request);
    let answer = match admitted {
        Err(error) => Some(Err(error)),
        Ok((caller, effect)) => {
            let failure = match &effect.response {
                FaultResponse::Failure { item, reason } => Some((item.clone(), reason.clone())),
                _ => None,
            };
            play(request.service, &effect, || shared.lock().perform(&request, &caller, failure)).await
        }
    };
    shared.lock().calls.push(logged(&request, account, started, answer.as_ref()));
    let mut reply = Reply::of(request.service, &answer.ok_or(ConnectionCut)?);
    reply.headers.insert("date", http_date(shared.lock().settings.now()));
    Ok(reply)
}

/// Performs the call with the effect of a fault; `None` if there is no answer.
async fn play(
    service: AwsService,
    effect: &Effect,
    perform: impl FnOnce() -> Result<Body, ApiError>,
) -> Option<Result<Body, ApiError>> {
    let spoilt = matches!(effect.response, FaultResponse::Cut) || effect.response.error(service).is_some();
    let done = if effect.after_call {
        let done = perform();
        pause(effect.delay).await;
        Some(done)
    } else {
        pause(effect.delay).await;
        (!spoilt).then(perform)
    };
    if spoilt { effect.response.error(service).map(Err) } else { done }
}

pub(crate) async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

fn unreadable(service: AwsService) -> Request {
    Request {
        service,
        api: String::new(),
        params: Value::Null,
        region: String::new(),
        access_key: String::new(),
        session_token: None,
        signed: None,
    }
}

fn logged(request: &Request, account: String, started: Instant, answer: Option<&Result<Body, ApiError>>) -> Call {
    let (status, error) = match answer {
        None => (0, Some("ConnectionCut".to_owned())),
        Some(Ok(_)) => (200, None),
        Some(Err(error)) => (error.status, Some(error.code.clone())),
    };
    Call {
        service: request.service.name().to_owned(),
        api: request.api.clone(),
        account,
        region: request.region.clone(),
        access_key: request.access_key.clone(),
        started,
        finished: clock::now(),
        params: request.params.clone(),
        status,
        error,
    }
}
