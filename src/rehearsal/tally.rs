//! Adds up what was found in all accounts and Regions. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    notes::Notes,
    place::{Survey, counted},
    report::{Place, Report},
    subject::{Fate, Subject, by_pool},
    table,
    timeline::{Reaction, Timeline, Wave},
};
use crate::{
    aws::calls::CallCounts,
    config::{Config, Strategy},
    ecs::locate::way::Way,
};

/// What was found in all accounts and Regions.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Whether there are several accounts or Regions.
    has_several: bool,
    surveys: Vec<Survey>,
}

impl Tally {
    pub(crate) fn new(has_several: bool) -> Self {
        Self { has_several, ..Self::default() }
    }

    pub(crate) fn instances(&self) -> usize {
        self.surveys.iter().map(|survey| survey.subjects.len()).sum()
    }

    pub(crate) fn add(&mut self, survey: Survey) {
        self.surveys.push(survey);
    }

    pub(crate) fn report(mut self, config: &Config, counts: &CallCounts, duration_ms: u64) -> Report {
        let mut notes = Notes::default();
        for survey in &mut self.surveys {
            let prefix =
                if self.has_several { format!("{} {} ", survey.account, survey.region) } else { String::new() };
            let of = std::mem::take(&mut survey.notes);
            notes.findings.extend(of.findings.prefixed(&prefix));
            notes.incomplete.extend(of.incomplete.iter().map(|text| format!("{prefix}{text}")));
            notes.not_checked.extend(of.not_checked);
            if let Some(error) = &survey.error {
                notes.incomplete.insert(format!("{prefix}{error}"));
            }
        }
        let timeline = self.timeline(config);
        let subjects = || self.surveys.iter().flat_map(|survey| &survey.subjects);
        let skipped = subjects().filter(|subject| matches!(subject.fate, Fate::Skipped | Fate::NotFound));
        let outcomes = counted(subjects().map(|subject| subject.fate));
        // Each outcome is there, so that none and unknown differ.
        let outcomes = Fate::ALL.map(|fate| (name(&fate), outcomes.get(&fate).copied().unwrap_or_default()));
        let place = |survey: &Survey| Place {
            account: survey.account.clone(),
            region: survey.region.clone(),
            instances: survey.subjects.len(),
            error: survey.error.as_ref().map(ToString::to_string),
        };
        let mut report = Report {
            event: "rehearsal",
            outcome: "rehearsed",
            strategy: config.strategy,
            reads: config.rehearsal_reads,
            places: self.surveys.iter().map(place).collect(),
            instances: subjects().count(),
            // There may be instances where not all are known.
            not_covered: subjects().filter(|subject| subject.is_not_covered()).count()
                + self.surveys.iter().filter(|survey| !survey.is_complete).count(),
            not_reached: subjects().filter(|subject| subject.fate == Fate::NotReached).count(),
            outcomes: outcomes.into(),
            skipped_by: counted(skipped.filter_map(|subject| subject.skipped_by.clone())),
            ways: counted(subjects().filter_map(|subject| subject.way).map(|way| name(&way))),
            calls_to_locate: self.surveys.iter().map(|survey| survey.calls_to_locate).sum(),
            calls: counts.by_operation().into_iter().map(|(of, made)| (of.to_string(), made)).collect(),
            findings: notes.findings.into_list(),
            not_checked: notes.not_checked.into_iter().collect(),
            incomplete: notes.incomplete.into_iter().collect(),
            timeline,
            duration_ms,
            text: String::new(),
        };
        report.text = table::write(&report);
        report
    }

    /// The time line of the largest capacity pool, by the number of instances that would be handled.
    fn timeline(&self, config: &Config) -> Option<Timeline> {
        let pools = self.surveys.iter().flat_map(|survey| {
            by_pool(&survey.subjects).into_iter().map(move |(pool, subjects)| (survey, pool, subjects))
        });
        let handled = |subjects: &[&Subject]| subjects.iter().filter(|subject| subject.fate.is_handled()).count();
        let (survey, (instance_type, zone), subjects) =
            pools.max_by_key(|(_, _, subjects)| (handled(subjects), subjects.len()))?;
        Some(wave(survey, &subjects, config.strategy).timeline(&instance_type, &zone))
    }
}

/// The wave that interrupts these instances.
fn wave(survey: &Survey, subjects: &[&Subject], strategy: Strategy) -> Wave {
    let handled = subjects.iter().filter(|subject| subject.fate.is_handled()).count();
    let mut wave = Wave { instances: subjects.len(), handled, ..Wave::default() };
    wave.reaction = match strategy {
        Strategy::Deregister => Reaction::Deregister,
        Strategy::Drain => Reaction::Drain,
        Strategy::Evacuate => Reaction::Evacuate,
    };
    let mut nodes: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for subject in subjects {
        for of in &subject.container_instances {
            *wave.container_instances.entry(of.cluster.to_string()).or_default() += 1;
            wave.tasks += of.tasks();
        }
        if let Some(node) = &subject.node {
            let (count, pods) = nodes.entry(node.api_server.cluster.to_string()).or_default();
            *count += 1;
            *pods += survey.counted.pods.get(&subject.id).copied().unwrap_or_default();
        }
    }
    wave.nodes = nodes;
    let ways: BTreeSet<_> = subjects.iter().filter_map(|subject| subject.way).collect();
    wave.user_data = subjects.iter().filter(|subject| subject.way == Some(Way::UserData)).count();
    wave.scan_calls = if ways.contains(&Way::Scan) { survey.scan_calls } else { 0 };
    wave
}

/// A value as JSON writes it.
fn name(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}
