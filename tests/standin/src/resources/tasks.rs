//! Placing, finding and stopping tasks.

use std::collections::BTreeMap;

use super::{NetworkInterface, PlacedTask, Resources, runs_mut};
use crate::arn;
use crate::model::{FargateTask, Record, Task};

impl Resources {
    /// Places a task, which has its ARN, on a container instance. `false` where there is no such instance.
    pub(crate) fn put(&mut self, container_instance: &str, task: Task) -> bool {
        let (now, order) = (self.now, self.placed);
        let Self { records, definitions, services, .. } = self;
        let Some(record) = records.values_mut().find_map(|records| records.get_mut(container_instance)) else {
            return false;
        };
        let mut run = PlacedTask::new(task, &record.model, now, order);
        run.define(definitions, services);
        record.runs.push(run);
        self.placed += 1;
        true
    }

    /// Places a task, which has its ARN, on Fargate.
    pub(crate) fn put_on_fargate(&mut self, cluster: &str, task: FargateTask) {
        let mut run = PlacedTask::on_fargate(task, cluster, self.now, self.placed);
        run.define(&self.definitions, &self.services);
        self.fargate.entry(cluster.to_owned()).or_default().push(run);
        self.placed += 1;
    }

    /// Makes a task that was just placed start only now, on this subnet and with these security groups if it has a
    /// network interface of its own.
    pub(crate) fn start(&mut self, arn: &str, subnet: &str, security_groups: &[String], public: bool) {
        let now = self.now;
        if let Some(run) = self.task_mut(arn) {
            if !subnet.is_empty() && run.network.is_some() {
                run.network = Some(NetworkInterface::new(run.order, subnet, security_groups, public));
            }
            run.start(now);
            let subject = run.subject();
            self.history.note(now, subject, "started by RunTask");
        }
    }

    /// The tasks of a cluster that ECS knows of, with their container instances.
    pub(crate) fn tasks(&self, cluster: &str) -> impl Iterator<Item = (Option<&Record>, &PlacedTask)> {
        let records = self.records.get(cluster).into_iter().flat_map(BTreeMap::values);
        let on_instances = records.flat_map(|record| record.tasks().map(move |run| (Some(record), run)));
        let on_fargate = self.fargate.get(cluster).into_iter().flatten();
        on_instances.chain(on_fargate.filter(|run| !run.left).map(|run| (None, run)))
    }

    /// The network interfaces of all tasks.
    pub(crate) fn network_interfaces(&self) -> impl Iterator<Item = (&NetworkInterface, &PlacedTask)> {
        let records = self.records.values().flat_map(BTreeMap::values).flat_map(|record| &record.runs);
        let runs = records.chain(self.fargate.values().flatten());
        runs.filter_map(|run| Some((run.live_network()?, run)))
    }

    /// A task that ECS knows of.
    pub(crate) fn task_mut(&mut self, arn: &str) -> Option<&mut PlacedTask> {
        runs_mut(&mut self.records, &mut self.fargate).find(|run| !run.left && run.task.arn == arn)
    }

    /// Stops a task of a cluster, given by id or ARN, as `StopTask` does. `false` where there is no such task.
    pub(crate) fn stop_task(&mut self, cluster: &str, id_or_arn: &str, reason: &str) -> bool {
        let Self { records, fargate, history, now, .. } = self;
        let records = records.get_mut(cluster).into_iter().flat_map(BTreeMap::values_mut);
        let on_fargate = fargate.get_mut(cluster).into_iter().flatten();
        let run = records.flat_map(|record| &mut record.runs).chain(on_fargate).find(|run| run.is(id_or_arn));
        run.is_some_and(|run| {
            run.stop_by_user(reason, *now, history);
            true
        })
    }

    /// Interrupts a task as Fargate Spot does. `false` where there is none on Fargate that runs.
    pub(crate) fn interrupt_task(&mut self, arn: &str, code: Option<&str>) -> bool {
        let Self { fargate, history, now, .. } = self;
        let run = fargate.values_mut().flatten().find(|run| run.task.arn == arn);
        run.is_some_and(|run| run.interrupt(code, *now, history))
    }
}

impl PlacedTask {
    /// Whether ECS knows it by this id or ARN.
    pub(crate) fn is(&self, id_or_arn: &str) -> bool {
        !self.left && (self.task.arn == id_or_arn || arn::last(&self.task.arn) == id_or_arn)
    }
}
