//! Patches: JSON merge patches, and strategic ones as far as nodes need them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::answer::Answer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Merge,
    Strategic,
}

impl Style {
    pub(super) fn of(content_type: &str) -> Option<Self> {
        match content_type {
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            _ => None,
        }
    }
}

/// Applies a patch to an object. `null` removes a field.
pub(super) fn apply(object: &mut Value, patch: &Value, style: Style) -> Result<(), Answer> {
    if !patch.is_object() {
        return Err(Answer::bad_request("error decoding patch: the body is not a JSON object"));
    }
    merge(object, patch, style);
    Ok(())
}

fn merge(target: &mut Value, patch: &Value, style: Style) {
    let Value::Object(fields) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (key, value) in fields {
        match (style, key.as_str(), value) {
            (_, _, Value::Null) => {
                target.as_object_mut().map(|target| target.remove(key));
            }
            (Style::Strategic, "taints", Value::Array(items)) => merge_list(&mut target[key], items, "key"),
            (Style::Strategic, "conditions", Value::Array(items)) => merge_list(&mut target[key], items, "type"),
            _ => merge(&mut target[key], value, style),
        }
    }
}

/// Merges the items of a list by the key that tells them apart.
fn merge_list(target: &mut Value, items: &[Value], key: &str) {
    let mut list = target.as_array().cloned().unwrap_or_default();
    for item in items {
        let at = list.iter().position(|other| other[key] == item[key]);
        match (at, item["$patch"].as_str()) {
            (Some(at), Some("delete")) => drop(list.remove(at)),
            (None, Some("delete")) => {}
            (Some(at), _) => merge(&mut list[at], item, Style::Strategic),
            (None, _) => list.push(item.clone()),
        }
    }
    *target = list.into();
}

/// A map of texts, as labels and annotations are.
pub(super) fn texts(value: &Value, what: &str) -> Result<BTreeMap<String, String>, Answer> {
    let bad = || {
        let message = format!("cannot unmarshal into Go struct field ObjectMeta.metadata.{what} of type string");
        Answer::bad_request(message)
    };
    match value {
        Value::Null => Ok(BTreeMap::new()),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| Ok((key.clone(), value.as_str().ok_or_else(bad)?.to_owned()))).collect()
        }
        _ => Err(bad()),
    }
}
