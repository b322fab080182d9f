//! `DescribeTaskDefinition`.

use serde_json::{Value, json};

use super::params::Params;
use crate::error::ApiError;
use crate::model::{Container, TaskDefinition};
use crate::state::Scene;

pub(super) fn describe(scene: &Scene<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let asked = params.required("taskDefinition", "Task definition can not be blank.")?;
    let missing = || ApiError::new(400, "ClientException", "Unable to describe task definition.");
    let name = asked.strip_prefix(&scene.arn("ecs", "task-definition/")).unwrap_or(asked);
    let family = name.strip_suffix(":1").unwrap_or(name);
    let definition = scene.place.definitions.get(family).ok_or_else(missing)?;
    Ok(json!({"taskDefinition": show(scene, definition), "tags": []}))
}

pub(super) fn arn(scene: &Scene<'_>, family: &str) -> String {
    scene.arn("ecs", &format!("task-definition/{family}:1"))
}

fn show(scene: &Scene<'_>, definition: &TaskDefinition) -> Value {
    let containers: Vec<Value> = definition.all_containers().iter().map(show_container).collect();
    let mut shown = json!({
        "taskDefinitionArn": arn(scene, &definition.family),
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
