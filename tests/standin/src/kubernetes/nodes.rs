//! Nodes.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::list::{self, Selector};
use super::patch::{self, Style};
use super::request::Request;
use super::world::PlacedNode;
use super::{Context, is_dry_run};
use crate::model::Node;

const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

pub(super) fn get(context: &Context<'_>, request: &Request) -> Result<Answer, Answer> {
    let node = context.world.nodes.get(&request.name);
    node.map(|node| Answer::ok(show(context, node))).ok_or_else(|| Answer::not_found("nodes", &request.name))
}

pub(super) fn list(context: &Context<'_>, request: &Request) -> Result<Answer, Answer> {
    let fields = Selector::fields(request.param("fieldSelector"), &["metadata.name", "spec.unschedulable"])?;
    let labels = Selector::parse(request.param("labelSelector"));
    let fits = |node: &PlacedNode| {
        let field = |key: &str| match key {
            "metadata.name" => node.model.name.clone(),
            _ => node.model.unschedulable.to_string(),
        };
        fields.fits(field) && labels.fits(|key| node.model.labels.get(key).cloned().unwrap_or_default())
    };
    let nodes = context.world.nodes.iter().filter(|(_, node)| fits(node));
    list::answer(context, request, "NodeList", nodes.map(|(name, node)| (name.as_str(), show(context, node))))
}

pub(super) fn patch(context: &mut Context<'_>, request: &Request) -> Result<Answer, Answer> {
    let style = Style::of(&request.content_type).ok_or_else(|| {
        let message = "the body of the request was in an unknown format - accepted media types include: \
                       application/json-patch+json, application/merge-patch+json, \
                       application/strategic-merge-patch+json, application/apply-patch+yaml";
        Answer::failure(415, "UnsupportedMediaType", message, json!({}))
    })?;
    let is_dry_run = is_dry_run(request, &Value::Null)?;
    let Some(node) = context.world.nodes.get(&request.name) else {
        return Err(Answer::not_found("nodes", &request.name));
    };
    let before = show(context, node);
    let mut after = before.clone();
    patch::apply(&mut after, &request.body, style)?;
    if after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"] {
        let message = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Answer::conflict("nodes", &request.name, message));
    }
    let mut changed = node.clone();
    read(&mut changed.model, &after)?;
    if changed.model.unschedulable != node.model.unschedulable {
        // As the node controller does.
        changed.model.taints.retain(|taint| taint["key"] != UNSCHEDULABLE);
        if changed.model.unschedulable {
            changed.model.taints.push(json!({"key": UNSCHEDULABLE, "effect": "NoSchedule"}));
        }
    }
    if !is_dry_run && show(context, &changed) != before {
        changed.version = context.world.next_version();
        context.world.nodes.insert(request.name.clone(), changed.clone());
        context.history.note(context.now, &request.name, "patched");
    }
    Ok(Answer::ok(show(context, &changed)))
}

/// Takes over what a patch may change.
fn read(node: &mut Node, object: &Value) -> Result<(), Answer> {
    let invalid = |message: &str| Answer::invalid("Node", object["metadata"]["name"].as_str().unwrap_or(""), message);
    if object["metadata"]["name"] != node.name.as_str() {
        return Err(Answer::bad_request("the name of the object does not match the name on the URL"));
    }
    node.labels = patch::texts(&object["metadata"]["labels"], "labels")?;
    node.annotations = patch::texts(&object["metadata"]["annotations"], "annotations")?;
    if let Some((key, value)) = node.labels.iter().find(|(_, value)| !is_label_value(value)) {
        return Err(invalid(&format!("metadata.labels: Invalid value: \"{value}\" of {key}")));
    }
    node.unschedulable = match &object["spec"]["unschedulable"] {
        Value::Null => false,
        Value::Bool(unschedulable) => *unschedulable,
        _ => return Err(Answer::bad_request("cannot unmarshal into Go struct field NodeSpec.spec.unschedulable")),
    };
    node.taints = object["spec"]["taints"].as_array().cloned().unwrap_or_default();
    Ok(())
}

fn is_label_value(text: &str) -> bool {
    let is_end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && is_end(text.chars().next())
        && is_end(text.chars().last())
}

fn show(context: &Context<'_>, node: &PlacedNode) -> Value {
    let model = &node.model;
    let default = || format!("aws:///{}a/{}", context.region, model.instance_id);
    let mut metadata = json!({
        "name": model.name,
        "uid": node.uid,
        "resourceVersion": node.version.to_string(),
        "creationTimestamp": context.date(node.created),
    });
    for (key, values) in [("labels", &model.labels), ("annotations", &model.annotations)] {
        if !values.is_empty() {
            metadata[key] = json!(values);
        }
    }
    let mut spec =
        Map::from_iter([("providerID".to_owned(), model.provider_id.clone().unwrap_or_else(default).into())]);
    if !model.taints.is_empty() {
        spec.insert("taints".to_owned(), model.taints.clone().into());
    }
    if model.unschedulable {
        spec.insert("unschedulable".to_owned(), true.into());
    }
    let ready = if node.is_alive { "True" } else { "Unknown" };
    json!({
        "kind": "Node", "apiVersion": "v1", "metadata": metadata, "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    })
}
