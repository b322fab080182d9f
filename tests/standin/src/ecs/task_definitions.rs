//! `DescribeTaskDefinition`.

use serde_json::{Value, json};

use super::params::Params;
use crate::error::ApiError;
use crate::model::{Container, TaskDefinition};
use crate::state::CallContext;

pub(super) fn describe(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let asked = params.required("taskDefinition", "Task definition can not be blank.")?;
    let missing = || ApiError::new(400, "ClientException", "Unable to describe task definition.");
    let name = asked.strip_prefix(&context.arn("ecs", "task-definition/")).unwrap_or(asked);
    let family = name.strip_suffix(":1").unwrap_or(name);
    let definition = context.resources.definitions.get(family).ok_or_else(missing)?;
    Ok(json!({"taskDefinition": show(context, definition), "tags": []}))
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
        "status": "ACTIVE",
        "networkMode": if definition.awsvpc { "awsvpc" } else { "bridge" },
        "containerDefinitions": containers,
        "requiresCompatibilities": ["EC2"],
        "placementConstraints": [],
        "volumes": [],
    });
    if definition.windows {
        shown["runtimePlatform"] = json!({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"});
    }
    shown
}

fn show_container(container: &Container) -> Value {
    let mut shown = json!({"name": container.name, "image": "busybox", "cpu": 0, "memory": 128, "essential": true});
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
