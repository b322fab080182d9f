//! Plots a wave: instances handled over time, beside the notices and what the quotas allow.

mod axis;

use std::time::Duration;

use self::axis::{Axis, Line};
use crate::{
    bound::Bound,
    measured::Figures,
    notices::share,
    options::Options,
    run::{NOTICE, WaveRun},
};

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 420.0;

/// The margins between the plot's edges and the axes: left, top, right, bottom.
const MARGINS: [f64; 4] = [68.0, 92.0, 24.0, 58.0];

/// Readable on light and on dark pages. Without variables: not every renderer knows them.
const STYLE: &str = "\
text { fill: #1f2328; font: 13px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif }
.title { font-size: 16px; font-weight: 600 }
.right { text-anchor: end }
.middle { text-anchor: middle }
.line { fill: none; stroke-linejoin: round }
.page { fill: #ffffff }
.mute { fill: #59636e }
.grid { stroke: #d1d9e0 }
.axis { stroke: #59636e }
.notices { stroke: #59636e; stroke-width: 2; stroke-dasharray: 2 3 }
.bound { stroke: #bc4c00; stroke-width: 2; stroke-dasharray: 8 4 }
.handled { stroke: #0969da; stroke-width: 2.5 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.page { fill: #0d1117 }
.mute { fill: #9198a1 }
.grid { stroke: #3d444d }
.axis, .notices { stroke: #9198a1 }
.bound { stroke: #f0883e }
.handled { stroke: #4493f8 }
}";

/// Draws the plot.
pub(crate) fn svg(options: &Options, run: &WaveRun, measured: &Figures) -> String {
    let [left, top, right, bottom] = MARGINS;
    let bound = Bound::of(options);
    let (arrived, handled) = (arrivals(run), seconds(&measured.after_first.0));
    let x = Axis::new(end(&arrived, &handled, bound, measured), left, WIDTH - right);
    let y = Axis::new(share(measured.well_formed.max(1), 1), HEIGHT - bottom, top);
    let lines = [
        Line::steps("notices", "notices", &arrived),
        Line::of("bound", "what the quotas allow", at_best(bound, &arrived, x.end)),
        Line::steps("handled", "handled", &handled),
    ];

    let mut parts = vec![
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">"),
        format!("<title>{}</title>\n<style>\n{STYLE}\n</style>", title(options)),
        format!("<rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>"),
        format!("<text class=\"title\" x=\"{left}\" y=\"30\">{}</text>", title(options)),
        format!("<text class=\"mute\" x=\"{left}\" y=\"52\">{}</text>", subtitle(measured, bound)),
        axis::horizontal(&x, &y, "seconds after the first notice"),
        axis::vertical(&x, &y, "instances"),
    ];
    parts.extend(lines.iter().map(|line| line.path(&x, &y)));
    let mut at = left;
    for line in &lines {
        parts.push(line.legend(at, 74.0));
        at += 60.0 + line.width();
    }
    parts.push("</svg>\n".to_owned());
    parts.join("\n")
}

fn title(options: &Options) -> String {
    let (delivery, strategy, hints) = (options.delivery.word(), options.strategy.word(), options.hints.word());
    let faults = if options.faults.0 > 0.0 { format!(", {} % faults", options.faults.0) } else { String::new() };
    let (events, clusters) = (options.events, options.clusters);
    format!("{events} notices over {clusters} clusters: {delivery}, {strategy}, hints: {hints}{faults}")
}

fn subtitle(measured: &Figures, bound: Option<Bound>) -> String {
    let last = measured.after_first.percentile(100);
    let bound = bound.map(|bound| format!("; the request quotas allow {:.1} s", bound.seconds()));
    format!(
        "{} handled, {} lost, the last after {last:.1} s{}",
        measured.handled,
        measured.lost,
        bound.unwrap_or_default()
    )
}

/// The times at which well-formed notices were sent, in seconds.
fn arrivals(run: &WaveRun) -> Vec<f64> {
    let first = run.sent.first().map(|sent| sent.at);
    let sent = run.sent.iter().filter(|sent| sent.well_formed);
    sent.filter_map(|sent| Some(sent.at.saturating_duration_since(first?).as_secs_f64())).collect()
}

fn seconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(Duration::as_secs_f64).collect()
}

/// The upper bound on handled instances: as many as the quotas admit of those that have a notice.
fn at_best(bound: Option<Bound>, arrived: &[f64], until: f64) -> Vec<(f64, f64)> {
    let Some(bound) = bound else { return Vec::new() };
    let point = |n: usize| {
        let at = until * share(n, 400);
        let noticed = share(arrived.iter().filter(|arrived| **arrived <= at).count(), 1);
        (at, noticed.min(bound.share_at(at) * share(arrived.len(), 1)))
    };
    (0..=400).map(point).collect()
}

/// The end of the axis of time.
fn end(arrived: &[f64], handled: &[f64], bound: Option<Bound>, measured: &Figures) -> f64 {
    let last = |times: &[f64]| times.last().copied().unwrap_or_default();
    let given_up = if measured.lost > 0 { last(arrived) + NOTICE.as_secs_f64() } else { 0.0 };
    let all = [last(arrived), last(handled), bound.map_or(0.0, Bound::seconds), given_up, 1.0];
    all.into_iter().fold(0.0, f64::max) * 1.04
}
