//! The hooks of groups as they were read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::hook::Hook;
use crate::{
    aws::{coalesce::Coalesced, operation::Operation},
    lock::lock,
};

/// How long the hooks of a group are relied on, 5 min.
const CACHED_FOR: Duration = Duration::from_mins(5);

/// The most groups whose hooks are cached, 1,000: some 200 kB.
const MOST_GROUPS: usize = 1_000;

/// The hooks of a group; there are 50 at most, which is one page.
pub(super) type GroupHooks = Arc<[Hook]>;

/// The hooks of groups, cached.
#[derive(Debug)]
pub(super) struct HookCache {
    pub(super) describing: Coalesced<String, (), Option<GroupHooks>>,
    cache: Mutex<HashMap<String, (Instant, GroupHooks)>>,
}

impl Default for HookCache {
    fn default() -> Self {
        Self { describing: Coalesced::shared(Operation::DescribeLifecycleHooks), cache: Mutex::default() }
    }
}

impl HookCache {
    /// The hooks of a group, if they were read lately.
    pub(super) fn get(&self, group: &str) -> Option<GroupHooks> {
        let cache = lock(&self.cache);
        cache.get(group).filter(|(read, _)| read.elapsed() < CACHED_FOR).map(|(_, hooks)| Arc::clone(hooks))
    }

    pub(super) fn insert(&self, group: String, hooks: GroupHooks) {
        let mut cache = lock(&self.cache);
        if cache.len() >= MOST_GROUPS {
            cache.clear();
        }
        cache.insert(group, (Instant::now(), hooks));
    }
}
