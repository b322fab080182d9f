//! `ListTasks`, `DescribeTasks` and `StopTask`.

use serde_json::{Value, json};

use super::container_instances::locate;
use super::params::Params;
use super::{cluster_of, clusters, failure, paginate, with_token};
use crate::arn;
use crate::error::ApiError;
use crate::model::{Record, Task};
use crate::state::Scene;

pub(super) fn list(scene: &Scene<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(scene, params)?;
    let desired = params.text("desiredStatus")?.unwrap_or("RUNNING");
    if !matches!(desired, "RUNNING" | "PENDING" | "STOPPED") {
        return Err(ApiError::parameter("Invalid desiredStatus."));
    }
    let host = match params.text("containerInstance")? {
        None => None,
        Some(asked) => {
            let missing = || ApiError::parameter("The specified container instance could not be found.");
            Some(locate(scene, &cluster, asked).ok_or_else(missing)?)
        }
    };
    let group = params.text("serviceName")?.map(|name| format!("service:{}", arn::last(name)));
    let started_by = params.text("startedBy")?;
    let mut arns: Vec<&str> = tasks(scene, &cluster)
        .filter(|(record, task)| {
            task.desired_status == desired
                && host.as_ref().is_none_or(|host| record.model.arn == *host)
                && group.as_ref().is_none_or(|group| task.group == *group)
                && started_by.is_none_or(|by| task.started_by.as_deref() == Some(by))
        })
        .map(|(_, task)| task.arn.as_str())
        .collect();
    arns.sort_unstable();
    let page = paginate(scene, "ListTasks", params, 100, arns)?;
    Ok(with_token(json!({"taskArns": page.items}), page.next))
}

pub(super) fn describe(scene: &Scene<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(scene, params)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for asked in params.bounded("tasks", 100)? {
        let task = tasks(scene, &cluster).find(|(_, task)| is(task, asked));
        match (scene.injected(asked), task) {
            (None, Some((record, task))) => found.push(show(scene, &cluster, record, task)),
            (reason, _) => failures.push(failure(asked, reason.as_deref().unwrap_or("MISSING"))),
        }
    }
    Ok(json!({"tasks": found, "failures": failures}))
}

pub(super) fn stop(scene: &mut Scene<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(scene, params)?;
    let asked = params.required("task", "Task can not be blank.")?;
    let reason = params.text("reason")?;
    if reason.is_some_and(|reason| reason.chars().count() > 1_024) {
        return Err(ApiError::parameter("Reason cannot be longer than 1024 characters."));
    }
    let missing = || ApiError::parameter("The referenced task was not found.");
    let records = scene.place.records.get_mut(&cluster).ok_or_else(missing)?;
    let record =
        records.values_mut().find(|record| record.tasks.iter().any(|task| is(task, asked))).ok_or_else(missing)?;
    let task = record.tasks.iter_mut().find(|task| is(task, asked)).ok_or_else(missing)?;
    if task.last_status != "STOPPED" {
        "STOPPED".clone_into(&mut task.desired_status);
        "STOPPED".clone_into(&mut task.last_status);
        task.stopped_reason = Some(reason.unwrap_or("Task stopped by user").to_owned());
    }
    let (task, record) = (task.clone(), record.clone());
    Ok(json!({"task": show(scene, &cluster, &record, &task)}))
}

fn tasks<'a>(scene: &'a Scene<'_>, cluster: &str) -> impl Iterator<Item = (&'a Record, &'a Task)> {
    let records = scene.place.records.get(cluster).into_iter().flat_map(|records| records.values());
    records.flat_map(|record| record.tasks.iter().map(move |task| (record, task)))
}

fn is(task: &Task, id_or_arn: &str) -> bool {
    task.arn == id_or_arn || arn::last(&task.arn) == id_or_arn
}

fn show(scene: &Scene<'_>, cluster: &str, record: &Record, task: &Task) -> Value {
    let mut shown = json!({
        "taskArn": task.arn,
        "clusterArn": clusters::arn(scene, cluster),
        "containerInstanceArn": record.model.arn,
        "group": task.group,
        "launchType": "EC2",
        "desiredStatus": task.desired_status,
        "lastStatus": task.last_status,
        "containers": [],
        "tags": [],
        "version": 1,
    });
    if let Some(by) = &task.started_by {
        shown["startedBy"] = json!(by);
    }
    if let Some(reason) = &task.stopped_reason {
        shown["stopCode"] = json!("UserInitiated");
        shown["stoppedReason"] = json!(reason);
    }
    shown
}
