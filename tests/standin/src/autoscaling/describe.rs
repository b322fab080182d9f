//! `DescribeAutoScalingInstances` and `DescribeAutoScalingGroups`.

use serde_json::Value;

use super::{arn, bounded, paginate};
use crate::elb;
use crate::error::ApiError;
use crate::model::AutoScalingGroup;
use crate::resources::{Member, PlacedGroup};
use crate::state::CallContext;
use crate::xml::{element, escape, text};

/// Groups that a service manages show only on request, as its instances do.
fn visible<'a>(context: &'a CallContext<'_>, params: &Value) -> impl Iterator<Item = &'a PlacedGroup> {
    let shows_managed = params["IncludeManagedResources"] == "true";
    context.resources.groups.values().filter(move |group| shows_managed || group.model.operator.is_none())
}

/// An instance of a group.
struct Entry<'a> {
    id: &'a str,
    group: &'a AutoScalingGroup,
    member: &'a Member,
}

impl AsRef<str> for Entry<'_> {
    fn as_ref(&self) -> &str {
        self.id
    }
}

fn entries(group: &PlacedGroup) -> impl Iterator<Item = Entry<'_>> {
    group.members.iter().map(|(id, member)| Entry { id, group: &group.model, member })
}

pub(super) fn instances(context: &CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    // Unknown ids are left out.
    let ids = bounded(params, "InstanceIds", 50)?;
    let members = visible(context, params).flat_map(entries);
    let mut found: Vec<_> = members.filter(|entry| ids.is_empty() || ids.contains(&entry.id)).collect();
    found.sort_by_key(|entry| entry.id);
    let page = paginate(context, "DescribeAutoScalingInstances", params, 50, found)?;
    let show = |entry: &Entry<'_>| {
        element("member", &(text("AutoScalingGroupName", &entry.group.name) + &show_member(context, entry)))
    };
    let items: String = page.items.iter().map(show).collect();
    Ok(element("AutoScalingInstances", &items) + &next(page.next))
}

fn next(token: Option<String>) -> String {
    token.map(|token| text("NextToken", &token)).unwrap_or_default()
}

fn show_member(context: &CallContext<'_>, entry: &Entry<'_>) -> String {
    let Entry { id, group, member } = entry;
    let instance = context.resources.instances.get(*id);
    let zone = instance.and_then(|instance| instance.zone.clone()).unwrap_or_else(|| format!("{}a", context.region));
    let template = text("LaunchTemplateId", "lt-0123456789abcdef0") + &text("Version", "1");
    [
        text("InstanceId", id),
        instance.map(|instance| text("InstanceType", &instance.instance_type)).unwrap_or_default(),
        text("AvailabilityZone", &zone),
        text("LifecycleState", &member.state),
        text("HealthStatus", if member.is_healthy { "HEALTHY" } else { "UNHEALTHY" }),
        element("LaunchTemplate", &template),
        text("ProtectedFromScaleIn", &group.protected.to_string()),
    ]
    .concat()
}

pub(super) fn groups(context: &CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let names = bounded(params, "AutoScalingGroupNames", 50)?;
    let found = visible(context, params).map(|group| group.model.name.as_str());
    let found = found.filter(|name| names.is_empty() || names.contains(name));
    let page = paginate(context, "DescribeAutoScalingGroups", params, 50, found)?;
    let items: String = page.items.iter().map(|name| show_group(context, &context.resources.groups[*name])).collect();
    Ok(element("AutoScalingGroups", &items) + &next(page.next))
}

/// A list of members, which are XML already.
fn list(name: &str, items: impl Iterator<Item = String>) -> String {
    element(name, &items.map(|item| element("member", &item)).collect::<String>())
}

fn show_group(context: &CallContext<'_>, group: &PlacedGroup) -> String {
    let model = &group.model;
    let number = |name: &str, value: usize| text(name, &value.to_string());
    let target_arns = || model.target_groups.iter().map(|name| elb::arn(context, name));
    let warm_pool = || element("WarmPoolConfiguration", &(number("MinSize", 0) + &text("PoolState", "Stopped")));
    let operator = model.operator.as_ref().map(|principal| element("Operator", &text("Principal", principal)));
    let suspended = |process: &String| {
        text("ProcessName", process) + &text("SuspensionReason", "User suspended at 2026-01-01T00:00:00Z")
    };
    let parts = [
        text("AutoScalingGroupName", &model.name),
        text("AutoScalingGroupARN", &arn(context.region, context.account, &model.name)),
        number("MinSize", model.min),
        number("MaxSize", model.max),
        number("DesiredCapacity", model.desired),
        number("DefaultCooldown", 300),
        list("AvailabilityZones", std::iter::once(format!("{}a", context.region))),
        list("TargetGroupARNs", target_arns().map(|arn| escape(&arn))),
        list("TrafficSources", target_arns().map(|arn| text("Identifier", &arn) + &text("Type", "elbv2"))),
        text("HealthCheckType", "EC2"),
        number("HealthCheckGracePeriod", 0),
        list("Instances", entries(group).map(|entry| show_member(context, &entry))),
        text("CreatedTime", "2026-01-01T00:00:00.000Z"),
        list("SuspendedProcesses", model.suspended.iter().map(suspended)),
        text("VPCZoneIdentifier", "subnet-0123456789abcdef0"),
        list("Tags", model.tags.iter().map(|tag| show_tag(&model.name, tag))),
        text("NewInstancesProtectedFromScaleIn", &model.protected.to_string()),
        text("CapacityRebalance", &model.capacity_rebalance.to_string()),
        if model.warm_pool { warm_pool() } else { String::new() },
        operator.unwrap_or_default(),
    ];
    element("member", &parts.concat())
}

fn show_tag(group: &str, (key, value): (&String, &String)) -> String {
    [
        text("ResourceId", group),
        text("ResourceType", "auto-scaling-group"),
        text("Key", key),
        text("Value", value),
        text("PropagateAtLaunch", "true"),
    ]
    .concat()
}
