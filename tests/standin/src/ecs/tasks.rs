//! `ListTasks`, `DescribeTasks` and `StopTask`.

use serde_json::{Value, json};

use super::container_instances::locate;
use super::params::Params;
use super::{cluster_of, clusters, failure, paginate, task_definitions, with_token};
use crate::arn;
use crate::error::ApiError;
use crate::model::{Record, Task};
use crate::resources::{PlacedTask, Resources, RunningContainer};
use crate::state::CallContext;

pub(super) fn list(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let desired = params.text("desiredStatus")?.unwrap_or("RUNNING");
    if !matches!(desired, "RUNNING" | "PENDING" | "STOPPED") {
        return Err(ApiError::parameter("Invalid desiredStatus."));
    }
    let container_instance = match params.text("containerInstance")? {
        None => None,
        Some(asked) => {
            let missing = || ApiError::parameter("The specified container instance could not be found.");
            Some(locate(context, &cluster, asked).ok_or_else(missing)?)
        }
    };
    let group = params.text("serviceName")?.map(|name| format!("service:{}", arn::last(name)));
    let started_by = params.text("startedBy")?;
    let mut arns: Vec<&str> = tasks(context, &cluster)
        .filter(|(record, PlacedTask { task, started, .. })| {
            task.desired_status == desired
                && *started + context.settings.lists_lag <= context.now
                && container_instance.as_ref().is_none_or(|container_instance| record.model.arn == *container_instance)
                && group.as_ref().is_none_or(|group| task.group == *group)
                && started_by.is_none_or(|by| task.started_by.as_deref() == Some(by))
        })
        .map(|(_, run)| run.task.arn.as_str())
        .collect();
    arns.sort_unstable();
    let page = paginate(context, "ListTasks", params, 100, arns)?;
    Ok(with_token(json!({"taskArns": page.items}), page.next))
}

pub(super) fn describe(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for asked in params.bounded("tasks", 100)? {
        let run = tasks(context, &cluster).find(|(_, run)| is(run, asked));
        match (context.injected(asked), run) {
            (None, Some((record, run))) => found.push(show(context, &cluster, record, run)),
            (reason, _) => failures.push(failure(asked, reason.as_deref().unwrap_or("MISSING"))),
        }
    }
    Ok(json!({"tasks": found, "failures": failures}))
}

pub(super) fn stop(context: &mut CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let asked = params.required("task", "Task can not be blank.")?;
    let reason = params.text("reason")?;
    if reason.is_some_and(|reason| reason.chars().count() > 1_024) {
        return Err(ApiError::parameter("Reason cannot be longer than 1024 characters."));
    }
    let missing = || ApiError::parameter("The referenced task was not found.");
    let Resources { records, history, .. } = &mut *context.resources;
    let mut runs = records.get_mut(&cluster).into_iter().flatten().flat_map(|(_, record)| &mut record.runs);
    let run = runs.find(|run| !run.left && is(run, asked)).ok_or_else(missing)?;
    run.stop_by_user(reason.unwrap_or("Task stopped by user"), context.now, history);
    let stopped = tasks(context, &cluster).find(|(_, run)| is(run, asked));
    let (record, run) = stopped.ok_or_else(missing)?;
    Ok(json!({"task": show(context, &cluster, record, run)}))
}

fn tasks<'a>(context: &'a CallContext<'_>, cluster: &str) -> impl Iterator<Item = (&'a Record, &'a PlacedTask)> {
    let records = context.resources.records.get(cluster).into_iter().flat_map(|records| records.values());
    records.flat_map(|record| record.tasks().map(move |run| (record, run)))
}

fn is(run: &PlacedTask, id_or_arn: &str) -> bool {
    run.task.arn == id_or_arn || arn::last(&run.task.arn) == id_or_arn
}

fn show(context: &CallContext<'_>, cluster: &str, record: &Record, run: &PlacedTask) -> Value {
    let (task, started) = (&run.task, context.clock.epoch_s(run.started));
    let mut shown = json!({
        "taskArn": task.arn,
        "clusterArn": clusters::arn(context, cluster),
        "containerInstanceArn": record.model.arn,
        "taskDefinitionArn": task_definitions::arn(context, &run.family),
        "group": task.group,
        "launchType": "EC2",
        "desiredStatus": task.desired_status,
        "lastStatus": task.last_status,
        "createdAt": started,
        "startedAt": started,
        "containers": run.containers.iter().map(|process| show_container(task, process)).collect::<Vec<_>>(),
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
        "tags": [],
        "version": 1,
    });
    if let Some(by) = &task.started_by {
        shown["startedBy"] = json!(by);
    }
    if let Some(reason) = &task.stopped_reason {
        shown["stopCode"] = json!(task.stop_code.as_deref().unwrap_or("UserInitiated"));
        shown["stoppedReason"] = json!(reason);
    }
    shown
}

fn show_container(task: &Task, process: &RunningContainer) -> Value {
    let status = if process.ended.is_some() { "STOPPED" } else { "RUNNING" };
    json!({"name": process.model.name, "taskArn": task.arn, "lastStatus": status})
}
