//! Takes interrupted EC2 Spot instances out of their Amazon ECS or Amazon EKS clusters before EC2 reclaims them.
//!
//! ```text
//!  JSON ─► event ─► interruption ─► scope ─► locate ─► plan ─► act ─► outcome ─► report ─► JSON, log, metrics, events
//!          wire      domain         where     reads     pure    writes             pure
//!                                     └── calls: coalesced, paced by quota and deadline, retried ──┘
//! ```
//!
//! [`handle`] is the entry point. The modules are listed in the order of the flow. Each interruption is handled
//! independently of all others; the calls to AWS that they share are coalesced in `aws`.

pub mod config;

pub mod event;

pub mod interruption;

pub mod scope;

pub(crate) mod invocation;

pub mod ec2;
pub(crate) mod ecs;
pub(crate) mod eks;

pub(crate) mod auto_scaling;
pub(crate) mod iam;
pub(crate) mod load_balancing;
pub(crate) mod queue;

pub mod outcome;

pub mod report;

pub mod rehearsal;

pub mod outcome_bus;

pub mod aws;
pub mod error;
pub mod function;
pub mod identifier;
pub mod log;
pub(crate) mod mark;

#[cfg(test)]
#[path = "../tests/support/direct.rs"]
mod direct;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, join_all},
};
use lambda_runtime::LambdaEvent;

use crate::{
    aws::deadline::Deadline,
    config::Config,
    error::Error,
    event::{Event, IgnoredEvent, Payload},
    interruption::{InstanceKey, Interruption},
    invocation::Invocation,
    outcome::InstanceOutcome,
    report::{Report, Response},
    scope::Scopes,
};

/// The time limit of the warm-up, 2 s: Lambda cuts an initialization off after 10 s, and a notice may be waiting.
const WARM_UP: Duration = Duration::from_secs(2);

/// Reads the clusters, which the first notice needs in any case.
pub async fn warm_up(scopes: &Scopes, config: &Config) {
    if let Some(home) = scopes.home() {
        // One attempt each: hundreds of processes that start together would throttle each other.
        let calls = home.calls(Deadline::after(WARM_UP), &Arc::default()).once();
        ecs::locate::warm_up(&home.ecs, config, &calls).await;
    }
}

/// Handles one invocation.
///
/// # Errors
///
/// Success means that nothing is left to be done. The container instance is in the state that it should be in, it is
/// left alone for a reason, the node is drained as far as its budgets allow, the instance is in no cluster, or the event
/// is not one for this function. The answer says which.
///
/// An error needs an operator's attention, or may be fixed by a retry of Lambda's:
///
/// | `errorType` | when |
/// |---|---|
/// | `InvalidEvent` | a field of the event is missing or invalid; no call was made |
/// | `ForeignAccount` | the event belongs to another account, and no member role is set |
/// | `AccessDenied` | the function's role or the member role lacks a permission, or the member role can't be assumed |
/// | `Throttled` | a request quota was used up until the deadline |
/// | `DeadlineExceeded` | AWS did not answer, or answered with server errors, until the deadline |
/// | `CallRejected` | AWS rejected a call for another reason |
/// | `Unchanged` | a change was accepted, but the answer says that a container instance or node was not changed |
///
/// Transient errors are retried until shortly before the notice's deadline or the function's, whichever is earlier.
///
/// A batch from a queue always succeeds as an invocation. Its answer lists the messages that failed, and SQS delivers
/// those again.
pub async fn handle(scopes: &Scopes, config: &Config, event: LambdaEvent<Payload>) -> Result<Response, Error> {
    let invocation = Invocation::new(scopes, config, &event.context);
    match event.payload {
        Payload::Event(event) => {
            let event = Event::try_from(event);
            if let Ok(Event::Rehearsal(request)) = &event {
                let report = Box::pin(rehearsal::rehearse(scopes, config, invocation.context, request)).await?;
                return Ok(Response::Rehearsal(Box::new(report)));
            }
            let report = invocation.handle_all(vec![event], &[]).await.pop();
            report.map_or(Ok(Response::batch([])), |report| {
                Result::from(report).map(|answer| Response::Answer(Box::new(answer)))
            })
        }
        Payload::Batch(messages) => {
            let messages = messages.into_iter().map(|message| (message.id, Event::try_from(message.event)));
            let (ids, events): (Vec<_>, _) = messages.unzip();
            let reports = invocation.handle_all(events, &ids).await;
            let failed = ids.into_iter().zip(reports).filter_map(|(id, report)| report.error.is_some().then_some(id));
            Ok(Response::batch(failed))
        }
    }
}

