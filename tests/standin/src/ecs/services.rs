//! `ListServices` and `DescribeServices`.

use serde_json::{Value, json};

use super::params::Params;
use super::{cluster_of, clusters, failure, paginate, task_definitions, with_token};
use crate::arn;
use crate::error::ApiError;
use crate::place::Scheduled;
use crate::state::Scene;

pub(super) fn list(scene: &Scene<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(scene, params)?;
    let strategy = params.text("schedulingStrategy")?;
    let services = scene.place.services.iter().filter(|((of, _), service)| {
        *of == cluster && strategy.is_none_or(|wanted| wanted == scheduling_strategy(service))
    });
    let arns = services.map(|((_, name), _)| arn(scene, &cluster, name));
    // Unlike other lists, this one is short where nothing is asked for.
    let max = if params.number("maxResults")?.is_some() { 100 } else { 10 };
    let page = paginate(scene, "ListServices", params, max, arns)?;
    Ok(with_token(json!({"serviceArns": page.items}), page.next))
}

pub(super) fn describe(scene: &Scene<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(scene, params)?;
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for asked in params.bounded("services", 10)? {
        let full = arn(scene, &cluster, arn::last(asked));
        let found = scene.place.services.get(&(cluster.clone(), arn::last(asked).to_owned()));
        let found = found.filter(|_| !asked.starts_with("arn:") || asked == full);
        match (scene.injected(asked), found) {
            (None, Some(service)) => services.push(show(scene, &cluster, service)),
            (reason, _) => {
                let arn = if asked.starts_with("arn:") { asked } else { &full };
                failures.push(failure(arn, reason.as_deref().unwrap_or("MISSING")));
            }
        }
    }
    Ok(json!({"services": services, "failures": failures}))
}

fn arn(scene: &Scene<'_>, cluster: &str, name: &str) -> String {
    scene.arn("ecs", &format!("service/{cluster}/{name}"))
}

fn scheduling_strategy(service: &Scheduled) -> &'static str {
    if service.model.daemon { "DAEMON" } else { "REPLICA" }
}

fn show(scene: &Scene<'_>, cluster: &str, service: &Scheduled) -> Value {
    let (model, census) = (&service.model, service.census(scene.place.records.get(cluster)));
    let target_group = || scene.arn("elasticloadbalancing", &format!("targetgroup/{}/0123456789abcdef", model.name));
    let load_balancer = || json!({"targetGroupArn": target_group(), "containerName": "app", "containerPort": 80});
    json!({
        "serviceArn": arn(scene, cluster, &model.name),
        "serviceName": model.name,
        "clusterArn": clusters::arn(scene, cluster),
        "status": "ACTIVE",
        "launchType": "EC2",
        "schedulingStrategy": scheduling_strategy(service),
        "desiredCount": model.desired_count,
        "runningCount": census.running(),
        "pendingCount": census.starting,
        "taskDefinition": task_definitions::arn(scene, model.task_definition.as_deref().unwrap_or("app")),
        "deploymentConfiguration": {
            "minimumHealthyPercent": model.minimum_healthy_percent,
            "maximumPercent": model.maximum_percent,
        },
        "loadBalancers": model.deregistration_delay.map(|_| load_balancer()).into_iter().collect::<Vec<_>>(),
        "deployments": [],
        "events": [],
    })
}
