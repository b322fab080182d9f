//! What is done in an evacuation: calls to ECS, each by itself.

use std::time::Duration;

use aws_sdk_ecs::types::DesiredStatus;
use tokio::time::Instant;

use super::{
    learn,
    task::{self, Task},
};
use crate::{
    aws::{Calls, Regional},
    ecs::{
        ClusterName, ContainerInstance, ContainerInstanceArn, TaskArn,
        act::{
            Done, deregister,
            set_state::{State, set_state},
        },
        locate,
    },
    error::Error,
};

/// How long a change is tried again, 5 s, before what is most urgent is chosen anew.
const TRIED: Duration = Duration::from_secs(5);

/// A call to make.
#[derive(Debug)]
pub(super) enum Job {
    /// Set container instances of a cluster to `DRAINING`.
    Drain(ClusterName, Vec<ContainerInstance>),
    /// See how many tasks ECS counts on container instances of a cluster.
    Count(ClusterName, Vec<ContainerInstanceArn>),
    /// List tasks.
    List(Listing),
    /// See what became of tasks of a cluster.
    Describe(ClusterName, Vec<TaskArn>),
    /// See how long the containers of a task definition have after SIGTERM.
    LearnTimeout(String),
    /// See which services of a cluster are daemons.
    LearnDaemons(ClusterName, Vec<String>),
    /// Tell the containers of a task.
    Stop { cluster: ClusterName, host: ContainerInstanceArn, task: TaskArn, reason: String },
    /// Deregister a container instance; if its time is up, again and again until then.
    LetGo { found: ContainerInstance, until: Option<Instant> },
}

/// Which tasks are listed.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) cluster: ClusterName,
    /// For which container instances.
    pub(super) hosts: Vec<ContainerInstanceArn>,
    /// Whether of the one of them only, or of the whole cluster.
    pub(super) is_whole: bool,
    /// Whether those that are to stop, or all others.
    pub(super) are_stopping: bool,
}

/// What came of a job.
#[derive(Debug)]
pub(super) enum News {
    Drained(Vec<Done>),
    Counted(Vec<ContainerInstanceArn>, Result<Vec<ContainerInstance>, Error>),
    Listed(Listing, Result<Vec<TaskArn>, Error>),
    Described(ClusterName, Vec<TaskArn>, Result<Vec<Task>, Error>),
    LearnedTimeout(String, Result<Duration, Error>),
    LearnedDaemons(ClusterName, Vec<String>, Result<Vec<(String, bool)>, Error>),
    Told(ContainerInstanceArn, TaskArn, Result<(), Error>),
    LetGo(Done),
}

impl Job {
    /// Reads are tried once: the ward tries them again.
    pub(super) async fn run(self, aws: &Regional, calls: &Calls) -> News {
        let (once, tried) = (&calls.once(), &calls.impatient(TRIED));
        match self {
            Self::Drain(cluster, found) => News::Drained(set_state(aws, tried, &cluster, found, State::Draining).await),
            Self::Count(cluster, arns) => {
                let counted = locate::describe(aws, once, &cluster, &arns).await;
                News::Counted(arns, counted)
            }
            Self::List(listing) => {
                let of = listing.hosts.first().filter(|_| !listing.is_whole);
                let desired = if listing.are_stopping { DesiredStatus::Stopped } else { DesiredStatus::Running };
                let listed = task::list(aws, calls, &listing.cluster, of, desired).await;
                News::Listed(listing, listed)
            }
            Self::Describe(cluster, tasks) => {
                let described = task::describe(aws, once, &cluster, &tasks).await;
                News::Described(cluster, tasks, described)
            }
            Self::LearnTimeout(definition) => {
                let timeout = learn::stop_timeout(aws, once, &definition).await;
                News::LearnedTimeout(definition, timeout)
            }
            Self::LearnDaemons(cluster, services) => {
                let daemons = learn::daemons(aws, once, &cluster, &services).await;
                News::LearnedDaemons(cluster, services, daemons)
            }
            Self::Stop { cluster, host, task, reason } => {
                let told = stop(aws, tried, &cluster, &task, &reason).await;
                News::Told(host, task, told)
            }
            Self::LetGo { found, until: Some(until) } => {
                News::LetGo(deregister::deregister(aws, &calls.insistent(until), found).await)
            }
            Self::LetGo { found, until: None } => News::LetGo(deregister::deregister(aws, tried, found).await),
        }
    }
}

/// Stops a task: its containers get SIGTERM, and SIGKILL after their stop timeouts.
async fn stop(aws: &Regional, calls: &Calls, cluster: &ClusterName, task: &TaskArn, reason: &str) -> Result<(), Error> {
    let request = aws.ecs.stop_task().cluster(cluster.as_str()).task(task.as_str()).reason(reason);
    calls.make(super::ward::STOP_TASK, task, || request.clone().send()).await.map(drop)
}
