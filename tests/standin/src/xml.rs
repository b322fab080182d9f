//! The little XML that query answers need.

use crate::request::REQUEST_ID;

/// An element; `content` is XML already.
pub(crate) fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

/// An answer of a query protocol.
pub(crate) fn response(api: &str, namespace: &str, result: &str) -> String {
    let result = element(&format!("{api}Result"), result);
    let metadata = element("ResponseMetadata", &element("RequestId", REQUEST_ID));
    format!("<{api}Response xmlns=\"{namespace}\">{result}{metadata}</{api}Response>")
}

/// An element that holds text.
pub(crate) fn text(name: &str, content: &str) -> String {
    element(name, &escape(content))
}

/// Text as XML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
