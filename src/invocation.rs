//! One invocation, and the straight line of one interruption through it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use lambda_runtime::Context;

use crate::{
    aws::{
        calls::Counts,
        deadline::{Deadline, Now},
    },
    config::Config,
    ecs::{
        act::act,
        locate::{is_launch, locate},
        plan::plan,
    },
    function::Function,
    interruption::{Interruption, Kind, NOTICE},
    outcome::InstanceOutcome,
    scope::{Scope, Scopes},
};

/// What all events of an invocation have in common.
pub(crate) struct Invocation<'a> {
    pub(crate) scopes: &'a Scopes,
    pub(crate) config: &'a Config,
    function: Function,
    pub(crate) context: &'a Context,
    now: Now,
    pub(crate) counts: Arc<Counts>,
}

impl<'a> Invocation<'a> {
    pub(crate) fn new(scopes: &'a Scopes, config: &'a Config, context: &'a Context) -> Self {
        Self { scopes, config, function: Function::of(context), context, now: Now::read(), counts: Arc::default() }
    }

    /// The way through: scope, locate, plan, act.
    pub(crate) async fn handle(&self, interruption: &Interruption) -> InstanceOutcome {
        let Interruption { account, region, .. } = interruption;
        let scope = self.scopes.get(&self.function, self.config.member_role.as_ref(), account, region).await;
        match scope {
            Ok(scope) => self.handle_in(&scope, interruption).await,
            Err(error) => InstanceOutcome::failed(error),
        }
    }

    async fn handle_in(&self, scope: &Scope, interruption: &Interruption) -> InstanceOutcome {
        let deadline = Deadline::new(self.now, interruption.time + NOTICE, self.context.deadline());
        // Launches come with reclaims, and can wait.
        let is_notice = matches!(interruption.kind, Kind::Notice(_));
        let deadline = if is_notice { deadline } else { deadline.without_urgency() };
        let calls = &scope.calls(deadline, &self.counts);
        if let Err(error) = scope.assume_role(calls).await {
            return InstanceOutcome::failed(error);
        }
        let Scope { ec2, ecs, .. } = scope;
        if interruption.kind == Kind::Running && is_launch(ec2, calls, &interruption.instance).await {
            return InstanceOutcome::default();
        }
        let started = Instant::now();
        let (instance, located) = locate(ec2, ecs, self.config, calls, &interruption.instance).await;
        let (located, error) = located.map_or_else(|error| (Vec::new(), Some(error)), |located| (located, None));
        let (locate_ms, acting) = (ms(started.elapsed()), Instant::now());
        let done = join_all(located.iter().map(|located| {
            let action = plan(located, interruption, self.config);
            act(ecs, calls, self.now, &located.container_instance, action)
        }));
        let (container_instances, errors): (Vec<_>, Vec<_>) = done.await.into_iter().partition(Result::is_ok);
        let elsewhere = instance.as_ref().and_then(|instance| instance.elsewhere()).filter(|_| located.is_empty());
        InstanceOutcome {
            container_instances: container_instances.into_iter().flatten().collect(),
            reason: elsewhere.map(|elsewhere| elsewhere.to_string()),
            error: error.or_else(|| errors.into_iter().find_map(Result::err)),
            pool: instance.map(|instance| instance.pool.clone()),
            locate_ms,
            act_ms: ms(acting.elapsed()),
        }
    }
}

fn ms(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
