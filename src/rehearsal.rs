//! A rehearsal: what would happen if the notice of every running Spot Instance came now.
//!
//! ```text
//!  request ─► fleet ─► subjects ─► reads ─► findings, time line ─► report ─► JSON, text, metrics
//!             reads    locate,     more     pure                   pure
//!                      plan        reads
//! ```
//!
//! Instances go the way of their notices as far as `plan`, and nothing is changed, whatever the settings. A rehearsal
//! has caches and token buckets of its own, and uses half of each request quota.

pub(crate) mod finding;
mod metrics;
mod notes;
mod place;
mod reads;
pub mod report;
pub mod request;
mod subject;
mod table;
mod tally;
mod timeline;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lambda_runtime::Context;

use self::{
    finding::{Finding, name},
    place::{Limits, Place, Survey},
    report::Report,
    request::{MAX_INSTANCES, Request},
};
use crate::{
    aws::{
        calls::CallCounts,
        deadline::{Now, less_margin},
        milliseconds,
    },
    config::{Config, Mode},
    error::Error,
    function::Function,
    identifier::{AccountId, Region},
    scope::Scopes,
};

/// The time of a rehearsal where the function's end is not known, 2 min.
const UNKNOWN_TIME: Duration = Duration::from_mins(2);

/// The part of the time in which instances are looked up; the rest is for what the findings take.
const LOCATE_SHARE: f64 = 0.6;

/// Rehearses the present fleet, and reports.
///
/// # Errors
///
/// `InvalidEvent` if the request names an account that `ACCOUNTS` leaves out. What can't be read is a part of the report.
pub(crate) async fn rehearse(
    scopes: &Scopes,
    config: &Config,
    context: &Context,
    request: &Request,
) -> Result<Report, Error> {
    let (started, now) = (Instant::now(), Now::read());
    let function = Function::of(context);
    let strategy = request.strategy.unwrap_or(config.strategy);
    // With DRY_RUN, the role has no permission for changes.
    let makes_changes = config.mode == Mode::Change;
    let config = &Config { mode: Mode::DryRun, strategy, ..config.clone() };
    let places = places(scopes, config, &function, request)?;
    let left = now.until(context.deadline()).map_or(UNKNOWN_TIME, less_margin);
    let counts = Arc::<CallCounts>::default();
    let mut surveys: Vec<Survey> = Vec::new();
    for (account, region) in places {
        let known: usize = surveys.iter().map(|survey| survey.subjects.len()).sum();
        let most = MAX_INSTANCES.saturating_sub(known);
        let limits = Limits { locate_until: now.instant + left.mul_f64(LOCATE_SHARE), until: now.instant + left, most };
        let place = Place { scopes, function: &function, config, makes_changes, account, region };
        surveys.push(place.survey(request, &counts, limits).await);
    }
    let report = tally::report(surveys, config, &counts, milliseconds(started.elapsed()));
    metrics::write(&report);
    for Finding { kind, count, examples, what, what_to_do } in &report.findings {
        let (kind, examples) = (name(kind), examples.join(", "));
        tracing::warn!(kind, count, examples, what, whatToDo = what_to_do, "finding");
    }
    tracing::info!(
        instances = report.instances,
        notCovered = report.not_covered,
        findings = report.findings.len(),
        calls = counts.made(),
        durationMs = report.duration_ms,
        "rehearsed"
    );
    Ok(report)
}

/// The accounts and Regions to rehearse in.
fn places(
    scopes: &Scopes,
    config: &Config,
    function: &Function,
    request: &Request,
) -> Result<Vec<(AccountId, Region)>, Error> {
    if let Some(other) = request.accounts.iter().find(|id| !config.accounts.is_empty() && !config.accounts.contains(id))
    {
        return Err(Error::InvalidEvent(format!("detail.accounts: ACCOUNTS does not name {other}")));
    }
    let own = || function.account.clone().or_else(|| AccountId::try_from("0".repeat(12)).ok());
    let accounts: Vec<_> = match (request.accounts.is_empty(), config.accounts.is_empty()) {
        (false, _) => request.accounts.iter().cloned().collect(),
        (true, false) => config.accounts.iter().cloned().collect(),
        (true, true) => own().into_iter().collect(),
    };
    let home = || scopes.home_region().into_iter().collect();
    let regions: Vec<_> = if request.regions.is_empty() { home() } else { request.regions.iter().cloned().collect() };
    if regions.is_empty() {
        return Err(Error::InvalidEvent("region: the function's own is not known, expected one".to_owned()));
    }
    let in_regions = |account: AccountId| regions.iter().map(move |region| (account.clone(), region.clone()));
    Ok(accounts.into_iter().flat_map(in_regions).collect())
}
