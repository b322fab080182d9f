//! Lifecycle hooks: an instance that its Auto Scaling group terminates waits until it is drained.
//!
//! ```text
//!  event ─► does it wait? ─► locate, plan, act as for a notice ─► what is left? ─► complete
//!              ▲                                                       │
//!              └──────────────── pause, heartbeat ◄────────────────────┘
//! ```
//!
//! Each look starts from what it finds, and nothing is stored: the pause is another invocation's delay where there is a
//! queue. The action is completed with `CONTINUE` as soon as the instance is empty, and never with `ABANDON`, which would
//! end other hooks.

pub(crate) mod clock;

use std::time::Duration;

use futures_util::future::try_join_all;

use self::clock::{Clock, Next};
use crate::{
    auto_scaling::{AutoScaling, Member, hook::Hook},
    aws::calls::Calls,
    config::{Config, EksStrategy, Mode, Strategy},
    ecs::Ecs,
    eks::Eks,
    error::Error,
    identifier::InstanceId,
    interruption::{InstanceAction, Interruption, Kind, LifecycleAction},
    outcome::{EventOutcome, LifecycleActionOutcome, Outcome, Remaining},
};

/// The lifecycle state of an instance that waits in a hook.
const WAITS: &str = "Terminating:Wait";

/// The lifecycle states of an instance that does not wait yet, as far as Auto Scaling shows: it is eventually
/// consistent. The last three are those of a warm pool.
const BEFORE: [&str; 5] = ["InService", "Terminating", "Hibernated", "Running", "Stopped"];

/// What lifecycle states of instances in a warm pool begin with.
const WARM_POOL: &str = "Warmed:";

/// How long after the event such a state is taken for an old one, 1 min.
const INCONSISTENT: Duration = Duration::from_mins(1);

/// The time until the next look at such an instance, and after a look that failed, 5 s.
const SOON: Duration = Duration::from_secs(5);

/// The services that draining an instance takes.
pub(crate) type Services<'a> = (&'a AutoScaling, &'a Ecs, &'a Eks);

/// Whether an instance waits in a hook.
pub(crate) enum Wait {
    In(Hook),
    /// Nothing has to be completed, for this reason.
    Over(String),
    /// Auto Scaling does not show it yet.
    Soon,
}

/// Finds out whether an instance still waits in the hook of an event of this age.
pub(crate) async fn wait(
    auto_scaling: &AutoScaling,
    calls: &Calls,
    instance: &InstanceId,
    action: &LifecycleAction,
    age: Duration,
) -> Result<Wait, Error> {
    let member = auto_scaling.membership(calls, instance).await?;
    let Some(Member { group, state }) = member else {
        return Ok(Wait::Over("the instance is in no Auto Scaling group any more".to_owned()));
    };
    if group != action.group.as_str() {
        return Ok(Wait::Over(format!("the instance is in another Auto Scaling group, {group}")));
    }
    let phase = state.strip_prefix(WARM_POOL).unwrap_or(&state);
    if phase != WAITS {
        let is_old = BEFORE.contains(&phase) && age < INCONSISTENT;
        return Ok(if is_old {
            Wait::Soon
        } else {
            Wait::Over(format!("the instance does not wait for its end: its lifecycle state is {state}"))
        });
    }
    let hook = auto_scaling.hook(calls, action.group.as_str(), action.hook.as_str()).await?;
    Ok(hook.map_or_else(|| Wait::Over("the lifecycle hook does not exist any more".to_owned()), Wait::In))
}

/// The outcome of an action that is not to be completed.
pub(crate) fn over(action: &LifecycleAction, reason: String) -> EventOutcome {
    EventOutcome {
        is_skipped: true,
        lifecycle_action: Some(outcome(action.group.as_str(), action.hook.as_str(), false, Some(reason))),
        ..EventOutcome::default()
    }
}

/// The outcome of an action that Auto Scaling does not show yet.
pub(crate) fn soon(action: &LifecycleAction) -> EventOutcome {
    let reason = "Auto Scaling does not show yet that the instance waits".to_owned();
    EventOutcome { again_after: Some(SOON), ..over(action, reason) }
}

/// Completes an action if the instance is drained, or has it looked at again.
///
/// `drained` is the outcome of draining it, which may have failed.
pub(crate) async fn proceed(
    services: Services<'_>,
    config: &Config,
    calls: &Calls,
    (interruption, action): (&Interruption, &LifecycleAction),
    clock: Clock,
    drained: EventOutcome,
) -> EventOutcome {
    let of = |is_completed, reason: Option<String>| {
        Some(outcome(action.group.as_str(), action.hook.as_str(), is_completed, reason))
    };
    if config.mode == Mode::DryRun {
        return EventOutcome { lifecycle_action: of(false, Some("DRY_RUN is set".to_owned())), ..drained };
    }
    let proceeded = match &drained.error {
        Some(error) => Err(error.clone()),
        None => next(services, config, calls, (interruption, action), clock, &drained).await,
    };
    match proceeded {
        Ok((again_after, is_completed, reason)) => {
            EventOutcome { again_after, lifecycle_action: of(is_completed, reason), ..drained }
        }
        Err(error) => EventOutcome { lifecycle_action: of(false, None), ..drained.with_failed_look(error) },
    }
}

