//! `DescribeLifecycleHooks`: the hooks of each group, which rarely change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    AutoScaling,
    hook::{self, Hook},
    lifecycle::VALIDATION_ERROR,
};
use crate::{
    aws::{calls::Calls, coalesce::Coalesced, operation::Operation, query::Parameters},
    error::Error,
};

const OPERATION: Operation = Operation::DescribeLifecycleHooks;

/// How long the hooks of a group are relied on, 5 min.
const CACHED_FOR: Duration = Duration::from_mins(5);

/// The most groups whose hooks are cached, 1,000: some 200 kB.
const MOST_GROUPS: usize = 1_000;

/// The hooks of a group; there are 50 at most, which is one page.
type GroupHooks = Arc<[Hook]>;

/// The hooks of groups, cached.
#[derive(Debug)]
pub(super) struct Hooks {
    describing: Coalesced<String, (), Option<GroupHooks>>,
    cache: Mutex<HashMap<String, (Instant, GroupHooks)>>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { describing: Coalesced::shared(OPERATION), cache: Mutex::default() }
    }
}

impl Hooks {
    fn cached(&self, group: &str) -> Option<GroupHooks> {
        let cache = self.lock();
        cache.get(group).filter(|(read, _)| read.elapsed() < CACHED_FOR).map(|(_, hooks)| Arc::clone(hooks))
    }

    fn insert(&self, group: String, hooks: GroupHooks) {
        let mut cache = self.lock();
        if cache.len() >= MOST_GROUPS {
            cache.clear();
        }
        cache.insert(group, (Instant::now(), hooks));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, GroupHooks)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AutoScaling {
    /// The lifecycle hooks of a group; none if there is no such group.
    ///
    /// # Errors
    ///
    /// If the call failed.
    pub(crate) async fn hooks(&self, calls: &Calls, group: &str) -> Result<GroupHooks, Error> {
        match self.hooks.cached(group) {
            Some(hooks) => Ok(hooks),
            None => self.read_hooks(calls, group).await,
        }
    }

    /// A lifecycle hook of a group; `None` if there is no such hook or group. A hook that is not cached may be new.
    ///
    /// # Errors
    ///
    /// If the call failed.
    pub(crate) async fn hook(&self, calls: &Calls, group: &str, name: &str) -> Result<Option<Hook>, Error> {
        let find = |hooks: GroupHooks| hooks.iter().find(|hook| hook.name == name).cloned();
        match self.hooks.cached(group).and_then(find) {
            Some(hook) => Ok(Some(hook)),
            None => self.read_hooks(calls, group).await.map(find),
        }
    }

    async fn read_hooks(&self, calls: &Calls, group: &str) -> Result<GroupHooks, Error> {
        let read = self.hooks.describing.get_one(self, calls, &group.to_owned(), Self::describe_hooks).await?;
        Ok(read.unwrap_or_default())
    }

    async fn describe_hooks(self, calls: Calls, group: String) -> Result<Option<GroupHooks>, Error> {
        let parameters = Parameters::default().with("AutoScalingGroupName", &group);
        let hooks = match self.client.call(&calls, OPERATION, &group, &parameters, &hook::LIST).await {
            Ok(found) => found.iter().filter_map(Hook::read).collect(),
            Err(error) if error.code() == Some(VALIDATION_ERROR) => GroupHooks::default(),
            Err(error) => return Err(error),
        };
        self.hooks.insert(group, Arc::clone(&hooks));
        Ok(Some(hooks))
    }
}
