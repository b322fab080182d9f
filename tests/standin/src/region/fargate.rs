//! Tasks on Fargate, and capacity for new tasks.

use serde_json::Value;

use super::Region;
use crate::arn;
use crate::model::{Cluster, FargateTask, Task};
use crate::{ecs, notice};

/// What the events of an interruption by Fargate Spot say of it; all of them have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpotShape {
    /// The stop code `SpotInterruption`, as today, with the reason.
    SpotInterruption,
    /// The stop code `TerminationNotice`, with the reason.
    TerminationNotice,
    /// The reason alone.
    ReasonOnly,
}

impl SpotShape {
    fn stop_code(self) -> Option<&'static str> {
        match self {
            Self::SpotInterruption => Some("SpotInterruption"),
            Self::TerminationNotice => Some("TerminationNotice"),
            Self::ReasonOnly => None,
        }
    }
}

impl Region {
    /// Starts a task on Fargate and returns its ARN. The cluster is created if it does not exist.
    pub fn fargate_task(&self, cluster: &str, fargate: FargateTask) -> String {
        let task = self.placed(cluster, fargate.task);
        let arn = task.arn.clone();
        self.with(|resources| {
            resources.clusters.entry(cluster.to_owned()).or_insert_with(|| Cluster::new(cluster));
            resources.put_on_fargate(cluster, FargateTask { task, ..fargate });
        });
        arn
    }

    /// Interrupts a task of Fargate Spot and returns the events of its way to STOPPED, the event of STOPPED itself
    /// excluded; empty if there is no such task that runs.
    ///
    /// Its containers get SIGTERM at once, and the load balancer is notified five seconds later, unless the target was
    /// deregistered before. The task has STOPPED when its containers have exited, or at the stop timeout: that event
    /// is [`task_state_change`](crate::task_state_change) then.
    pub fn interrupt_task(&self, arn: &str) -> Vec<Value> {
        self.interrupt_task_as(arn, SpotShape::SpotInterruption)
    }

    /// Like [`interrupt_task`](Region::interrupt_task), with events of another shape.
    pub fn interrupt_task_as(&self, arn: &str, shape: SpotShape) -> Vec<Value> {
        if !self.with(|resources| resources.interrupt_task(arn, shape.stop_code())) {
            return Vec::new();
        }
        let Some(first) = notice::task_state_change(self, arn) else {
            return Vec::new();
        };
        let event = |(later, status): (u64, &str)| {
            let mut event = first.clone();
            event["id"] = arn::uuid().into();
            event["detail"]["lastStatus"] = status.into();
            event["detail"]["version"] = (event["detail"]["version"].as_u64().unwrap_or_default() + later).into();
            event
        };
        let last = first["detail"]["lastStatus"].as_str().unwrap_or_default();
        [(0, last), (1, "DEACTIVATING"), (2, "STOPPING"), (3, "DEPROVISIONING")].map(event).into()
    }

    /// Sets whether every capacity provider, and every container instance, has no room for new tasks: `RunTask` then
    /// answers with `failures`.
    pub fn no_capacity(&self, exhausted: bool) {
        for name in ["FARGATE", "FARGATE_SPOT", "EC2"] {
            self.no_capacity_of(name, exhausted);
        }
    }

    /// Like [`no_capacity`](Region::no_capacity), of one only: `FARGATE`, `FARGATE_SPOT` or, for container instances,
    /// `EC2`.
    pub fn no_capacity_of(&self, name: &str, exhausted: bool) {
        self.with(|resources| {
            if exhausted {
                resources.exhausted.insert(name.to_owned());
            } else {
                resources.exhausted.remove(name);
            }
        });
    }

    /// A task as it is now; `None` where ECS knows no such task.
    #[must_use]
    pub fn task_at(&self, arn: &str) -> Option<Task> {
        self.with(|resources| resources.task_mut(arn).map(|run| run.task.clone()))
    }

    /// The tasks of a cluster as they are now, stopped ones included, in the order of their start.
    #[must_use]
    pub fn tasks_of(&self, cluster: &str) -> Vec<Task> {
        self.with(|resources| {
            let mut runs: Vec<_> = resources.tasks(cluster).map(|(_, run)| run).collect();
            runs.sort_by_key(|run| run.order);
            runs.into_iter().map(|run| run.task.clone()).collect()
        })
    }

    /// The detail of a task's state change; `None` where ECS knows no such task.
    pub(crate) fn task_detail(&self, arn: &str) -> Option<Value> {
        let mut state = self.shared.lock();
        let context = state.context(&self.account, &self.name);
        let cluster = arn.split('/').rev().nth(1)?;
        ecs::task_detail(&context, cluster, arn)
    }
}
