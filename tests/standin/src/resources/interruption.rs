//! EC2 takes an instance back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use super::{Place, Process, Records, in_order, runs_mut};
use crate::fate::Fate;

/// A notice and the end that follows it.
#[derive(Clone, Debug)]
pub(crate) struct Interruption {
    pub(crate) instance: String,
    /// When the notice was given.
    pub(crate) at: Instant,
    /// When the instance goes.
    pub(crate) plug: Instant,
    action: String,
    is_over: bool,
}

impl Interruption {
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.is_over).then_some(self.plug)
    }

    /// Whether a container of the instance was there between notice and end; what came later still runs, or ended later.
    fn hit(&self, process: &Process) -> bool {
        process.ended.map_or(!self.is_over, |(ended, _)| (self.at..=self.plug).contains(&ended))
    }
}

impl Place {
    /// Gives an instance so much time; a second notice does not change the first one's.
    pub(crate) fn interrupt(&mut self, instance: &str, action: &str, notice: Duration) {
        let now = self.now;
        self.history.note(now, instance, format!("notice: {action} in {} s", notice.as_secs()));
        if self.interruptions.iter().any(|other| other.instance == instance && !other.is_over) {
            return;
        }
        let (instance, action) = (instance.to_owned(), action.to_owned());
        self.interruptions.push(Interruption { instance, at: now, plug: now + notice, action, is_over: false });
    }

    /// Ends the instances whose time is over.
    pub(super) fn pull_plugs(&mut self) {
        let now = self.now;
        let Self { records, instances, interruptions, history, .. } = self;
        for over in interruptions.iter_mut().filter(|other| other.due().is_some_and(|due| due <= now)) {
            over.is_over = true;
            let state = if over.action == "terminate" { "terminated" } else { "stopped" };
            if let Some(instance) = instances.get_mut(&over.instance) {
                state.clone_into(&mut instance.state);
            }
            history.note(now, &over.instance, format!("{state} by EC2"));
            for run in in_order(runs_mut(records).filter(|run| run.instance == over.instance)) {
                run.plug(over.action == "hibernate", now, history);
            }
            connect(records, &over.instance, false);
        }
    }

    /// Starts a stopped instance at a date.
    pub(crate) fn start_again(&mut self, id: &str, date: SystemTime) {
        if let Some(instance) = self.instances.get_mut(id) {
            "running".clone_into(&mut instance.state);
            instance.launched = Some(date);
            connect(&mut self.records, id, true);
            self.history.note(self.now, id, "started by EC2");
        }
    }

    /// What became of the containers of each interrupted instance.
    pub(crate) fn fates(&self) -> Vec<Fate> {
        let records = self.records.values().flat_map(BTreeMap::values);
        let mut runs: Vec<_> = records.flat_map(|record| &record.runs).collect();
        runs.sort_by_key(|run| run.order);
        let mut fates = Vec::new();
        for interruption in &self.interruptions {
            for run in runs.iter().filter(|run| run.instance == interruption.instance) {
                let hit = |process: &&Process| interruption.hit(process);
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
