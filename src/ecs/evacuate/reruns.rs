//! The standalone tasks that an evacuation stops, and that are started again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
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
    config::{RunAgainPolicy, StandaloneTasks},
    ec2::Ec2,
    ecs::{
        Ecs,
        plan::Evacuation,
        run_again::{RunAgain, Started},
    },
    error::Error,
    identifier::{ClusterName, TaskArn},
    interrupted_task::Recalled,
    lock::lock,
};

/// How long reading a task may delay stopping it, 1 s.
const RECALL: Duration = Duration::from_secs(1);

/// A task that is about to be stopped, with what it takes to start it again; `None` if it is not, or could not be read.
type Stopping = Option<(Arc<Task>, Recalled)>;

/// A read that began when the task was found.
type Reading = Shared<BoxFuture<'static, Stopping>>;

/// Starts tasks again that an evacuation stopped.
pub(super) struct Reruns {
    ecs: Ecs,
    ec2: Ec2,
    calls: Calls,
    cluster: ClusterName,
    evacuation: Evacuation,
    reading: Mutex<HashMap<TaskArn, Reading>>,
    readers: Mutex<JoinSet<()>>,
    /// Each returns whether it started a task.
    running: Mutex<JoinSet<bool>>,
}

impl Reruns {
    pub(super) fn new((ecs, ec2): (&Ecs, &Ec2), calls: &Calls, cluster: ClusterName, evacuation: Evacuation) -> Self {
        Self {
            ecs: ecs.clone(),
            ec2: ec2.clone(),
            calls: calls.clone(),
            cluster,
            evacuation,
            reading: Mutex::default(),
            readers: Mutex::default(),
            running: Mutex::default(),
        }
    }

    fn of(&self, task: &TaskArn) -> RunAgain {
        let Evacuation { run_again: policy, run_again_on: on, .. } = self.evacuation;
        let (ecs, ec2, cluster) = (self.ecs.clone(), self.ec2.clone(), self.cluster.clone());
        RunAgain { ecs, ec2, cluster, task: task.clone(), policy, on }
    }

    /// Begins to read a task that may have to be stopped, since stopping it deletes its tags and can't wait.
    pub(super) fn prepare(&self, task: &TaskArn) {
        let Evacuation { run_again, standalone_tasks, .. } = self.evacuation;
        if run_again != RunAgainPolicy::Never && standalone_tasks != StandaloneTasks::Leave {
            drop(self.reading(task));
        }
    }

    fn reading(&self, task: &TaskArn) -> Reading {
        let start = || {
            let reading = read(self.of(task), self.calls.clone()).boxed().shared();
            lock(&self.readers).spawn(reading.clone().map(drop));
            reading
        };
        lock(&self.reading).entry(task.clone()).or_insert_with(start).clone()
    }

    /// What it takes to start a task again that is about to be stopped. What can't be read in time is left to the event
    /// that follows.
    pub(super) async fn recall(&self, task: &TaskArn) -> Stopping {
        if self.evacuation.run_again == RunAgainPolicy::Never {
            return None;
        }
        let read = async {
            match self.reading(task).await {
                // It may have had no network interface yet.
                Some((described, _)) if described.last_status() != Some("RUNNING") => {
                    read(self.of(task), self.calls.clone()).await
                }
                read => read,
            }
        };
        timeout(RECALL, read).await.ok().flatten()
    }

    /// Starts a task again when it has stopped.
    pub(super) fn start(&self, arn: TaskArn, (task, recalled): (Arc<Task>, Recalled)) {
        let (run_again, calls) = (self.of(&arn), self.calls.clone());
        let run = async move {
            let started = start(&run_again, &calls, task, &recalled).await;
            started.unwrap_or_else(|error| {
                // The event of the task's end does it.
                tracing::warn!(task = %arn, %error, "a task was not started again by the evacuation that stopped it");
                false
            })
        };
        lock(&self.running).spawn(run);
    }

    /// Waits for all of them. Returns how many were started, if that is asked for.
    pub(super) async fn finish(&self) -> Option<usize> {
        let running = std::mem::take(&mut *lock(&self.running));
        let started = running.join_all().await.into_iter().filter(|is_started| *is_started).count();
        (self.evacuation.run_again != RunAgainPolicy::Never).then_some(started)
    }
}

async fn read(run_again: RunAgain, calls: Calls) -> Stopping {
    let read = run_again.recall(&calls, None).await;
    let read = read.inspect_err(
        |error| tracing::warn!(task = %run_again.task, %error, "a task could not be described before it is stopped"),
    );
    read.ok()?.ok()
}

async fn start(run_again: &RunAgain, calls: &Calls, task: Arc<Task>, recalled: &Recalled) -> Result<bool, Error> {
    let Some(task) = run_again.stopped(calls, task).await? else { return Ok(false) };
    if !recalled.terms.even_if_ended && run_again.has_ended(calls, &task).await? {
        return Ok(false);
    }
    let request = run_again.request(&task, recalled).map_err(|reason| run_again.not_run_again(reason))?;
    Ok(matches!(run_again.start(calls, request, Duration::ZERO, true).await?, Started::Now(_)))
}
