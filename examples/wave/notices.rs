//! The notices: their times, and which of them are malformed or delivered twice.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use standin::Region;

use crate::{
    fleet::Member,
    options::{Delivery, Options, Percent},
};

/// A notice to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// The time after the first notice.
    pub(crate) after: Duration,
    /// The interrupted instance.
    pub(crate) member: Member,
    /// The flaw of a malformed notice.
    pub(crate) flaw: Option<Flaw>,
    /// Whether it is delivered twice.
    pub(crate) twice: bool,
}

/// The flaws of a malformed notice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flaw {
    NoInstance,
    WrongInstance,
    WrongAction,
    CutOff,
    NoJson,
}

/// All notices of a wave, spread evenly.
pub(crate) fn notices(options: &Options, fleet: &[Member]) -> Vec<Notice> {
    // Invalid JSON can only come out of a queue.
    let flaws = match options.delivery {
        Delivery::Direct => &[Flaw::NoInstance, Flaw::WrongInstance, Flaw::WrongAction][..],
        Delivery::Queue => &[Flaw::NoInstance, Flaw::WrongInstance, Flaw::WrongAction, Flaw::CutOff, Flaw::NoJson][..],
    };
    let mut flaws = flaws.iter().copied().cycle();
    let notice = |(n, member): (usize, &Member)| Notice {
        after: options.spread.mul_f64(share(n, fleet.len())),
        member: member.clone(),
        flaw: options.malformed.picks(n).then(|| flaws.next()).flatten(),
        // The offset keeps duplicates apart from malformed notices.
        twice: options.duplicates.picks(n + 50),
    };
    fleet.iter().enumerate().map(notice).collect()
}

/// `n` as a part of `all`.
#[expect(clippy::cast_precision_loss, reason = "counts of a few thousand")]
pub(crate) fn share(n: usize, all: usize) -> f64 {
    n as f64 / all as f64
}

impl Percent {
    /// Whether the `n`th of many is among this percentage, taken at even distances.
    #[expect(clippy::cast_precision_loss, reason = "counts of a few thousand")]
    fn picks(self, n: usize) -> bool {
        let up_to = |n: usize| (n as f64 * self.0 / 100.0).floor();
        up_to(n + 1) > up_to(n)
    }
}

impl Notice {
    /// The notice's text.
    pub(crate) fn text(&self, home: &Region) -> String {
        let mut event = standin::notice(home, &self.member.instance, "terminate", SystemTime::now());
        match self.flaw {
            None => {}
            Some(Flaw::NoInstance) => event["detail"]["instance-id"] = Value::Null,
            Some(Flaw::WrongInstance) => event["detail"]["instance-id"] = "i-1' or '1".into(),
            Some(Flaw::WrongAction) => event["detail"]["instance-action"] = "reboot".into(),
            Some(Flaw::CutOff) => return event.to_string().split_off(40),
            Some(Flaw::NoJson) => return "interruption imminent".to_owned(),
        }
        event.to_string()
    }
}
