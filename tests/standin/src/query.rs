//! Lists in the parameters of query protocols.

use serde_json::Value;

/// The values of `NAME.1`, `NAME.2` and so on.
pub(crate) fn list<'a>(params: &'a Value, name: &str) -> Vec<&'a str> {
    (1..).map_while(|n| params[format!("{name}.{n}")].as_str()).collect()
}
