//! Metrics of a rehearsal: `Rehearsals` and `NotCovered`, and `Findings` by `Kind`.

use serde_json::json;

use super::{
    finding::{Kind, name},
    report::Report,
};
use crate::emf;

/// Writes a line for the rehearsal, and one for each kind of finding. A kind that was not found counts 0, so that its
/// alarm ends.
pub(super) fn write(report: &Report) {
    emf::write(
        json!({ "Rehearsals": 1, "NotCovered": report.not_covered }),
        &[(&[&[]], &[("Rehearsals", "Count"), ("NotCovered", "Count")])],
    );
    for kind in Kind::ALL {
        let count: usize = report.findings.iter().filter(|finding| finding.kind == kind).map(|of| of.count).sum();
        emf::write(json!({ "Findings": count, "Kind": name(&kind) }), &[(&[&["Kind"]], &[("Findings", "Count")])]);
    }
}
