//! The Kubernetes API servers of EKS clusters.

mod access;
mod answer;
mod budgets;
mod endpoint;
mod eviction;
mod list;
mod nodes;
mod patch;
mod pods;
mod request;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use hyper::http::request::Parts;
use serde_json::{Value, json};

use crate::account::Principal;
use crate::arn;
use crate::call::Call;
use crate::clock::{self, Clock};
use crate::fault::{Effect, FaultResponse};
use crate::history::History;
use crate::model::{EksCluster, Reach};
use crate::request::Reply;
use crate::server::{ConnectionCut, pause};
use crate::state::{Shared, State};
use crate::timestamp::{http_date, iso8601};
use answer::{Answer, Content};
use endpoint::Endpoint;
use request::Request;
pub(crate) use world::{PlacedPod, World};
pub use world::{PodEnding, StopRequest};

/// How long a client waits for an endpoint that never answers, for clients without sockets.
const SILENCE: Duration = Duration::from_hours(1);

/// A cluster's account, Region and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterId {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) name: String,
}

/// A cluster, as it is now.
#[derive(Debug)]
pub(crate) struct PlacedCluster {
    pub(crate) model: EksCluster,
    pub(crate) endpoint: Endpoint,
    pub(crate) world: World,
    /// How often the tokens of lists have become too old.
    pub(crate) list_epoch: u64,
    /// Requests that are under way.
    in_flight: usize,
    pub(crate) most_in_flight: usize,
}

impl PlacedCluster {
    /// Starts a cluster.
    pub(crate) fn start(shared: &Shared, id: &ClusterId, model: EksCluster) -> io::Result<Self> {
        let endpoint = Endpoint::open(shared, id, model.reach)?;
        let world = World::default();
        Ok(Self { model, endpoint, world, list_epoch: 0, in_flight: 0, most_in_flight: 0 })
    }

    pub(crate) fn port(&self) -> u16 {
        self.endpoint.port()
    }

    /// Replaces its endpoint; connections to the old one end.
    pub(crate) fn move_endpoint(&mut self, shared: &Shared, id: &ClusterId) -> io::Result<()> {
        self.endpoint = Endpoint::open(shared, id, self.model.reach)?;
        Ok(())
    }
}

/// The context of one request.
struct Context<'a> {
    world: &'a mut World,
    history: &'a mut History,
    terminating: &'a BTreeSet<String>,
    page_sizes: &'a BTreeMap<String, usize>,
    cluster: &'a str,
    region: &'a str,
    list_epoch: u64,
    clock: Clock,
    now: Instant,
}

impl Context<'_> {
    fn date(&self, moment: Instant) -> String {
        iso8601(self.clock.date(moment))
    }
}

/// Whether a request is a dry run, by its query or by its body.
fn is_dry_run(request: &Request, body: &Value) -> Result<bool, Answer> {
    let in_body: Vec<&str> = body.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let in_query: Vec<&str> = Some(request.param("dryRun")).filter(|run| !run.is_empty()).into_iter().collect();
    if let Some(other) = in_body.iter().chain(&in_query).find(|run| **run != "All") {
        let message = format!("dryRun: Unsupported value: \"{other}\": supported values: \"All\"");
        return Err(Answer::invalid("DeleteOptions", "", &message));
    }
    Ok(!in_body.is_empty() || !in_query.is_empty())
}

/// Connects a client without sockets to a port; `None` if the connection is refused or never answered.
pub(crate) async fn connect(shared: &Shared, id: &ClusterId, port: u16) -> Option<()> {
    let reach = {
        let mut state = shared.lock();
        let cluster = state.resources_of(&id.account, &id.region).eks.get(&id.name)?;
        if cluster.port() == port { cluster.model.reach } else { Reach::Refused }
    };
    match reach {
        Reach::Open => Some(()),
        Reach::Refused => None,
        Reach::Silent => {
            tokio::time::sleep(SILENCE).await;
            None
        }
    }
}

/// Answers a request to a cluster's API server, and logs it.
pub(crate) async fn handle(
    shared: &Shared,
    id: &ClusterId,
    parts: &Parts,
    body: &[u8],
) -> Result<Reply, ConnectionCut> {
    let started = clock::now();
    let request = Request::parse(parts, body);
    let params = request.params(&id.name);
    let is_admitted = enter(shared, id);
    let latency = shared.lock().settings.latency;
    pause(latency).await;
    let token = access::bearer(&parts.headers);
    let (access_key, admitted) = shared.lock().admit_to_cluster(id, &request, &params, token);
    let answer = match admitted {
        Err(refused) => Some(refused),
        Ok(_) if !is_admitted => Some(Answer::throttled(1)),
        Ok((caller, effect)) => play(shared, id, &request, &caller, &effect).await,
    };
    leave(shared, id);
    let (status, error) = match &answer {
        None => (0, Some("ConnectionCut".to_owned())),
        Some(answer) => (answer.status, answer.error.clone()),
    };
    let mut state = shared.lock();
    state.calls.push(Call {
        service: "kubernetes".to_owned(),
        api: request.api.to_owned(),
        account: id.account.clone(),
        region: id.region.clone(),
        access_key,
        started,
        finished: clock::now(),
        params,
        status,
        error,
    });
    let date = http_date(state.settings.now());
    Ok(reply(answer.ok_or(ConnectionCut)?, date))
}

