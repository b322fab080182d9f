//! `DescribeInstances`.

use std::time::SystemTime;

use serde_json::Value;

use super::query::{Filter, bad_filter, filters, list, paginate};
use super::{check_id, not_found};
use crate::error::ApiError;
use crate::model::Instance;
use crate::state::CallContext;
use crate::timestamp::iso8601_ms;
use crate::xml::{element, text};

pub(super) fn call(context: &CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let ids = list(params, "InstanceId");
    let filters = filters(params)?;
    filters.iter().try_for_each(check_filter)?;
    if !ids.is_empty() && params["MaxResults"].is_string() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(ApiError::new(400, "InvalidParameterCombination", message));
    }
    ids.iter().try_for_each(|id| check_id(id))?;
    let missing: Vec<&str> = ids.iter().copied().filter(|id| !context.resources.instances.contains_key(*id)).collect();
    if !missing.is_empty() {
        return Err(not_found(&missing));
    }
    let instances = context.resources.instances.values();
    // An account may hide instances that AWS services manage.
    let shows_managed = params["IncludeManagedResources"] == "true";
    let found = instances
        .filter(|instance| shows_managed || instance.operator.is_none())
        .filter(|instance| ids.is_empty() || ids.contains(&instance.id.as_str()))
        .filter(|instance| filters.iter().all(|filter| fits(context, instance, filter)))
        .map(|instance| &instance.id);
    let page = paginate(context, "DescribeInstances", params, found)?;
    let reservations: String =
        page.items.into_iter().map(|id| reservation(context, &context.resources.instances[id])).collect();
    let token = page.next.map(|token| text("nextToken", &token)).unwrap_or_default();
    Ok(element("reservationSet", &reservations) + &token)
}

/// Rejects a filter that EC2, or this stand-in, does not support.
fn check_filter(filter: &Filter<'_>) -> Result<(), ApiError> {
    match filter.name {
        "instance-id"
        | "instance-state-name"
        | "instance-type"
        | "instance-lifecycle"
        | "availability-zone"
        | "private-dns-name"
        | "operator.principal"
        | "tag-key" => Ok(()),
        name if name.starts_with("tag:") => Ok(()),
        name => Err(bad_filter(name)),
    }
}

fn fits(context: &CallContext<'_>, instance: &Instance, filter: &Filter<'_>) -> bool {
    match filter.name {
        "instance-id" => filter.has(&instance.id),
        "instance-state-name" => filter.has(&instance.state),
        "instance-type" => filter.has(&instance.instance_type),
        "instance-lifecycle" => instance.shown_lifecycle().is_some_and(|lifecycle| filter.has(lifecycle)),
        "availability-zone" => filter.has(&zone(context, instance)),
        "private-dns-name" => filter.has(&instance.private_dns_in(context.region)),
        "operator.principal" => instance.operator.as_ref().is_some_and(|operator| filter.has(operator)),
        "tag-key" => instance.tags.keys().any(|key| filter.has(key)),
        name => {
            let value = name.strip_prefix("tag:").and_then(|key| instance.tags.get(key));
            value.is_some_and(|value| filter.has(value))
        }
    }
}

fn zone(context: &CallContext<'_>, instance: &Instance) -> String {
    instance.zone.clone().unwrap_or_else(|| format!("{}a", context.region))
}

fn reservation(context: &CallContext<'_>, instance: &Instance) -> String {
    let id = instance.id.replacen("i-", "r-", 1);
    let instances = element("instancesSet", &show(context, instance));
    let body = text("reservationId", &id) + &text("ownerId", context.account) + "<groupSet/>" + &instances;
    element("item", &body)
}

fn show(context: &CallContext<'_>, instance: &Instance) -> String {
    let code = match instance.state.as_str() {
        "pending" => 0,
        "running" => 16,
        "shutting-down" => 32,
        "terminated" => 48,
        "stopping" => 64,
        _ => 80,
    };
    let state = text("code", &code.to_string()) + &text("name", &instance.state);
    let tags: String =
        instance.tags.iter().map(|(key, value)| element("item", &(text("key", key) + &text("value", value)))).collect();
    let lifecycle =
        instance.shown_lifecycle().map(|lifecycle| text("instanceLifecycle", lifecycle)).unwrap_or_default();
    let operator = match &instance.operator {
        None => text("managed", "false"),
        Some(principal) => text("managed", "true") + &text("principal", principal),
    };
    let parts = [
        text("instanceId", &instance.id),
        text("imageId", "ami-0123456789abcdef0"),
        element("instanceState", &state),
        text("privateDnsName", &instance.private_dns_in(context.region)),
        text("instanceType", &instance.instance_type),
        text("launchTime", &instance.launched.map_or("2026-01-01T00:00:00.000Z".to_owned(), iso8601_ms)),
        element("placement", &text("availabilityZone", &zone(context, instance))),
        text("architecture", "x86_64"),
        lifecycle,
        if tags.is_empty() { String::new() } else { element("tagSet", &tags) },
        element("operator", &operator),
        instance.attached.map(interfaces).unwrap_or_default(),
    ];
    element("item", &parts.concat())
}

fn interfaces(attached: SystemTime) -> String {
    let attachment = text("attachmentId", "eni-attach-0123456789abcdef0")
        + &text("deviceIndex", "0")
        + &text("status", "attached")
        + &text("attachTime", &iso8601_ms(attached))
        + &text("deleteOnTermination", "true");
    let interface = text("networkInterfaceId", "eni-0123456789abcdef0")
        + &text("status", "in-use")
        + &element("attachment", &attachment);
    element("networkInterfaceSet", &element("item", &interface))
}
