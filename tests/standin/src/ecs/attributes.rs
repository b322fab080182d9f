//! `PutAttributes` and `DeleteAttributes`.

use serde_json::{Value, json};

use super::cluster_of;
use super::container_instances::locate;
use super::params::Params;
use crate::error::ApiError;
use crate::state::CallContext;

/// How many attributes one call takes, and how many a container instance can have.
const MAX: usize = 10;

pub(super) fn put(context: &mut CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    for (arn, name, value) in read(context, params)? {
        let Some(record) = context.resources.record_mut(&arn) else { continue };
        let attributes = &mut record.model.attributes;
        if attributes.len() >= MAX && !attributes.contains_key(name) {
            let message = "Attribute limit exceeded for the target.";
            return Err(ApiError::new(400, "AttributeLimitExceededException", message));
        }
        attributes.insert(name.to_owned(), value.unwrap_or_default().to_owned());
    }
    Ok(json!({"attributes": params.0["attributes"]}))
}

pub(super) fn delete(context: &mut CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    for (arn, name, value) in read(context, params)? {
        if value.is_some() {
            return Err(ApiError::parameter("A custom attribute is deleted by its name alone."));
        }
        if let Some(record) = context.resources.record_mut(&arn) {
            record.model.attributes.remove(name);
        }
    }
    Ok(json!({"attributes": params.0["attributes"]}))
}

/// The container instance, the name and the value of each attribute.
type Asked<'a> = Vec<(String, &'a str, Option<&'a str>)>;

fn read<'a>(context: &CallContext<'_>, params: Params<'a>) -> Result<Asked<'a>, ApiError> {
    let cluster = cluster_of(context, params)?;
    let attributes = params.objects("attributes")?;
    if attributes.is_empty() || attributes.len() > MAX {
        return Err(ApiError::parameter("attributes should have between 1 and 10 items."));
    }
    attributes.into_iter().map(|attribute| read_one(context, &cluster, attribute)).collect()
}

fn read_one<'a>(
    context: &CallContext<'_>,
    cluster: &str,
    attribute: Params<'a>,
) -> Result<(String, &'a str, Option<&'a str>), ApiError> {
    let name = attribute.required("name", "Attribute name can not be blank.")?;
    if name.len() > 128 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./\\".contains(c)) {
        return Err(ApiError::parameter("Invalid attribute name."));
    }
    let value = attribute.text("value")?;
    if value.is_some_and(|value| !is_value(value)) {
        return Err(ApiError::parameter("Invalid attribute value."));
    }
    let target = attribute.required("targetId", "Target id can not be blank.")?;
    let is_typed = attribute.text("targetType")?.map(|kind| kind == "container-instance");
    if !is_typed.unwrap_or_else(|| target.starts_with("arn:")) {
        return Err(ApiError::parameter("Invalid target type."));
    }
    let missing = || ApiError::new(400, "TargetNotFoundException", "The referenced target was not found.");
    let arn = locate(context, cluster, target).ok_or_else(missing)?;
    if context.resources.records[cluster][&arn].model.status == "INACTIVE" {
        return Err(missing());
    }
    Ok((arn, name, value))
}

fn is_value(value: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.@/\\: ".contains(c);
    (1..=128).contains(&value.len()) && value.trim() == value && value.chars().all(fits)
}
