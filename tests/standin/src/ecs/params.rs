//! Typed access to a request's body.

use serde_json::Value;

use crate::error::ApiError;

/// A request's body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params<'a>(pub(super) &'a Value);

impl<'a> Params<'a> {
    pub(super) fn text(self, name: &str) -> Result<Option<&'a str>, ApiError> {
        self.typed(name, Value::as_str)
    }

    /// A text that has to be there and may not be empty.
    pub(super) fn required(self, name: &str, message: &str) -> Result<&'a str, ApiError> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| ApiError::parameter(message))
    }

    pub(super) fn number(self, name: &str) -> Result<Option<u64>, ApiError> {
        self.typed(name, Value::as_u64)
    }

    pub(super) fn flag(self, name: &str) -> Result<bool, ApiError> {
        Ok(self.typed(name, Value::as_bool)?.unwrap_or(false))
    }

    /// A list of texts; empty where it is absent.
    pub(super) fn list(self, name: &str) -> Result<Vec<&'a str>, ApiError> {
        let Some(items) = self.typed(name, Value::as_array)? else {
            return Ok(Vec::new());
        };
        items.iter().map(|item| item.as_str().ok_or_else(unreadable)).collect()
    }

    /// A list of objects; empty where it is absent.
    pub(super) fn objects(self, name: &str) -> Result<Vec<Self>, ApiError> {
        let items = self.typed(name, Value::as_array)?.map_or(&[][..], Vec::as_slice);
        items.iter().map(|item| if item.is_object() { Ok(Params(item)) } else { Err(unreadable()) }).collect()
    }

    /// A list that has at least one item and at most `max`.
    pub(super) fn bounded(self, name: &str, max: usize) -> Result<Vec<&'a str>, ApiError> {
        let items = self.list(name)?;
        if items.is_empty() {
            return Err(ApiError::parameter(format!("{name} cannot be empty.")));
        }
        if items.len() > max {
            return Err(ApiError::parameter(format!("{name} cannot have more than {max} items.")));
        }
        Ok(items)
    }

    pub(super) fn includes(self, what: &str) -> Result<bool, ApiError> {
        Ok(self.list("include")?.contains(&what))
    }

    /// What has to stay the same from page to page.
    pub(super) fn without_paging(self) -> String {
        let mut body = self.0.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("nextToken");
            fields.remove("maxResults");
        }
        body.to_string()
    }

    fn typed<T>(self, name: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(unreadable),
        }
    }
}

fn unreadable() -> ApiError {
    ApiError::new(400, "SerializationException", "")
}
