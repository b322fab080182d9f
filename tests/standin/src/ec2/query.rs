//! Filters and lists in a query, and pages.

use serde_json::Value;

use crate::error::ApiError;
use crate::page::{self, Page};
pub(super) use crate::query::list;
use crate::state::CallContext;

/// A filter: any of the values.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<&'a str>,
}

impl Filter<'_> {
    /// Whether a value is one of those asked for; `*` and `?` are wildcards.
    pub(super) fn has(&self, value: &str) -> bool {
        self.values.iter().any(|pattern| matches(pattern.as_bytes(), value.as_bytes()))
    }
}

fn matches(pattern: &[u8], value: &[u8]) -> bool {
    match (pattern, value) {
        ([b'*', rest @ ..], _) => (0..=value.len()).any(|skip| matches(rest, &value[skip..])),
        ([b'?', rest @ ..], [_, value @ ..]) => matches(rest, value),
        ([first, rest @ ..], [letter, value @ ..]) => first == letter && matches(rest, value),
        ([], []) => true,
        _ => false,
    }
}

/// `Filter.N.Name` and `Filter.N.Value.M`: at most 50 filters of at most 200 values.
pub(super) fn filters(params: &Value) -> Result<Vec<Filter<'_>>, ApiError> {
    let mut filters = Vec::new();
    for n in 1.. {
        let Some(name) = params[format!("Filter.{n}.Name")].as_str() else {
            break;
        };
        let values = list(params, &format!("Filter.{n}.Value"));
        if values.is_empty() {
            let message = format!("The filter '{name}' has no values");
            return Err(ApiError::new(400, "InvalidParameterValue", message));
        }
        filters.push(Filter { name, values });
    }
    if filters.len() > 50 || filters.iter().any(|filter| filter.values.len() > 200) {
        let message = "The maximum number of filter values specified on a single call is 200";
        return Err(ApiError::new(400, "FilterLimitExceeded", message));
    }
    Ok(filters)
}

pub(super) fn bad_filter(name: &str) -> ApiError {
    ApiError::new(400, "InvalidParameterValue", format!("The filter '{name}' is invalid"))
}

/// Cuts a page of at most `MaxResults`, which is between 5 and 1,000.
pub(super) fn paginate<T: AsRef<str>>(
    context: &CallContext<'_>,
    api: &str,
    params: &Value,
    items: impl IntoIterator<Item = T>,
) -> Result<Page<T>, ApiError> {
    let asked = match params["MaxResults"].as_str() {
        None => usize::MAX,
        Some(text) => text.parse().ok().filter(|max| (5..=1_000).contains(max)).ok_or_else(|| {
            let message = format!("Value ( {text} ) for parameter maxResults is invalid.");
            ApiError::new(400, "InvalidParameterValue", message)
        })?,
    };
    let size = context.settings.page_sizes.get(api).map_or(asked, |size| asked.min(*size));
    let mut query = params.clone();
    if let Some(fields) = query.as_object_mut() {
        fields.remove("MaxResults");
        fields.remove("NextToken");
    }
    let query = format!("{} {} {api} {query}", context.account, context.region);
    page::cut(&query, params["NextToken"].as_str(), size, items)
        .map_err(|_| ApiError::new(400, "InvalidNextToken", "The token is invalid or has expired"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, value, fits) in [
            ("web", "web", true),
            ("web", "web-1", false),
            ("web*", "web-1", true),
            ("*b-?", "web-1", true),
            ("w?b", "wb", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), value.as_bytes()), fits, "{pattern} {value}");
        }
    }
}
