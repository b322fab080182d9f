//! Axes and the lines between them.

use std::fmt::Write;

/// Values from 0 to an end, over a stretch of the picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) end: f64,
    from: f64,
    to: f64,
}

impl Axis {
    pub(super) fn new(end: f64, from: f64, to: f64) -> Self {
        Self { end, from, to }
    }

    fn at(self, value: f64) -> f64 {
        self.from + (self.to - self.from) * value / self.end
    }

    /// Round values, at most nine.
    fn ticks(self) -> Vec<f64> {
        let steps = (-1..9).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
        let step = steps.into_iter().find(|step| self.end / step <= 8.0).unwrap_or(self.end);
        std::iter::successors(Some(0.0), |tick| Some(tick + step)).take_while(|tick| *tick <= self.end).collect()
    }
}

/// The axis of time, with its lines.
pub(super) fn horizontal(x: &Axis, y: &Axis, label: &str) -> String {
    let tick = |tick: &f64| {
        let (at, below) = (x.at(*tick), y.from + 20.0);
        format!(
            "<path class=\"grid\" d=\"M{at:.1} {:.1}V{:.1}\"/>\n\
             <text class=\"mute middle\" x=\"{at:.1}\" y=\"{below:.1}\">{tick}</text>",
            y.from, y.to
        )
    };
    let middle = f64::midpoint(x.from, x.to);
    [
        x.ticks().iter().map(tick).collect::<Vec<_>>().join("\n"),
        format!("<path class=\"axis\" d=\"M{:.1} {:.1}H{:.1}\"/>", x.from, y.from, x.to),
        format!("<text class=\"middle\" x=\"{middle:.1}\" y=\"{:.1}\">{label}</text>", y.from + 44.0),
    ]
    .join("\n")
}

/// The axis of what is counted, with its lines.
pub(super) fn vertical(x: &Axis, y: &Axis, label: &str) -> String {
    let tick = |tick: &f64| {
        let at = y.at(*tick);
        format!(
            "<path class=\"grid\" d=\"M{:.1} {at:.1}H{:.1}\"/>\n\
             <text class=\"mute right\" x=\"{:.1}\" y=\"{:.1}\">{tick}</text>",
            x.from,
            x.to,
            x.from - 8.0,
            at + 4.5
        )
    };
    let middle = f64::midpoint(y.from, y.to);
    let above_zero: Vec<_> = y.ticks().iter().skip(1).map(tick).collect();
    [
        above_zero.join("\n"),
        format!("<text class=\"middle\" transform=\"translate(18 {middle:.1}) rotate(-90)\">{label}</text>"),
    ]
    .join("\n")
}

/// A line of the picture.
pub(super) struct Line {
    class: &'static str,
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Line {
    /// A line through these points.
    pub(super) fn of(class: &'static str, name: &'static str, points: Vec<(f64, f64)>) -> Self {
        Self { class, name, points }
    }

    /// A line that rises by one at each of these times.
    pub(super) fn steps(class: &'static str, name: &'static str, times: &[f64]) -> Self {
        let mut points = vec![(0.0, 0.0)];
        let mut count = 0.0;
        for time in times {
            points.push((*time, count));
            count += 1.0;
            points.push((*time, count));
        }
        Self::of(class, name, points)
    }

    pub(super) fn path(&self, x: &Axis, y: &Axis) -> String {
        let mut path = String::new();
        // It goes on to the end of the axis.
        let end = self.points.last().map(|(_, count)| (x.end, *count));
        for (at, count) in self.points.iter().chain(&end) {
            let command = if path.is_empty() { 'M' } else { 'L' };
            // Writing to a string does not fail.
            let _ = write!(path, "{command}{:.1} {:.1}", x.at(*at), y.at(*count));
        }
        format!("<path class=\"line {}\" d=\"{path}\"/>", self.class)
    }

    /// A piece of the line with its name.
    pub(super) fn legend(&self, x: f64, y: f64) -> String {
        format!(
            "<path class=\"line {}\" d=\"M{x:.1} {y:.1}h28\"/>\n<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            self.class,
            x + 36.0,
            y + 4.5,
            self.name
        )
    }

    /// About the width of the name.
    pub(super) fn width(&self) -> f64 {
        self.name.chars().map(|_| 6.6).sum()
    }
}
