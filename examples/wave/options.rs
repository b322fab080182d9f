//! The settings of a wave, from the command line.

use std::{path::PathBuf, str::FromStr, time::Duration};

use standin::EventSourceMapping;

use crate::template;

pub(crate) const USAGE: &str = include_str!("usage.txt");

/// A wave.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) events: usize,
    pub(crate) clusters: usize,
    pub(crate) delivery: Delivery,
    pub(crate) strategy: Strategy,
    pub(crate) hints: Hints,
    pub(crate) spread: Duration,
    pub(crate) latency: Duration,
    pub(crate) quota_factor: f64,
    pub(crate) faults: Percent,
    pub(crate) malformed: Percent,
    pub(crate) duplicates: Percent,
    pub(crate) kills: u32,
    pub(crate) timeout: Duration,
    pub(crate) mapping: EventSourceMapping,
    pub(crate) visibility: Duration,
    pub(crate) function: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) plot: Option<PathBuf>,
}

/// Defines an option that is one of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),+ }

        impl $name {
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("{word} is none of {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

words!(
    /// The delivery of notices.
    Delivery { Direct = "direct", Queue = "queue" }
);

words!(
    /// The function's `STRATEGY`.
    Strategy { Deregister = "deregister", Drain = "drain", Evacuate = "evacuate" }
);

words!(
    /// The hint to an instance's cluster.
    Hints { None = "none", Tag = "tag", UserData = "user-data", Asg = "asg", Group = "group" }
);

/// A share, between 0 and 100.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Percent(pub(crate) f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
        percent.map(Self).ok_or_else(|| format!("{text} is not between 0 and 100"))
    }
}

impl Options {
    /// Reads the arguments.
    pub(crate) fn read(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Args(args.collect());
        if args.flag("--help") {
            return Err("A reclaim wave against AWS's request quotas".to_owned());
        }
        let strategy = args.value("--strategy")?.unwrap_or(Strategy::Deregister);
        let delivery = args.value("--delivery")?.unwrap_or(Delivery::Queue);
        let seconds = |seconds: Option<f64>, default| seconds.map_or(default, Duration::from_secs_f64);
        let options = Self {
            events: args.value("--events")?.unwrap_or(200).max(1),
            clusters: args.value("--clusters")?.unwrap_or(20).max(1),
            delivery,
            strategy,
            hints: args.value("--hints")?.unwrap_or(Hints::Asg),
            spread: seconds(args.value("--spread-s")?, Duration::from_secs(5)),
            quota_factor: args.value("--quota-factor")?.filter(|factor| *factor > 0.0).unwrap_or(1.0),
            latency: Duration::from_millis(args.value("--latency-ms")?.unwrap_or(10)),
            faults: args.value("--faults")?.unwrap_or(Percent(0.0)),
            malformed: args.value("--malformed")?.unwrap_or(Percent(0.0)),
            duplicates: args.value("--duplicates")?.unwrap_or(Percent(1.0)),
            kills: args.value("--kills")?.unwrap_or_default(),
            timeout: seconds(args.value("--timeout-s")?, template::timeout(delivery, strategy)),
            mapping: EventSourceMapping {
                batch_size: args.value("--batch-size")?.unwrap_or(template::mapping(strategy).batch_size).max(1),
                window: seconds(args.value("--window-s")?, template::mapping(strategy).window),
                concurrency: args.value("--concurrency")?.unwrap_or(template::mapping(strategy).concurrency).max(1),
            },
            visibility: seconds(args.value("--visibility-s")?, template::visibility(strategy)),
            function: args.value("--function")?,
            json: args.flag("--json"),
            plot: args.value("--plot")?,
        };
        args.0.first().map_or(Ok(options), |unknown| Err(format!("{unknown} is no option")))
    }
}

/// The arguments that have not been read yet.
struct Args(Vec<String>);

impl Args {
    fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|arg| arg == name);
        at.map(|at| self.0.remove(at)).is_some()
    }

    fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String>
    where
        T::Err: ToString,
    {
        let Some(at) = self.0.iter().position(|arg| arg == name) else { return Ok(None) };
        if at + 1 == self.0.len() {
            return Err(format!("{name} needs a value"));
        }
        let value = self.0.drain(at..at + 2).next_back().unwrap_or_default();
        value.parse().map(Some).map_err(|error: T::Err| format!("{name}: {}", error.to_string()))
    }
}
