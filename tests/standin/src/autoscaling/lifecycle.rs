//! Lifecycle hooks: `DescribeLifecycleHooks`, `CompleteLifecycleAction` and `RecordLifecycleActionHeartbeat`.

use std::time::Duration;

use serde_json::Value;

use super::{bounded, group, invalid, required};
use crate::error::ApiError;
use crate::model::LifecycleHook;
use crate::state::CallContext;
use crate::xml::{element, text};

pub(super) fn describe(context: &CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let names = bounded(params, "LifecycleHookNames", 50)?;
    let model = &group(context, params)?.model;
    let hooks = model.hooks.iter().filter(|hook| names.is_empty() || names.contains(&hook.name.as_str()));
    let hooks: String = hooks.map(|hook| show(&model.name, hook)).collect();
    Ok(element("LifecycleHooks", &hooks))
}

fn show(group: &str, hook: &LifecycleHook) -> String {
    let seconds = |name: &str, time: Duration| text(name, &time.as_secs().to_string());
    let parts = [
        text("LifecycleHookName", &hook.name),
        text("AutoScalingGroupName", group),
        text("LifecycleTransition", hook.transition()),
        seconds("HeartbeatTimeout", hook.heartbeat_timeout),
        seconds("GlobalTimeout", hook.global_timeout()),
        text("DefaultResult", &hook.default_result),
        hook.metadata.as_ref().map(|metadata| text("NotificationMetadata", metadata)).unwrap_or_default(),
    ];
    element("member", &parts.concat())
}

/// The wait that a call is about.
struct Asked<'a> {
    group: String,
    hook: &'a str,
    instance: Option<&'a str>,
    token: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn read(context: &CallContext<'_>, params: &'a Value) -> Result<Self, ApiError> {
        let hook = required(params, "LifecycleHookName")?;
        let group = group(context, params)?.model.name.clone();
        let (instance, token) = (params["InstanceId"].as_str(), params["LifecycleActionToken"].as_str());
        if token.is_some_and(|token| token.len() != 36) {
            let message = "Value at 'lifecycleActionToken' failed to satisfy constraint: Member must have length 36";
            return Err(invalid(message));
        }
        if instance.is_none() && token.is_none() {
            return Err(invalid("Either a lifecycle action token or an instance ID has to be given"));
        }
        Ok(Self { group, hook, instance, token })
    }

    fn not_active(&self) -> ApiError {
        invalid(match (self.instance, self.token) {
            (Some(instance), _) => format!("No active Lifecycle Action found with instance ID {instance}"),
            (None, token) => format!("No active Lifecycle Action found with token {}", token.unwrap_or_default()),
        })
    }
}

pub(super) fn complete(context: &mut CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let result = required(params, "LifecycleActionResult")?;
    if !matches!(result, "CONTINUE" | "ABANDON") {
        return Err(invalid("The lifecycle action result has to be CONTINUE or ABANDON"));
    }
    let asked = Asked::read(context, params)?;
    let goes_on = result == "CONTINUE";
    if context.resources.complete_action(&asked.group, asked.hook, asked.instance, asked.token, goes_on) {
        Ok(String::new())
    } else {
        Err(asked.not_active())
    }
}

pub(super) fn record_heartbeat(context: &mut CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let asked = Asked::read(context, params)?;
    if context.resources.record_heartbeat(&asked.group, asked.hook, asked.instance, asked.token) {
        Ok(String::new())
    } else {
        Err(asked.not_active())
    }
}
