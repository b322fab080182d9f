//! Amazon ECS, as far as draining, and starting tasks again, need it.

mod attributes;
mod capacity_providers;
mod cluster_query;
mod clusters;
mod container_instances;
mod params;
mod run_task;
mod services;
mod show_task;
mod state_changes;
mod task_definitions;
mod tasks;

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::page::{self, Page};
use crate::state::CallContext;
use params::Params;
pub(crate) use show_task::task_detail;

/// Answers a call in JSON.
pub(crate) fn call(context: &mut CallContext<'_>, api: &str, params: &Value) -> Result<Value, ApiError> {
    let params = Params(params);
    match api {
        "ListClusters" => clusters::list(context, params),
        "DescribeClusters" => clusters::describe(context, params),
        "DescribeCapacityProviders" => capacity_providers::describe(context, params),
        "ListContainerInstances" => container_instances::list(context, params),
        "DescribeContainerInstances" => container_instances::describe(context, params),
        "DeregisterContainerInstance" => state_changes::deregister(context, params),
        "UpdateContainerInstancesState" => state_changes::update(context, params),
        "ListTasks" => tasks::list(context, params),
        "DescribeTasks" => tasks::describe(context, params),
        "RunTask" => run_task::call(context, params),
        "StopTask" => tasks::stop(context, params),
        "DescribeTaskDefinition" => task_definitions::describe(context, params),
        "ListServices" => services::list(context, params),
        "DescribeServices" => services::describe(context, params),
        "PutAttributes" => attributes::put(context, params),
        "DeleteAttributes" => attributes::delete(context, params),
        _ => Err(ApiError::new(400, "UnknownOperationException", "")),
    }
}

/// The name of the active cluster that a call is about; the one called `default` where it names none.
fn cluster_of(context: &CallContext<'_>, params: Params<'_>) -> Result<String, ApiError> {
    let asked = params.text("cluster")?.unwrap_or("default");
    cluster_name(context, asked)
        .filter(|name| context.resources.clusters[*name].status != "INACTIVE")
        .map(str::to_owned)
        .ok_or_else(ApiError::cluster_not_found)
}

/// The name of a cluster that is there, from its name or ARN.
fn cluster_name<'a>(context: &CallContext<'_>, name_or_arn: &'a str) -> Option<&'a str> {
    let name = match name_or_arn.strip_prefix(&context.arn("ecs", "cluster/")) {
        Some(name) => name,
        None if name_or_arn.starts_with("arn:") => return None,
        None => name_or_arn,
    };
    context.resources.clusters.contains_key(name).then_some(name)
}

/// Cuts a page: `maxResults` between 1 and `max`, which is also what it is when it is not given.
fn paginate<T: AsRef<str>>(
    context: &CallContext<'_>,
    api: &str,
    params: Params<'_>,
    max: u64,
    items: impl IntoIterator<Item = T>,
) -> Result<Page<T>, ApiError> {
    let asked = params.number("maxResults")?.unwrap_or(max);
    if !(1..=max).contains(&asked) {
        return Err(ApiError::parameter(format!("maxResults should be between 1 and {max}.")));
    }
    let asked = usize::try_from(asked).unwrap_or(usize::MAX);
    let size = context.settings.page_sizes.get(api).map_or(asked, |size| asked.min(*size));
    let token = params.text("nextToken")?;
    let query = format!("{} {} {api} {}", context.account, context.region, params.without_paging());
    page::cut(&query, token, size, items).map_err(|_| ApiError::parameter("Invalid token."))
}

/// Adds `nextToken` to an answer where more pages follow.
fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["nextToken"] = token.into();
    }
    answer
}

fn failure(arn: &str, reason: &str) -> Value {
    json!({"arn": arn, "reason": reason})
}

fn tags<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Value {
    tags.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}
