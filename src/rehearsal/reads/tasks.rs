//! The tasks of container instances that would be changed.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use tokio::task::unconstrained;

use crate::{
    aws::calls::Calls,
    config::{Config, RunAgainPolicy},
    ecs::{
        Ecs,
        container_instance::ContainerInstance,
        task::{Progress, Task},
    },
    error::Error,
    identifier::ClusterName,
    rehearsal::{finding::Kind, notes::Notes},
};

/// The `startedBy` of tasks that AWS Step Functions started, whose state machines decide whether to start them again.
const STEP_FUNCTIONS: &str = "AWS Step Functions";

/// The tasks of an account and Region.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// The ARNs of their task definitions.
    pub(super) definitions: BTreeSet<String>,
    /// The services that they belong to.
    pub(super) services: BTreeMap<ClusterName, BTreeSet<String>>,
    /// The standalone tasks that no state machine started.
    standalone: BTreeSet<String>,
    errors: Vec<Error>,
}

/// Reads the running tasks of container instances.
pub(super) async fn read(
    ecs: &Ecs,
    calls: &Calls,
    container_instances: impl Iterator<Item = &ContainerInstance>,
) -> Tasks {
    let read = container_instances.filter(|of| of.tasks() > 0).map(async |of| {
        let listed = ecs.tasks_on(calls, &of.cluster, &of.arn, of.tasks()).await;
        (of.cluster.clone(), listed)
    });
    let mut tasks = Tasks::default();
    for (cluster, listed) in unconstrained(join_all(read)).await {
        match listed {
            Ok(listed) => listed.into_iter().filter_map(|(_, task)| task).for_each(|task| tasks.add(&cluster, task)),
            Err(error) => tasks.errors.push(error),
        }
    }
    tasks
}

impl Tasks {
    fn add(&mut self, cluster: &ClusterName, task: Task) {
        if task.progress != Progress::Running {
            return;
        }
        match task.service {
            Some(service) => drop(self.services.entry(cluster.clone()).or_default().insert(service)),
            None if task.started_by.as_deref() == Some(STEP_FUNCTIONS) => {}
            None => {
                let id = task.arn.as_str().rsplit('/').next().unwrap_or_default();
                self.standalone.insert(format!("{cluster}/{id} ({})", family(&task.definition)));
            }
        }
        self.definitions.insert(task.definition);
    }

    pub(super) fn find_standalone(&self, config: &Config, notes: &mut Notes) {
        self.errors.iter().for_each(|error| notes.failed(error));
        if config.run_again == RunAgainPolicy::All {
            return;
        }
        self.standalone.iter().for_each(|task| notes.add(Kind::StandaloneTaskNotRestarted, task));
    }
}

/// A task definition's family and revision.
pub(super) fn family(definition: &str) -> &str {
    definition.rsplit('/').next().unwrap_or_default()
}
