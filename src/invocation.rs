//! One invocation, and the flow of one interruption: locate, plan, act.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use lambda_runtime::Context;
use tokio::time::sleep;

use crate::{
    auto_scaling::{DESCRIBE_FOR, replaces_at_once},
    aws::{
        calls::{CallCounts, Calls},
        deadline::{Deadline, Now, less_margin},
        milliseconds,
    },
    config::Config,
    ec2::Ec2,
    ecs::{
        Ecs,
        act::act,
        container_instance::Status,
        interrupted_task::{final_if_old, handle as handle_task},
        locate::{Located, is_launch, locate},
        plan::{Action, Change, plan},
        registrations::identify_stale,
    },
    eks::handle::handle as handle_node,
    error::Error,
    event::Event,
    function::Function,
    identifier::{AccountId, Region},
    interrupted_task::InterruptedTask,
    interruption::{Interruption, Kind, LifecycleAction, NOTICE},
    lifecycle::{self, Wait, clock::Clock},
    outcome::{ContainerInstanceOutcome, EventOutcome},
    scope::{Scope, Scopes},
};

/// The longest time between two looks within an invocation, 5 s.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The time limit of a look, 20 s, before the heartbeat timeout is about to end: the next look comes soon.
const LOOK: Duration = Duration::from_secs(20);

/// What all events of an invocation share.
pub(crate) struct Invocation<'a> {
    pub(crate) scopes: &'a Scopes,
    pub(crate) config: &'a Config,
    function: Function,
    pub(crate) context: &'a Context,
    now: Now,
    pub(crate) counts: Arc<CallCounts>,
    /// Whether what is not done in time goes on in another invocation, because its message is delivered again.
    pub(crate) can_continue: bool,
}

impl<'a> Invocation<'a> {
    pub(crate) fn new(scopes: &'a Scopes, config: &'a Config, context: &'a Context) -> Self {
        let (function, now, counts) = (Function::of(context), Now::read(), Arc::default());
        Self { scopes, config, function, context, now, counts, can_continue: false }
    }

    /// Handles an event.
    pub(crate) async fn handle(&self, event: &Event) -> EventOutcome {
        let handled = match event {
            Event::Interruption(interruption) => self.handle_interruption(interruption).await,
            Event::Task(task) => self.handle_task(task).await.map_err(|error| final_if_old(task, error)),
            Event::Rehearsal(_) | Event::Ignored(_) => Ok(EventOutcome::default()),
        };
        handled.unwrap_or_else(EventOutcome::failed)
    }

    /// The scope of an account and Region, and calls that are retried until a deadline.
    async fn scope(
        &self,
        account: &AccountId,
        region: &Region,
        deadline: Deadline,
    ) -> Result<(Arc<Scope>, Calls), Error> {
        let scope = self.scopes.get(&self.function, self.config.member_role.as_ref(), account, region).await?;
        let calls = scope.calls(deadline, &self.counts);
        scope.assume_role(&calls).await?;
        Ok((scope, calls))
    }

    /// Handles a task: the targets of a service's task are deregistered, a standalone task is started again.
    async fn handle_task(&self, task: &InterruptedTask) -> Result<EventOutcome, Error> {
        let function_ends = self.context.deadline();
        let deadline = match task.detail.service {
            Some(_) => Deadline::new(self.now, task.deadline(), function_ends),
            // It is started again however long it takes to stop.
            None => Deadline::new(self.now, self.now.system + NOTICE, function_ends).without_urgency(),
        };
        let (scope, calls) = self.scope(&task.account, &task.region, deadline).await?;
        let acting = Instant::now();
        let outcome =
            handle_task((&scope.ecs, &scope.ec2, &scope.load_balancing), self.config, &calls, task, self.can_continue)
                .await?;
        Ok(EventOutcome { act_ms: milliseconds(acting.elapsed()), ..outcome })
    }

    /// Looks at an instance that waits in a lifecycle hook, drains it, and has it go on as soon as it is empty. What takes
    /// longer goes on in another invocation if there is a queue, otherwise in this one.
    async fn handle_lifecycle_action(
        &self,
        interruption: &Interruption,
        action: &LifecycleAction,
    ) -> Result<EventOutcome, Error> {
        let ends = self.now.system + NOTICE;
        // Launches and notices come first.
        let deadline = Deadline::new(self.now, ends, self.context.deadline()).without_urgency();
        let (scope, calls) = self.scope(&interruption.account, &interruption.region, deadline).await?;
        loop {
            let looked = self.look(&scope, &calls, interruption, action).await;
            let outcome = looked.unwrap_or_else(|error| EventOutcome::default().with_failed_look(error));
            let Some(pause) = outcome.again_after.filter(|_| !self.can_continue) else { return Ok(outcome) };
            let pause = pause.min(LOOK_EVERY);
            if calls.left() > pause {
                sleep(pause).await;
                continue;
            }
            let error = outcome.error.clone().unwrap_or(Error::Unfinished);
            return Ok(EventOutcome { error: Some(error), again_after: None, ..outcome });
        }
    }

