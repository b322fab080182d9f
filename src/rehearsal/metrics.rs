//! Metrics of a rehearsal, in the embedded metric format: `Rehearsals` and `NotCovered`, and `Findings` by `Kind`.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::{finding::Kind, report::Report};
use crate::{aws::timestamp, log};

const NAMESPACE: &str = "SpotInterruptionHandler";

/// Writes a line for the rehearsal, and one for each kind of finding. A kind that was not found counts 0, so that its
/// alarm ends.
pub(super) fn write(report: &Report) {
    for line in lines(report, SystemTime::now()) {
        log::print(&line.to_string());
    }
}

fn lines(report: &Report, now: SystemTime) -> Vec<Value> {
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let line = |dimensions: Value, metrics: &[(&str, &str)], values: Value| {
        let metrics: Vec<_> = metrics.iter().map(|(name, unit)| json!({ "Name": name, "Unit": unit })).collect();
        let mut line = json!({
            "_aws": {
                "Timestamp": u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
                "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics }],
            },
            "timestamp": timestamp(now),
            // Lambda drops lines below the function's log level, and treats lines without a level as INFO.
            "level": log::level(),
        });
        if let (Some(line), Value::Object(values)) = (line.as_object_mut(), values) {
            line.extend(values);
        }
        line
    };
    let values = json!({ "Rehearsals": 1, "NotCovered": report.not_covered });
    let mut lines = vec![line(json!([]), &[("Rehearsals", "Count"), ("NotCovered", "Count")], values)];
    lines.extend(Kind::ALL.map(|kind| {
        let count: usize = report.findings.iter().filter(|finding| finding.kind == kind).map(|of| of.count).sum();
        line(json!(["Kind"]), &[("Findings", "Count")], json!({ "Findings": count, "Kind": kind.name() }))
    }));
    lines
}
