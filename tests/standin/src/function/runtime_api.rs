//! Lambda's Runtime API.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::Answer;
use crate::arn;
use crate::timestamp::epoch_ms;

/// An event on its way to the function, and where the answer goes.
pub(crate) struct Invocation {
    pub(super) event: Vec<u8>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// One execution environment's side of the Runtime API.
pub(crate) struct RuntimeApi {
    arn: String,
    timeout: Duration,
    spawned: Instant,
    queue: mpsc::UnboundedSender<Invocation>,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    in_flight: Mutex<Option<(String, oneshot::Sender<Answer>)>>,
    init_error: Mutex<Option<Answer>>,
    first_request: watch::Sender<Option<Duration>>,
}

impl RuntimeApi {
    pub(crate) fn new(arn: String, timeout: Duration, spawned: Instant) -> Arc<Self> {
        let (queue, waiting) = mpsc::unbounded_channel();
        Arc::new(Self {
            arn,
            timeout,
            spawned,
            queue,
            waiting: tokio::sync::Mutex::new(waiting),
            in_flight: Mutex::default(),
            init_error: Mutex::default(),
            first_request: watch::Sender::new(None),
        })
    }

    /// Queues an event and returns where its answer comes out.
    pub(super) fn queue(&self, event: Vec<u8>) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let _ = self.queue.send(Invocation { event, answer });
        answered
    }

    /// From the start of the process to its first request for an event, once there was one.
    pub(super) fn first_request(&self) -> watch::Receiver<Option<Duration>> {
        self.first_request.subscribe()
    }

    pub(super) fn init_error(&self) -> Option<Answer> {
        self.init_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Accepts connections until it is aborted.
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(self.clone().serve(stream));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let api = self.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let Some(path) = path.strip_prefix("/2018-06-01/runtime/") else {
            return status(404);
        };
        if request.method() == Method::GET && path == "invocation/next" {
            return self.next().await;
        }
        let Ok(body) = request.into_body().collect().await else {
            return status(400);
        };
        let body = body.to_bytes();
        match path.split('/').collect::<Vec<_>>()[..] {
            ["init", "error"] => {
                let mut init_error = self.init_error.lock().unwrap_or_else(PoisonError::into_inner);
                *init_error = Some(Answer::error(&body));
                status(202)
            }
            ["invocation", id, "response"] => self.finish(id, Answer::response(&body)),
            ["invocation", id, "error"] => self.finish(id, Answer::error(&body)),
            _ => status(404),
        }
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        self.first_request.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert_with(|| self.spawned.elapsed());
            is_first
        });
        let Some(invocation) = self.waiting.lock().await.recv().await else {
            return status(410);
        };
        let id = arn::uuid();
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = Some((id.clone(), invocation.answer));
        let deadline = epoch_ms(SystemTime::now() + self.timeout).to_string();
        let trace = format!("Root=1-{}-{};Parent={};Sampled=0", arn::hex(8), arn::hex(24), arn::hex(16));
        Response::builder()
            .header("Content-Type", "application/json")
            .header("Lambda-Runtime-Aws-Request-Id", id)
            .header("Lambda-Runtime-Deadline-Ms", deadline)
            .header("Lambda-Runtime-Invoked-Function-Arn", &self.arn)
            .header("Lambda-Runtime-Trace-Id", trace)
            .body(Full::new(Bytes::from(invocation.event)))
            .unwrap_or_else(|_| status(500))
    }

    fn finish(&self, id: &str, answer: Answer) -> Response<Full<Bytes>> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        match in_flight.take_if(|(expected, _)| expected == id) {
            Some((_, answered)) => {
                let _ = answered.send(answer);
                status(202)
            }
            None => status(400),
        }
    }
}

fn status(code: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"status\":\"\"}")));
    *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or_default();
    response
}
