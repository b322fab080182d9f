//! Changes container instances. No other module decides to.

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
    ec2::Ec2,
    error::Error,
    outcome::{ContainerInstanceOutcome, EndState, Outcome},
};

/// Carries out the planned action. An evacuation takes as long as its notice.
pub(crate) async fn act(
    (ecs, ec2): (&Ecs, &Ec2),
    calls: &Calls,
    now: Now,
    container_instance: &ContainerInstance,
    action: Action,
) -> Result<ContainerInstanceOutcome, Error> {
    let outcome = ContainerInstanceOutcome {
        cluster_name: container_instance.cluster.clone(),
        container_instance_arn: container_instance.arn.clone(),
        outcome: Outcome::Skipped,
        reason: None,
        running_tasks_count: container_instance.running_tasks,
        tasks_stopped: None,
        tasks_left: None,
        tasks_run_again: None,
        changed: None,
    };
    let unchanged = |kind, reason| ContainerInstanceOutcome { outcome: kind, reason: Some(reason), ..outcome.clone() };
    let already = |state: EndState| unchanged(state.into(), format!("it was {} already", state.word()));
    let change = match action {
        Action::AlreadyDone(state) => return Ok(already(state)),
        Action::DryRun(state) => return Ok(unchanged(Outcome::DryRun, format!("it would be {}", state.word()))),
        Action::Skip(reason) => return Ok(unchanged(Outcome::Skipped, reason.to_string())),
        Action::Apply(change) => change,
    };
    let mut evacuated = None;
    let reached = match change {
        Change::Deregister => deregister(ecs, calls, container_instance).await?,
        Change::Drain(mark) => drain(ecs, calls, container_instance, mark).await?,
        Change::Reactivate => reactivate(ecs, calls, container_instance).await?,
        Change::Evacuate(evacuation) => {
            let done = Box::pin(evacuate((ecs, ec2), calls, now, container_instance, evacuation)).await?;
            let reached = done.reached;
            evacuated = Some(done);
            reached
        }
    };
    if !reached.is_ours {
        return Ok(already(reached.state));
    }
    Ok(ContainerInstanceOutcome {
        outcome: reached.state.into(),
        tasks_stopped: evacuated.as_ref().map(|of| of.tasks_stopped),
        tasks_left: evacuated.as_ref().map(|of| of.tasks_left),
        tasks_run_again: evacuated.and_then(|of| of.tasks_run_again),
        changed: Some(SystemTime::now()),
        ..outcome
    })
}
