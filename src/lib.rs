//! Takes the EC2 instance behind a Spot interruption notice out of its Amazon ECS cluster before it is gone.
//!
//! ```text
//!  JSON ─► event ─► interruption ─► locate ─► plan ─► act ─► report ─► JSON, logs, metrics, events
//!          wire      domain          reads     pure    writes  pure
//! ```
//!
//! [`handle`] is the whole of it; the modules stand below in the order of the flow.

pub mod config;

pub mod event;

pub mod interruption;

pub mod ecs;

pub mod report;

pub mod outcome_bus;

pub mod aws;
pub mod error;
pub mod function;
pub mod identifier;
pub mod log;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use lambda_runtime::{Context, LambdaEvent};

use crate::{
    aws::{Aws, Calls, Deadline, Regional},
    config::Config,
    ecs::{
        act::{Done, act},
        locate::{Finding, Findings, locate, new_instances},
        plan::plan,
    },
    error::Error,
    event::{Event, Payload, Received},
    function::Function,
    interruption::{InstanceAction, Interruption, Kind, NOTICE},
    report::{Cost, Response, Told},
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
pub async fn handle(aws: &Aws, config: &Config, event: LambdaEvent<Payload>) -> Result<Response, Error> {
    let context = &event.context;
    match event.payload {
        Payload::Event(event) => {
            let told = tell(aws, config, context, vec![event]).await.pop();
            told.map_or(Ok(Response::batch([])), |told| Result::from(told).map(Response::Answer))
        }
        Payload::Batch(messages) => {
            let (ids, events): (Vec<_>, _) = messages.into_iter().map(|message| (message.id, message.event)).unzip();
            let told = tell(aws, config, context, events).await;
            let failed = ids.into_iter().zip(told).filter_map(|(id, told)| told.error.is_some().then_some(id));
            Ok(Response::batch(failed))
        }
    }
}

/// Handles events, each by itself, and tells of them, in their order.
async fn tell(aws: &Aws, config: &Config, context: &Context, events: Vec<Received>) -> Vec<Told> {
    let mut told = Vec::with_capacity(events.len());
    let mut interruptions: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (at, event) in events.into_iter().enumerate() {
        match Event::try_from(event) {
            Ok(Event::Interruption(interruption)) if config.concerns(&interruption) => {
                let place = (interruption.account.clone(), interruption.region.clone());
                interruptions.entry(place).or_default().insert(at, interruption);
            }
            Ok(Event::Interruption(interruption)) => {
                let (account, region) = (Some(interruption.account), Some(interruption.region));
                told.push((at, report::ignored(interruption.kind.to_string(), account, region)));
            }
            Ok(Event::Other(other)) => told.push((at, report::ignored(other.detail_type, other.account, other.region))),
            Err(error) => told.push((at, report::invalid(error))),
        }
    }
    let places = interruptions.into_values().map(|interruptions| async {
        let (at, interruptions): (Vec<_>, Vec<_>) = interruptions.into_iter().unzip();
        at.into_iter().zip(interrupt(aws, config, context, interruptions).await).collect::<Vec<_>>()
    });
    told.extend(join_all(places).await.into_iter().flatten());
    told.sort_by_key(|(at, _)| *at);
    if let Some(bus) = &config.outcome_bus {
        outcome_bus::publish(aws, context, bus, told.iter().map(|(_, told)| &told.answer)).await;
    }
    told.into_iter().map(|(_, told)| told).collect()
}

/// Sees to what happens to instances of one account and Region; tells of them in their order.
async fn interrupt(aws: &Aws, config: &Config, context: &Context, interruptions: Vec<Interruption>) -> Vec<Told> {
    let Some(Interruption { account, region, .. }) = interruptions.first() else { return Vec::new() };
    let fail = |error: &Error, cost: Cost| -> Vec<Told> {
        let mut unmeasured = Some(cost);
        let tell = |interruption| report::handled(interruption, Err(error), None, cost, &mut unmeasured);
        interruptions.iter().map(tell).collect()
    };
    let place = match aws.place(&Function::of(context), config.member_role.as_ref(), account, region).await {
        Ok(place) => place,
        Err(error) => return fail(&error, Cost::default()),
    };
    let function_ends = context.deadline();
    let notices_end = interruptions.iter().map(|interruption| interruption.time + NOTICE).max();
    let calls = &place.calls_until(Deadline::new(notices_end.unwrap_or(function_ends), function_ends));
    match place.enter(calls).await {
        Ok(()) => see_to(&place, config, calls, &interruptions).await,
        Err(error) => fail(&error, Cost::of(calls)),
    }
}

/// The way through, for what happens to instances of one account and Region: locate, plan, act, report.
async fn see_to(aws: &Regional, config: &Config, calls: &Calls, interruptions: &[Interruption]) -> Vec<Told> {
    let started = Instant::now();
    let (running, others): (Vec<_>, Vec<_>) =
        one_for_each_instance(interruptions).into_iter().partition(|interruption| interruption.kind == Kind::Running);
    // Launches come with reclaims, and neither waits for the other.
    let of_others = Box::pin(act_on(aws, config, calls, others));
    let of_running = Box::pin(act_on_running(aws, config, calls, running));
    let (mut acted, of_running) = join(of_others, of_running).await;
    acted.findings.extend(of_running.findings);
    acted.done.extend(of_running.done);
    let locate_ms = ms(acted.located.max(of_running.located).duration_since(started));
    let act_ms = ms(started.elapsed()).saturating_sub(locate_ms);
    let cost = Cost { locate_ms, act_ms, ..Cost::of(calls) };

    let mut done: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for one in acted.done {
        done.entry(one.found.instance.clone()).or_default().push(one);
    }
    let mut unmeasured = Some(cost);
    let tell = |interruption: &Interruption| {
        let finding = acted.findings.get(&interruption.instance);
        let done = done.get(&interruption.instance).map(Vec::as_slice).unwrap_or_default();
        let error = finding.and_then(|finding| finding.located.as_ref().err());
        let machine = finding.and_then(|finding| finding.machine.as_ref());
        report::handled(interruption, error.map_or(Ok(done), Err), machine, cost, &mut unmeasured)
    };
    interruptions.iter().map(tell).collect()
}

/// What was found and done.
struct Acted {
    findings: Findings,
    done: Vec<Done>,
    /// When the first were found.
    located: Instant,
}

/// How long the instances of a batch are sought, where that is throttled, before those that are found are seen to, 5 s.
const AT_FIRST: Duration = Duration::from_secs(5);

/// Locates instances, plans and acts. Where some can't be found for the time being, those that are do not wait.
async fn act_on(aws: &Regional, config: &Config, calls: &Calls, interruptions: Vec<&Interruption>) -> Acted {
    let wanted: BTreeSet<_> = interruptions.iter().map(|interruption| interruption.instance.clone()).collect();
    let at_first = if wanted.len() > 1 { &calls.impatient(AT_FIRST.min(calls.left() / 4)) } else { calls };
    let mut findings = locate(aws, config, at_first, &wanted).await;
    let located = Instant::now();
    let plan = |findings: &Findings| -> Vec<_> {
        let located = interruptions.iter().flat_map(|interruption| {
            let found = findings.get(&interruption.instance).and_then(|finding| finding.located.as_ref().ok());
            found.into_iter().flatten().map(move |located| (interruption, located))
        });
        located
            .map(|(interruption, located)| (located.container_instance.clone(), plan(located, interruption, config)))
            .collect()
    };
    let is_missing = |finding: &Finding| finding.located.as_ref().is_err_and(Error::is_transient);
    let missing = findings.iter().filter(|(_, finding)| wanted.len() > 1 && is_missing(finding));
    let missing: BTreeSet<_> = missing.map(|(instance, _)| instance.clone()).collect();
    let later = async {
        if missing.is_empty() {
            return (Findings::new(), Vec::new());
        }
        let findings = locate(aws, config, calls, &missing).await;
        let done = act(aws, calls, plan(&findings)).await;
        (findings, done)
    };
    let (mut done, (found_later, done_later)) = join(act(aws, calls, plan(&findings)), later).await;
    findings.extend(found_later);
    done.extend(done_later);
    Acted { findings, done, located }
}

/// As [`act_on`], for those that were not just launched.
async fn act_on_running(aws: &Regional, config: &Config, calls: &Calls, mut running: Vec<&Interruption>) -> Acted {
    let new = new_instances(aws, calls, &running.iter().map(|running| running.instance.clone()).collect()).await;
    running.retain(|interruption| !new.contains(&interruption.instance));
    act_on(aws, config, calls, running).await
}

/// One interruption for each instance, those that end first in front. Of several for one instance that after which it
/// does not come back counts, the first of such; else the latest.
fn one_for_each_instance(interruptions: &[Interruption]) -> Vec<&Interruption> {
    let rank = |interruption: &Interruption| match interruption.kind {
        Kind::Terminated => 2,
        Kind::Notice(InstanceAction::Terminate) => 1,
        _ => 0,
    };
    let mut of_instance: BTreeMap<_, &Interruption> = BTreeMap::new();
    for interruption in interruptions {
        let chosen = of_instance.entry(&interruption.instance).or_insert(interruption);
        let is_chosen = match rank(interruption).cmp(&rank(chosen)) {
            Ordering::Equal if rank(chosen) == 0 => interruption.time > chosen.time,
            Ordering::Equal => interruption.time < chosen.time,
            different => different == Ordering::Greater,
        };
        if is_chosen {
            *chosen = interruption;
        }
    }
    let mut interruptions: Vec<_> = of_instance.into_values().collect();
    interruptions.sort_by_key(|interruption| interruption.deadline().unwrap_or(interruption.time + NOTICE));
    interruptions
}

fn ms(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
