//! Metrics: lines of JSON on standard output, from which `CloudWatch` extracts them.
//!
//! The format is the "Embedded metric format specification" of the Amazon `CloudWatch` User Guide.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::{
    aws::{milliseconds, timestamp},
    log,
};

const NAMESPACE: &str = "SpotInterruptionHandler";

/// Sets of dimensions, and the metrics with their units that have each of them. The empty set aggregates everything.
pub(crate) type Directive<'a> = (&'a [&'a [&'a str]], &'a [(&'a str, &'a str)]);

/// Writes a line with these members. Those that are null are left out, as are the metrics and the sets of dimensions that
/// name them.
pub(crate) fn write(mut members: Value, directives: &[Directive<'_>]) {
    let now = SystemTime::now();
    let Some(line) = members.as_object_mut() else { return };
    line.retain(|_, value| !value.is_null());
    let declare = |(dimensions, metrics): &Directive<'_>| {
        let dimensions: Vec<_> =
            dimensions.iter().filter(|of| of.iter().all(|name| line.contains_key(*name))).collect();
        let metrics = metrics.iter().filter(|(name, _)| line.contains_key(*name));
        let metrics: Vec<_> = metrics.map(|(name, unit)| json!({ "Name": name, "Unit": unit })).collect();
        let directive = json!({ "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics });
        (!metrics.is_empty()).then_some(directive)
    };
    let directives: Vec<_> = directives.iter().filter_map(declare).collect();
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    line.insert("_aws".to_owned(), json!({ "Timestamp": milliseconds(since_1970), "CloudWatchMetrics": directives }));
    line.insert("timestamp".to_owned(), timestamp(now).into());
    // Lambda drops lines below the function's log level, and treats lines without a level as INFO.
    line.insert("level".to_owned(), log::level().into());
    log::print(&members.to_string());
}
