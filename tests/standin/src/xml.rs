//! The little XML that query answers need.

/// An element; `content` is XML already.
pub(crate) fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

/// An element that holds text.
pub(crate) fn text(name: &str, content: &str) -> String {
    element(name, &escape(content))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
