//! Evacuations: the two minutes of a notice, used.
//!
//! ```text
//!    0 s      DRAINING
//!    :        a look every 10 s: empty? deregister, done
//!  110 s - t  StopTask for what is left: SIGTERM, and t, its stop timeout, until SIGKILL
//!  115 s      deregister, with whatever is left
//!  120 s      EC2 ends the instance
//! ```
//!
//! Nothing is remembered from one invocation to the next: whoever comes in the middle goes on from what is there. Many
//! instances share their looks: one `DescribeContainerInstances` for a hundred of a cluster.

mod daemon;
mod host;
mod look;
mod stop_timeout;
mod task;

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, sleep_until};

use self::host::{Drained, Host, Rank};
use super::{
    Done, Outcome, WIDTH, deregister,
    set_state::{State, set_state},
};
use crate::{
    aws::{Calls, Regional},
    ecs::{
        ClusterName, ContainerInstance, ContainerInstanceArn, TaskArn,
        plan::{EndState, Evacuation},
    },
    error::Error,
};

/// How long before its end an instance is let go: deregistered, with whatever is left on it.
const LET_GO: Duration = Duration::from_secs(3);

/// How much earlier a task is stopped than its stop timeout and the letting go ask for: a look of up to [`SLICE`] may be
/// under way, and it takes a second or two until the containers are told.
const TELL: Duration = Duration::from_secs(5);

/// How long calls of one kind may keep those of another waiting. What has failed by then is tried again in its turn.
const SLICE: Duration = Duration::from_secs(3);

/// For how long a look at tasks counts.
const LOOKED: Duration = Duration::from_secs(1);

/// The least time from one round to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// Evacuates container instances of one account and Region, each until its own end.
pub(super) async fn evacuate(
    aws: &Regional,
    calls: &Calls,
    planned: Vec<(ContainerInstance, Evacuation)>,
) -> Vec<Done> {
    let now = Instant::now();
    let hosts = planned.into_iter().map(|(found, evacuation)| {
        let left = evacuation.deadline.duration_since(std::time::SystemTime::now()).unwrap_or_default();
        Host::new(found, evacuation, now + left.min(calls.left()))
    });
    let mut ward = Ward { aws, calls, hosts: hosts.collect(), next_look: now, incomplete_looks: 0, done: Vec::new() };
    loop {
        ward.drain().await;
        ward.stop().await;
        ward.let_go().await;
        if ward.hosts.is_empty() {
            return ward.done;
        }
        if ward.next_look <= Instant::now() {
            ward.look().await;
        }
        sleep_until(ward.next_round()).await;
    }
}

/// The container instances that are evacuated together.
struct Ward<'a> {
    aws: &'a Regional,
    calls: &'a Calls,
    /// Those that are not done.
    hosts: Vec<Host>,
    next_look: Instant,
    /// How many looks in a row have left something unknown.
    incomplete_looks: u32,
    done: Vec<Done>,
}

