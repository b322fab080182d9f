//! Work that outlasts an invocation: its message is delivered again.
//!
//! The message counts as failed, so that it stays in the queue, and its visibility timeout says when it is delivered
//! again: the next invocation continues from what it finds. What it would no longer find goes into a new message, in
//! place of the old one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    aws::deadline::{Deadline, Now, less_margin},
    event::Message,
    report::Report,
    scope::Scopes,
};

/// The time limit for these calls, 5 s.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Has the message of a report delivered again if its work goes on. Returns whether a new message takes its place.
///
/// A failure is logged: a message is delivered again in any case, when the queue's own visibility timeout is over.
pub(crate) async fn deliver_again(
    scopes: &Scopes,
    function_ends: SystemTime,
    message: Option<&Message>,
    report: &Report,
) -> bool {
    let (Some(message), Some(pause), Some(home)) = (message, report.again_after, scopes.home()) else { return false };
    let Some(receipt) = &message.receipt else { return false };
    let left = Now::read().until(function_ends).map_or(TIMEOUT, less_margin);
    let calls = &home.calls(Deadline::after(TIMEOUT.min(left)), &Arc::default());
    let queue = scopes.queue(receipt.queue.clone());
    let seconds = u32::try_from(pause.as_secs()).unwrap_or(u32::MAX);
    let is_replaced = match report.recalled.as_ref().and_then(|recalled| message.event.with_recalled(recalled)) {
        Some(event) => queue.send(calls, &event, seconds).await.map(|()| true),
        None => queue.change_visibility(calls, &receipt.handle, seconds).await.map(|()| false),
    };
    is_replaced.unwrap_or_else(|error| {
        tracing::warn!(messageId = message.id, %error, "a message is delivered again later than it should be");
        false
    })
}
