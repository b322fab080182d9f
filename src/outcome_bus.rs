//! Puts outcomes on an event bus, so that chat, tickets and webhooks need no code here.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_smithy_types::DateTime;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::{
    aws::{
        deadline::{Deadline, Now},
        operation::Operation,
        query::{Json, Service},
    },
    config::EventBusArn,
    identifier::Region,
    report::Answer,
    scope::Scopes,
};

/// The `source` of the events.
pub const SOURCE: &str = "spot-interruption-handler";

/// The `detail-type` of the events.
pub const DETAIL_TYPE: &str = "Spot Interruption Handled";

const SERVICE: Service = Service { id: "EventBridge", name: "events", version: "AWSEvents" };

/// The most entries in one `PutEvents` call.
const MAX_ENTRIES: usize = 10;

/// The most calls in flight at the same time.
const MAX_IN_FLIGHT: usize = 8;

/// The time that is reserved for the answer to Lambda, 0.5 s.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// The time limit for publishing, 5 s: the work is done, and a later event is of no use to anyone.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Puts outcomes on a bus. A failure is logged and does not fail the invocation: the work is done.
pub(crate) async fn publish(
    scopes: &Scopes,
    function_ends: SystemTime,
    bus: &EventBusArn,
    answers: impl Iterator<Item = &Answer>,
) {
    let (Some(home), Some(region)) = (scopes.home(), Region::of_arn(bus.as_str())) else { return };
    let left = Now::read().until(function_ends).map_or(TIMEOUT, |left| left.saturating_sub(ANSWER_MARGIN));
    let calls = &home.calls(Deadline::after(TIMEOUT.min(left)), &Arc::default());
    let client = &scopes.client(&region, &SERVICE);
    let published = answers.filter(|answer| answer.is_published());
    let entries: Vec<_> = published.filter_map(|answer| entry(bus, answer)).collect();
    stream::iter(entries.chunks(MAX_ENTRIES))
        .for_each_concurrent(MAX_IN_FLIGHT, async |entries| {
            let parameters = json!({ "Entries": entries });
            match client.call_json(calls, Operation::PutEvents, bus, Json::V1_1(&parameters)).await {
                Ok(answer) => answer["Entries"].as_array().into_iter().flatten().for_each(|entry| {
                    let (error, reason) = (entry["ErrorCode"].as_str(), entry["ErrorMessage"].as_str());
                    if error.is_some() {
                        tracing::warn!(error, reason, "an outcome was not published: EventBridge rejected it");
                    }
                }),
                Err(error) => tracing::warn!(%error, "outcomes were not published"),
            }
        })
        .await;
}

fn entry(bus: &EventBusArn, answer: &Answer) -> Option<Value> {
    Some(json!({
        "EventBusName": bus.as_str(),
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        // In seconds since 1970.
        "Time": DateTime::from(SystemTime::now()).as_secs_f64(),
        "Resources": answer.container_instances().map(ToString::to_string).collect::<Vec<_>>(),
        "Detail": serde_json::to_string(answer).ok()?,
    }))
}