/// Counts a request; `false` if too many are under way.
fn enter(shared: &Shared, id: &ClusterId) -> bool {
    let mut state = shared.lock();
    let Some(cluster) = state.resources_of(&id.account, &id.region).eks.get_mut(&id.name) else { return true };
    cluster.in_flight += 1;
    cluster.most_in_flight = cluster.most_in_flight.max(cluster.in_flight);
    cluster.model.max_in_flight.is_none_or(|max| cluster.in_flight <= max)
}

fn leave(shared: &Shared, id: &ClusterId) {
    let mut state = shared.lock();
    if let Some(cluster) = state.resources_of(&id.account, &id.region).eks.get_mut(&id.name) {
        cluster.in_flight = cluster.in_flight.saturating_sub(1);
    }
}

/// Performs a request with the effect of a fault; `None` if there is no answer.
async fn play(
    shared: &Shared,
    id: &ClusterId,
    request: &Request,
    caller: &Principal,
    effect: &Effect,
) -> Option<Answer> {
    let spoilt = Answer::of_fault(request.api, &effect.response, effect.retry_after_s);
    let is_spoilt = spoilt.is_some() || matches!(effect.response, FaultResponse::Cut);
    let perform = || shared.lock().perform_in_cluster(id, request, caller);
    let performed = if effect.after_call {
        let performed = perform();
        pause(effect.delay).await;
        Some(performed)
    } else {
        pause(effect.delay).await;
        (!is_spoilt).then(perform)
    };
    if is_spoilt {
        return spoilt;
    }
    if let Some(answer) = &performed {
        pause(answer.takes).await;
    }
    performed
}

impl State {
    /// The access key, and the caller with the effect of a fault; an answer if the request is refused before that.
    fn admit_to_cluster(
        &mut self,
        id: &ClusterId,
        request: &Request,
        params: &Value,
        token: Option<&str>,
    ) -> (String, Result<(Principal, Effect), Answer>) {
        let now = self.settings.now();
        let Some(token) = token else { return (String::new(), Err(Answer::unauthorized())) };
        let Ok((principal, access_key)) = access::authenticate(&self.accounts, id, token, now) else {
            return (String::new(), Err(Answer::unauthorized()));
        };
        let cluster = self.resources_of(&id.account, &id.region).eks.get(&id.name);
        if !cluster.is_some_and(|cluster| cluster.knows(id, &principal)) {
            return (access_key, Err(Answer::unauthorized()));
        }
        let mut faults = self.faults.iter_mut();
        let effect = faults.find_map(|fault| fault.apply(request.api, params, &id.region, &id.account));
        (access_key, Ok((principal, effect.unwrap_or_default())))
    }

    fn perform_in_cluster(&mut self, id: &ClusterId, request: &Request, caller: &Principal) -> Answer {
        let (clock, page_sizes) = (self.clock, self.settings.page_sizes.clone());
        let resources = self.resources_of(&id.account, &id.region);
        let now = resources.now;
        let Some(cluster) = resources.eks.get_mut(&id.name) else { return Answer::no_resource() };
        if let Err(forbidden) = cluster.authorize(caller, request) {
            return forbidden;
        }
        let version = cluster.model.version.clone();
        let mut context = Context {
            world: &mut cluster.world,
            history: &mut resources.history,
            terminating: &cluster.model.terminating,
            page_sizes: &page_sizes,
            cluster: &id.name,
            region: &id.region,
            list_epoch: cluster.list_epoch,
            clock,
            now,
        };
        if request.is_malformed && request.api != "EvictPod" {
            return Answer::bad_request("the body of the request is not JSON");
        }
        let answer = match request.api {
            "GetVersion" => Ok(self::version(&version)),
            "GetNode" => nodes::get(&context, request),
            "ListNodes" => nodes::list(&context, request),
            "PatchNode" => nodes::patch(&mut context, request),
            "GetPod" => pods::get(&context, request),
            "ListPodDisruptionBudgets" => budgets::list(&context, request),
            "ListPods" => pods::list(&context, request),
            "DeletePod" => pods::delete(&mut context, request),
            "EvictPod" => eviction::evict(&mut context, request),
            _ => Err(Answer::no_resource()),
        };
        answer.unwrap_or_else(|failed| failed)
    }
}

fn version(minor: &str) -> Answer {
    let (major, minor) = minor.split_once('.').unwrap_or(("1", minor));
    Answer::ok(json!({
        "major": major, "minor": minor, "gitVersion": format!("v{major}.{minor}.0-eks-0123456"), "platform": "linux/amd64"
    }))
}

fn reply(answer: Answer, date: String) -> Reply {
    let (content_type, body) = match answer.content {
        Content::Json(value) => ("application/json", value.to_string()),
        Content::Text(text) => ("text/plain; charset=utf-8", text),
    };
    let mut headers = BTreeMap::from([
        ("content-type", content_type.to_owned()),
        ("audit-id", arn::uuid()),
        ("cache-control", "no-cache, private".to_owned()),
        ("date", date),
        ("x-kubernetes-pf-flowschema-uid", "11111111-1111-1111-1111-111111111111".to_owned()),
        ("x-kubernetes-pf-prioritylevel-uid", "22222222-2222-2222-2222-222222222222".to_owned()),
    ]);
    for (name, value) in answer.headers {
        headers.insert(name, value);
    }
    Reply { status: answer.status, headers, body }
}
