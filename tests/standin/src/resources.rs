//! One account's resources in one Region, and their behaviour over time.

mod auto_scaling;
mod interruption;
mod network_interface;
mod placed_task;
mod run_token;
mod scheduler;
mod target_groups;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::history::History;
use crate::kubernetes::PlacedCluster;
use crate::model::{CapacityProvider, Cluster, Instance, Record, TaskDefinition};
pub(crate) use auto_scaling::{AutoScalingGroups, LifecycleAction, Member, PlacedGroup};
pub(crate) use interruption::Interruption;
pub(crate) use network_interface::NetworkInterface;
pub(crate) use placed_task::{PlacedTask, RunningContainer};
pub(crate) use run_token::{RunToken, RunTokens};
pub(crate) use scheduler::Scheduled;
pub(crate) use target_groups::{PlacedTargetGroup, TargetGroups};

/// The family of tasks without a task definition.
const DEFAULT_FAMILY: &str = "app";

/// Services by cluster and name.
pub(crate) type Services = BTreeMap<(String, String), Scheduled>;

/// Container instances by ARN, by cluster.
pub(crate) type Records = BTreeMap<String, BTreeMap<String, Record>>;

/// Tasks on Fargate, by cluster.
pub(crate) type FargateTasks = BTreeMap<String, Vec<PlacedTask>>;

/// One account's resources in one Region.
///
/// Time passes only when somebody reads or changes the resources: [`Resources::advance`] catches up.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) providers: BTreeMap<String, CapacityProvider>,
    pub(crate) records: Records,
    pub(crate) fargate: FargateTasks,
    /// The client tokens of `RunTask`.
    pub(crate) run_tokens: RunTokens,
    /// The capacity providers that have no capacity for new tasks; `EC2` stands for container instances.
    pub(crate) exhausted: BTreeSet<String>,
    /// Task definitions by family.
    pub(crate) definitions: BTreeMap<String, TaskDefinition>,
    pub(crate) services: Services,
    pub(crate) target_groups: TargetGroups,
    pub(crate) groups: AutoScalingGroups,
    /// All waits in lifecycle hooks so far, in their order.
    pub(crate) lifecycle_actions: Vec<LifecycleAction>,
    /// EKS clusters by name.
    pub(crate) eks: BTreeMap<String, PlacedCluster>,
    pub(crate) interruptions: Vec<Interruption>,
    pub(crate) history: History,
    /// The time that it has caught up to.
    pub(crate) now: Instant,
    placed: usize,
    /// Whether it may have been changed since it was advanced.
    is_changed: bool,
    /// The time of the next change, unless it is changed before.
    due: Option<Instant>,
}

impl Resources {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            clusters: BTreeMap::new(),
            instances: BTreeMap::new(),
            providers: BTreeMap::new(),
            records: BTreeMap::new(),
            fargate: BTreeMap::new(),
            run_tokens: RunTokens::default(),
            exhausted: BTreeSet::new(),
            definitions: BTreeMap::from([(DEFAULT_FAMILY.to_owned(), TaskDefinition::new(DEFAULT_FAMILY))]),
            services: BTreeMap::new(),
            target_groups: TargetGroups::new(),
            groups: AutoScalingGroups::new(),
            lifecycle_actions: Vec::new(),
            eks: BTreeMap::new(),
            interruptions: Vec::new(),
            history: History::default(),
            now,
            placed: 0,
            is_changed: false,
            due: None,
        }
    }

    /// Makes all changes that are due, each at its own time.
    pub(crate) fn advance(&mut self, now: Instant) {
        if self.is_changed {
            self.schedule();
            self.due = self.next();
        }
        while let Some(due) = self.due.filter(|due| *due <= now) {
            self.now = due.max(self.now);
            self.step();
            self.schedule();
            self.due = self.next();
        }
        (self.now, self.is_changed) = (now.max(self.now), false);
    }

    /// Marks the resources as changed, so that the time of the next change is computed again. Reads skip that.
    pub(crate) fn change(&mut self) -> &mut Self {
        self.is_changed = true;
        self
    }

    /// The time of the next change.
    fn next(&self) -> Option<Instant> {
        let runs = self.records.values().flat_map(BTreeMap::values).flat_map(|record| &record.runs);
        let runs = runs.chain(self.fargate.values().flatten());
        let ends = self.interruptions.iter().filter_map(Interruption::due);
        let services = self.services.values().filter_map(Scheduled::due);
        let pods = self.eks.values().filter_map(|cluster| cluster.world.due());
        let groups = self.groups.values().filter_map(PlacedGroup::due);
        let drains = self.target_groups.values().filter_map(PlacedTargetGroup::due);
        runs.filter_map(PlacedTask::due).chain(services).chain(drains).chain(groups).chain(pods).chain(ends).min()
    }

    /// Makes the changes that are due now.
    fn step(&mut self) {
        let now = self.now;
        for scheduled in self.services.values_mut() {
            scheduled.advance(now, &mut self.history);
        }
        let is_due = |run: &&mut PlacedTask| run.due().is_some_and(|due| due <= now);
        for run in in_order(runs_mut(&mut self.records, &mut self.fargate).filter(is_due)) {
            run.advance(now, &mut self.history);
        }
        for cluster in self.eks.values_mut() {
            cluster.world.advance(now, &mut self.history);
        }
        self.target_groups.values_mut().for_each(|group| group.advance(now));
        self.advance_groups();
        self.end_instances();
    }

    pub(crate) fn records_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        self.records.values_mut().flat_map(BTreeMap::values_mut)
    }

    pub(crate) fn record_mut(&mut self, arn: &str) -> Option<&mut Record> {
        self.records.values_mut().find_map(|records| records.get_mut(arn))
    }

    /// Changes a container instance's status; reads show it after `settle`.
    pub(crate) fn set_status(&mut self, arn: &str, status: &str, settle: Duration) {
        let now = self.now;
        let Some(record) = self.record_mut(arn) else { return };
        record.set_status(status, now, settle);
        let (instance, what) = (record.model.ec2_instance_id.clone(), format!("{status} in {}", record.model.cluster));
        self.history.note(now, instance, what);
    }

    /// Removes a container instance's tasks from ECS, as a deregistration does. Their containers run on.
    pub(crate) fn release(&mut self, arn: &str) {
        let now = self.now;
        let Self { records, history, .. } = self;
        let record = records.values_mut().find_map(|records| records.get_mut(arn));
        record.into_iter().flat_map(|record| &mut record.runs).for_each(|run| run.leave(now, history));
    }

    /// Applies new definitions and services to running tasks.
    pub(crate) fn redefine(&mut self) {
        let Self { records, fargate, definitions, services, .. } = self;
        runs_mut(records, fargate).filter(|run| run.is_whole()).for_each(|run| run.define(definitions, services));
    }
}

fn runs_mut<'a>(records: &'a mut Records, fargate: &'a mut FargateTasks) -> impl Iterator<Item = &'a mut PlacedTask> {
    let on_instances = records.values_mut().flat_map(BTreeMap::values_mut).flat_map(|record| &mut record.runs);
    on_instances.chain(fargate.values_mut().flatten())
}

/// Tasks in the order of placement, since their ARNs are random.
fn in_order<'a>(runs: impl Iterator<Item = &'a mut PlacedTask>) -> Vec<&'a mut PlacedTask> {
    let mut runs: Vec<_> = runs.collect();
    runs.sort_by_key(|run| run.order);
    runs
}