/// The outcome of an interruption, shared by all events that report it.
type SharedOutcome<'a> = Shared<BoxFuture<'a, InstanceOutcome>>;

impl Invocation<'_> {
    /// Handles events independently of each other and reports them in their order, with the ids of the messages that
    /// they came in. Several events for one instance are handled as one.
    async fn handle_all(&self, events: Vec<Result<Event, Error>>, messages: &[String]) -> Vec<Report> {
        let interruptions = events.iter().filter_map(|event| match event {
            Ok(Event::Interruption(interruption)) if self.config.reason_to_ignore(interruption).is_none() => {
                Some(interruption)
            }
            _ => None,
        });
        let mut decisive: HashMap<_, &Interruption> = HashMap::new();
        for interruption in interruptions {
            let chosen = decisive.entry(interruption.instance_key()).or_insert(interruption);
            *chosen = interruption.more_decisive(chosen);
        }
        let outcomes =
            decisive.into_iter().map(|(key, interruption)| (key, self.handle(interruption).boxed().shared()));
        let outcomes: HashMap<_, SharedOutcome<'_>> = outcomes.collect();
        // The earliest deadline goes first.
        let mut in_order: Vec<_> = events.iter().enumerate().collect();
        in_order.sort_by_key(|(_, event)| event.as_ref().ok().and_then(Event::time));
        let message = |at: usize| messages.get(at).map(String::as_str);
        let reports =
            in_order.into_iter().map(async |(at, event)| (at, self.report(event, message(at), &outcomes).await));
        // Unconstrained: tokio's cooperative budget would have the first call made before every event has joined it.
        let mut reports = tokio::task::unconstrained(join_all(reports)).await;
        reports.sort_unstable_by_key(|(at, _)| *at);
        let reports: Vec<_> = reports.into_iter().map(|(_, report)| report).collect();
        if let Some(bus) = &self.config.outcome_bus {
            let answers = reports.iter().map(|report| &report.answer);
            outcome_bus::publish(self.scopes, self.context.deadline(), bus, answers).await;
        }
        reports
    }

    /// Waits for the outcome of an event, and reports it.
    async fn report(
        &self,
        event: &Result<Event, Error>,
        message: Option<&str>,
        outcomes: &HashMap<InstanceKey<'_>, SharedOutcome<'_>>,
    ) -> Report {
        match event {
            Ok(Event::Interruption(interruption)) => {
                match (self.config.reason_to_ignore(interruption), outcomes.get(&interruption.instance_key())) {
                    (None, Some(outcome)) => report::handled(interruption, &outcome.clone().await, &self.counts),
                    (reason, _) => {
                        report::ignored(&IgnoredEvent::by_setting(interruption, reason.unwrap_or_default()), message)
                    }
                }
            }
            // Of a queue: the report is in the log and in the metrics.
            Ok(Event::Rehearsal(request)) => {
                match Box::pin(rehearsal::rehearse(self.scopes, self.config, self.context, request)).await {
                    Ok(_) => report::rehearsed(),
                    Err(error) => report::invalid(error, message),
                }
            }
            Ok(Event::Ignored(ignored)) => report::ignored(ignored, message),
            Err(error) => report::invalid(error.clone(), message),
        }
    }
}
