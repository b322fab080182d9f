//! Terminations by Auto Scaling groups, and the lifecycle hooks on their way.

use std::time::Instant;

use super::PlacedGroup;
use crate::arn;
use crate::model::LifecycleHook;
use crate::resources::Resources;

/// An instance that waits in a lifecycle hook.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) instance: String,
    pub(crate) hook: String,
    pub(crate) token: String,
    /// When the hook's heartbeat runs out.
    heartbeat: Instant,
    /// When it runs out whatever the heartbeat.
    global: Instant,
}

impl Wait {
    pub(super) fn due(&self) -> Instant {
        self.heartbeat.min(self.global)
    }
}

/// The beginning of a wait, of which an event tells.
#[derive(Clone, Debug)]
pub(crate) struct LifecycleAction {
    pub(crate) group: String,
    pub(crate) hook: LifecycleHook,
    pub(crate) instance: String,
    pub(crate) token: String,
}

impl PlacedGroup {
    /// The hook for terminations after this one; the first if `None`.
    fn hook_after(&self, hook: Option<&str>) -> Option<LifecycleHook> {
        let mut hooks = self.model.hooks.iter().filter(|hook| !hook.launching);
        if let Some(name) = hook {
            hooks.find(|hook| hook.name == name)?;
        }
        hooks.next().cloned()
    }

    /// The wait of an instance in a hook, by instance or token; by both if both are given.
    fn wait(&self, hook: &str, instance: Option<&str>, token: Option<&str>) -> Option<usize> {
        self.waits.iter().position(|wait| {
            wait.hook == hook
                && (instance.is_some() || token.is_some())
                && instance.is_none_or(|instance| wait.instance == instance)
                && token.is_none_or(|token| wait.token == token)
        })
    }
}

impl Resources {
    /// Terminates an instance as scale-in does: the desired capacity goes down by one. `false` if it is in no group or
    /// on its way already.
    pub(crate) fn scale_in(&mut self, instance: &str) -> bool {
        let Some(name) = self.group_of(instance) else { return false };
        let begun = self.terminate_member(&name, instance);
        if let Some(group) = self.groups.get_mut(&name).filter(|_| begun) {
            group.model.desired = group.model.desired.saturating_sub(1);
        }
        begun
    }

    /// Terminates an instance of a group: it leaves the target groups, waits in the hooks, and ends.
    pub(super) fn terminate_member(&mut self, name: &str, instance: &str) -> bool {
        let Some(group) = self.groups.get_mut(name) else { return false };
        let Some(member) = group.members.get_mut(instance) else { return false };
        if member.state.starts_with("Terminating") {
            return false;
        }
        member.next = None;
        "Terminating".clone_into(&mut member.state);
        self.history.note(self.now, instance, format!("terminating in {name}"));
        self.leave_target_groups(name, instance);
        let longest = self.groups[name].model.hooks.iter().map(LifecycleHook::global_timeout).sum();
        self.terminate_later(instance, longest);
        self.next_hook(name, instance, None);
        true
    }

    /// Makes an instance wait in the hook after this one, or ends it.
    fn next_hook(&mut self, name: &str, instance: &str, after: Option<&str>) {
        let now = self.now;
        let Some(group) = self.groups.get_mut(name) else { return };
        let Some(hook) = group.hook_after(after) else {
            return self.proceed(name, instance);
        };
        if let Some(member) = group.members.get_mut(instance) {
            "Terminating:Wait".clone_into(&mut member.state);
        }
        let token = arn::uuid();
        group.waits.push(Wait {
            instance: instance.to_owned(),
            hook: hook.name.clone(),
            token: token.clone(),
            heartbeat: now + hook.heartbeat_timeout,
            global: now + hook.global_timeout(),
        });
        self.history.note(now, instance, format!("waits in {}", hook.name));
        self.lifecycle_actions.push(LifecycleAction {
            group: name.to_owned(),
            hook,
            instance: instance.to_owned(),
            token,
        });
    }

    /// Ends an instance that has passed the hooks.
    fn proceed(&mut self, name: &str, instance: &str) {
        let member = self.groups.get_mut(name).and_then(|group| group.members.get_mut(instance));
        if let Some(member) = member {
            "Terminating:Proceed".clone_into(&mut member.state);
        }
        self.terminate_now(instance);
    }

    /// Ends the waits whose time is over, with the default result of their hooks.
    pub(super) fn end_waits(&mut self, name: &str) {
        while let Some(over) = self.groups[name].waits.iter().find(|wait| wait.due() <= self.now).cloned() {
            let hook = self.groups[name].model.hooks.iter().find(|hook| hook.name == over.hook);
            let goes_on = hook.is_some_and(|hook| hook.default_result == "CONTINUE");
            self.history.note(self.now, &over.instance, format!("{} timed out", over.hook));
            self.complete_action(name, &over.hook, None, Some(&over.token), goes_on);
        }
    }

    /// Ends the wait of an instance in a hook; the later hooks are skipped unless it goes on. `false` if nothing waits.
    pub(crate) fn complete_action(
        &mut self,
        name: &str,
        hook: &str,
        instance: Option<&str>,
        token: Option<&str>,
        goes_on: bool,
    ) -> bool {
        let Some(group) = self.groups.get_mut(name) else { return false };
        let Some(at) = group.wait(hook, instance, token) else { return false };
        let instance = group.waits.remove(at).instance;
        self.history.note(self.now, &instance, format!("{hook} completed"));
        if goes_on {
            self.next_hook(name, &instance, Some(hook));
        } else {
            self.proceed(name, &instance);
        }
        true
    }

    /// Starts the heartbeat timeout of a wait again. `false` if nothing waits.
    pub(crate) fn record_heartbeat(
        &mut self,
        name: &str,
        hook: &str,
        instance: Option<&str>,
        token: Option<&str>,
    ) -> bool {
        let now = self.now;
        let Some(group) = self.groups.get_mut(name) else { return false };
        let timeout = group.model.hooks.iter().find(|other| other.name == hook).map(|hook| hook.heartbeat_timeout);
        let (Some(at), Some(timeout)) = (group.wait(hook, instance, token), timeout) else { return false };
        group.waits[at].heartbeat = now + timeout;
        true
    }
}
