//! Lists: selectors and pages.

use serde_json::{Value, json};

use super::Context;
use super::answer::Answer;
use super::request::Request;
use crate::page;

/// Terms of a selector: key, whether it has to be equal, and value.
pub(super) struct Selector(Vec<(String, bool, String)>);

impl Selector {
    /// Reads a field selector. Only these fields are supported.
    pub(super) fn fields(text: &str, supported: &[&str]) -> Result<Self, Answer> {
        let selector = Self::parse(text);
        match selector.0.iter().find(|(key, ..)| !supported.contains(&key.as_str())) {
            None => Ok(selector),
            Some((key, ..)) => Err(Answer::bad_request(format!("field label not supported: {key}"))),
        }
    }

    /// Reads a label selector of equalities.
    pub(super) fn parse(text: &str) -> Self {
        let term = |term: &str| {
            let (key, value) = term.split_once('=')?;
            let (key, equal) = key.strip_suffix('!').map_or((key, true), |key| (key, false));
            Some((key.trim().to_owned(), equal, value.trim_start_matches('=').trim().to_owned()))
        };
        Self(text.split(',').filter_map(term).collect())
    }

    pub(super) fn fits(&self, field: impl Fn(&str) -> String) -> bool {
        self.0.iter().all(|(key, equal, value)| (field(key) == *value) == *equal)
    }

    /// The value that a field has to have.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, equal, _)| other == key && *equal).map(|(.., value)| value.as_str())
    }
}

/// Cuts the page that is asked for out of sorted keys, and answers with the objects that they stand for.
pub(super) fn answer<'a>(
    context: &Context<'_>,
    request: &Request,
    kind: &str,
    items: impl Iterator<Item = (&'a str, Value)>,
) -> Result<Answer, Answer> {
    let limit = match request.param("limit") {
        "" => 0,
        text => text.parse::<usize>().map_err(|_| Answer::bad_request(format!("invalid limit \"{text}\"")))?,
    };
    let limit = if limit == 0 { usize::MAX } else { limit };
    let size = context.page_sizes.get(request.api).map_or(limit, |size| limit.min(*size));
    let token = request.query.get("continue").map(String::as_str).filter(|token| !token.is_empty());
    let query = |epoch: u64| {
        let selectors = (request.param("fieldSelector"), request.param("labelSelector"));
        format!("{} {} {} {selectors:?} {epoch}", context.cluster, request.api, request.namespace)
    };
    let entries = items.map(|(key, object)| Entry { key, object });
    let page = page::cut(&query(context.list_epoch), token, size, entries).map_err(|page::BadToken| {
        let mut stale = (0..context.list_epoch).filter_map(|epoch| page::open(&query(epoch), token?).ok());
        match stale.next() {
            None => Answer::bad_request("continue key is not valid: invalid character"),
            Some(last) => expired(&page::seal(&query(context.list_epoch), &last)),
        }
    })?;
    let mut metadata = json!({"resourceVersion": context.world.version().to_string()});
    if let Some(next) = page.next {
        metadata["continue"] = next.into();
    }
    let items: Vec<Value> = page.items.into_iter().map(|entry| entry.object).collect();
    Ok(Answer::ok(json!({"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items})))
}

/// The answer to a token that is too old, with one for the rest of the list.
fn expired(next: &str) -> Answer {
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new \
                   list without the continue parameter, or use the continue token in this response to retrieve the \
                   remainder of the results. Continuing with the provided token results in an inconsistent list - \
                   objects that were created, modified, or deleted between the time the first chunk was returned and \
                   now may show up in the list.";
    let mut answer = Answer::failure(410, "Expired", message, Value::Null);
    if let super::answer::Content::Json(status) = &mut answer.content {
        status["metadata"]["continue"] = next.into();
    }
    answer
}

struct Entry<'a> {
    key: &'a str,
    object: Value,
}

impl AsRef<str> for Entry<'_> {
    fn as_ref(&self) -> &str {
        self.key
    }
}
