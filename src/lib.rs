//! Takes the EC2 instance behind a Spot interruption notice out of its Amazon ECS cluster before it is gone.
//!
//! ```text
//!  JSON ─► event ─► interruption ─► locate ─► plan ─► act ─► report ─► JSON, logs
//!          wire      domain          reads     pure    writes  pure
//! ```
//!
//! [`handle`] is the whole of it; the modules stand below in the order of the flow.

pub mod config;

pub mod event;

pub mod interruption;

pub mod ecs;

pub mod report;

pub mod aws;
pub mod error;
pub mod identifier;
pub mod log;

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime},
};

use futures_util::future::join_all;
use lambda_runtime::LambdaEvent;

use crate::{
    aws::{Aws, Deadline, Regional},
    config::Config,
    ecs::{
        act::act,
        locate::{locate, new_instances},
        plan::plan,
    },
    error::Error,
    event::{Event, Payload, Received},
    interruption::{InstanceAction, Interruption, Kind, NOTICE},
    report::{Answer, Cost, Response},
};

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
/// | `AccessDenied` | the function's role lacks a permission |
/// | `Throttled` | a request quota was used up until the deadline |
/// | `DeadlineExceeded` | AWS did not answer, or answered that it was at fault, until the deadline |
/// | `CallRejected` | AWS refused a call for another reason |
/// | `Unchanged` | AWS took a change, but says that a container instance was not changed |
///
/// What may pass is tried again until shortly before the earlier of the notice's and the function's deadline.
///
/// A batch from a queue is always answered with success: it names the messages that ended with an error, and SQS hands
/// those out again.
pub async fn handle(aws: &Aws, config: &Config, event: LambdaEvent<Payload>) -> Result<Response, Error> {
    let function_ends = event.context.deadline();
    match event.payload {
        Payload::Event(event) => {
            let mut answers = answer(aws, config, function_ends, vec![event]).await;
            answers.pop().map_or(Ok(Response::batch([])), |answer| answer.map(Response::Answer))
        }
        Payload::Batch(messages) => {
            let (ids, events): (Vec<_>, _) = messages.into_iter().map(|message| (message.id, message.event)).unzip();
            let answers = answer(aws, config, function_ends, events).await;
            let failed = ids.into_iter().zip(answers).filter_map(|(id, answer)| answer.is_err().then_some(id));
            Ok(Response::batch(failed))
        }
    }
}

/// Answers events, each by itself, in their order.
async fn answer(
    aws: &Aws,
    config: &Config,
    function_ends: SystemTime,
    events: Vec<Received>,
) -> Vec<Result<Answer, Error>> {
    let mut answers = Vec::with_capacity(events.len());
    let mut interruptions: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (at, event) in events.into_iter().enumerate() {
        match Event::try_from(event) {
            Ok(Event::Interruption(interruption)) if config.concerns(interruption.kind) => {
                let place = (interruption.account.clone(), interruption.region.clone());
                interruptions.entry(place).or_default().insert(at, interruption);
            }
            Ok(Event::Interruption(interruption)) => {
                let kind = interruption.kind.to_string();
                answers.push((at, Ok(Answer::ignored(kind, Some(interruption.account), Some(interruption.region)))));
            }
            Ok(Event::Other(other)) => {
                answers.push((at, Ok(Answer::ignored(other.detail_type, other.account, other.region))));
            }
            Err(error) => {
                report::log_invalid(&error);
                answers.push((at, Err(error)));
            }
        }
    }
    let places = interruptions.into_iter().map(|((_, region), interruptions)| async move {
        let (at, interruptions): (Vec<_>, Vec<_>) = interruptions.into_iter().unzip();
        at.into_iter()
            .zip(interrupt(&aws.region(&region), config, function_ends, interruptions).await)
            .collect::<Vec<_>>()
    });
    answers.extend(join_all(places).await.into_iter().flatten());
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Sees to what happens to instances of one account and Region; answers in their order.
async fn interrupt(
    aws: &Regional,
    config: &Config,
    function_ends: SystemTime,
    interruptions: Vec<Interruption>,
) -> Vec<Result<Answer, Error>> {
    let started = Instant::now();
    let notices_end = interruptions.iter().map(|interruption| interruption.time + NOTICE).max();
    let calls = &aws.calls_until(Deadline::new(notices_end.unwrap_or(function_ends), function_ends));
    let mut to_do = one_for_each_instance(&interruptions);
    let running = to_do.iter().filter(|interruption| interruption.kind == Kind::Running);
    let new = new_instances(aws, calls, &running.map(|interruption| interruption.instance.clone()).collect()).await;
    to_do.retain(|interruption| !new.contains(&interruption.instance));
    let wanted = to_do.iter().map(|interruption| interruption.instance.clone()).collect();
    let findings = locate(aws, config, calls, &wanted).await;
    let locate_ms = ms(started);

    let started = Instant::now();
    let planned = to_do.into_iter().flat_map(|interruption| {
        let found = findings.get(&interruption.instance).and_then(|found| found.as_ref().ok());
        found
            .into_iter()
            .flatten()
            .map(|located| (located.container_instance.clone(), plan(located, interruption, config)))
    });
    let outcomes = act(aws, calls, planned.collect()).await;
    let cost = Cost { calls: calls.made(), locate_ms, act_ms: ms(started) };

    let mut of_instance: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (found, outcome) in outcomes {
        of_instance.entry(found.instance.clone()).or_default().push(outcome.map(|outcome| (found, outcome)));
    }
    let answer = |interruption: &Interruption| {
        if let Some(Err(error)) = findings.get(&interruption.instance) {
            return Err(error.clone());
        }
        let outcomes = of_instance.get(&interruption.instance).into_iter().flatten().cloned();
        Ok(Answer::handled(interruption.clone(), outcomes.collect::<Result<_, _>>()?))
    };
    let answers = interruptions.iter().map(|interruption| {
        let answer = answer(interruption);
        report::log(interruption, &answer, cost);
        answer
    });
    answers.collect()
}

/// One interruption for each instance, those that end first in front. Of several for one instance that after which it
/// does not come back counts, else the latest.
fn one_for_each_instance(interruptions: &[Interruption]) -> Vec<&Interruption> {
    let rank = |interruption: &Interruption| match interruption.kind {
        Kind::Terminated => 2,
        Kind::Notice(InstanceAction::Terminate) => 1,
        _ => 0,
    };
    let mut of_instance: BTreeMap<_, &Interruption> = BTreeMap::new();
    for interruption in interruptions {
        let first = of_instance.entry(&interruption.instance).or_insert(interruption);
        if (rank(interruption), interruption.time) > (rank(first), first.time) {
            *first = interruption;
        }
    }
    let mut interruptions: Vec<_> = of_instance.into_values().collect();
    interruptions.sort_by_key(|interruption| interruption.deadline().unwrap_or(interruption.time + NOTICE));
    interruptions
}

fn ms(since: Instant) -> u64 {
    since.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}
