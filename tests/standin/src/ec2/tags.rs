//! `DescribeTags`, for instances.

use serde_json::Value;

use super::query::{bad_filter, filters, paginate};
use crate::error::ApiError;
use crate::state::CallContext;
use crate::xml::{element, text};

pub(super) fn call(context: &CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let filters = filters(params)?;
    let mut found = Vec::new();
    for instance in context.resources.instances.values() {
        for (key, value) in &instance.tags {
            let mut fits = true;
            for filter in &filters {
                fits &= match filter.name {
                    "resource-id" => filter.has(&instance.id),
                    "resource-type" => filter.has("instance"),
                    "key" => filter.has(key),
                    "value" => filter.has(value),
                    name => return Err(bad_filter(name)),
                };
            }
            if fits {
                found.push(Tag {
                    id: format!("{} {key}", instance.id),
                    item: text("resourceId", &instance.id)
                        + &text("resourceType", "instance")
                        + &text("key", key)
                        + &text("value", value),
                });
            }
        }
    }
    let page = paginate(context, "DescribeTags", params, found)?;
    let items: String = page.items.iter().map(|tag| element("item", &tag.item)).collect();
    let token = page.next.map(|token| text("nextToken", &token)).unwrap_or_default();
    Ok(element("tagSet", &items) + &token)
}

struct Tag {
    id: String,
    item: String,
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        &self.id
    }
}
