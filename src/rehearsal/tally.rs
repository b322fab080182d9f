//! Adds up what was found in all accounts and Regions. Pure.

use std::collections::BTreeMap;

use super::{
    finding::name,
    notes::Notes,
    place::{Survey, counted},
    report::{Place, Report},
    subject::{Fate, Subject, by_pool},
    table,
    timeline::{Timeline, Wave},
};
use crate::{
    aws::calls::CallCounts,
    config::{Config, Strategy},
    ecs::locate::way::Way,
};

/// The report on what was found in all accounts and Regions.
pub(crate) fn report(mut surveys: Vec<Survey>, config: &Config, counts: &CallCounts, duration_ms: u64) -> Report {
    let has_several = surveys.len() > 1;
    let mut notes = Notes::default();
    for survey in &mut surveys {
        let prefix = if has_several { format!("{} {} ", survey.account, survey.region) } else { String::new() };
        let of = std::mem::take(&mut survey.notes);
        notes.findings.extend(&prefix, of.findings);
        notes.incomplete.extend(of.incomplete.iter().map(|text| format!("{prefix}{text}")));
        notes.not_checked.extend(of.not_checked);
        if let Some(error) = &survey.error {
            notes.incomplete.insert(format!("{prefix}{error}"));
        }
    }
    let timeline = timeline(&surveys, config);
    let subjects = || surveys.iter().flat_map(|survey| &survey.subjects);
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
        places: surveys.iter().map(place).collect(),
        instances: subjects().count(),
        // There may be instances where not all are known.
        not_covered: subjects().filter(|subject| subject.is_not_covered()).count()
            + surveys.iter().filter(|survey| !survey.is_complete).count(),
        not_reached: subjects().filter(|subject| subject.fate == Fate::NotReached).count(),
        outcomes: outcomes.into(),
        skipped_by: counted(skipped.filter_map(|subject| subject.skipped_by.clone())),
        ways: counted(subjects().filter_map(|subject| subject.way).map(|way| name(&way))),
        calls_to_locate: surveys.iter().map(|survey| survey.calls_to_locate).sum(),
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
fn timeline(surveys: &[Survey], config: &Config) -> Option<Timeline> {
    let pools = surveys
        .iter()
        .flat_map(|survey| by_pool(&survey.subjects).into_iter().map(move |(pool, subjects)| (survey, pool, subjects)));
    let handled = |subjects: &[&Subject]| subjects.iter().filter(|subject| subject.fate.is_handled()).count();
    let (survey, (instance_type, zone), subjects) =
        pools.max_by_key(|(_, _, subjects)| (handled(subjects), subjects.len()))?;
    Some(wave(survey, &subjects, config.strategy).timeline(&instance_type, &zone))
}

/// The wave that interrupts these instances.
fn wave(survey: &Survey, subjects: &[&Subject], strategy: Strategy) -> Wave {
    let handled = subjects.iter().filter(|subject| subject.fate.is_handled()).count();
    let mut wave = Wave { instances: subjects.len(), handled, strategy, ..Wave::default() };
    let mut nodes: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for subject in subjects {
        for of in &subject.container_instances {
            *wave.container_instances.entry(of.cluster.to_string()).or_default() += 1;
            wave.tasks += of.tasks();
        }
        if let Some(node) = &subject.node {
            let (count, pods) = nodes.entry(node.api_server.cluster.to_string()).or_default();
            *count += 1;
            *pods += survey.pods.get(&subject.id).copied().unwrap_or_default();
        }
    }
    wave.nodes = nodes;
    wave.user_data = subjects.iter().filter(|of| of.way == Some(Way::UserData)).count();
    wave.scan_calls = if subjects.iter().any(|of| of.way == Some(Way::Scan)) { survey.scan_calls } else { 0 };
    wave
}
