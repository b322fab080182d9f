//! One invocation, and the flow of one interruption: scope, locate, plan, act.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use lambda_runtime::Context;

use crate::{
    aws::{
        calls::{CallCounts, Calls},
        deadline::{Deadline, Now},
    },
    config::Config,
    ec2::instance::Instance,
    ecs::{
        Ecs,
        act::act,
        container_instance::Status,
        locate::{Located, is_launch, locate},
        plan::{Action, Change, plan},
        registrations::identify_stale,
    },
    eks::{self, Eks},
    error::Error,
    function::Function,
    interruption::{Interruption, Kind, NOTICE},
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
        let deadline = Deadline::new(self.now, interruption.time + NOTICE, self.context.deadline());
        // Launches come with reclaims. They can wait.
        let is_notice = matches!(interruption.kind, Kind::Notice(_));
        let deadline = if is_notice { deadline } else { deadline.without_urgency() };
        let calls = &scope.calls(deadline, &self.counts);
        if let Err(error) = scope.assume_role(calls).await {
            return InstanceOutcome::failed(error);
        }
        let Scope { ec2, ecs, eks, .. } = scope;
        if interruption.kind == Kind::Running {
            match is_launch(ec2, &calls.clone().in_background(), &interruption.instance).await {
                Ok(true) => return InstanceOutcome::default(),
                Ok(false) => {}
                Err(error) => return InstanceOutcome::failed(error),
            }
        }
        let started = Instant::now();
        let (instance, located, error) = locate(ec2, ecs, self.config, calls, interruption).await;
        if located.is_empty() && error.is_none() {
            return self.handle_node(eks, calls, instance, interruption, started).await;
        }
        let (locate_ms, acting) = (ms(started.elapsed()), Instant::now());
        let located = match interruption.kind {
            Kind::Running => identify_stale(ecs, calls, located).await,
            _ => located,
        };
        let react = |located| self.react(ecs, calls, located, interruption);
        let done = join_all(located.into_iter().map(react)).await;
        let (container_instances, errors): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
        InstanceOutcome {
            container_instances: container_instances.into_iter().flatten().collect(),
            error: error.or_else(|| errors.into_iter().find_map(Result::err)),
            pool: instance.ok().flatten().map(|instance| instance.pool.clone()),
            locate_ms,
            act_ms: ms(acting.elapsed()),
            ..InstanceOutcome::default()
        }
    }

    /// Handles an instance that is in no ECS cluster, and may be a Kubernetes node.
    async fn handle_node(
        &self,
        eks: &Eks,
        calls: &Calls,
        instance: Result<Option<Arc<Instance>>, Error>,
        interruption: &Interruption,
        started: Instant,
    ) -> InstanceOutcome {
        let instance = match instance {
            Ok(Some(instance)) => instance,
            // It may be a node.
            Err(error) if !self.config.eks_clusters.is_empty() => return InstanceOutcome::failed(error),
            Ok(None) | Err(_) => return InstanceOutcome { locate_ms: ms(started.elapsed()), ..Default::default() },
        };
        let outcome = InstanceOutcome { pool: Some(instance.pool.clone()), ..InstanceOutcome::default() };
        let clusters = match eks::plan::clusters_to_search(&instance, interruption.kind, self.config) {
            Ok(clusters) => clusters,
            Err(reason) => {
                let nodes = eks::plan::left_alone(&instance, &reason);
                let locate_ms = ms(started.elapsed());
                return InstanceOutcome {
                    nodes,
                    is_skipped: true,
                    reason: Some(reason.to_string()),
                    locate_ms,
                    ..outcome
                };
            }
        };
        let located = eks::locate::locate(eks, calls, &clusters, (&interruption.instance, &instance)).await;
        let (locate_ms, acting) = (ms(started.elapsed()), Instant::now());
        let done = match located {
            Ok(Some(located)) => {
                let action = eks::plan::plan(&located.node, instance.start, interruption, self.config);
                eks::act::act(calls, self.now, &located, action).await.map(Some)
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let other_platform = instance.other_platform().filter(|_| clusters.is_empty());
        InstanceOutcome {
            reason: other_platform.map(|other_platform| other_platform.to_string()),
            error: done.as_ref().err().cloned(),
            nodes: done.ok().flatten().into_iter().collect(),
            locate_ms,
            act_ms: ms(acting.elapsed()),
            ..outcome
        }
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

fn ms(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
