//! `DescribeTaskDefinition`.

use serde_json::{Value, json};

use super::params::Params;
use super::tags;
use crate::error::ApiError;
use crate::model::{Container, TaskDefinition};
use crate::state::CallContext;

pub(super) fn describe(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let asked = params.required("taskDefinition", "Task definition can not be blank.")?;
    let missing = || ApiError::new(400, "ClientException", "Unable to describe task definition.");
    let definition = locate(context, asked).ok_or_else(missing)?;
    let tags = if params.includes("TAGS")? { tags(&definition.tags) } else { json!([]) };
    Ok(json!({"taskDefinition": show(context, definition), "tags": tags}))
}

/// A task definition, from its family, with or without its revision, or its ARN.
pub(super) fn locate<'a>(context: &'a CallContext<'_>, asked: &str) -> Option<&'a TaskDefinition> {
    let name = asked.strip_prefix(&context.arn("ecs", "task-definition/")).unwrap_or(asked);
    context.resources.definitions.get(name.strip_suffix(":1").unwrap_or(name))
}

pub(super) fn arn(context: &CallContext<'_>, family: &str) -> String {
    context.arn("ecs", &format!("task-definition/{family}:1"))
}

fn show(context: &CallContext<'_>, definition: &TaskDefinition) -> Value {
    let containers: Vec<Value> = definition.all_containers().iter().map(show_container).collect();
    let mut shown = json!({
        "taskDefinitionArn": arn(context, &definition.family),
        "family": definition.family,
        "revision": 1,
        "status": if definition.inactive { "INACTIVE" } else { "ACTIVE" },
        "networkMode": if definition.awsvpc { "awsvpc" } else { "bridge" },
        "containerDefinitions": containers,
        "requiresCompatibilities": if definition.awsvpc { json!(["EC2", "FARGATE"]) } else { json!(["EC2"]) },
        "placementConstraints": [],
        "volumes": [],
    });
    if definition.windows {
        shown["runtimePlatform"] = json!({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"});
    }
    shown
}

fn show_container(container: &Container) -> Value {
    let mut shown = json!({"name": container.name, "image": "busybox", "cpu": 0, "memory": 128});
    shown["essential"] = json!(container.essential);
    if let Some(seconds) = container.stop_timeout {
        shown["stopTimeout"] = json!(seconds);
    }
    let depends_on = container.depends_on.iter();
    let depends_on = depends_on.map(|(name, condition)| json!({"containerName": name, "condition": condition}));
    shown["dependsOn"] = depends_on.collect();
    shown["links"] = json!(container.links);
    shown["volumesFrom"] = container.volumes_from.iter().map(|name| json!({"sourceContainer": name})).collect();
    if let Some(driver) = &container.log_driver {
        shown["logConfiguration"] = json!({"logDriver": driver});
    }
    if container.log_router {
        shown["firelensConfiguration"] = json!({"type": "fluentbit"});
    }
    shown
}
