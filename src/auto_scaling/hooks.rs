//! `DescribeLifecycleHooks`: the hooks of each group, which rarely change.

use std::sync::Arc;

use super::{
    AutoScaling,
    hook::{self, Hook, VALIDATION_ERROR},
    hook_cache::GroupHooks,
};
use crate::{
    aws::{calls::Calls, operation::Operation, query::Parameters},
    error::Error,
};

const OPERATION: Operation = Operation::DescribeLifecycleHooks;

impl AutoScaling {
    /// The lifecycle hooks of a group; none if there is no such group.
    pub(crate) async fn hooks(&self, calls: &Calls, group: &str) -> Result<GroupHooks, Error> {
        match self.hooks.get(group) {
            Some(hooks) => Ok(hooks),
            None => self.read_hooks(calls, group).await,
        }
    }

    /// A lifecycle hook of a group; `None` if there is no such hook or group. A hook that is not cached may be new.
    pub(crate) async fn hook(&self, calls: &Calls, group: &str, name: &str) -> Result<Option<Hook>, Error> {
        let find = |hooks: GroupHooks| hooks.iter().find(|hook| hook.name == name).cloned();
        match self.hooks.get(group).and_then(find) {
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
