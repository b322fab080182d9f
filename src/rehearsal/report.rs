//! The report of a rehearsal: the function's answer. Its field names are stable.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{finding::Finding, timeline::Timeline};
use crate::{
    config::{RehearsalReads, Strategy},
    identifier::{AccountId, Region},
};

/// The report of a rehearsal. Fields without a value are left out.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub(crate) event: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) strategy: Strategy,
    pub(crate) reads: RehearsalReads,
    pub(crate) places: Vec<Place>,
    /// The number of instances.
    pub(crate) instances: usize,
    /// The number of instances that would not be handled by anybody, or were not looked up.
    pub(crate) not_covered: usize,
    /// The number of instances that there was no time for.
    pub(crate) not_reached: usize,
    /// The numbers of instances, by what would become of them.
    pub(crate) outcomes: BTreeMap<String, usize>,
    /// The numbers of instances that would be left alone, by the reason.
    pub(crate) skipped_by: BTreeMap<String, usize>,
    /// The numbers of instances, by the way in which their cluster was found.
    pub(crate) ways: BTreeMap<String, usize>,
    /// The requests that looking the instances up took.
    pub(crate) calls_to_locate: u32,
    /// All requests, by operation.
    pub(crate) calls: BTreeMap<String, u32>,
    pub(crate) findings: Vec<Finding>,
    /// What could not be tried.
    pub(crate) not_checked: Vec<String>,
    /// What was not read, and why.
    pub(crate) incomplete: Vec<String>,
    /// The time line of the largest capacity pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeline: Option<Timeline>,
    pub(crate) duration_ms: u64,
    /// All of this as a table for people.
    pub(crate) text: String,
}

/// An account and Region.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    pub(crate) instances: usize,
    /// Why nothing could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}