impl EventOutcome {
    /// The outcome with the error of a look. A call that failed for good would fail again: the hook is left to its
    /// timeout.
    pub(crate) fn with_failed_look(self, error: Error) -> Self {
        let may_succeed = error.is_transient() || matches!(error, Error::Unchanged { .. });
        Self { error: Some(error), again_after: may_succeed.then_some(SOON), ..self }
    }
}

/// The time until the next look, whether the action was completed, and why or why not.
type Proceeded = (Option<Duration>, bool, Option<String>);

async fn next(
    (auto_scaling, ecs, eks): Services<'_>,
    config: &Config,
    calls: &Calls,
    (interruption, action): (&Interruption, &LifecycleAction),
    clock: Clock,
    drained: &EventOutcome,
) -> Result<Proceeded, Error> {
    const OVER: &str = "the instance no longer waits in the hook";
    let (group, hook, instance) = (action.group.as_str(), action.hook.as_str(), &interruption.instance);
    let remaining = remaining(ecs, eks, config, calls, drained).await?;
    let evacuates = config.strategy == Strategy::Evacuate && !drained.container_instances.is_empty();
    match clock.next(remaining, evacuates) {
        Next::Complete(reason) => {
            let is_completed = auto_scaling.continue_action(calls, group, hook, instance).await?;
            let reason = if is_completed { reason } else { Some(OVER) };
            Ok((None, is_completed, reason.map(str::to_owned)))
        }
        Next::Wait { pause, is_heartbeat_due } => {
            if is_heartbeat_due && !auto_scaling.record_heartbeat(calls, group, hook, instance).await? {
                return Ok((None, false, Some(OVER.to_owned())));
            }
            Ok((Some(pause), false, Some(remaining.to_string())))
        }
    }
}

/// Counts what is left on an instance that was drained.
async fn remaining(
    ecs: &Ecs,
    eks: &Eks,
    config: &Config,
    calls: &Calls,
    drained: &EventOutcome,
) -> Result<Remaining, Error> {
    let draining = drained.container_instances.iter().filter(|of| of.outcome == Outcome::Draining);
    let tasks = draining.map(|of| ecs.remaining(calls, &of.cluster_name, &of.container_instance_arn));
    let is_drained = config.eks_strategy == EksStrategy::Drain;
    let nodes = drained.nodes.iter().filter(|of| matches!(of.outcome, Outcome::Drained | Outcome::Cordoned));
    let nodes = nodes.filter(|_| is_drained).filter_map(|of| Some((&of.cluster_name, of.node_name.as_deref()?)));
    let pods = nodes.map(|(cluster, node)| eks.remaining(calls, cluster, node));
    let (tasks, pods) = tokio::try_join!(try_join_all(tasks), try_join_all(pods))?;
    Ok(tasks.into_iter().chain(pods).fold(Remaining::default(), std::ops::Add::add))
}

/// Completes the actions of an instance that was handled after a notice, if it waits in hooks and nothing is left on it.
/// While something is left, the hook's own event completes its action.
pub(crate) async fn complete_after_notice(
    services: Services<'_>,
    config: &Config,
    calls: &Calls,
    interruption: &Interruption,
    handled: EventOutcome,
) -> EventOutcome {
    let is_wanted = !config.lifecycle_hooks.is_empty()
        && config.mode == Mode::Change
        && interruption.kind == Kind::Notice(InstanceAction::Terminate)
        && handled.error.is_none();
    if !is_wanted {
        return handled;
    }
    match complete_all(services, config, calls, &interruption.instance, &handled).await {
        Ok(lifecycle_action) => EventOutcome { lifecycle_action, ..handled },
        Err(error) => EventOutcome { error: Some(error), ..handled },
    }
}

/// Completes the actions in all hooks that the settings name. Returns the first one that was waited for.
async fn complete_all(
    (auto_scaling, ecs, eks): Services<'_>,
    config: &Config,
    calls: &Calls,
    instance: &InstanceId,
    handled: &EventOutcome,
) -> Result<Option<LifecycleActionOutcome>, Error> {
    let member = auto_scaling.membership(calls, instance).await?;
    let Some(Member { group, .. }) = member.filter(|member| member.state == WAITS) else { return Ok(None) };
    if remaining(ecs, eks, config, calls, handled).await? != Remaining::default() {
        return Ok(None);
    }
    let hooks = auto_scaling.hooks(calls, &group).await?;
    let mut first = None;
    // One after the other, since a hook may begin when the one before it ends.
    for hook in hooks.iter().filter(|hook| hook.is_terminating && config.lifecycle_hooks.contains(&hook.name)) {
        let is_completed = auto_scaling.continue_action(calls, &group, &hook.name, instance).await?;
        if is_completed && first.is_none() {
            first = Some(outcome(&group, &hook.name, true, None));
        }
    }
    Ok(first)
}

fn outcome(group: &str, hook: &str, is_completed: bool, reason: Option<String>) -> LifecycleActionOutcome {
    LifecycleActionOutcome { auto_scaling_group: group.to_owned(), hook: hook.to_owned(), is_completed, reason }
}
