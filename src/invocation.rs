//! One invocation, and the flow of one interruption: scope, locate, plan, act.

use std::{sync::Arc, time::Instant};

use futures_util::future::join_all;
use lambda_runtime::Context;

use crate::{
    aws::{
        calls::{CallCounts, Calls},
        deadline::{Deadline, Now},
        milliseconds,
    },
    config::Config,
    ecs::{
        Ecs,
        act::act,
        container_instance::Status,
        locate::{Located, is_launch, locate},
        plan::{Action, Change, plan},
        registrations::identify_stale,
    },
    eks::handle::handle as handle_node,
    error::Error,
    function::Function,
    interruption::{Interruption, Kind},
    outcome::{ContainerInstanceOutcome, InstanceOutcome},
    scope::{Scope, Scopes},
};

/// What all events of an invocation share.
pub(crate) struct Invocation<'a> {
    pub(crate) scopes: &'a Scopes,
    pub(crate) config: &'a Config,
    function: Function,
    pub(crate) context: &'a Context,
    now: Now,
    pub(crate) counts: Arc<CallCounts>,
}

impl<'a> Invocation<'a> {
    pub(crate) fn new(scopes: &'a Scopes, config: &'a Config, context: &'a Context) -> Self {
        Self { scopes, config, function: Function::of(context), context, now: Now::read(), counts: Arc::default() }
    }

    /// Handles an interruption: scope, locate, plan, act.
    pub(crate) async fn handle(&self, interruption: &Interruption) -> InstanceOutcome {
        let Interruption { account, region, .. } = interruption;
        let scope = self.scopes.get(&self.function, self.config.member_role.as_ref(), account, region).await;
        match scope {
            Ok(scope) => self.handle_in(&scope, interruption).await,
            Err(error) => InstanceOutcome::failed(error),
        }
    }

    async fn handle_in(&self, scope: &Scope, interruption: &Interruption) -> InstanceOutcome {
        let deadline = Deadline::new(self.now, interruption.end(), self.context.deadline());
        // Launches come with reclaims. They can wait.
        let is_notice = matches!(interruption.kind, Kind::Notice(_));
        let deadline = if is_notice { deadline } else { deadline.without_urgency() };
        let calls = &scope.calls(deadline, &self.counts);
        if let Err(error) = scope.assume_role(calls).await {
            return InstanceOutcome::failed(error);
        }
        let Scope { ec2, ecs, eks, auto_scaling, .. } = scope;
        if interruption.kind == Kind::Running {
            match is_launch(ec2, &calls.clone().in_background(), &interruption.instance).await {
                Ok(true) => return InstanceOutcome::default(),
                Ok(false) => {}
                Err(error) => return InstanceOutcome::failed(error),
            }
        }
        let started = Instant::now();
        let (instance, located, error) = locate(ec2, ecs, self.config, calls, interruption).await;
        let (locate_ms, acting) = (milliseconds(started.elapsed()), Instant::now());
        if located.is_empty() && error.is_none() {
            let of = handle_node((ec2, eks, auto_scaling), self.config, calls, self.now, interruption, instance).await;
            return InstanceOutcome { locate_ms: locate_ms + of.locate_ms, ..of };
        }
        let located = match interruption.kind {
            Kind::Running => identify_stale(ecs, calls, located).await,
            _ => located,
        };
        let react = |located| self.react(ecs, calls, located, interruption);
        let is_acted_on = located.iter().any(|of| plan(of, interruption, self.config).is_effective());
        let known = instance.ok().flatten();
        let replace = async {
            match known.as_deref().filter(|_| is_acted_on) {
                Some(instance) => auto_scaling.replace(self.config, calls, interruption, instance).await,
                None => Ok(None),
            }
        };
        let (done, replaced) = tokio::join!(join_all(located.into_iter().map(react)), replace);
        let (container_instances, errors): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
        InstanceOutcome {
            container_instances: container_instances.into_iter().flatten().collect(),
            error: error.or_else(|| errors.into_iter().find_map(Result::err)),
            pool: known.map(|instance| instance.pool.clone()),
            locate_ms,
            act_ms: milliseconds(acting.elapsed()),
            ..InstanceOutcome::default()
        }
        .with_replacement(replaced)
    }

    /// Plans and acts. A container instance that is still registering is drained once it has registered.
    async fn react(
        &self,
        ecs: &Ecs,
        calls: &Calls,
        mut located: Located,
        interruption: &Interruption,
    ) -> Result<ContainerInstanceOutcome, Error> {
        let mut action = plan(&located, interruption, self.config);
        if let Action::Apply(Change::Drain(_)) = action
            && located.container_instance.status == Status::Registering
        {
            located.container_instance = ecs.registered(calls, &located.container_instance).await?;
            action = plan(&located, interruption, self.config);
        }
        act(ecs, calls, self.now, &located.container_instance, action).await
    }
}
