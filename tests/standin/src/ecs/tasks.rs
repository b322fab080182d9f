//! `ListTasks`, `DescribeTasks` and `StopTask`.

use serde_json::{Value, json};

use super::container_instances::locate;
use super::params::Params;
use super::show_task::show;
use super::{cluster_of, failure, paginate, with_token};
use crate::arn;
use crate::error::ApiError;
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
    let family = params.text("family")?;
    let launch_type = params.text("launchType")?;
    if started_by.is_some() && (container_instance.is_some() || group.is_some() || family.is_some()) {
        return Err(ApiError::parameter("startedBy cannot be combined with other filters."));
    }
    let tasks = context.resources.tasks(&cluster).filter(|(record, run)| {
        run.task.desired_status == desired
            && run.started + context.settings.lists_lag <= context.now
            && container_instance.as_ref().is_none_or(|arn| record.is_some_and(|record| record.model.arn == *arn))
            && group.as_ref().is_none_or(|group| run.task.group == *group)
            && started_by.is_none_or(|by| run.task.started_by.as_deref() == Some(by))
            && family.is_none_or(|family| run.family == family)
            && launch_type.is_none_or(|wanted| (wanted == "FARGATE") == run.is_on_fargate())
    });
    let mut arns: Vec<&str> = tasks.map(|(_, run)| run.task.arn.as_str()).collect();
    arns.sort_unstable();
    let page = paginate(context, "ListTasks", params, 100, arns)?;
    Ok(with_token(json!({"taskArns": page.items}), page.next))
}

pub(super) fn describe(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let with_tags = params.includes("TAGS")?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for asked in params.bounded("tasks", 100)? {
        let run = context.resources.tasks(&cluster).find(|(_, run)| run.is(asked));
        match (context.injected(asked), run) {
            (None, Some((record, run))) => found.push(show(context, &cluster, record, run, with_tags)),
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
    let reason = reason.unwrap_or("Task stopped by user");
    if !context.resources.stop_task(&cluster, asked, reason) {
        return Err(missing());
    }
    let stopped = context.resources.tasks(&cluster).find(|(_, run)| run.is(asked));
    let (record, run) = stopped.ok_or_else(missing)?;
    Ok(json!({"task": show(context, &cluster, record, run, false)}))
}