impl Ward<'_> {
    /// Sets those to `DRAINING` that are not, unless it is too late for that.
    async fn drain(&mut self) {
        let (now, let_go) = (Instant::now(), self.let_go_before_end());
        let mut to_drain: BTreeMap<ClusterName, Vec<ContainerInstance>> = BTreeMap::new();
        for host in self.hosts.iter().filter(|host| host.drained == Drained::No && host.ends > now + let_go) {
            to_drain.entry(host.found.cluster.clone()).or_default().push(host.found.clone());
        }
        let (aws, calls) = (self.aws, &self.calls.impatient(SLICE));
        let drained = stream::iter(to_drain)
            .map(async |(cluster, found)| set_state(aws, calls, &cluster, found, State::Draining).await)
            .buffer_unordered(WIDTH)
            .collect::<Vec<_>>()
            .await;
        for Done { found, outcome, .. } in drained.into_iter().flatten() {
            let drained = match outcome {
                Ok(Outcome::Kept(EndState::Deregistered)) => {
                    self.finish(&found.arn, outcome);
                    continue;
                }
                Ok(_) => Drained::Yes,
                Err(error) if error.is_transient() => Drained::No,
                Err(error) => {
                    tracing::warn!(%error, "it is evacuated without draining");
                    Drained::Refused
                }
            };
            if let Some(host) = self.host_mut(&found.arn) {
                host.drained = drained;
            }
        }
    }

    /// Stops the tasks that are due, daemons last.
    async fn stop(&mut self) {
        let (now, margin) = (Instant::now(), self.stop_before_end());
        let has_due = |host: &Host| !host.due(now, margin).is_empty();
        // Draining may have stopped them since the last look.
        self.look_at_tasks(|host| has_due(host) && host.seen.is_none_or(|seen| seen + LOOKED <= now)).await;
        for rank in [Rank::Ordinary, Rank::Daemon] {
            let due = self.hosts.iter().flat_map(|host| {
                let due = host.due(now, margin).into_iter().filter(|due| due.0 == rank);
                due.map(|(_, task)| (host.found.clone(), host.reason(), task))
            });
            let (aws, calls) = (self.aws, &self.calls.impatient(SLICE));
            let stopped = stream::iter(due.collect::<Vec<_>>())
                .map(async |(found, reason, task)| {
                    let stopped = stop(aws, calls, &found.cluster, &task, &reason).await;
                    (found, task, stopped)
                })
                .buffer_unordered(WIDTH)
                .take_until(sleep(SLICE))
                .collect::<Vec<_>>()
                .await;
            for (found, task, stopped) in stopped {
                match stopped {
                    Err(error) if error.is_transient() => continue,
                    Err(error) => tracing::warn!(%error, "a task is left to the end of its instance"),
                    Ok(()) => {}
                }
                if let Some(host) = self.host_mut(&found.arn) {
                    host.asked.insert(task);
                }
            }
        }
    }

    /// Deregisters those that are empty, and those whose time is up.
    async fn let_go(&mut self) {
        let (now, let_go) = (Instant::now(), self.let_go_before_end());
        let is_up = |host: &Host| host.ends <= now + let_go;
        // To say how many are left.
        self.look_at_tasks(|host| is_up(host) && !host.tasks.is_empty()).await;
        let due = self.hosts.iter().filter(|host| host.is_empty() || is_up(host));
        let due: Vec<_> = due.map(|host| host.found.clone()).collect();
        let (aws, calls) = (self.aws, &self.calls.impatient(SLICE));
        let gone = stream::iter(due)
            .map(async |found| {
                let outcome = deregister::deregister(aws, calls, &found).await;
                (found, outcome)
            })
            .buffer_unordered(WIDTH)
            .take_until(sleep(SLICE))
            .collect::<Vec<_>>()
            .await;
        for (found, outcome) in gone {
            match outcome {
                // In the next round, as long as there is one.
                Err(error) if error.is_transient() && self.calls.left() > PAUSE => {}
                outcome => self.finish(&found.arn, outcome),
            }
        }
    }

    /// When there is something to do again.
    fn next_round(&self) -> Instant {
        let now = Instant::now();
        let (let_go, stop) = (self.let_go_before_end(), self.stop_before_end());
        let of_hosts = self.hosts.iter().filter_map(|host| {
            let is_at_once = host.is_empty() || host.drained == Drained::No;
            let let_go = if is_at_once { Some(now) } else { host.ends.checked_sub(let_go) };
            [let_go, host.next_due(now, stop)].into_iter().flatten().min()
        });
        of_hosts.chain([self.next_look]).min().unwrap_or(now).max(now + PAUSE)
    }

    /// How long before its end an instance is let go: all of them at once take a while.
    fn let_go_before_end(&self) -> Duration {
        LET_GO + self.calls.time_for(deregister::OPERATION, self.hosts.len())
    }

    /// How long before its end, and its stop timeout, a task is stopped: all of them at once take a while.
    fn stop_before_end(&self) -> Duration {
        let tasks: usize =
            self.hosts.iter().map(|host| host.tasks.len() - host.asked.len().min(host.tasks.len())).sum();
        LET_GO + TELL + self.calls.time_for(STOP_TASK, tasks + self.hosts.len())
    }

    fn host_mut(&mut self, arn: &ContainerInstanceArn) -> Option<&mut Host> {
        self.hosts.iter_mut().find(|host| host.found.arn == *arn)
    }

    fn finish(&mut self, arn: &ContainerInstanceArn, outcome: Result<Outcome, Error>) {
        let Some(at) = self.hosts.iter().position(|host| host.found.arn == *arn) else { return };
        let host = self.hosts.swap_remove(at);
        let outcome = outcome.map(|outcome| match outcome {
            Outcome::Reached(_) => Outcome::Evacuated { stopped: host.asked.len(), left: host.tasks.len() },
            outcome => outcome,
        });
        self.done.push(Done::now(host.found, outcome));
    }
}

const STOP_TASK: &str = "StopTask";

/// Stops a task: its containers get SIGTERM, and SIGKILL after their stop timeouts.
async fn stop(aws: &Regional, calls: &Calls, cluster: &ClusterName, task: &TaskArn, reason: &str) -> Result<(), Error> {
    let request = aws.ecs.stop_task().cluster(cluster.as_str()).task(task.as_str()).reason(reason);
    calls.make(STOP_TASK, task, || request.clone().send()).await.map(drop)
}
