//! Elastic Load Balancing: the targets of target groups.

use std::net::IpAddr;

use serde_json::Value;

use crate::error::ApiError;
use crate::model::TargetGroup;
use crate::query::list;
use crate::state::CallContext;
use crate::xml::{element, response, text};

pub(crate) const NAMESPACE: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";

/// Answers a call in XML.
pub(crate) fn call(context: &mut CallContext<'_>, api: &str, params: &Value) -> Result<String, ApiError> {
    let result = match api {
        "DeregisterTargets" => deregister(context, params)?,
        "DescribeTargetHealth" => describe(context, params)?,
        "DescribeTargetGroupAttributes" => attributes(context, params)?,
        "DescribeTargetGroups" => describe_groups(context, params)?,
        _ => {
            let message = format!("Could not find operation {api} for version 2015-12-01");
            return Err(ApiError::new(400, "InvalidAction", message));
        }
    };
    Ok(response(api, NAMESPACE, &result))
}

/// The ARN of a target group.
pub(crate) fn arn(context: &CallContext<'_>, name: &str) -> String {
    context.arn("elasticloadbalancing", &resource(name))
}

pub(crate) fn resource(name: &str) -> String {
    format!("targetgroup/{name}/0123456789abcdef")
}

fn deregister(context: &mut CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let group = target_group(context, params)?;
    let targets = targets(&group, params)?;
    if targets.is_empty() {
        return Err(ApiError::new(400, "ValidationError", "At least one target must be specified"));
    }
    // It is idempotent: an unknown target is no error.
    for (id, port) in targets {
        context.resources.deregister_target(&group.name, &id, port);
    }
    Ok(String::new())
}

fn describe(context: &CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let group = target_group(context, params)?;
    let asked = targets(&group, params)?;
    let known: Vec<_> = context.resources.target_groups[&group.name].targets().collect();
    let mut shown = String::new();
    for target in known.iter().filter(|target| asked.is_empty() || asked.contains(&(target.id.clone(), target.port))) {
        let health = if target.draining {
            ["draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"]
        } else {
            ["healthy", "", ""]
        };
        shown += &show(&target.id, target.port, health);
    }
    for (id, port) in
        asked.iter().filter(|(id, port)| !known.iter().any(|other| other.id == *id && other.port == *port))
    {
        let health = ["unused", "Target.NotRegistered", "Target is not registered to the target group"];
        shown += &show(id, *port, health);
    }
    Ok(element("TargetHealthDescriptions", &shown))
}

fn describe_groups(context: &CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let show = |asked: &str| {
        let group = target_group(context, &serde_json::json!({ "TargetGroupArn": asked }))?;
        let kind = if group.of_instances { "instance" } else { "ip" };
        let family = if group.is_ipv6 { "ipv6" } else { "ipv4" };
        let fields = [
            ("TargetGroupArn", asked),
            ("TargetGroupName", &group.name),
            ("Port", &group.port.to_string()),
            ("TargetType", kind),
            ("IpAddressType", family),
        ];
        Ok(element("member", &fields.map(|(name, value)| text(name, value)).concat()))
    };
    let shown: Result<Vec<_>, ApiError> = list(params, "TargetGroupArns.member").into_iter().map(show).collect();
    Ok(element("TargetGroups", &shown?.concat()))
}

fn attributes(context: &CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let delay = target_group(context, params)?.deregistration_delay.as_secs().to_string();
    let attributes = [
        ("stickiness.enabled", "false"),
        ("deregistration_delay.timeout_seconds", delay.as_str()),
        ("load_balancing.algorithm.type", "round_robin"),
    ];
    let shown = attributes.map(|(key, value)| element("member", &(text("Key", key) + &text("Value", value))));
    Ok(element("Attributes", &shown.concat()))
}

fn show(id: &str, port: u16, [state, reason, description]: [&str; 3]) -> String {
    let optional = |name: &str, value: &str| if value.is_empty() { String::new() } else { text(name, value) };
    let target = element("Target", &(text("Id", id) + &text("Port", &port.to_string())));
    let health = text("State", state) + &optional("Reason", reason) + &optional("Description", description);
    element("member", &(target + &text("HealthCheckPort", &port.to_string()) + &element("TargetHealth", &health)))
}

fn target_group(context: &CallContext<'_>, params: &Value) -> Result<TargetGroup, ApiError> {
    let asked = params["TargetGroupArn"].as_str().unwrap_or_default();
    if asked.is_empty() {
        return Err(ApiError::new(400, "ValidationError", "A target group ARN must be specified"));
    }
    if !asked.starts_with("arn:") {
        let message = format!("'{asked}' is not a valid target group ARN");
        return Err(ApiError::new(400, "ValidationError", message));
    }
    let group = context.resources.target_groups.values().find(|group| arn(context, &group.model.name) == asked);
    let missing = || ApiError::new(400, "TargetGroupNotFound", "One or more target groups not found");
    group.map(|group| group.model.clone()).ok_or_else(missing)
}

/// `Targets.member.N.Id` and `.Port`; the target group's port where none is given.
fn targets(group: &TargetGroup, params: &Value) -> Result<Vec<(String, u16)>, ApiError> {
    let field = |n: usize, name: &str| params[format!("Targets.member.{n}.{name}")].as_str();
    let ids = (1..).map_while(|n| Some((n, field(n, "Id")?)));
    let target = |(n, id): (usize, &str)| {
        let fits = if group.of_instances { id.starts_with("i-") } else { id.parse::<IpAddr>().is_ok() };
        if !fits {
            let kind = if group.of_instances { "instance ID" } else { "IP address" };
            let message = format!("The {kind} '{id}' is not valid");
            return Err(ApiError::new(400, "InvalidTarget", message));
        }
        let port = match field(n, "Port") {
            None => group.port,
            Some(text) => text
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| ApiError::new(400, "ValidationError", format!("The port '{text}' is not valid")))?,
        };
        Ok((id.to_owned(), port))
    };
    ids.map(target).collect()
}
