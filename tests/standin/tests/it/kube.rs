//! As little of a Kubernetes client as the tests need, and tokens that are signed without the stand-in's code.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use standin::{ACCOUNT, Credentials, EksCluster, Instance, Node, Pod, REGION, Region, Standin};

use crate::client::Reply;

/// The cluster of the tests.
pub(crate) const CLUSTER: &str = "web";

/// Its first node, and that one's instance.
pub(crate) const NODE: &str = "ip-10-0-1-2.us-east-2.compute.internal";
pub(crate) const ID: &str = "i-1234567890abcdef0";

/// What a token is made of.
pub(crate) struct Claim<'a> {
    pub(crate) credentials: &'a Credentials,
    pub(crate) cluster: &'a str,
    pub(crate) region: &'a str,
    pub(crate) host: String,
    pub(crate) at: SystemTime,
    pub(crate) expires: &'a str,
    /// Comes after the other query parameters, and is signed with them.
    pub(crate) more: &'a str,
}

impl<'a> Claim<'a> {
    pub(crate) fn new(credentials: &'a Credentials, cluster: &'a str) -> Self {
        let (region, host) = (REGION, format!("sts.{REGION}.amazonaws.com"));
        Self { credentials, cluster, region, host, at: SystemTime::now(), expires: "60", more: "" }
    }

    pub(crate) fn url(&self) -> String {
        let (date, time) = dates(self.at);
        let scope = format!("{date}/{}/sts/aws4_request", self.region);
        let query = format!(
            "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F{}\
             &X-Amz-Date={time}&X-Amz-Expires={}&X-Amz-Security-Token={}&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id{}",
            self.credentials.access_key,
            scope.replace('/', "%2F"),
            self.expires,
            self.credentials.session_token,
            self.more,
        );
        let hash = |text: &str| hex(&Sha256::digest(text.as_bytes()));
        let headers = format!("host:{}\nx-k8s-aws-id:{}\n\nhost;x-k8s-aws-id", self.host, self.cluster);
        let request = format!("GET\n/\n{query}\n{headers}\n{}", hash(""));
        let mut key = format!("AWS4{}", self.credentials.secret_key).into_bytes();
        for part in scope.split('/') {
            key = sign(&key, part);
        }
        let signature = sign(&key, &format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(&request)));
        format!("https://{}/?{query}&X-Amz-Signature={}", self.host, hex(&signature))
    }

    pub(crate) fn token(&self) -> String {
        token_of(&self.url())
    }
}

pub(crate) fn token_of(url: &str) -> String {
    format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}

/// `20260131` and `20260131T120000Z`.
fn dates(at: SystemTime) -> (String, String) {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Days from 1970 to a date, as Howard Hinnant's civil_from_days has it.
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let date = format!("{year:04}{month:02}{day:02}");
    let time = format!("{date}T{:02}{:02}{:02}Z", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    (date, time)
}

/// A stand-in with a cluster that has one node, and a client of its API server without sockets.
pub(crate) struct Kube {
    pub(crate) aws: Standin,
    pub(crate) home: Region,
    pub(crate) token: String,
}

impl Kube {
    pub(crate) async fn start() -> Self {
        Self::with(EksCluster::new(CLUSTER)).await
    }

    pub(crate) async fn with(cluster: EksCluster) -> Self {
        let aws = Standin::builder().start().await.unwrap();
        let home = aws.home();
        home.instance(Instance::new(ID).private_dns(NODE)).eks_cluster(cluster).node(CLUSTER, Node::new(NODE, ID));
        let token = Claim::new(&aws.credentials_for(ACCOUNT), CLUSTER).token();
        Self { aws, home, token }
    }

    /// Places a pod on the node and returns its uid.
    pub(crate) fn put(&self, pod: Pod) -> String {
        self.home.pod(CLUSTER, NODE, pod).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "application/json", String::new()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send("PATCH", path, "application/merge-patch+json", body.to_string()).await
    }

    pub(crate) async fn delete(&self, name: &str, options: Value) -> Reply {
        let path = format!("/api/v1/namespaces/default/pods/{name}");
        self.send("DELETE", &path, "application/json", options.to_string()).await
    }

    pub(crate) async fn evict(&self, name: &str, options: Value) -> Reply {
        let body = json!({"metadata": {"name": name, "namespace": "default"}, "deleteOptions": options});
        self.post_eviction(name, "?fieldValidation=Strict", body).await
    }

    pub(crate) async fn post_eviction(&self, name: &str, query: &str, body: Value) -> Reply {
        let path = format!("/api/v1/namespaces/default/pods/{name}/eviction{query}");
        self.send("POST", &path, "application/json", body.to_string()).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, content_type: &str, body: String) -> Reply {
        self.try_send(method, path, content_type, body).await.unwrap()
    }

    /// `None` if there is no connection, or it is cut.
    pub(crate) async fn try_send(&self, method: &str, path: &str, content_type: &str, body: String) -> Option<Reply> {
        let url = format!("{}{path}", self.home.eks_endpoint(CLUSTER).unwrap());
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", content_type);
        let (parts, body) = self.aws.answer(request.body(Bytes::from(body)).unwrap()).await?.into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Some(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

impl Reply {
    /// HTTP status, and status, reason and code of the `Status`.
    pub(crate) fn verdict(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(body["kind"], "Status", "{body}");
        (self.status, body["reason"].as_str().unwrap_or(body["status"].as_str().unwrap()).to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) const fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}
