//! `ListServices` and `DescribeServices`.

use serde_json::{Value, json};

use super::params::Params;
use super::{cluster_of, clusters, failure, paginate, task_definitions, with_token};
use crate::error::ApiError;
use crate::model::LoadBalancer;
use crate::resources::Scheduled;
use crate::state::CallContext;
use crate::{arn, elb};

pub(super) fn list(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let strategy = params.text("schedulingStrategy")?;
    let services = context.resources.services.iter().filter(|((of, _), service)| {
        *of == cluster && strategy.is_none_or(|wanted| wanted == scheduling_strategy(service))
    });
    let arns = services.map(|((_, name), _)| arn(context, &cluster, name));
    // Unlike other lists, this one is short where nothing is asked for.
    let max = if params.number("maxResults")?.is_some() { 100 } else { 10 };
    let page = paginate(context, "ListServices", params, max, arns)?;
    Ok(with_token(json!({"serviceArns": page.items}), page.next))
}

pub(super) fn describe(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for asked in params.bounded("services", 10)? {
        let full = arn(context, &cluster, arn::last(asked));
        let found = context.resources.services.get(&(cluster.clone(), arn::last(asked).to_owned()));
        let found = found.filter(|_| !asked.starts_with("arn:") || asked == full);
        match (context.injected(asked), found) {
            (None, Some(service)) => services.push(show(context, &cluster, service)),
            (reason, _) => {
                let arn = if asked.starts_with("arn:") { asked } else { &full };
                failures.push(failure(arn, reason.as_deref().unwrap_or("MISSING")));
            }
        }
    }
    Ok(json!({"services": services, "failures": failures}))
}

fn arn(context: &CallContext<'_>, cluster: &str, name: &str) -> String {
    context.arn("ecs", &format!("service/{cluster}/{name}"))
}

fn scheduling_strategy(service: &Scheduled) -> &'static str {
    if service.model.daemon { "DAEMON" } else { "REPLICA" }
}

fn show(context: &CallContext<'_>, cluster: &str, service: &Scheduled) -> Value {
    let (model, counts) = (
        &service.model,
        service.count_tasks(context.resources.records.get(cluster), context.resources.fargate.get(cluster)),
    );
    let load_balancers: Vec<Value> =
        model.load_balancers().iter().map(|balancer| show_load_balancer(context, balancer)).collect();
    let mut shown = json!({
        "serviceArn": arn(context, cluster, &model.name),
        "serviceName": model.name,
        "clusterArn": clusters::arn(context, cluster),
        "status": "ACTIVE",
        "schedulingStrategy": scheduling_strategy(service),
        "desiredCount": model.desired_count,
        "runningCount": counts.running(),
        "pendingCount": counts.starting,
        "taskDefinition": task_definitions::arn(context, model.task_definition.as_deref().unwrap_or("app")),
        "deploymentConfiguration": {
            "minimumHealthyPercent": model.minimum_healthy_percent,
            "maximumPercent": model.maximum_percent,
        },
        "loadBalancers": load_balancers,
        "deployments": [],
        "events": [],
    });
    match &model.capacity_provider {
        Some(provider) => shown["capacityProviderStrategy"] = clusters::strategy(std::slice::from_ref(provider)),
        None => shown["launchType"] = json!("EC2"),
    }
    shown
}

fn show_load_balancer(context: &CallContext<'_>, balancer: &LoadBalancer) -> Value {
    let mut shown = json!({
        "targetGroupArn": elb::arn(context, &balancer.target_group),
        "containerName": balancer.container,
        "containerPort": balancer.port,
    });
    if let Some(alternate) = &balancer.alternate {
        shown["advancedConfiguration"] = json!({
            "alternateTargetGroupArn": elb::arn(context, alternate),
            "productionListenerRule": context.arn("elasticloadbalancing", "listener-rule/app/web/0/1/2"),
            "roleArn": format!("arn:aws:iam::{}:role/ecs-load-balancers", context.account),
        });
    }
    shown
}
