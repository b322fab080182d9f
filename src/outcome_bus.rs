//! The event bus that outcomes are put on, so that chat, tickets and webhooks need no code here.

use std::time::{Duration, SystemTime};

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use futures_util::{StreamExt, stream};
use lambda_runtime::Context;

use crate::{
    aws::{Aws, Deadline, left_until},
    config::EventBusArn,
    report::Answer,
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
pub(crate) async fn publish(aws: &Aws, context: &Context, bus: &EventBusArn, answers: impl Iterator<Item = &Answer>) {
    let Some(home) = aws.home() else { return };
    let left = left_until(context.deadline()).map_or(PATIENCE, |left| left.saturating_sub(ANSWER));
    let calls = &aws.region(&home).calls_until(Deadline::after(PATIENCE.min(left)));
    let client = &aws.event_buses(bus.as_str().split(':').nth(3).unwrap_or_default());
    let entries: Vec<_> = answers.filter(|answer| answer.is_news()).filter_map(|answer| entry(bus, answer)).collect();
    stream::iter(entries.chunks(ENTRIES))
        .for_each_concurrent(WIDTH, async |entries| {
            let request = client.put_events().set_entries(Some(entries.to_vec()));
            match calls.make("PutEvents", bus, || request.clone().send()).await {
                Ok(answer) => answer.entries().iter().filter(|entry| entry.error_code().is_some()).for_each(|entry| {
                    let (error, reason) = (entry.error_code(), entry.error_message());
                    tracing::warn!(error, reason, "an outcome was not published");
                }),
                Err(error) => tracing::warn!(%error, "outcomes were not published"),
            }
        })
        .await;
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
