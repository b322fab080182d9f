//! Work that outlasts an invocation: its message is delivered again.
//!
//! The message counts as failed, so that it stays in the queue, and its visibility timeout says when it is delivered
//! again. Nothing is stored: the next invocation continues from what it finds.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;

use crate::{
    aws::{
        calls::Calls,
        deadline::{Deadline, Now},
    },
    error::Error,
    event::Receipt,
    identifier::QueueArn,
    scope::Scopes,
};

/// The time limit for all calls, 5 s.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Has messages delivered again after this time. A failure is logged: a message is delivered again in any case, when
/// the queue's own visibility timeout is over.
pub(crate) async fn deliver_again(
    scopes: &Scopes,
    function_ends: SystemTime,
    messages: impl Iterator<Item = (&Receipt, Duration)>,
) {
    let mut messages = messages.peekable();
    let Some(home) = scopes.home().filter(|_| messages.peek().is_some()) else { return };
    let now = Now::read();
    let deadline = Deadline::new(now, now.system + TIMEOUT, function_ends);
    let calls = &home.calls(deadline, &Arc::default());
    let deliver = async |(receipt, after): (&Receipt, Duration)| {
        if let Err(error) = deliver_one(scopes, calls, receipt, after).await {
            tracing::warn!(%error, "a message is delivered again only when the visibility timeout of its queue is over");
        }
    };
    join_all(messages.map(deliver)).await;
}

async fn deliver_one(scopes: &Scopes, calls: &Calls, receipt: &Receipt, after: Duration) -> Result<(), Error> {
    let arn = QueueArn::try_from(receipt.queue.clone()).map_err(|error| Error::InvalidEvent(error.to_string()))?;
    let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX).max(1);
    scopes.queue(arn).change_visibility(calls, &receipt.handle, seconds).await
}
