//! The service scheduler of ECS, which replaces tasks on draining container instances and tasks that are gone.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{PlacedTask, Resources, in_order};
use crate::history::History;
use crate::model::{Record, Service};

/// A service, with its replacement tasks on other container instances.
#[derive(Clone, Debug)]
pub(crate) struct Scheduled {
    pub(crate) model: Service,
    replacements: Vec<Replacement>,
}

#[derive(Clone, Debug)]
struct Replacement {
    healthy_at: Option<Instant>,
    is_healthy: bool,
}

/// The number of a service's tasks, by state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskCounts {
    /// Running tasks on draining container instances.
    moving: usize,
    /// Other running tasks, which are healthy.
    settled: usize,
    /// Replacements that are starting.
    pub(crate) starting: usize,
}

impl TaskCounts {
    pub(crate) fn running(self) -> usize {
        self.moving + self.settled
    }
}

impl Scheduled {
    pub(crate) fn new(model: Service) -> Self {
        Self { model, replacements: Vec::new() }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let starting = self.replacements.iter().filter(|replacement| !replacement.is_healthy);
        starting.filter_map(|replacement| replacement.healthy_at).min()
    }

    pub(super) fn advance(&mut self, now: Instant, history: &mut History) {
        let ready = |replacement: &&mut Replacement| replacement.healthy_at.is_some_and(|at| at <= now);
        for replacement in self.replacements.iter_mut().filter(|other| !other.is_healthy).filter(ready) {
            replacement.is_healthy = true;
            history.note(now, &self.model.name, "replacement healthy");
        }
    }

    /// Counts its tasks, given the container instances and the Fargate tasks of its cluster.
    pub(crate) fn count_tasks(
        &self,
        records: Option<&BTreeMap<String, Record>>,
        fargate: Option<&Vec<PlacedTask>>,
    ) -> TaskCounts {
        let group = self.model.group();
        let (mut placed, mut moving, mut settled) = (0, 0, 0);
        for record in records.into_iter().flat_map(BTreeMap::values) {
            let runs = || record.runs.iter().filter(|run| run.task.group == group);
            let running = runs().filter(|run| run.is_running()).count();
            placed += runs().count();
            moving += if is_draining(record) { running } else { 0 };
            settled += if is_draining(record) { 0 } else { running };
        }
        let on_fargate = || fargate.into_iter().flatten().filter(|run| run.task.group == group);
        placed += on_fargate().count();
        settled += on_fargate().filter(|run| run.is_running()).count();
        let elsewhere = self.model.desired_count.saturating_sub(placed);
        let healthy = self.replacements.iter().filter(|replacement| replacement.is_healthy).count();
        let starting = self.replacements.len() - healthy;
        TaskCounts { moving, settled: settled + elsewhere + healthy, starting }
    }

    /// Replaces a replica service's tasks within its limits.
    fn reconcile(
        &mut self,
        records: &mut BTreeMap<String, Record>,
        fargate: Option<&Vec<PlacedTask>>,
        now: Instant,
        history: &mut History,
    ) {
        let counts = self.count_tasks(Some(records), fargate);
        let spare = counts.running().saturating_sub(self.model.minimum());
        let stops = spare.min(counts.moving);
        let delay = self.model.deregistration_delay;
        for run in moving(records, &self.model, |_| true).into_iter().take(stops) {
            run.stop_by_scheduler(delay, now, history);
        }
        let staying = counts.settled + counts.starting;
        let room = self.model.maximum().saturating_sub(staying + counts.moving - stops);
        for _ in 0..room.min(self.model.desired_count.saturating_sub(staying)) {
            let healthy_at = self.model.replaced_after.map(|time| now + time);
            self.replacements.push(Replacement { healthy_at, is_healthy: false });
            history.note(now, &self.model.name, "replacement started");
        }
    }
}

impl Resources {
    /// Runs the scheduler for every service.
    pub(super) fn schedule(&mut self) {
        let Self { records, fargate, services, history, now, .. } = self;
        let is_daemon = |cluster: &str, group: &str| {
            let key = (cluster.to_owned(), group.trim_start_matches("service:").to_owned());
            services.get(&key).is_some_and(|scheduled| scheduled.model.daemon)
        };
        let is_last = |record: &Record| {
            let mut others = record.tasks().filter(|run| !is_daemon(&record.model.cluster, &run.task.group));
            others.all(|run| run.task.is_stopped())
        };
        for ((cluster, _), scheduled) in services.iter().filter(|(_, scheduled)| scheduled.model.daemon) {
            let Some(records) = records.get_mut(cluster) else { continue };
            for run in moving(records, &scheduled.model, is_last) {
                run.stop_by_scheduler(scheduled.model.deregistration_delay, *now, history);
            }
        }
        for ((cluster, _), scheduled) in services.iter_mut().filter(|(_, scheduled)| !scheduled.model.daemon) {
            let (on_fargate, mut none) = (fargate.get(cluster), BTreeMap::new());
            let records = records.get_mut(cluster).unwrap_or(&mut none);
            scheduled.reconcile(records, on_fargate, *now, history);
        }
        self.settle_targets();
    }
}

/// A service's running tasks on draining container instances that fit.
fn moving<'a>(
    records: &'a mut BTreeMap<String, Record>,
    service: &Service,
    fits: impl Fn(&Record) -> bool,
) -> Vec<&'a mut PlacedTask> {
    let group = service.group();
    let draining = records.values_mut().filter(|record| is_draining(record) && fits(record));
    let runs = draining.flat_map(|record| &mut record.runs);
    in_order(runs.filter(|run| run.is_running() && run.task.group == group))
}

fn is_draining(record: &Record) -> bool {
    record.model.status == "DRAINING"
}
