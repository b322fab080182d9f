//! Changes container instances: the only place that does.

use std::time::SystemTime;

use super::{
    Ecs,
    change::{deregister, drain, reactivate},
    container_instance::ContainerInstance,
    evacuate::evacuate,
    plan::{Action, Change},
};
use crate::{
    aws::{calls::Calls, deadline::Now},
    error::Error,
    outcome::{ContainerInstanceOutcome, EndState, Outcome},
};

/// Carries out what was planned for a container instance. An evacuation takes as long as its notice.
pub(crate) async fn act(
    ecs: &Ecs,
    calls: &Calls,
    now: Now,
    found: &ContainerInstance,
    action: Action,
) -> Result<ContainerInstanceOutcome, Error> {
    let outcome = ContainerInstanceOutcome {
        cluster_name: found.cluster.clone(),
        container_instance_arn: found.arn.clone(),
        outcome: Outcome::Skipped,
        reason: None,
        running_tasks_count: found.running_tasks,
        tasks_stopped: None,
        tasks_left: None,
        changed: None,
    };
    let because =
        |outcome_is, reason| ContainerInstanceOutcome { outcome: outcome_is, reason: Some(reason), ..outcome.clone() };
    let already = |state: EndState| because(state.into(), format!("it was {} already", state.word()));
    let change = match action {
        Action::Keep(state) => return Ok(already(state)),
        Action::Announce(state) => return Ok(because(Outcome::DryRun, format!("it would end {}", state.word()))),
        Action::Leave(reason) => return Ok(because(Outcome::Skipped, reason.to_string())),
        Action::Make(change) => change,
    };
    let mut evacuated = None;
    let ended = match change {
        Change::Deregister => deregister(ecs, calls, found).await?,
        Change::Drain(mark) => drain(ecs, calls, found, mark).await?,
        Change::Reactivate => reactivate(ecs, calls, found).await?,
        Change::Evacuate(evacuation) => {
            let (ended, stopped, left) = Box::pin(evacuate(ecs, calls, now, found, evacuation)).await?;
            evacuated = Some((stopped, left));
            ended
        }
    };
    if !ended.is_ours {
        return Ok(already(ended.state));
    }
    Ok(ContainerInstanceOutcome {
        outcome: ended.state.into(),
        tasks_stopped: evacuated.map(|(stopped, _)| stopped),
        tasks_left: evacuated.map(|(_, left)| left),
        changed: Some(SystemTime::now()),
        ..outcome
    })
}
