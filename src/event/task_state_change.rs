//! `ECS Task State Change`, source `aws.ecs`: of tasks that are interrupted.

use serde_json::Value;

use super::envelope::{required, text};
use crate::{
    error::Error,
    identifier::{ClusterName, TaskArn, quote},
    interrupted_task::{Cause, EVACUATION_REASON, TaskDetail},
};

pub(super) const SOURCE: &str = "aws.ecs";
pub(super) const DETAIL_TYPE: &str = "ECS Task State Change";

/// What ECS says when Fargate Spot interrupts a task; the stop code was missing in the past.
const SPOT_CODES: [&str; 2] = ["SpotInterruption", "TerminationNotice"];
const SPOT_REASON: &str = "Your Spot Task was interrupted";

/// The start of what ECS says when a task ended with its instance.
const HOST_REASON: &str = "Host EC2";

/// Reads the task. The inner error is the reason to ignore any other state change.
pub(super) fn read(detail: &Value) -> Result<Result<TaskDetail, String>, Error> {
    let status = |path| text(detail, path, "the status of a task, such as RUNNING");
    let (desired, last) = (status("detail.desiredStatus")?, status("detail.lastStatus")?);
    let task: TaskArn = required(detail, "detail.taskArn")?;
    let cluster = required::<ClusterArn>(detail, "detail.clusterArn")?.0;
    let member = |field: &str| detail.get(field).and_then(Value::as_str);
    let Some(cause) = cause(member("stopCode"), member("stoppedReason").unwrap_or_default()) else {
        let reason = member("stoppedReason").or(member("stopCode")).map_or("nothing".to_owned(), quote);
        return Ok(Err(format!("the task was not interrupted: its reason to stop is {reason}")));
    };
    if desired != "STOPPED" {
        return Ok(Err(format!("its desired status is {}: handled is STOPPED", quote(desired))));
    }
    let service = member("group").and_then(|group| group.strip_prefix("service:")).map(str::to_owned);
    let (has_stopped, addresses) = (last == "STOPPED", addresses(detail));
    Ok(Ok(TaskDetail { task, cluster, service, cause, has_stopped, addresses }))
}

fn cause(code: Option<&str>, reason: &str) -> Option<Cause> {
    // The stop code of a task that ended with its instance can be that of Fargate Spot.
    if reason.starts_with(EVACUATION_REASON) {
        Some(Cause::Evacuation)
    } else if reason.starts_with(HOST_REASON) {
        Some(Cause::Host)
    } else if code.is_some_and(|code| SPOT_CODES.contains(&code)) || reason.starts_with(SPOT_REASON) {
        Some(Cause::FargateSpot)
    } else {
        None
    }
}

/// The task's own private addresses, of which its service registers one with each target group.
fn addresses(detail: &Value) -> Vec<String> {
    let lists = |list: &str, inner: &'static str| {
        let all = detail.get(list).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(move |of| of.get(inner)?.as_array()).flatten().collect::<Vec<_>>()
    };
    let (attachments, interfaces) = (lists("attachments", "details"), lists("containers", "networkInterfaces"));
    let attached = |name: &str| {
        let found = attachments.iter().find(|of| of.get("name").and_then(Value::as_str) == Some(name));
        found?.get("value")?.as_str()
    };
    let of_container = |name: &str| interfaces.iter().find_map(|of| of.get(name)?.as_str());
    let v4 = attached("privateIPv4Address").or_else(|| of_container("privateIpv4Address"));
    let v6 = attached("ipv6Address").or_else(|| of_container("ipv6Address"));
    let parsed = |address: &str| address.parse::<std::net::IpAddr>().ok().map(|address| address.to_string());
    [v4, v6].into_iter().flatten().filter_map(parsed).collect()
}

/// A cluster, by its ARN.
struct ClusterArn(ClusterName);

impl TryFrom<String> for ClusterArn {
    type Error = crate::identifier::ParseError;

    fn try_from(found: String) -> Result<Self, Self::Error> {
        let name = ClusterName::from_name_or_arn(&found).filter(|_| found.starts_with("arn:"));
        name.map(Self).ok_or_else(|| crate::identifier::ParseError::new(&found, "the ARN of an ECS cluster"))
    }
}
