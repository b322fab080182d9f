//! `ListContainerInstances` and `DescribeContainerInstances`.

use serde_json::{Value, json};

use super::cluster_query::ClusterQuery;
use super::params::Params;
use super::{cluster_of, failure, paginate, tags, with_token};
use crate::arn;
use crate::error::ApiError;
use crate::model::{Record, Task};
use crate::resources::PlacedTask;
use crate::state::CallContext;

const STATUSES: [&str; 5] = ["ACTIVE", "DRAINING", "REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED"];

pub(super) fn list(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let status = params.text("status")?;
    if status.is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(ApiError::parameter("Invalid status."));
    }
    let filter = match params.text("filter")? {
        Some(text) => Some(ClusterQuery::parse(text).map_err(ApiError::parameter)?),
        None => None,
    };
    let longest = filter.as_ref().map_or(0, ClusterQuery::longest_list);
    if context.settings.max_filter_values.is_some_and(|max| longest > max) {
        return Err(ApiError::parameter("Invalid filter: the list of values is too long."));
    }
    let records = context.resources.records.get(&cluster);
    let shown = records.into_iter().flatten().filter(|(_, record)| match (status, record.shown_status(context.now)) {
        (None, shown) => shown != "INACTIVE",
        (Some(status), shown) => shown == status,
    });
    let fits = |record: &Record| filter.as_ref().is_none_or(|filter| filter.fits(record));
    let page = if context.settings.sparse_pages {
        let page = paginate(context, API, params, 100, shown.map(|(arn, record)| Entry(arn, record)))?;
        let items = page.items.into_iter().filter(|entry| fits(entry.1)).collect();
        crate::page::Page { items, ..page }
    } else {
        let entries = shown.filter(|(_, record)| fits(record));
        paginate(context, API, params, 100, entries.map(|(arn, record)| Entry(arn, record)))?
    };
    let arns: Vec<&str> = page.items.into_iter().map(|entry| entry.0).collect();
    Ok(with_token(json!({"containerInstanceArns": arns}), page.next))
}

const API: &str = "ListContainerInstances";

struct Entry<'a>(&'a str, &'a Record);

impl AsRef<str> for Entry<'_> {
    fn as_ref(&self) -> &str {
        self.0
    }
}

pub(super) fn describe(context: &CallContext<'_>, params: Params<'_>) -> Result<Value, ApiError> {
    let cluster = cluster_of(context, params)?;
    let asked = params.bounded("containerInstances", 100)?;
    let with_tags = params.includes("TAGS")?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for id_or_arn in asked {
        let record = locate(context, &cluster, id_or_arn).map(|arn| &context.resources.records[&cluster][&arn]);
        match (context.injected(id_or_arn), record) {
            (None, Some(record)) => {
                let mut shown = show(context, record, record.shown_status(context.now), with_tags);
                let is_new = |run: &PlacedTask| run.started + context.settings.counts_lag > context.now;
                let unseen = |is: fn(&Task) -> bool| record.tasks().filter(|run| is(&run.task) && is_new(run)).count();
                shown["runningTasksCount"] = json!(record.running_tasks() - unseen(Task::is_running));
                shown["pendingTasksCount"] = json!(record.pending_tasks() - unseen(Task::is_pending));
                found.push(shown);
            }
            (reason, _) => {
                failures.push(failure(&full_arn(context, &cluster, id_or_arn), reason.as_deref().unwrap_or("MISSING")));
            }
        }
    }
    Ok(json!({"containerInstances": found, "failures": failures}))
}

/// The ARN of a cluster's container instance, from its id or ARN.
pub(super) fn locate(context: &CallContext<'_>, cluster: &str, id_or_arn: &str) -> Option<String> {
    let records = context.resources.records.get(cluster)?;
    if id_or_arn.starts_with("arn:") {
        return records.contains_key(id_or_arn).then(|| id_or_arn.to_owned());
    }
    records.keys().find(|arn| arn::last(arn) == id_or_arn).cloned()
}

pub(super) fn full_arn(context: &CallContext<'_>, cluster: &str, id_or_arn: &str) -> String {
    if id_or_arn.starts_with("arn:") {
        id_or_arn.to_owned()
    } else {
        context.arn("ecs", &format!("container-instance/{cluster}/{id_or_arn}"))
    }
}

pub(super) fn show(context: &CallContext<'_>, record: &Record, status: &str, with_tags: bool) -> Value {
    let instance = &record.model;
    let mut attributes = vec![json!({"name": "ecs.availability-zone", "value": format!("{}a", context.region)})];
    attributes.extend(instance.attributes.iter().map(|(name, value)| json!({"name": name, "value": value})));
    let mut shown = json!({
        "containerInstanceArn": instance.arn,
        "ec2InstanceId": instance.ec2_instance_id,
        "version": record.version,
        "versionInfo": {"agentVersion": "1.89.0", "dockerVersion": "DockerVersion: 25.0.8"},
        "remainingResources": [],
        "registeredResources": [],
        "status": status,
        "agentConnected": instance.agent_connected && status != "INACTIVE",
        "runningTasksCount": record.running_tasks(),
        "pendingTasksCount": record.pending_tasks(),
        "attributes": attributes,
        "registeredAt": 1_767_225_600,
        "attachments": [],
        "tags": [],
    });
    if let Some(provider) = &instance.capacity_provider {
        shown["capacityProviderName"] = json!(provider);
    }
    if with_tags {
        shown["tags"] = tags(&instance.tags);
    }
    shown
}
