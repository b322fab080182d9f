//! The event bus that outcomes are put on, so that chat, tickets and webhooks need no code here.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use futures_util::{StreamExt, stream};

use crate::{
    aws::{
        calls::Counts,
        deadline::{Deadline, Now},
        operation::Operation,
    },
    config::EventBusArn,
    identifier::Region,
    report::Answer,
    scope::Scopes,
};

/// The `source` of the events.
pub const SOURCE: &str = "spot-interruption-handler";

/// Their `detail-type`.
pub const DETAIL_TYPE: &str = "Spot Interruption Handled";

/// The most entries that one call takes.
const ENTRIES: usize = 10;

/// How many calls are under way at the same time.
const WIDTH: usize = 8;

/// What the answer to Lambda needs of the time, 0.5 s.
const ANSWER: Duration = Duration::from_millis(500);

/// How long an invocation waits for them, 5 s: what is published late is late for everybody, and the work is done.
const PATIENCE: Duration = Duration::from_secs(5);

/// Puts outcomes on a bus. A failure is logged, and fails nothing: what was to be done is done.
pub(crate) async fn publish(
    scopes: &Scopes,
    function_ends: SystemTime,
    bus: &EventBusArn,
    answers: impl Iterator<Item = &Answer>,
) {
    let (Some(home), Some(region)) = (scopes.home(), region(bus)) else { return };
    let left = Now::read().until(function_ends).map_or(PATIENCE, |left| left.saturating_sub(ANSWER));
    let calls = &home.calls(Deadline::after(PATIENCE.min(left)), &Arc::new(Counts::default()));
    let client = &scopes.event_buses(&region);
    let published = answers.filter(|answer| answer.is_published());
    let entries: Vec<_> = published.filter_map(|answer| entry(bus, answer)).collect();
    stream::iter(entries.chunks(ENTRIES))
        .for_each_concurrent(WIDTH, async |entries| {
            let request = client.put_events().set_entries(Some(entries.to_vec()));
            match calls.make(Operation::PutEvents, bus, || request.clone().send()).await {
                Ok(answer) => answer.entries().iter().filter(|entry| entry.error_code().is_some()).for_each(|entry| {
                    let (error, reason) = (entry.error_code(), entry.error_message());
                    tracing::warn!(error, reason, "an outcome was not published");
                }),
                Err(error) => tracing::warn!(%error, "outcomes were not published"),
            }
        })
        .await;
}

fn region(bus: &EventBusArn) -> Option<Region> {
    bus.as_str().split(':').nth(3)?.to_owned().try_into().ok()
}

fn entry(bus: &EventBusArn, answer: &Answer) -> Option<PutEventsRequestEntry> {
    let entry = PutEventsRequestEntry::builder()
        .event_bus_name(bus.as_str())
        .source(SOURCE)
        .detail_type(DETAIL_TYPE)
        .time(SystemTime::now().into())
        .set_resources(Some(answer.container_instances().map(ToString::to_string).collect()))
        .detail(serde_json::to_string(answer).ok()?);
    Some(entry.build())
}
