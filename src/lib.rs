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

pub mod interrupted_task;
pub mod interruption;

pub mod scope;

pub(crate) mod invocation;

pub mod ec2;
pub(crate) mod ecs;
pub(crate) mod eks;

pub(crate) mod auto_scaling;
pub(crate) mod iam;
pub(crate) mod lifecycle;
pub(crate) mod load_balancing;
pub(crate) mod queue;

pub mod outcome;

pub mod report;

pub mod rehearsal;

pub mod outcome_bus;

pub(crate) mod continuation;

pub mod aws;
pub(crate) mod emf;
pub mod error;
pub mod function;
pub mod identifier;
pub(crate) mod lock;
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
    event::{Event, IgnoredEvent, Message, Payload},
    identifier::{AccountId, HookName, Region},
    invocation::Invocation,
    outcome::EventOutcome,
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
/// | `NoCapacity` | there was no capacity for an interrupted task until the event was too old |
/// | `NotRunAgain` | a parameter of an interrupted task is not known any more, or the event is too old |
/// | `Unfinished` | handling takes longer than an invocation, and no message brings it about again |
///
/// Transient errors are retried until shortly before the notice's deadline or the function's, whichever is earlier.
///
/// A batch from a queue always succeeds as an invocation. Its answer lists the messages that failed, and SQS delivers
/// those again.
pub async fn handle(scopes: &Scopes, config: &Config, event: LambdaEvent<Payload>) -> Result<Response, Error> {
    let mut invocation = Invocation::new(scopes, config, &event.context);
    match event.payload {
        Payload::Event(event) => {
            let report = invocation.handle_all(vec![Event::try_from(&event)], &[]).await.pop();
            report.map_or(Ok(Response::batch([])), |(report, _)| report.into())
        }
        Payload::Batch(messages) => {
            invocation.can_continue = messages.iter().all(|message| message.receipt.is_some());
            let events = messages.iter().map(|message| Event::try_from(&message.event)).collect();
            let reported = messages.iter().zip(invocation.handle_all(events, &messages).await);
            let failed = reported.filter(|(_, (report, is_replaced))| report.is_unfinished() && !is_replaced);
            Ok(Response::batch(failed.map(|(message, _)| message.id.clone())))
        }
    }
}

/// The outcome of an event, shared by all events that report the same.
type SharedOutcome<'a> = Shared<BoxFuture<'a, EventOutcome>>;

/// What identifies the subject of an event: its account, its Region, the id of the instance or the ARN of the task, and
/// the lifecycle hook, since each hook has to be completed.
type Key<'a> = (&'a AccountId, &'a Region, &'a str, Option<&'a HookName>);

impl Event {
    fn key(&self) -> Option<Key<'_>> {
        match self {
            Self::Interruption(of) => {
                let hook = of.lifecycle_action.as_ref().map(|action| &action.hook);
                Some((&of.account, &of.region, of.instance.as_str(), hook))
            }
            Self::Task(of) => Some((&of.account, &of.region, of.detail.task.as_str(), None)),
            Self::Rehearsal(_) | Self::Ignored(_) => None,
        }
    }

    /// The setting that has it ignored, if there is one.
    fn reason_to_ignore(&self, config: &Config) -> Option<&'static str> {
        match self {
            Self::Interruption(of) => {
                config.reason_to_ignore_account(&of.account).or_else(|| config.reason_to_ignore_interruption(of))
            }
            Self::Task(of) => {
                config.reason_to_ignore_account(&of.account).or_else(|| config.reason_to_ignore_task(&of.detail))
            }
            Self::Rehearsal(_) | Self::Ignored(_) => None,
        }
    }

    /// Whether it is handled in the place of another event with the same subject.
    fn is_more_decisive(&self, than: &Self) -> bool {
        match (self, than) {
            (Self::Interruption(of), Self::Interruption(than)) => of.is_more_decisive(than),
            (Self::Task(of), Self::Task(than)) => of.is_more_decisive(than),
            _ => false,
        }
    }
}

impl Invocation<'_> {
    /// Handles events independently of each other and reports them in their order, with whether a new message takes the
    /// place of the one that it came in. Several events with one subject are handled as one.
    async fn handle_all(&self, events: Vec<Result<Event, Error>>, messages: &[Message]) -> Vec<(Report, bool)> {
        let mut decisive: HashMap<_, &Event> = HashMap::new();
        for event in events.iter().flatten().filter(|event| event.reason_to_ignore(self.config).is_none()) {
            if let Some(key) = event.key() {
                let chosen = decisive.entry(key).or_insert(event);
                if event.is_more_decisive(chosen) {
                    *chosen = event;
                }
            }
        }
        let outcomes = decisive.into_iter().map(|(key, event)| (key, self.handle(event).boxed().shared()));
        let outcomes: HashMap<_, SharedOutcome<'_>> = outcomes.collect();
        // The earliest deadline goes first.
        let mut in_order: Vec<_> = events.iter().enumerate().collect();
        in_order.sort_by_key(|(_, event)| event.as_ref().ok().and_then(Event::time));
        let reports = in_order.into_iter().map(async |(at, event)| {
            let message = messages.get(at);
            let report = self.report(event, message.map(|message| message.id.as_str()), &outcomes).await;
            // At once, since another event of the batch may hold the invocation for minutes.
            let is_replaced = continuation::deliver_again(self.scopes, self.context.deadline(), message, &report).await;
            (at, (report, is_replaced))
        });
        // Unconstrained: tokio's cooperative budget would have the first call made before every event has joined it.
        let mut reports = tokio::task::unconstrained(join_all(reports)).await;
        reports.sort_unstable_by_key(|(at, _)| *at);
        let reports: Vec<_> = reports.into_iter().map(|(_, report)| report).collect();
        if let Some(bus) = &self.config.outcome_bus {
            let answers = reports.iter().map(|(report, _)| &report.answer);
            outcome_bus::publish(self.scopes, self.context.deadline(), bus, answers).await;
        }
        reports
    }

    /// Waits for the outcome of an event, and reports it.
    async fn report(
        &self,
        event: &Result<Event, Error>,
        message: Option<&str>,
        outcomes: &HashMap<Key<'_>, SharedOutcome<'_>>,
    ) -> Report {
        let event = match event {
            Ok(Event::Ignored(ignored)) => return report::ignored(ignored, message),
            Ok(Event::Rehearsal(request)) => {
                return match Box::pin(rehearsal::rehearse(self.scopes, self.config, self.context, request)).await {
                    Ok(rehearsal) => report::rehearsed(rehearsal),
                    Err(error) => report::invalid(error, message),
                };
            }
            Ok(event) => event,
            Err(error) => return report::invalid(error.clone(), message),
        };
        match (event.reason_to_ignore(self.config), event.key().and_then(|key| outcomes.get(&key))) {
            (None, Some(outcome)) => report::handled(event, &outcome.clone().await, &self.counts),
            (reason, _) => {
                let reason = reason.unwrap_or_default();
                let is_expected = config::EXPECTED.contains(&reason);
                report::ignored(&IgnoredEvent::by_setting(event, reason, is_expected), message)
            }
        }
    }
}
