//! As little of an AWS client as the tests need.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use standin::{ACCOUNT, Credentials, REGION, Standin};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Calls the stand-in, on a connection of its own for each call.
pub(crate) struct Client {
    address: String,
    pub(crate) credentials: Credentials,
    pub(crate) region: String,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The text of the first XML element with this name.
    pub(crate) fn xml(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0)
    }

    /// How often an XML element occurs.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.body.matches(&format!("<{name}>")).count()
    }
}

impl Client {
    pub(crate) fn new(aws: &Standin) -> Self {
        let address = aws.url().rsplit('/').next().unwrap().to_owned();
        Self { address, credentials: aws.credentials_for(ACCOUNT), region: REGION.to_owned() }
    }

    pub(crate) fn signed_by(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    pub(crate) fn in_region(self, region: &str) -> Self {
        Self { region: region.to_owned(), ..self }
    }

    pub(crate) async fn ecs(&self, api: &str, params: Value) -> Reply {
        self.try_ecs(api, params).await.unwrap()
    }

    /// `None` where the connection was cut.
    pub(crate) async fn try_ecs(&self, api: &str, params: Value) -> Option<Reply> {
        let target = format!("AmazonEC2ContainerServiceV20141113.{api}");
        self.send(self.request("ecs").header("x-amz-target", target), params.to_string()).await
    }

    /// Like [`Client::ecs`], but without a socket; `None` where the connection was cut.
    pub(crate) async fn here(&self, aws: &Standin, api: &str, params: Value) -> Option<Reply> {
        let target = format!("AmazonEC2ContainerServiceV20141113.{api}");
        let request = self.request("ecs").header("x-amz-target", target);
        let (parts, body) = aws.answer(request.body(Bytes::from(params.to_string())).unwrap()).await?.into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Some(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// A call of SQS without a socket.
    pub(crate) async fn sqs_here(&self, aws: &Standin, api: &str, params: Value) -> Reply {
        let request = self.request("sqs").header("x-amz-target", format!("AmazonSQS.{api}"));
        let request = request.header("content-type", "application/x-amz-json-1.0");
        let (parts, body) =
            aws.answer(request.body(Bytes::from(params.to_string())).unwrap()).await.unwrap().into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// A call of a query protocol without a socket.
    pub(crate) async fn query_here(&self, aws: &Standin, service: &str, query: &str) -> Reply {
        let version = match service {
            "ec2" => "2016-11-15",
            "autoscaling" => "2011-01-01",
            _ => "2015-12-01",
        };
        let body = Bytes::from(format!("Version={version}&Action={query}"));
        let (parts, body) = aws.answer(self.request(service).body(body).unwrap()).await.unwrap().into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn ec2(&self, query: &str) -> Reply {
        self.send(self.request("ec2"), format!("Version=2016-11-15&Action={query}")).await.unwrap()
    }

    pub(crate) async fn sts(&self, query: &str) -> Reply {
        self.send(self.request("sts"), format!("Version=2011-06-15&Action={query}")).await.unwrap()
    }

    pub(crate) async fn eks(&self, cluster: &str) -> Reply {
        let request = self.request("eks").method("GET").uri(format!("/clusters/{cluster}"));
        self.send(request, String::new()).await.unwrap()
    }

    fn request(&self, service: &str) -> hyper::http::request::Builder {
        let (key, region) = (&self.credentials.access_key, &self.region);
        let scope = format!("{key}/20260101/{region}/{service}/aws4_request");
        Request::post("/")
            .header("host", &self.address)
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
            .header("x-amz-security-token", &self.credentials.session_token)
    }

    async fn send(&self, request: hyper::http::request::Builder, body: String) -> Option<Reply> {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        exchange(stream, request, body).await
    }
}

/// Sends one request; `None` where the connection was cut.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: hyper::http::request::Builder,
    body: String,
) -> Option<Reply> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Some(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
}
