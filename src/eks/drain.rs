//! Draining a node: every pod is asked to stop while its grace period fits into the notice.
//!
//! ```text
//!    0 s           evict all pods
//!    :             evict the blocked ones again every 1 to 2 s, once their pods were read again
//!  110 s - grace   delete the pods that are still blocked
//!  120 s           EC2 ends the instance
//! ```
//!
//! No state is carried from one invocation to the next: pods that are stopping already are left out.

mod clock;
mod tracked;

pub(super) use tracked::Drained;

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use self::{
    clock::{Clock, Step},
    tracked::{Completion, Tracked},
};
use super::{api_server::ApiServer, eviction::EvictionMode, plan::Drain, pod::Pod};
use crate::{
    aws::{calls::Calls, deadline::Now},
    error::Error,
};

/// How long a failing eviction is retried, 3 s, before the pods are read again.
const EVICTION_RETRY_FOR: Duration = Duration::from_secs(3);

/// How long a failing deletion is retried, 2 s, before it is made with a shorter grace period.
const DELETION_RETRY_FOR: Duration = Duration::from_secs(2);

/// Drains a node until all its pods are asked to stop, or there is no more time. Fails if the pods can't be listed.
///
/// Requests run concurrently, so that none waits for another one that is slow or fails.
pub(super) async fn drain(
    calls: &Calls,
    now: Now,
    api_server: &Arc<ApiServer>,
    node: &str,
    plan: Drain,
) -> Result<Drained, Error> {
    let clock = Clock::new(plan, now, calls.deadline());
    let calls = &calls.until(clock.gives_up());
    let mut tracked = Tracked::new(api_server.pods(calls, node).await?);
    let target = Arc::new(Target { api_server: Arc::clone(api_server), calls: calls.clone(), node: node.to_owned() });
    // Dropping the set aborts all requests.
    let mut in_flight = JoinSet::new();
    loop {
        let (steps, wakes) = tracked.tick(&clock, Instant::now());
        for (pod, step) in steps {
            in_flight.spawn(perform(Arc::clone(&target), pod, step));
        }
        if tracked.is_done() {
            return Ok(tracked.conclude());
        }
        tokio::select! {
            Some(Ok(completion)) = in_flight.join_next() => tracked.record(completion),
            () = sleep_until(wakes) => {}
        }
    }
}

/// What a request needs.
struct Target {
    api_server: Arc<ApiServer>,
    calls: Calls,
    node: String,
}

/// Performs a step for a pod, or for the node if there is none.
async fn perform(target: Arc<Target>, pod: Option<Arc<Pod>>, step: Step) -> Completion {
    let Target { api_server, calls, node } = &*target;
    match (pod, step) {
        (Some(pod), Step::Delete(grace)) => {
            let now = calls.due_at(Instant::now()).retrying_for(DELETION_RETRY_FOR);
            Completion::Deleted(pod.metadata.uid.clone(), api_server.delete(&now, &pod, grace).await)
        }
        (Some(pod), Step::Evict { grace, due, sent }) => {
            let calls = calls.due_at(due).retrying_for(EVICTION_RETRY_FOR);
            let evicted = api_server.evict(&calls, &pod, EvictionMode::Evict(grace), sent).await;
            Completion::Evicted(pod.metadata.uid.clone(), evicted)
        }
        _ => Completion::Read(api_server.pods(&calls.retrying_for(EVICTION_RETRY_FOR), node).await),
    }
}
