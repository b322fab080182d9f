//! The client tokens of `RunTask`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a client token is valid, unless its tasks are forgotten before.
const VALID: Duration = Duration::from_hours(24);

/// Client tokens by cluster and token.
pub(crate) type RunTokens = BTreeMap<(String, String), RunToken>;

/// What a client token stands for.
#[derive(Clone, Debug)]
pub(crate) struct RunToken {
    /// The parameters, without cluster and token.
    pub(crate) params: Value,
    /// The ARNs of the tasks that were started.
    pub(crate) tasks: Vec<String>,
    pub(crate) failures: Vec<Value>,
    pub(crate) at: Instant,
}

impl RunToken {
    /// Whether it is valid, given whether ECS still knows one of its tasks.
    pub(crate) fn is_valid(&self, has_task: bool, now: Instant) -> bool {
        now < self.at + VALID && (has_task || self.tasks.is_empty())
    }
}
