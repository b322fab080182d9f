//! The meaning of a client token.

use serde_json::{Value, json};

use super::answer;
use crate::ecs::params::Params;
use crate::error::ApiError;
use crate::state::CallContext;

/// The answer to a call whose token is in use in the cluster; an error if its parameters are others.
pub(super) fn known(
    context: &mut CallContext<'_>,
    cluster: &str,
    token: &str,
    params: Params<'_>,
) -> Result<Option<Value>, ApiError> {
    let key = (cluster.to_owned(), token.to_owned());
    let Some(known) = context.resources.run_tokens.get(&key) else {
        return Ok(None);
    };
    let has_task = known.tasks.iter().any(|arn| context.resources.tasks(cluster).any(|(_, run)| run.is(arn)));
    if !known.is_valid(has_task, context.now) {
        context.resources.run_tokens.remove(&key);
        return Ok(None);
    }
    if known.params != significant(params) {
        let message = "The provided clientToken is already in use with a different RunTask request.";
        return Err(ApiError::new(400, "ConflictException", message).with("resourceIds", json!(known.tasks)));
    }
    let mut repeated = answer(context, cluster, &known.tasks, &known.failures);
    for task in repeated["tasks"].as_array_mut().into_iter().flatten().filter(|task| task["lastStatus"] == "STOPPED") {
        // A stopped task is answered with its ARN and statuses only.
        let short = ["taskArn", "lastStatus", "desiredStatus"].map(|name| (name.to_owned(), task[name].clone()));
        *task = Value::Object(short.into_iter().collect());
    }
    Ok(Some(repeated))
}

/// The parameters that have to be the same under one token.
pub(super) fn significant(params: Params<'_>) -> Value {
    let mut significant = params.0.clone();
    if let Some(fields) = significant.as_object_mut() {
        fields.retain(|name, value| !value.is_null() && !matches!(name.as_str(), "cluster" | "clientToken"));
    }
    significant
}
