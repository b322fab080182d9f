//! The standalone tasks that an evacuation stops, and that are started again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_sdk_ecs::types::Task;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    aws::calls::Calls,
    config::{RunAgainOn, RunAgainPolicy, StandaloneTasks},
    ec2::Ec2,
    ecs::{
        Ecs,
        plan::Evacuation,
        run_again::{RunAgain, Started},
    },
    error::Error,
    identifier::{ClusterName, TaskArn},
    interrupted_task::Recalled,
};

/// How long reading a task may delay stopping it, 1 s.
const RECALL: Duration = Duration::from_secs(1);

/// A task that is about to be stopped, with what it takes to start it again; `None` if it is not, or could not be read.
type Stopping = Option<(Arc<Task>, Recalled)>;

/// A read that began when the task was found.
type Reading = Shared<BoxFuture<'static, Stopping>>;

/// Starts tasks again that an evacuation stopped.
#[derive(Clone)]
pub(super) struct Reruns(Arc<Inner>);

struct Inner {
    ecs: Ecs,
    ec2: Ec2,
    calls: Calls,
    cluster: ClusterName,
    policy: RunAgainPolicy,
    on: RunAgainOn,
    standalone_tasks: StandaloneTasks,
    reading: Mutex<HashMap<TaskArn, Reading>>,
    readers: Mutex<JoinSet<()>>,
    /// Each returns whether it started a task.
    running: Mutex<JoinSet<bool>>,
}

impl Reruns {
    pub(super) fn new((ecs, ec2): (&Ecs, &Ec2), calls: &Calls, cluster: ClusterName, evacuation: &Evacuation) -> Self {
        Self(Arc::new(Inner {
            ecs: ecs.clone(),
            ec2: ec2.clone(),
            calls: calls.clone(),
            cluster,
            policy: evacuation.run_again,
            on: evacuation.run_again_on,
            standalone_tasks: evacuation.standalone_tasks,
            reading: Mutex::default(),
            readers: Mutex::default(),
            running: Mutex::default(),
        }))
    }

    fn of(&self, task: &TaskArn) -> RunAgain {
        let Inner { ecs, ec2, cluster, policy, on, .. } = &*self.0;
        let (ecs, ec2, cluster) = (ecs.clone(), ec2.clone(), cluster.clone());
        RunAgain { ecs, ec2, cluster, task: task.clone(), policy: *policy, on: *on }
    }

    /// Begins to read a task that may have to be stopped, since stopping it deletes its tags and can't wait.
    pub(super) fn prepare(&self, task: &TaskArn) {
        if self.0.policy == RunAgainPolicy::Never || self.0.standalone_tasks == StandaloneTasks::Leave {
            return;
        }
        drop(self.reading(task));
    }

    fn reading(&self, task: &TaskArn) -> Reading {
        let start = || {
            let reading = read(self.of(task), self.0.calls.clone()).boxed().shared();
            lock(&self.0.readers).spawn(reading.clone().map(drop));
            reading
        };
        lock(&self.0.reading).entry(task.clone()).or_insert_with(start).clone()
    }

    /// What it takes to start a task again that is about to be stopped. What can't be read in time is left to the event
    /// that follows.
    pub(super) async fn recall(&self, task: &TaskArn) -> Stopping {
        if self.0.policy == RunAgainPolicy::Never {
            return None;
        }
        let read = async {
            match self.reading(task).await {
                // It may have had no network interface yet.
                Some((described, _)) if described.last_status() != Some("RUNNING") => {
                    read(self.of(task), self.0.calls.clone()).await
                }
                read => read,
            }
        };
        timeout(RECALL, read).await.ok().flatten()
    }

    /// Starts a task again when it has stopped.
    pub(super) fn start(&self, arn: TaskArn, (task, recalled): (Arc<Task>, Recalled)) {
        let (run_again, calls) = (self.of(&arn), self.0.calls.clone());
        let run = async move {
            let started = start(&run_again, &calls, task, &recalled).await;
            started.unwrap_or_else(|error| {
                // The event of the task's end does it.
                tracing::warn!(task = %arn, %error, "a task was not started again by the evacuation that stopped it");
                false
            })
        };
        lock(&self.0.running).spawn(run);
    }

    /// Waits for all of them. Returns how many were started, if that is asked for.
    pub(super) async fn finish(&self) -> Option<usize> {
        let running = std::mem::take(&mut *lock(&self.0.running));
        let started = running.join_all().await.into_iter().filter(|is_started| *is_started).count();
        (self.0.policy != RunAgainPolicy::Never).then_some(started)
    }
}

async fn read(run_again: RunAgain, calls: Calls) -> Stopping {
    let read = run_again.recall(&calls, None).await;
    let read = read.inspect_err(
        |error| tracing::warn!(task = %run_again.task, %error, "a task could not be described before it is stopped"),
    );
    read.ok()?.ok()
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn start(run_again: &RunAgain, calls: &Calls, task: Arc<Task>, recalled: &Recalled) -> Result<bool, Error> {
    let Some(task) = run_again.stopped(calls, task).await? else { return Ok(false) };
    if !recalled.terms.even_if_ended && run_again.has_ended(calls, &task).await? {
        return Ok(false);
    }
    let request = run_again.request(&task, recalled).map_err(|reason| run_again.not_run_again(reason))?;
    Ok(matches!(run_again.start(calls, request, Duration::ZERO, true).await?, Started::Now(_)))
}
