//! The flow of an interrupted task.

use super::Ecs;
use crate::{
    aws::calls::Calls,
    config::{Config, Verdict},
    error::Error,
    interrupted_task::InterruptedTask,
    outcome::{EventOutcome, Outcome, TaskOutcome},
};

/// Handles an interrupted task.
pub(crate) async fn handle(
    _ecs: &Ecs,
    config: &Config,
    _calls: &Calls,
    task: &InterruptedTask,
) -> Result<EventOutcome, Error> {
    let reason = match config.clusters.verdict(&task.detail.cluster) {
        Verdict::Included => "",
        Verdict::NotIncluded => "CLUSTERS does not name its cluster",
        Verdict::Excluded => "EXCLUDE_CLUSTERS names its cluster",
    };
    let outcome = TaskOutcome::unchanged(Outcome::Skipped, reason);
    Ok(EventOutcome { task: Some(outcome), ..EventOutcome::default() })
}
