//! `Spot Interruption Rehearsal`, an event of this function's own. Only `source` and `detail-type` are required.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::envelope::{detail, kind_of, parse, required, time};
use crate::{
    error::Error,
    identifier::ParseError,
    rehearsal::request::{MAX_INSTANCES, Request},
};

pub(super) const SOURCE: &str = "spot-interruption-handler";

pub(super) const DETAIL_TYPE: &str = "Spot Interruption Rehearsal";

pub(super) fn read(event: &Value) -> Result<Request, Error> {
    let empty = Value::Object(Map::new());
    let detail = if is_there(event, "detail") { detail(event)? } else { &empty };
    if is_there(event, "time") {
        time(event)?;
    }
    let mut accounts = list(detail, "accounts")?;
    let mut regions = list(detail, "regions")?;
    if accounts.is_empty() {
        accounts.extend(optional(event, "account")?);
    }
    if regions.is_empty() {
        regions.extend(optional(event, "region")?);
    }
    let instances = list(detail, "instance-ids")?;
    if instances.len() > MAX_INSTANCES {
        let (found, expected) = (instances.len(), MAX_INSTANCES);
        return Err(Error::InvalidEvent(format!(
            "detail.instance-ids: found {found} ids, expected at most {expected}"
        )));
    }
    let (clusters, strategy) = (list(detail, "clusters")?, optional(detail, "detail.strategy")?);
    Ok(Request { clusters, instances, strategy, accounts, regions })
}

fn is_there(of: &Value, name: &str) -> bool {
    of.get(name).is_some_and(|value| !value.is_null())
}

fn optional<T: TryFrom<String, Error = ParseError>>(of: &Value, path: &str) -> Result<Option<T>, Error> {
    let is_there = is_there(of, path.strip_prefix("detail.").unwrap_or(path));
    is_there.then(|| required(of, path)).transpose()
}

/// Reads a list of identifiers, which may be missing.
fn list<T: TryFrom<String, Error = ParseError> + Ord>(detail: &Value, name: &str) -> Result<BTreeSet<T>, Error> {
    let invalid = |at: &str, error: &dyn std::fmt::Display| Error::InvalidEvent(format!("detail.{name}{at}: {error}"));
    let values = match detail.get(name) {
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(Value::Array(values)) => values,
        Some(other) => return Err(invalid("", &ParseError { found: kind_of(other), expected: "a list of strings" })),
    };
    let read = |(at, value): (usize, &Value)| parse(value).map_err(|error| invalid(&format!("[{at}]"), &error));
    values.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Strategy;

    fn event(detail: &Value) -> Value {
        json!({ "detail-type": DETAIL_TYPE, "source": SOURCE, "detail": detail })
    }

    #[test]
    fn nothing_but_source_and_type_is_required() {
        let minimal = json!({ "detail-type": DETAIL_TYPE, "source": SOURCE });
        for event in [minimal, event(&json!(null)), event(&json!({})), event(&json!({"clusters": null, "new": 1}))] {
            assert_eq!(read(&event).unwrap(), Request::default(), "{event}");
        }
    }

    #[test]
    fn detail_narrows_the_rehearsal() {
        let mut event = event(&json!({
            "clusters": ["web"], "instance-ids": ["i-1234567890abcdef0"], "strategy": "evacuate",
            "accounts": ["123456789012", "210987654321"],
        }));
        (event["account"], event["region"]) = (json!("111111111111"), json!("eu-west-1"));
        let read = read(&event).unwrap();
        assert_eq!(read.strategy, Some(Strategy::Evacuate));
        assert_eq!((read.clusters.len(), read.instances.len(), read.accounts.len()), (1, 1, 2));
        assert_eq!(read.regions.first().unwrap().as_str(), "eu-west-1");
    }

    #[test]
    fn error_names_the_invalid_field() {
        for (pointer, value, named) in [
            ("/detail", json!("all"), "detail"),
            ("/detail", json!([]), "detail"),
            ("/detail/clusters", json!("web"), "detail.clusters"),
            ("/detail/clusters", json!(["web", "a/b"]), "detail.clusters[1]"),
            ("/detail/clusters", json!([7]), "detail.clusters[0]"),
            ("/detail/instance-ids", json!(["web-1"]), "detail.instance-ids[0]"),
            ("/detail/instance-ids", json!({}), "detail.instance-ids"),
            ("/detail/strategy", json!("explode"), "detail.strategy"),
            ("/detail/strategy", json!([]), "detail.strategy"),
            ("/detail/accounts", json!(["12"]), "detail.accounts[0]"),
            ("/detail/regions", json!(["nowhere"]), "detail.regions[0]"),
            ("/account", json!("12"), "account"),
            ("/region", json!(1), "region"),
            ("/time", json!("yesterday"), "time"),
        ] {
            let mut event = event(&json!({
                "clusters": [], "instance-ids": [], "strategy": "drain", "accounts": [], "regions": [],
            }));
            (event["account"], event["region"], event["time"]) = (json!(null), json!(null), json!(null));
            *event.pointer_mut(pointer).unwrap() = value.clone();
            match read(&event) {
                Err(Error::InvalidEvent(message)) => {
                    assert!(message.starts_with(named), "{pointer} {value}: {message}");
                }
                other => panic!("{pointer} {value}: {other:?}"),
            }
        }
    }

    #[test]
    fn too_many_instances_are_refused() {
        let ids: Vec<_> = (0..=MAX_INSTANCES).map(|n| format!("i-{n:017x}")).collect();
        assert!(read(&event(&json!({ "instance-ids": ids[1..] }))).is_ok());
        let error = read(&event(&json!({ "instance-ids": ids }))).unwrap_err().to_string();
        assert!(error.contains("detail.instance-ids: found 10001"), "{error}");
    }
}