    /// Looks once at an instance that waits in a lifecycle hook.
    async fn look(
        &self,
        scope: &Scope,
        calls: &Calls,
        interruption: &Interruption,
        action: &LifecycleAction,
    ) -> Result<EventOutcome, Error> {
        let now = self.now.later();
        let age = now.since(interruption.time);
        let short = &calls.until(now.instant + LOOK);
        let hook = match lifecycle::wait(&scope.auto_scaling, short, &interruption.instance, action, age).await? {
            Wait::In(hook) => hook,
            Wait::Soon => return Ok(lifecycle::soon(action)),
            Wait::Over(reason) => return Ok(lifecycle::over(action, reason)),
        };
        let clock = Clock::new(age, calls.left(), &hook);
        let drain = if clock.is_last_phase { &calls.until(now.instant + less_margin(clock.left())) } else { short };
        let announced_end = clock.is_last_phase.then(|| now.system + clock.left());
        let interruption = Interruption { announced_end, ..interruption.clone() };
        let drained = self.locate_and_act(scope, drain, now, &interruption).await;
        let services = (&scope.auto_scaling, &scope.ecs, &scope.eks);
        let clock = clock.at(self.now.later().since(interruption.time));
        Ok(lifecycle::proceed(services, self.config, calls, (&interruption, action), clock, drained).await)
    }

    /// Handles an interruption: locate, plan, act.
    async fn handle_interruption(&self, interruption: &Interruption) -> Result<EventOutcome, Error> {
        if let Some(action) = &interruption.lifecycle_action {
            return self.handle_lifecycle_action(interruption, action).await;
        }
        let deadline = Deadline::new(self.now, interruption.end(), self.context.deadline());
        // Launches come with reclaims. They can wait.
        let is_notice = matches!(interruption.kind, Kind::Notice(_));
        let deadline = if is_notice { deadline } else { deadline.without_urgency() };
        let (scope, calls) = self.scope(&interruption.account, &interruption.region, deadline).await?;
        if interruption.kind == Kind::Running {
            let background = &calls.clone().in_background();
            if is_launch(&scope.ec2, background, &interruption.instance).await? {
                return Ok(EventOutcome::default());
            }
        }
        let handled = self.locate_and_act(&scope, &calls, self.now, interruption).await;
        let services = (&scope.auto_scaling, &scope.ecs, &scope.eks);
        Ok(lifecycle::complete_after_notice(services, self.config, &calls, interruption, handled).await)
    }

    /// Handles an interruption in a scope.
    async fn locate_and_act(
        &self,
        scope: &Scope,
        calls: &Calls,
        now: Now,
        interruption: &Interruption,
    ) -> EventOutcome {
        let Scope { ec2, ecs, eks, auto_scaling, .. } = scope;
        let started = Instant::now();
        let (instance, located, error) = locate(ec2, ecs, self.config, calls, interruption).await;
        let (locate_ms, acting) = (milliseconds(started.elapsed()), Instant::now());
        if located.is_empty() && error.is_none() {
            let of = handle_node((ec2, eks, auto_scaling), self.config, calls, now, interruption, instance).await;
            return EventOutcome { locate_ms: locate_ms + of.locate_ms, ..of };
        }
        let located = match interruption.kind {
            Kind::Running => identify_stale(ecs, calls, located).await,
            _ => located,
        };
        let react = |located| self.react((ecs, ec2), calls, now, located, interruption);
        let is_acted_on = located.iter().any(|of| plan(of, interruption, self.config).is_effective());
        let known = instance.as_ref().ok().cloned().flatten();
        let replace = async {
            if !is_acted_on || !replaces_at_once(self.config, interruption) {
                return Ok(None);
            }
            match ec2.instance_again(&calls.within(DESCRIBE_FOR), &interruption.instance, instance).await? {
                Some(instance) => auto_scaling.replace(self.config, calls, interruption, &instance).await,
                None => Ok(None),
            }
        };
        let (done, replaced) = tokio::join!(join_all(located.into_iter().map(react)), replace);
        let (container_instances, errors): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
        let outcome = EventOutcome {
            container_instances: container_instances.into_iter().flatten().collect(),
            error: error.or_else(|| errors.into_iter().find_map(Result::err)),
            pool: known.map(|instance| instance.pool.clone()),
            locate_ms,
            act_ms: milliseconds(acting.elapsed()),
            ..EventOutcome::default()
        };
        outcome.with_replacement(replaced)
    }

    /// Plans and acts. A container instance that is still registering is drained once it has registered.
    async fn react(
        &self,
        (ecs, ec2): (&Ecs, &Ec2),
        calls: &Calls,
        now: Now,
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
        act((ecs, ec2), calls, now, &located.container_instance, action).await
    }
}
