//! The lower bound that the request quotas set.

use std::fmt;

use standin::{Bucket, Quotas};

use crate::options::{Delivery, Hints, Options, Strategy};

/// The fewest calls of one quota that a wave takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) bucket: Bucket,
    pub(crate) calls: f64,
    pub(crate) burst: f64,
    pub(crate) per_second: f64,
}

impl Bound {
    /// The bound of the whole wave: the latest.
    pub(crate) fn of(options: &Options) -> Option<Self> {
        if options.strategy == Strategy::Evacuate {
            // An evacuation takes the whole notice on purpose.
            return None;
        }
        let of = |(bucket, calls)| Self::new(bucket, calls, options.quota_factor);
        needs(options).into_iter().filter_map(of).max_by(|a, b| a.seconds().total_cmp(&b.seconds()))
    }

    /// The bound of this many calls; `None` if they are not limited.
    pub(crate) fn new(bucket: Bucket, calls: usize, factor: f64) -> Option<Self> {
        let (burst, per_second) = Quotas::aws().times(factor).get(bucket)?;
        Some(Self { bucket, calls: count(calls), burst, per_second })
    }

    /// When the last of the calls is admitted at the earliest, since the first one.
    pub(crate) fn seconds(self) -> f64 {
        ((self.calls - self.burst) / self.per_second).max(0.0)
    }

    /// The part of the calls that is admitted by a time.
    pub(crate) fn share_at(self, seconds: f64) -> f64 {
        ((self.burst + self.per_second * seconds) / self.calls).min(1.0)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, calls, burst, per_second } = self;
        if self.seconds() <= 0.0 {
            return write!(f, "at once by {bucket:?}: {calls} calls of {burst} at once");
        }
        write!(f, "{:.1} s by {bucket:?}: {calls} calls, {burst} at once, then {per_second} a second", self.seconds())
    }
}

/// The calls that every handler needs: an instance is described in its cluster before it is changed.
fn needs(options: &Options) -> [(Bucket, usize); 3] {
    let (events, clusters) = (options.events, options.clusters.min(options.events));
    let by = |size: usize| {
        (events / clusters).div_ceil(size) * (clusters - events % clusters)
            + (events / clusters + 1).div_ceil(size) * (events % clusters)
    };
    let modify = match (options.delivery, options.strategy) {
        (Delivery::Queue, Strategy::Drain) => by(10),
        _ => events,
    };
    let (lists_and_descriptions, of_ec2) = match options.delivery {
        Delivery::Direct => (2 * events, events),
        Delivery::Queue => (clusters + by(100), 1),
    };
    let of_ec2 = match options.hints {
        Hints::None => 0,
        Hints::UserData => events,
        Hints::Tag | Hints::Group | Hints::Asg => of_ec2,
    };
    [
        (Bucket::ClusterResourceModify, modify),
        (Bucket::ClusterResourceRead, lists_and_descriptions),
        (Bucket::Ec2Read, of_ec2),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few thousand")]
fn count(calls: usize) -> f64 {
    calls as f64
}
