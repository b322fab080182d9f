//! Tasks as answers and events show them.

use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{clusters, tags, task_definitions};
use crate::model::Record;
use crate::resources::{NetworkInterface, PlacedTask, RunningContainer};
use crate::state::CallContext;
use crate::timestamp::iso8601_ms;

pub(super) fn show(
    context: &CallContext<'_>,
    cluster: &str,
    record: Option<&Record>,
    run: &PlacedTask,
    with_tags: bool,
) -> Value {
    let task = &run.task;
    let mut shown = json!({
        "taskArn": task.arn,
        "clusterArn": clusters::arn(context, cluster),
        "taskDefinitionArn": task_definitions::arn(context, &run.family),
        "group": task.group,
        "launchType": if run.is_on_fargate() { "FARGATE" } else { "EC2" },
        "desiredStatus": task.desired_status,
        "lastStatus": task.last_status,
        "cpu": "256",
        "memory": "512",
        "availabilityZone": format!("{}a", context.region),
        "containers": run.containers.iter().map(|process| show_container(run, process)).collect::<Vec<_>>(),
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
        "attachments": run.network.iter().map(|network| attachment(run, network)).collect::<Vec<_>>(),
        "overrides": task.overrides,
        "enableExecuteCommand": task.enable_execute_command,
        "tags": if with_tags { tags(&task.tags) } else { json!([]) },
        "version": run.version,
    });
    let mut set = |key: &str, value: Option<Value>| shown[key] = value.unwrap_or_default();
    set("containerInstanceArn", record.map(|record| json!(record.model.arn)));
    set("capacityProviderName", run.capacity_provider.as_ref().map(|name| json!(name)));
    set("platformVersion", run.platform_version.as_ref().map(|version| json!(version)));
    set("platformFamily", run.platform_version.as_ref().map(|_| json!("Linux")));
    set("startedBy", task.started_by.as_ref().map(|by| json!(by)));
    set("stopCode", task.stop_code.as_ref().map(|code| json!(code)));
    set("stoppedReason", task.stopped_reason.as_ref().map(|reason| json!(reason)));
    let epoch = |at: Instant| json!(context.clock.epoch_s(at));
    set("createdAt", Some(epoch(run.started)));
    set("startedAt", (run.runs_from <= context.now).then(|| epoch(run.runs_from)));
    set("stoppingAt", run.stopping_at.map(epoch));
    set("stoppedAt", run.stopped_at.map(epoch));
    let ends = run.containers.iter().map(|process| process.ended.map(|(at, _)| at)).collect::<Option<Vec<_>>>();
    set("executionStoppedAt", ends.and_then(|ends| ends.into_iter().max()).map(epoch));
    if let Some(fields) = shown.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    shown
}

fn show_container(run: &PlacedTask, process: &RunningContainer) -> Value {
    let status = match process.ended {
        Some(_) => "STOPPED",
        None if run.task.is_pending() => "PENDING",
        None => "RUNNING",
    };
    let address = |network: &NetworkInterface| {
        let (attachment, ip) = (&network.attachment, &network.private_ip);
        json!({"attachmentId": attachment, "privateIpv4Address": ip})
    };
    let mut shown = json!({
        "containerArn": run.task.arn.replacen(":task/", ":container/", 1) + "/" + &process.model.name,
        "name": process.model.name,
        "image": "busybox",
        "taskArn": run.task.arn,
        "lastStatus": status,
        "networkInterfaces": run.live_network().map(address).into_iter().collect::<Vec<_>>(),
    });
    if let Some(code) = process.exit_code() {
        shown["exitCode"] = json!(code);
    }
    shown
}

fn attachment(run: &PlacedTask, network: &NetworkInterface) -> Value {
    let status = match run.task.last_status.as_str() {
        "PROVISIONING" => "PRECREATED",
        "STOPPED" => "DELETED",
        _ => "ATTACHED",
    };
    let details = [
        ("subnetId", network.subnet.clone()),
        ("networkInterfaceId", network.id.clone()),
        ("macAddress", network.mac.clone()),
        ("privateDnsName", format!("ip-{}.ec2.internal", network.private_ip.replace('.', "-"))),
        ("privateIPv4Address", network.private_ip.clone()),
    ];
    let details: Vec<Value> = details.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"id": network.attachment, "type": "ElasticNetworkInterface", "status": status, "details": details})
}

/// The detail of a task's state change; `None` where ECS knows no such task.
pub(crate) fn task_detail(context: &CallContext<'_>, cluster: &str, task: &str) -> Option<Value> {
    let (record, run) = context.resources.tasks(cluster).find(|(_, run)| run.task.arn == task)?;
    let mut detail = show(context, cluster, record, run, false);
    let fields = detail.as_object_mut()?;
    fields.remove("tags");
    fields.insert("updatedAt".to_owned(), json!(context.clock.epoch_s(context.now)));
    for (_, value) in fields.iter_mut().filter(|(name, _)| name.ends_with("At")) {
        *value = json!(iso8601_ms(UNIX_EPOCH + Duration::from_secs_f64(value.as_f64()?)));
    }
    for attachment in fields["attachments"].as_array_mut()? {
        // Events have a word of their own.
        attachment["type"] = json!("eni");
    }
    Some(detail)
}
