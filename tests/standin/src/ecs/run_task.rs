//! `RunTask`.

mod token;
mod validate;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::params::Params;
use super::show_task::show;
use super::{cluster_of, task_definitions};
use crate::arn;
use crate::error::ApiError;
use crate::model::{FargateTask, Record, Task, TaskDefinition};
use crate::resources::RunToken;
use crate::state::CallContext;
use validate::Launch;

pub(super) fn call(context: &mut CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let asked = validate::check(params)?;
    if let Some(token) = &asked.token
        && let Some(answer) = token::known(context, &cluster, token, params)?
    {
        return Ok(answer);
    }
    let definition = task_definitions::locate(context, asked.task_definition);
    let definition =
        definition.ok_or_else(|| ApiError::new(400, "ClientException", "TaskDefinition not found."))?.clone();
    if definition.inactive {
        return Err(ApiError::new(400, "ClientException", "TaskDefinition is inactive"));
    }
    validate::check_overrides(params, &definition)?;
    let launch = validate::launch(context, &cluster, params)?;
    let network = validate::network(params, &definition, &launch)?;
    let (mut arns, mut failures) = (Vec::new(), Vec::new());
    for _ in 0..asked.count {
        match place(context, &cluster, &launch)? {
            Err(mut reasons) => failures.append(&mut reasons),
            Ok(place) => {
                let arn = context.arn("ecs", &format!("task/{cluster}/{}", arn::hex(32)));
                let task = Task { arn: arn.clone(), ..task(params, &cluster, &definition)? };
                match place {
                    Some(record) => {
                        context.resources.put(&record, task);
                    }
                    None => context.resources.put_on_fargate(&cluster, fargate(params, task, &launch)?),
                }
                context.resources.start(&arn, &network.subnet, &network.security_groups, network.public_ip);
                arns.push(arn);
            }
        }
    }
    let answer = answer(context, &cluster, &arns, &failures);
    if let Some(token) = asked.token
        && (!arns.is_empty() || context.settings.failures_bind_tokens)
    {
        let (params, at) = (token::significant(params), context.now);
        context.resources.run_tokens.insert((cluster, token), RunToken { params, tasks: arns, failures, at });
    }
    Ok(answer)
}

fn answer(context: &CallContext<'_>, cluster: &str, arns: &[String], failures: &[Value]) -> Value {
    let find = |arn: &String| context.resources.tasks(cluster).find(|(_, run)| run.task.arn == *arn);
    let tasks: Vec<Value> =
        arns.iter().filter_map(find).map(|(record, run)| show(context, cluster, record, run, true)).collect();
    json!({"tasks": tasks, "failures": failures})
}

/// The container instance for a task, `None` for Fargate; or the failures where there is no room.
fn place(
    context: &CallContext<'_>,
    cluster: &str,
    launch: &Launch,
) -> Result<Result<Option<String>, Vec<Value>>, ApiError> {
    if let Some(reason) = context.injected(cluster) {
        return Ok(Err(vec![json!({"reason": reason})]));
    }
    let is_exhausted = |name: &str| context.resources.exhausted.contains(name);
    let provider = match launch {
        Launch::Fargate(provider) => {
            let exhausted = is_exhausted(provider.as_deref().unwrap_or("FARGATE"));
            return Ok(if exhausted { Err(vec![json!({"reason": "RESOURCE:FARGATE"})]) } else { Ok(None) });
        }
        Launch::Ec2(provider) => provider,
    };
    let records = context.resources.records.get(cluster).into_iter().flat_map(BTreeMap::values);
    let registered = |record: &&Record| record.model.status != "INACTIVE";
    let fits = |record: &&Record| provider.is_none() || record.model.capacity_provider == *provider;
    let records: Vec<&Record> = records.filter(registered).filter(fits).collect();
    if records.is_empty() && provider.is_none() {
        return Err(ApiError::parameter("No Container Instances were found in your cluster."));
    }
    let usable = records.iter().filter(|record| record.model.status == "ACTIVE" && record.model.agent_connected);
    let least = usable.min_by_key(|record| record.running_tasks() + record.pending_tasks());
    let failure = |record: &&Record| {
        let reason = if is_exhausted("EC2") { "RESOURCE:MEMORY" } else { "AGENT" };
        json!({"arn": record.model.arn, "reason": reason})
    };
    Ok(match least {
        Some(record) if !is_exhausted("EC2") => Ok(Some(record.model.arn.clone())),
        _ if records.is_empty() => Err(vec![json!({"reason": "RESOURCE:MEMORY"})]),
        _ => Err(records.iter().map(failure).collect()),
    })
}

fn task(params: Params<'_>, cluster: &str, definition: &TaskDefinition) -> Result<Task, ApiError> {
    let mut task = Task::standalone(&definition.family).task_definition(&definition.family);
    task.started_by = params.text("startedBy")?.map(str::to_owned);
    if let Some(group) = params.text("group")? {
        group.clone_into(&mut task.group);
    }
    for (name, value) in params.0["overrides"].as_object().into_iter().flatten() {
        task.overrides[name] = value.clone();
    }
    if params.text("propagateTags")? == Some("TASK_DEFINITION") {
        task.tags.extend(definition.tags.clone());
    }
    if params.flag("enableECSManagedTags")? {
        task.tags.insert("aws:ecs:clusterName".to_owned(), cluster.to_owned());
    }
    for tag in params.objects("tags")? {
        let value = tag.text("value")?.unwrap_or_default();
        task.tags.insert(tag.text("key")?.unwrap_or_default().to_owned(), value.to_owned());
    }
    task.enable_execute_command = params.flag("enableExecuteCommand")?;
    Ok(task)
}

fn fargate(params: Params<'_>, task: Task, launch: &Launch) -> Result<FargateTask, ApiError> {
    let provider = if let Launch::Fargate(provider) = launch { provider.as_deref() } else { None };
    let version = params.text("platformVersion")?.filter(|version| *version != "LATEST").unwrap_or("1.4.0");
    Ok(FargateTask::new(task).capacity_provider(provider).platform_version(version))
}
