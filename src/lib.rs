//! Takes the EC2 instance behind a Spot interruption notice out of its Amazon ECS cluster before it is gone.
//!
//! ```text
//!  JSON ─► event ─► interruption ─► scope ─► locate ─► plan ─► act ─► outcome ─► report ─► JSON, log, metrics, events
//!          wire      domain         where     reads     pure    writes             pure
//!                                     └── calls: coalesced, paced by quota and deadline, retried ──┘
//! ```
//!
//! [`handle`] is the whole of it; the modules stand below in the order of the flow. One interruption is one straight line,
//! which does not know how many others are on their way: what they share, they share in `aws`.

pub mod config;

pub mod event;

pub mod interruption;

pub mod scope;

pub(crate) mod invocation;

pub mod ec2;
pub(crate) mod ecs;

pub mod outcome;

pub mod report;

pub mod outcome_bus;

pub mod aws;
pub mod error;
pub mod function;
pub mod identifier;
pub mod log;

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
    event::{Event, Other, Payload, Received},
    interruption::{Interruption, Whose},
    invocation::Invocation,
    outcome::InstanceOutcome,
    report::{Report, Response},
    scope::Scopes,
};

/// How long the warm-up may take, 2 s: an initialisation is cut off after 10 s, and a notice may be waiting.
const WARM_UP: Duration = Duration::from_secs(2);

/// Reads what the first notice needs in any case.
pub async fn warm_up(scopes: &Scopes, config: &Config) {
    if let Some(home) = scopes.home() {
        // Once each: hundreds of processes that start together would throttle each other.
        let calls = home.calls(Deadline::after(WARM_UP), &Arc::default()).once();
        ecs::locate::warm_up(&home.ecs, config, &calls).await;
    }
}

/// Handles one invocation.
///
/// # Errors
///
/// Success is what leaves nothing to be done: the container instance is where it should be, or it is left alone for
/// a reason, or the instance is in no ECS cluster, or the event is none for this function. The answer says which.
///
/// An error is what someone has to look at, or what a retry by Lambda may mend:
///
/// | `errorType` | when |
/// |---|---|
/// | `InvalidEvent` | a field of the notice is missing or not what it should be; nothing was called |
/// | `ForeignAccount` | the event is of another account, and no member role is set |
/// | `AccessDenied` | the function's role or the member role lacks a permission, or may not be assumed |
/// | `Throttled` | a request quota was used up until the deadline |
/// | `DeadlineExceeded` | AWS did not answer, or answered that it was at fault, until the deadline |
/// | `CallRejected` | AWS refused a call for another reason |
/// | `Unchanged` | AWS took a change, but says that a container instance was not changed |
///
/// What may pass is tried again until shortly before the earlier of the notice's and the function's deadline.
///
/// A batch from a queue is always answered with success: it names the messages that ended with an error, and SQS hands
/// those out again.
pub async fn handle(scopes: &Scopes, config: &Config, event: LambdaEvent<Payload>) -> Result<Response, Error> {
    let invocation = Invocation::new(scopes, config, &event.context);
    match event.payload {
        Payload::Event(event) => {
            let report = invocation.handle_all(vec![event], &[]).await.pop();
            report.map_or(Ok(Response::batch([])), |report| Result::from(report).map(Response::Answer))
        }
        Payload::Batch(messages) => {
            let (ids, events): (Vec<_>, _) = messages.into_iter().map(|message| (message.id, message.event)).unzip();
            let reports = invocation.handle_all(events, &ids).await;
            let failed = ids.into_iter().zip(reports).filter_map(|(id, report)| report.error.is_some().then_some(id));
            Ok(Response::batch(failed))
        }
    }
}

/// An interruption's way through.
type Line<'a> = Shared<BoxFuture<'a, InstanceOutcome>>;

impl Invocation<'_> {
    /// Handles events, each by itself, and reports them in their order, with the ids of the messages that they came in.
    /// Several events for one instance are one.
    async fn handle_all(&self, events: Vec<Received>, messages: &[String]) -> Vec<Report> {
        let events: Vec<_> = events.into_iter().map(Event::try_from).collect();
        let interruptions = events.iter().filter_map(|event| match event {
            Ok(Event::Interruption(interruption)) if self.config.ignores(interruption).is_none() => Some(interruption),
            _ => None,
        });
        let mut decisive: HashMap<_, &Interruption> = HashMap::new();
        for interruption in interruptions {
            let chosen = decisive.entry(interruption.whose()).or_insert(interruption);
            *chosen = interruption.more_decisive(chosen);
        }
        let lines =
            decisive.into_iter().map(|(whose, interruption)| (whose, self.handle(interruption).boxed().shared()));
        let lines: HashMap<_, Line<'_>> = lines.collect();
        // Those that end first go first.
        let mut in_order: Vec<_> = events.iter().enumerate().collect();
        in_order.sort_by_key(|(_, event)| event.as_ref().ok().and_then(Event::time));
        let message = |at: usize| messages.get(at).map(String::as_str);
        let reports = in_order.into_iter().map(async |(at, event)| (at, self.report(event, message(at), &lines).await));
        // Not cut short by tokio's budget, so that all that can run have asked before the first call is made.
        let mut reports = tokio::task::unconstrained(join_all(reports)).await;
        reports.sort_unstable_by_key(|(at, _)| *at);
        let reports: Vec<_> = reports.into_iter().map(|(_, report)| report).collect();
        if let Some(bus) = &self.config.outcome_bus {
            let answers = reports.iter().map(|report| &report.answer);
            outcome_bus::publish(self.scopes, self.context.deadline(), bus, answers).await;
        }
        reports
    }

    /// Waits for what becomes of an event, and reports it.
    async fn report(
        &self,
        event: &Result<Event, Error>,
        message: Option<&str>,
        lines: &HashMap<Whose<'_>, Line<'_>>,
    ) -> Report {
        match event {
            Ok(Event::Interruption(interruption)) => {
                match (self.config.ignores(interruption), lines.get(&interruption.whose())) {
                    (None, Some(line)) => report::handled(interruption, &line.clone().await, &self.counts),
                    (reason, _) => report::ignored(&Other::left_out(interruption, reason.unwrap_or_default()), message),
                }
            }
            Ok(Event::Other(other)) => report::ignored(other, message),
            Err(error) => report::invalid(error.clone(), message),
        }
    }
}
