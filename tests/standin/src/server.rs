//! Connections, and the way of a request from the wire and back.

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
use crate::fault::{Ending, Script};
use crate::request::{Body, Reply, Request, Service};
use crate::state::Shared;
use crate::timestamp::http_date;

/// Accepts connections until it is aborted; they end with it.
pub(crate) async fn run(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let (tls, shared) = (tls.clone(), shared.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, shared).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, shared).await;
                            }
                        }
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Shared) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let shared = shared.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
            Ok::<_, Cut>(answer(shared, hyper::Request::from_parts(parts, body)).await?.map(Full::new))
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Answers a request.
pub(crate) async fn answer(shared: Shared, request: hyper::Request<Bytes>) -> Result<Response<Bytes>, Cut> {
    let (parts, body) = request.into_parts();
    // A task of its own: a client that hangs up does not take back what it asked for.
    let handled = tokio::spawn(async move { handle(&shared, &parts, &body).await });
    respond(handled.await.map_err(|_| Cut)??).map_err(|_| Cut)
}

fn respond(reply: Reply) -> hyper::http::Result<Response<Bytes>> {
    let status = StatusCode::from_u16(reply.status)?;
    let mut response = Response::builder().status(status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    response.body(Bytes::from(reply.body))
}

/// The connection is closed without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

async fn handle(shared: &Shared, parts: &Parts, body: &[u8]) -> Result<Reply, Cut> {
    let started = clock::now();
    let latency = shared.lock().settings.latency;
    pause(latency).await;
    let request = match Request::parse(&parts.headers, body) {
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
        Ok((caller, script)) => {
            let failure = match &script.ending {
                Ending::Failure { item, reason } => Some((item.clone(), reason.clone())),
                _ => None,
            };
            play(request.service, &script, || shared.lock().perform(&request, &caller, failure)).await
        }
    };
    shared.lock().calls.push(logged(&request, account, started, answer.as_ref()));
    let mut reply = Reply::of(request.service, &answer.ok_or(Cut)?);
    reply.headers.insert("date", http_date(shared.lock().settings.now()));
    Ok(reply)
}

/// Does the call as the script has it; `None` where there is no answer.
async fn play(
    service: Service,
    script: &Script,
    perform: impl FnOnce() -> Result<Body, ApiError>,
) -> Option<Result<Body, ApiError>> {
    let spoilt = matches!(script.ending, Ending::Cut) || script.ending.error(service).is_some();
    let done = if script.after_effect {
        let done = perform();
        pause(script.delay).await;
        Some(done)
    } else {
        pause(script.delay).await;
        (!spoilt).then(perform)
    };
    if spoilt { script.ending.error(service).map(Err) } else { done }
}

async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

fn unreadable(service: Service) -> Request {
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
