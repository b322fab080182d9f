//! Requests to a cluster's Kubernetes API server.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{
    connection::{Answer, Request},
    control_plane::{ControlPlane, Endpoint},
    token::CachedToken,
};
use crate::{
    aws::{calls::Calls, operation::Operation, token_bucket::TokenBuckets},
    error::{BoxError, Error, ErrorClass},
    identifier::ClusterName,
};

/// The time limit of one attempt, 5 s as for AWS.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The time limit of an attempt to evict, 12 s: the server answers after 10 s if budgets keep changing.
const EVICTION_ATTEMPT: Duration = Duration::from_secs(12);

/// How long an endpoint is not read again after it was read, 10 s.
const MIN_ENDPOINT_AGE: Duration = Duration::from_secs(10);

/// The error code for a token that the cluster rejects.
const UNAUTHORIZED: &str = "Unauthorized";

/// A cluster's API server.
#[derive(Debug)]
pub(crate) struct ApiServer {
    control_plane: Arc<ControlPlane>,
    pub(crate) cluster: ClusterName,
    endpoint: Mutex<Arc<Endpoint>>,
    token: CachedToken,
    buckets: Arc<TokenBuckets>,
}

/// The `Status` with which the API server answers where it has nothing else to return.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) status: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) reason: Option<String>,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    kind: Option<String>,
    causes: Option<Vec<Cause>>,
}

#[derive(Debug, Deserialize)]
struct Cause {
    reason: Option<String>,
}

impl ApiServer {
    pub(super) fn new(control_plane: &Arc<ControlPlane>, cluster: ClusterName, endpoint: Endpoint) -> Self {
        let (control_plane, endpoint) = (Arc::clone(control_plane), Mutex::new(Arc::new(endpoint)));
        Self { control_plane, cluster, endpoint, token: CachedToken::default(), buckets: Arc::default() }
    }

    /// Reads an object; `None` if there is none.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        calls: &Calls,
        operation: Operation,
        path: String,
    ) -> Result<Option<T>, Error> {
        let read = |answer: &Answer| match answer.status {
            200..=299 => Some(parse(answer).map(Some)),
            404 => Some(Ok(None)),
            _ => None,
        };
        self.request(calls, operation, &Request::get(path), read).await
    }

    /// Makes a request until `read` returns what is in the answer. `None` stands for the error that the status says.
    pub(crate) async fn request<T>(
        &self,
        calls: &Calls,
        operation: Operation,
        request: &Request,
        read: impl Fn(&Answer) -> Option<Result<T, String>>,
    ) -> Result<T, Error> {
        let resource = format!("{} of cluster {}", resource(&request.path), self.cluster);
        let attempt = async || {
            let answer = self.attempt(calls, operation, &resource, request).await?;
            match read(&answer) {
                Some(read) => read.map_err(|error| Error::call(operation, &resource, ErrorClass::Rejected, error)),
                None => Err(failure(operation, &resource, &answer)),
            }
        };
        let done = calls.to_server(&self.buckets).repeat(operation, &resource, attempt).await;
        match done {
            Err(error) if error.code() == Some(UNAUTHORIZED) => Err(self.no_access(calls, operation, &resource).await),
            done => done,
        }
    }

    async fn attempt(
        &self,
        calls: &Calls,
        operation: Operation,
        resource: &str,
        request: &Request,
    ) -> Result<Answer, Error> {
        let unavailable = |cause: String| Error::call(operation, resource, ErrorClass::Unavailable, cause);
        let endpoint = Arc::clone(&self.lock());
        let limit = if operation == Operation::EvictPod { EVICTION_ATTEMPT } else { ATTEMPT };
        loop {
            let token = self.token.get(&self.control_plane.signer, &self.cluster).await;
            let (token, was_used) = token.map_err(|error| unavailable(format!("no token could be made: {error}")))?;
            let error: BoxError = match timeout(limit, request.send(&endpoint.connector, &endpoint.url, &token)).await {
                Ok(Ok(answer)) if answer.status == 401 && was_used => {
                    self.token.drop(&token);
                    continue;
                }
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => format!("no answer within {} s", limit.as_secs()).into(),
            };
            self.read_endpoint_again(calls, &endpoint).await;
            let Endpoint { url, access, .. } = &*endpoint;
            return Err(unavailable(format!("{url} can't be reached: {}; {access}", causes(&*error))));
        }
    }

    /// Reads the endpoint and its certificate authority again, since they may have changed.
    async fn read_endpoint_again(&self, calls: &Calls, used: &Endpoint) {
        if used.read.elapsed() < MIN_ENDPOINT_AGE {
            return;
        }
        match self.control_plane.endpoint(&calls.once(), &self.cluster).await {
            Ok(Some(endpoint)) => *self.lock() = Arc::new(endpoint),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the endpoint could not be read again"),
        }
    }

    /// The error for a token that the cluster rejects.
    async fn no_access(&self, calls: &Calls, operation: Operation, resource: &str) -> Error {
        let role = self.control_plane.identity.role_arn(calls).await;
        let role = role.unwrap_or_else(|| "the function's role".to_owned());
        let cause = format!(
            "401 {UNAUTHORIZED}: cluster {} has no access entry for {role}: create one with the Kubernetes group \
             spot-interruption-handler",
            self.cluster
        );
        Error::call(operation, resource, ErrorClass::Denied, cause)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Endpoint>> {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Status {
    /// Reads a `Status`, which is empty if the body is none.
    pub(crate) fn of(answer: &Answer) -> Self {
        parse(answer).unwrap_or_default()
    }

    /// Whether the server gives this as a cause.
    pub(crate) fn has_cause(&self, cause: &str) -> bool {
        let causes = self.details.iter().flat_map(|details| details.causes.iter().flatten());
        causes.into_iter().any(|of| of.reason.as_deref() == Some(cause))
    }

    /// The kind of object that the status is about, in the plural as the server writes it.
    pub(crate) fn kind(&self) -> Option<&str> {
        self.details.as_ref()?.kind.as_deref()
    }
}

fn parse<T: DeserializeOwned>(answer: &Answer) -> Result<T, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("the answer could not be read: {error}"))
}

fn failure(operation: Operation, resource: &str, answer: &Answer) -> Error {
    let Status { message, reason, .. } = Status::of(answer);
    let class = match answer.status {
        401 | 403 => ErrorClass::Denied,
        429 => ErrorClass::Throttled,
        408 | 500.. => ErrorClass::Unavailable,
        _ => ErrorClass::Rejected,
    };
    let code = if answer.status == 401 { Some(UNAUTHORIZED.to_owned()) } else { reason };
    let said = match message {
        Some(message) => message,
        None => String::from_utf8_lossy(&answer.body).trim().chars().take(200).collect(),
    };
    let hint = if answer.status == 403 { " (kubernetes/access.yaml grants what the function needs)" } else { "" };
    Error::Call {
        operation,
        resource: resource.to_owned(),
        class,
        cause: format!("{} {}: {said}{hint}", answer.status, code.as_deref().unwrap_or("without a reason")),
        code,
        retry_after: answer.retry_after,
    }
}

/// The object or list that a path names.
fn resource(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    path.strip_prefix("/api/v1/").unwrap_or(path)
}

/// An error and its causes.
fn causes(error: &(dyn std::error::Error + 'static)) -> impl Display {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
