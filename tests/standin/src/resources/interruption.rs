//! Interruptions of instances by EC2.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use super::{Records, Resources, RunningContainer, in_order, runs_mut};
use crate::fate::Fate;

/// A notice, and the end that follows it.
#[derive(Clone, Debug)]
pub(crate) struct Interruption {
    pub(crate) instance: String,
    /// The time of the notice.
    pub(crate) at: Instant,
    /// The time when the instance ends.
    pub(crate) ends: Instant,
    action: String,
    is_over: bool,
    /// Whether it is a termination by an Auto Scaling group only.
    by_group: bool,
}

impl Interruption {
    /// The interruption of a task of Fargate Spot, which has at most its stop timeout.
    fn of_task(at: Instant) -> Self {
        let ends = at + Duration::from_mins(2);
        Self { instance: String::new(), at, ends, action: "terminate".to_owned(), is_over: false, by_group: false }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        (!self.is_over).then_some(self.ends)
    }

    /// Whether a container existed between the notice and the end. A later container still runs, or ended later.
    fn hit(&self, process: &RunningContainer) -> bool {
        process.ended.map_or(!self.is_over, |(ended, _)| (self.at..=self.ends).contains(&ended))
    }
}

impl Resources {
    /// Gives notice that an instance ends after this time. A second notice does not change the first.
    pub(crate) fn interrupt(&mut self, instance: &str, action: &str, notice: Duration) {
        let now = self.now;
        self.history.note(now, instance, format!("notice: {action} in {} s", notice.as_secs()));
        if let Some(other) = self.current_interruption(instance) {
            // A lifecycle hook does not delay EC2.
            if other.by_group {
                (other.ends, other.by_group) = (other.ends.min(now + notice), false);
            }
            return;
        }
        let ends = now + notice;
        let (id, action) = (instance.to_owned(), action.to_owned());
        self.interruptions.push(Interruption { instance: id, at: now, ends, action, is_over: false, by_group: false });
        self.rebalance(instance, false);
    }

    /// The interruption of an instance that did not end yet.
    fn current_interruption(&mut self, instance: &str) -> Option<&mut Interruption> {
        self.interruptions.iter_mut().find(|other| other.instance == instance && !other.is_over)
    }

    /// An Auto Scaling group terminates an instance within this time.
    pub(super) fn terminate_later(&mut self, instance: &str, within: Duration) {
        let now = self.now;
        if self.current_interruption(instance).is_none() {
            let (instance, action) = (instance.to_owned(), "terminate".to_owned());
            let ends = now + within;
            self.interruptions.push(Interruption { instance, at: now, ends, action, is_over: false, by_group: true });
        }
    }

    /// An Auto Scaling group terminates an instance now.
    pub(super) fn terminate_now(&mut self, instance: &str) {
        let now = self.now;
        if let Some(interruption) = self.current_interruption(instance) {
            "terminate".clone_into(&mut interruption.action);
            interruption.ends = interruption.ends.min(now);
        }
    }

    /// The time of the first notice.
    pub(crate) fn first_notice(&self) -> Option<Instant> {
        self.interruptions.first().map(|first| first.at)
    }

    /// Ends the instances whose time has come.
    pub(super) fn end_instances(&mut self) {
        let now = self.now;
        let Self { records, fargate, instances, interruptions, history, eks, .. } = self;
        let mut ended = Vec::new();
        for over in interruptions.iter_mut().filter(|other| other.due().is_some_and(|due| due <= now)) {
            over.is_over = true;
            ended.push(over.instance.clone());
            let state = if over.action == "terminate" { "terminated" } else { "stopped" };
            if let Some(instance) = instances.get_mut(&over.instance) {
                state.clone_into(&mut instance.state);
            }
            let by = if over.by_group { "Auto Scaling" } else { "EC2" };
            history.note(now, &over.instance, format!("{state} by {by}"));
            for run in in_order(runs_mut(records, fargate).filter(|run| run.instance == over.instance)) {
                run.end_with_instance(over.action == "hibernate", now, history);
            }
            for cluster in eks.values_mut() {
                cluster.world.end_instance(&over.instance, over.action == "terminate", now, history);
            }
            connect(records, &over.instance, false);
        }
        for instance in &ended {
            self.member_ended(instance);
        }
    }

    /// Starts a stopped instance at this date.
    pub(crate) fn start_again(&mut self, id: &str, date: SystemTime) {
        if let Some(instance) = self.instances.get_mut(id) {
            "running".clone_into(&mut instance.state);
            instance.launched = Some(date);
            connect(&mut self.records, id, true);
            self.history.note(self.now, id, "started by EC2");
            for cluster in self.eks.values_mut() {
                cluster.world.start_again(id, self.now, &mut self.history);
            }
        }
    }

    /// What became of the containers of each interrupted instance and of each interrupted task of Fargate Spot.
    pub(crate) fn fates(&self) -> Vec<Fate> {
        let records = self.records.values().flat_map(BTreeMap::values);
        let mut runs: Vec<_> = records.flat_map(|record| &record.runs).collect();
        runs.sort_by_key(|run| run.order);
        let mut fates = Vec::new();
        for run in self.fargate.values().flatten() {
            let Some(interruption) = run.interrupted.map(Interruption::of_task) else { continue };
            let hit = |process: &&RunningContainer| interruption.hit(process);
            fates.extend(run.containers.iter().filter(hit).map(|process| Fate::new(&interruption, run, process)));
        }
        for interruption in &self.interruptions {
            for run in runs.iter().filter(|run| run.instance == interruption.instance) {
                let hit = |process: &&RunningContainer| interruption.hit(process);
                fates.extend(run.containers.iter().filter(hit).map(|process| Fate::new(interruption, run, process)));
            }
        }
        fates
    }
}

fn connect(records: &mut Records, instance: &str, connected: bool) {
    let records = records.values_mut().flat_map(BTreeMap::values_mut);
    for record in records.filter(|record| record.model.ec2_instance_id == instance) {
        record.model.agent_connected = connected && record.model.status != "INACTIVE";
    }
}
