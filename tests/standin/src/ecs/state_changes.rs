//! `DeregisterContainerInstance` and `UpdateContainerInstancesState`.

use serde_json::{Value, json};

use super::container_instances::{full_arn, locate, show};
use super::params::Params;
use super::{cluster_of, failure};
use crate::arn;
use crate::error::ApiError;
use crate::model::{Kind, Record};
use crate::state::CallContext;

pub(super) fn deregister(context: &mut CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let asked = params.required("containerInstance", "Container instance cannot be empty.")?;
    let force = params.flag("force")?;
    let gone = || already_deregistered(context, asked);
    let found = locate(context, &cluster, asked).ok_or_else(gone)?;
    let managed = is_managed(context, &cluster, &found);
    let Some(record) = record_mut(context, &cluster, &found).filter(|record| record.model.status != "INACTIVE") else {
        return Err(already_deregistered(context, asked));
    };
    if !force && record.tasks().any(|run| !run.task.is_stopped()) {
        return Err(ApiError::parameter("Found running tasks on the instance."));
    }
    context.resources.set_status(&found, "INACTIVE", context.settings.settle);
    let before = context.resources.records[&cluster][&found].clone();
    context.resources.release(&found);
    if managed && let Some(instance) = context.resources.instances.get_mut(&before.model.ec2_instance_id) {
        "shutting-down".clone_into(&mut instance.state);
    }
    Ok(json!({"containerInstance": show(context, &before, "INACTIVE", false)}))
}

fn already_deregistered(context: &CallContext<'_>, asked: &str) -> ApiError {
    let (code, message) = match &context.settings.deregistered_error {
        Some((code, message)) => (code.as_str(), message.as_str()),
        None => ("ClientException", "Referenced container instance {id} not found."),
    };
    ApiError::new(400, code, message.replace("{id}", arn::last(asked)))
}

/// Whether the container instance is one of ECS Managed Instances, which end when they are deregistered.
fn is_managed(context: &CallContext<'_>, cluster: &str, arn: &str) -> bool {
    let instance = &context.resources.records[cluster][arn].model;
    let provider = instance.capacity_provider.as_ref();
    let kind = provider.and_then(|name| context.resources.providers.get(name)).map(|provider| &provider.kind);
    let behind = context.resources.instances.get(&instance.ec2_instance_id);
    matches!(kind, Some(Kind::ManagedInstances { .. }))
        || behind.is_some_and(|behind| behind.operator.as_deref() == Some("ecs.amazonaws.com"))
}

pub(super) fn update(context: &mut CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let status = params.required("status", "Container instance status cannot be empty.")?;
    if !matches!(status, "ACTIVE" | "DRAINING") {
        return Err(ApiError::parameter("Container instances status should be one of [ACTIVE,DRAINING]."));
    }
    let asked = params.bounded("containerInstances", 10)?;
    let (mut updated, mut failures) = (Vec::new(), Vec::new());
    for id_or_arn in asked {
        match update_one(context, &cluster, id_or_arn, status) {
            Ok(shown) => updated.push(shown),
            Err(reason) => failures.push(failure(&full_arn(context, &cluster, id_or_arn), &reason)),
        }
    }
    Ok(json!({"containerInstances": updated, "failures": failures}))
}

fn update_one(context: &mut CallContext<'_>, cluster: &str, id_or_arn: &str, status: &str) -> Result<Value, String> {
    if let Some(reason) = context.injected(id_or_arn) {
        return Err(reason);
    }
    let redrain_failure = context.settings.redrain_failure.clone();
    let found = locate(context, cluster, id_or_arn).ok_or("MISSING")?;
    match (context.resources.records[cluster][&found].model.status.as_str(), status, redrain_failure) {
        ("ACTIVE", "DRAINING", _) | ("DRAINING", "ACTIVE", _) => {
            context.resources.set_status(&found, status, context.settings.settle);
        }
        ("DRAINING", "DRAINING", Some(reason)) => return Err(reason),
        ("ACTIVE" | "DRAINING", ..) => {}
        _ => return Err("INACTIVE".to_owned()),
    }
    Ok(show(context, &context.resources.records[cluster][&found], status, false))
}

fn record_mut<'a>(context: &'a mut CallContext<'_>, cluster: &str, arn: &str) -> Option<&'a mut Record> {
    context.resources.records.get_mut(cluster)?.get_mut(arn)
}
