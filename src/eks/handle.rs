//! The flow of one interruption of a Kubernetes node: locate, plan, act.

use std::{sync::Arc, time::Instant};

use super::{
    Eks,
    act::act,
    locate::locate,
    plan::{Action, clusters_to_search, left_alone, plan},
};
use crate::{
    auto_scaling::{AutoScaling, DESCRIBE_FOR, replaces_at_once},
    aws::{calls::Calls, deadline::Now, milliseconds},
    config::Config,
    ec2::{Ec2, instance::Instance},
    error::Error,
    interruption::Interruption,
    outcome::EventOutcome,
};

/// Handles an instance that is in no ECS cluster, and may be a Kubernetes node. `described` is EC2's description of it.
pub(crate) async fn handle(
    (ec2, eks, auto_scaling): (&Ec2, &Eks, &AutoScaling),
    config: &Config,
    calls: &Calls,
    now: Now,
    interruption: &Interruption,
    described: Result<Option<Arc<Instance>>, Error>,
) -> EventOutcome {
    let started = Instant::now();
    let has_clusters = !config.eks_clusters.is_empty();
    let described = match described {
        Err(_) if !has_clusters && !replaces_at_once(config, interruption) => Ok(None),
        described => {
            let calls = if has_clusters { calls } else { &calls.within(DESCRIBE_FOR) };
            ec2.instance_again(calls, &interruption.instance, described).await
        }
    };
    let instance = match described {
        Ok(Some(instance)) => instance,
        Ok(None) => return EventOutcome::default(),
        Err(error) => return EventOutcome::failed(error),
    };
    let outcome = EventOutcome { pool: Some(instance.pool.clone()), ..EventOutcome::default() };
    let replace = auto_scaling.replace(config, calls, interruption, &instance);
    let clusters = match clusters_to_search(&instance, interruption.kind, config) {
        Ok(clusters) => clusters,
        Err(reason) => {
            let nodes = left_alone(&instance, &reason);
            return EventOutcome { nodes, is_skipped: true, reason: Some(reason.to_string()), ..outcome };
        }
    };
    let located = match locate(eks, calls, &clusters, (&interruption.instance, &instance)).await {
        Ok(Some(located)) => located,
        Ok(None) => {
            let reason = instance.other_platform().filter(|_| clusters.is_empty());
            let outcome = EventOutcome { reason: reason.map(|reason| reason.to_string()), ..outcome };
            let is_replaced = clusters.is_empty() && instance.is_replaced_without_cluster();
            return if is_replaced { outcome.with_replacement(replace.await) } else { outcome };
        }
        Err(error) => return EventOutcome { error: Some(error), ..outcome },
    };
    let (locate_ms, acting) = (milliseconds(started.elapsed()), Instant::now());
    let action = plan(&located.node, instance.start, interruption, config);
    let is_acted_on = matches!(action, Action::Apply(_));
    let replace = async { if is_acted_on { replace.await } else { Ok(None) } };
    // Pods may wait for their budgets, and the replacement need not.
    let (acted, replaced) = tokio::join!(act(calls, now, &located, action), replace);
    let (nodes, error) = match acted {
        Ok((node, error)) => (vec![node], error),
        Err(error) => (Vec::new(), Some(error)),
    };
    let act_ms = milliseconds(acting.elapsed());
    EventOutcome { nodes, error, locate_ms, act_ms, ..outcome }.with_replacement(replaced)
}
