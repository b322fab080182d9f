//! Tables for the terminal.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use standin::{Ending, Fate};

use crate::Played;

/// How wide a column is.
const WIDTH: usize = 38;

/// What happened, a column for each strategy.
pub(crate) fn moments(played: &[Played]) -> String {
    let mut rows: BTreeMap<Duration, Vec<Vec<String>>> = BTreeMap::new();
    for (column, played) in played.iter().enumerate() {
        for moment in &played.history {
            let cells = rows.entry(moment.at).or_insert_with(|| vec![Vec::new(); STRATEGIES]);
            cells[column].push(cut(&format!("{}: {}", short(&moment.subject), moment.what)));
        }
    }
    let mut text = heading(played);
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

/// What became of each container, a column for each strategy.
pub(crate) fn fates(played: &[Played]) -> String {
    let mut text = heading(played);
    let containers = played.first().map(|played| &played.fates).into_iter().flatten();
    for container in containers.map(|fate| &fate.container) {
        let cells: Vec<_> = played
            .iter()
            .filter_map(|played| played.fates.iter().find(|f| f.container == *container))
            .map(fate)
            .collect();
        row(&mut text, container, cells.iter().map(String::as_str));
    }
    text
}

fn fate(fate: &Fate) -> String {
    let told = match fate.sigterm {
        None => "no SIGTERM".to_owned(),
        Some(at) => {
            let s = Duration::as_secs_f64;
            format!("SIGTERM {:.0} s, {:.0} of {:.0} s", s(&at), s(&fate.had()), s(&fate.stop_timeout))
        }
    };
    let ending = match fate.ending {
        Ending::Exited => "exited",
        Ending::Killed => "killed",
        Ending::Plug => "cut off",
    };
    format!("{told}, {ending}{}", if fate.with_traffic { ", traffic" } else { "" })
}

/// The figures of the README's table of strategies.
pub(crate) fn totals(played: &[Played]) -> String {
    let mut text = heading(played);
    let mut add = |title: &str, cell: fn(&Played) -> String| {
        let cells: Vec<_> = played.iter().map(cell).collect();
        row(&mut text, title, cells.iter().map(String::as_str));
    };
    add("told", |played| format!("{} of {} got SIGTERM and their time", graceful(&played.fates), played.fates.len()));
    add("traffic", |played| format!("{} died with traffic", with_traffic(&played.fates)));
    add("calls", |played| format!("{} API calls", played.calls));
    add("left", |played| format!("{} still registered", played.registered));
    text
}

/// A line for a batch.
pub(crate) fn batch(instances: usize, calls: usize, fates: &[Fate]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "there are hundreds of them")]
    let each = calls as f64 / instances as f64;
    let (told, all, traffic) = (graceful(fates), fates.len(), with_traffic(fates));
    format!(
        "{instances:>8}  {each:.1} API calls each, {told} of {all} got SIGTERM and their time, {traffic} died with traffic"
    )
}

fn graceful(fates: &[Fate]) -> usize {
    fates.iter().filter(|fate| fate.is_graceful()).count()
}

fn with_traffic(fates: &[Fate]) -> usize {
    fates.iter().filter(|fate| fate.with_traffic).count()
}

fn heading(played: &[Played]) -> String {
    let mut text = String::new();
    row(&mut text, "", played.iter().map(|played| played.strategy));
    text
}

fn row<'a>(text: &mut String, title: &str, cells: impl Iterator<Item = &'a str>) {
    let cells: Vec<_> = cells.map(|cell| format!("{cell:<WIDTH$}")).collect();
    // Writing to a string does not fail.
    let _ = writeln!(text, "{title:>8}  {}", cells.join(" ").trim_end());
}

/// Leaves out ids: there is one instance, and one task of each kind on it.
fn short(subject: &str) -> &str {
    if subject.starts_with("i-") { "instance" } else { subject.split(' ').next().unwrap_or(subject) }
}

fn cut(text: &str) -> String {
    text.chars().take(WIDTH - 1).collect()
}
