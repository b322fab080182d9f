//! Requests to a cluster's Kubernetes API server.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{
    connection::{Answer, Request},
    control_plane::{ControlPlane, Endpoint},
    token::{CachedToken, TooLong},
};
use crate::{
    aws::{calls::Calls, failure::with_causes, operation::Operation, token_bucket::TokenBuckets},
    error::{BoxError, Error, ErrorClass},
    identifier::ClusterName,
    lock::lock,
};

/// The time limit of one attempt, 5 s as for AWS.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The time limit of an attempt that may take long, 12 s: an eviction is answered after 10 s if budgets keep changing,
/// and a list is read from etcd by old servers.
const LONG_ATTEMPT: Duration = Duration::from_secs(12);

/// How long an endpoint is not read again after it was read, 10 s.
const MIN_ENDPOINT_AGE: Duration = Duration::from_secs(10);

/// The error code for a token that the cluster rejects.
pub(crate) const UNAUTHORIZED: &str = "Unauthorized";

/// The error code for an endpoint that can't be reached.
pub(crate) const UNREACHABLE: &str = "Unreachable";

/// The pauses before a rejected token is made again. The first one may have been old; after that the cluster may not
/// have been able to check it, since it calls AWS STS itself.
const NEW_TOKEN_AFTER: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1)];

#[derive(Debug)]
pub(crate) struct ApiServer {
    control_plane: Arc<ControlPlane>,
    pub(crate) cluster: ClusterName,
    endpoint: Mutex<Arc<Endpoint>>,
    /// When the endpoint was read. Locked while it is.
    read: tokio::sync::Mutex<SystemTime>,
    is_deleted: AtomicBool,
    token: CachedToken,
    buckets: Arc<TokenBuckets>,
    lists: Semaphore,
}

/// The most lists of one server that are read at the same time, half of those of an account and Region.
const LISTS: usize = 2;

/// The `Status` with which the API server answers where it has nothing else to return.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    #[serde(rename = "status")]
    pub(crate) verdict: Option<String>,
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
        let read = tokio::sync::Mutex::new(SystemTime::now());
        let (is_deleted, token) = (AtomicBool::new(false), CachedToken::default());
        let buckets = Arc::new(TokenBuckets::new(control_plane.share));
        let lists = Semaphore::new(LISTS);
        Self { control_plane, cluster, endpoint, read, is_deleted, token, buckets, lists }
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
        let server = calls.to_server(&self.buckets);
        for pause in NEW_TOKEN_AFTER {
            match server.repeat(operation, &resource, attempt).await {
                Err(error) if error.code() == Some(UNAUTHORIZED) && pause < calls.left() => sleep(pause).await,
                done => return done,
            }
        }
        match server.repeat(operation, &resource, attempt).await {
            Err(error) if error.code() == Some(UNAUTHORIZED) => Err(self.no_access(calls, operation, &resource).await),
            done => done,
        }
    }

    /// Limits the lists that are read at the same time. The server's own limit comes first, so that one that does not
    /// answer leaves permits to others.
    pub(super) async fn permits_to_list(&self) -> impl Sized {
        (self.lists.acquire().await, self.control_plane.lists.acquire().await)
    }

    /// Whether the cluster turned out to be deleted.
    pub(super) fn is_deleted(&self) -> bool {
        self.is_deleted.load(Relaxed)
    }

    async fn attempt(
        &self,
        calls: &Calls,
        operation: Operation,
        resource: &str,
        request: &Request,
    ) -> Result<Answer, Error> {
        let error = |class, cause: String| Error::call(operation, resource, class, cause);
        let token = self.token.get(&self.control_plane.signer, &self.cluster).await.map_err(|cause| {
            let class = if cause.is::<TooLong>() { ErrorClass::Rejected } else { ErrorClass::Unavailable };
            error(class, format!("no token could be made: {cause}"))
        })?;
        let endpoint = self.endpoint();
        let limit = match operation {
            Operation::EvictPod | Operation::ListPods | Operation::ListNodes | Operation::ListPodDisruptionBudgets => {
                LONG_ATTEMPT
            }
            _ => ATTEMPT,
        };
        let unreachable: BoxError = match timeout(limit, request.send(&endpoint.connector, &endpoint.url, &token)).await
        {
            Ok(Ok(answer)) => {
                if answer.status == 401 {
                    self.token.drop(&token);
                }
                return Ok(answer);
            }
            Ok(Err(error)) => error,
            Err(_) => format!("no answer within {} s", limit.as_secs()).into(),
        };
        self.read_endpoint_again(calls, &endpoint).await;
        if self.is_deleted() {
            return Err(error(ErrorClass::Rejected, "the cluster was deleted".to_owned()));
        }
        let Endpoint { url, access, .. } = &*endpoint;
        let cause = format!("{url} can't be reached: {}; {access}", with_causes(&*unreachable));
        Err(error(ErrorClass::Unavailable, cause).with_code(UNREACHABLE))
    }

    /// Reads the endpoint and its certificate authority again, since they may have changed.
    async fn read_endpoint_again(&self, calls: &Calls, used: &Arc<Endpoint>) {
        let mut read = self.read.lock().await;
        // Another request that failed may have been faster.
        let is_known = !Arc::ptr_eq(&self.endpoint(), used);
        if is_known || read.elapsed().is_ok_and(|age| age < MIN_ENDPOINT_AGE) {
            return;
        }
        match self.control_plane.endpoint(&calls.once(), &self.cluster).await {
            Ok(Some(endpoint)) => *lock(&self.endpoint) = Arc::new(endpoint),
            Ok(None) => self.is_deleted.store(true, Relaxed),
            Err(error) => tracing::debug!(%error, "the endpoint could not be read again"),
        }
        *read = SystemTime::now();
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
        Error::call(operation, resource, ErrorClass::Denied, cause).with_code(UNAUTHORIZED)
    }

    fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&lock(&self.endpoint))
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
    let is_rbac = answer.status == 403 && said.contains(" cannot ");
    let hint = if is_rbac { " (kubernetes/access.yaml grants what the function needs)" } else { "" };
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
