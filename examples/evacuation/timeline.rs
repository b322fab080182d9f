//! Tables for the terminal.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use standin::{Ending, Fate};

use crate::StrategyRun;

/// The width of a column.
const WIDTH: usize = 38;

/// The changes, with a column for each strategy.
pub(crate) fn moments(runs: &[StrategyRun]) -> String {
    let mut rows: BTreeMap<Duration, Vec<Vec<String>>> = BTreeMap::new();
    for (column, run) in runs.iter().enumerate() {
        for moment in &run.history {
            let cells = rows.entry(moment.at).or_insert_with(|| vec![Vec::new(); STRATEGIES]);
            cells[column].push(cut(&format!("{}: {}", short(&moment.subject), moment.what)));
        }
    }
    let mut text = heading(runs);
    for (at, cells) in rows {
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or_default() {
            let time = if line == 0 { format!("{:.1}", at.as_secs_f64()) } else { String::new() };
            let cells = cells.iter().map(|cell| cell.get(line).map_or("", String::as_str));
            row(&mut text, &time, cells);
        }
    }
    text
}

const STRATEGIES: usize = crate::STRATEGIES.len();

/// The fate of each container, with a column for each strategy.
pub(crate) fn fates(runs: &[StrategyRun]) -> String {
    let mut text = heading(runs);
    let containers = runs.first().map(|run| &run.fates).into_iter().flatten();
    for container in containers.map(|fate| &fate.container) {
        let cells: Vec<_> =
            runs.iter().filter_map(|run| run.fates.iter().find(|f| f.container == *container)).map(fate).collect();
        row(&mut text, container, cells.iter().map(String::as_str));
    }
    text
}

fn fate(fate: &Fate) -> String {
    let sigterm = match fate.sigterm {
        None => "no SIGTERM".to_owned(),
        Some(at) => {
            let s = Duration::as_secs_f64;
            format!("SIGTERM {:.0} s, {:.0} of {:.0} s", s(&at), s(&fate.had()), s(&fate.stop_timeout))
        }
    };
    let ending = match fate.ending {
        Ending::Exited => "exited",
        Ending::Killed => "killed",
        Ending::InstanceEnded => "cut off",
    };
    format!("{sigterm}, {ending}{}", if fate.with_traffic { ", traffic" } else { "" })
}

/// The totals of each strategy.
pub(crate) fn totals(runs: &[StrategyRun]) -> String {
    let mut text = heading(runs);
    let mut add = |title: &str, cell: fn(&StrategyRun) -> String| {
        let cells: Vec<_> = runs.iter().map(cell).collect();
        row(&mut text, title, cells.iter().map(String::as_str));
    };
    add("SIGTERM", |run| format!("{} of {} containers got their time", graceful(&run.fates), run.fates.len()));
    add("traffic", |run| format!("{} died with traffic", with_traffic(&run.fates)));
    add("calls", |run| format!("{} API calls", run.calls));
    add("left", |run| format!("{} still registered", run.registered));
    text
}

/// A line for a batch.
pub(crate) fn batch(instances: usize, calls: usize, fates: &[Fate]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "there are hundreds of them")]
    let each = calls as f64 / instances as f64;
    let (graceful, all, traffic) = (graceful(fates), fates.len(), with_traffic(fates));
    format!(
        "{instances:>8}  {each:.1} API calls each, {graceful} of {all} containers got SIGTERM and their time, {traffic} died with traffic"
    )
}

fn graceful(fates: &[Fate]) -> usize {
    fates.iter().filter(|fate| fate.is_graceful()).count()
}

fn with_traffic(fates: &[Fate]) -> usize {
    fates.iter().filter(|fate| fate.with_traffic).count()
}

fn heading(runs: &[StrategyRun]) -> String {
    let mut text = String::new();
    row(&mut text, "", runs.iter().map(|run| run.strategy));
    text
}

fn row<'a>(text: &mut String, title: &str, cells: impl Iterator<Item = &'a str>) {
    let cells: Vec<_> = cells.map(|cell| format!("{cell:<WIDTH$}")).collect();
    // Writing to a string does not fail.
    let _ = writeln!(text, "{title:>8}  {}", cells.join(" ").trim_end());
}

/// Removes ids: there is one instance, with one task of each kind.
fn short(subject: &str) -> &str {
    if subject.starts_with("i-") { "instance" } else { subject.split(' ').next().unwrap_or(subject) }
}

fn cut(text: &str) -> String {
    text.chars().take(WIDTH - 1).collect()
}
