//! Metrics: lines of JSON on standard output, from which `CloudWatch` extracts them.
//!
//! The format is the "Embedded metric format specification" of the Amazon `CloudWatch` User Guide.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::{
    aws::{milliseconds, timestamp},
    log,
};

const NAMESPACE: &str = "SpotInterruptionHandler";

/// Sets of dimensions, and the metrics with their units that have each of them. The empty set aggregates everything.
pub(crate) type Directive<'a> = (&'a [&'a [&'a str]], &'a [(&'a str, &'a str)]);

/// Writes a line with these members. Those without a value are left out, as are the metrics and the sets of dimensions
/// that name them: of a set with an empty dimension, `CloudWatch` would drop all.
pub(crate) fn write(mut members: Value, directives: &[Directive<'_>]) {
    let Some(line) = members.as_object_mut() else { return };
    line.retain(|_, value| !value.is_null() && value != "");
    let directives: Vec<_> = directives.iter().filter_map(|directive| declare(line, directive)).collect();
    let now = SystemTime::now();
    let since_1970 = milliseconds(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    line.insert("_aws".to_owned(), json!({ "Timestamp": since_1970, "CloudWatchMetrics": directives }));
    line.insert("timestamp".to_owned(), timestamp(now).into());
    // Lambda drops lines below the function's log level, and treats lines without a level as INFO.
    line.insert("level".to_owned(), log::level().into());
    log::print(&members.to_string());
}

/// A directive as far as the line has its members; `None` if it has no metric.
fn declare(line: &Map<String, Value>, (dimensions, metrics): &Directive<'_>) -> Option<Value> {
    let dimensions: Vec<_> = dimensions.iter().filter(|of| of.iter().all(|name| line.contains_key(*name))).collect();
    let metrics = metrics.iter().filter(|(name, _)| line.contains_key(*name));
    let metrics: Vec<_> = metrics.map(|(name, unit)| json!({ "Name": name, "Unit": unit })).collect();
    let is_empty = metrics.is_empty();
    (!is_empty).then(|| json!({ "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics }))
}
