//! The settings in `template.yaml` that matter to a wave.

use std::time::Duration;

use standin::{EventSourceMapping, Retries};

use crate::options::{Delivery, Strategy};

/// The function's `Timeout`.
pub(crate) fn timeout(delivery: Delivery, strategy: Strategy) -> Duration {
    match (delivery, strategy) {
        (Delivery::Direct, _) | (_, Strategy::Evacuate) => Duration::from_mins(2),
        (Delivery::Queue, _) => Duration::from_mins(1),
    }
}

/// The function's `EventInvokeConfig`.
pub(crate) const RETRIES: Retries = Retries { attempts: 1, max_age: Duration::from_mins(2) };

/// The queue's event source.
pub(crate) fn mapping(strategy: Strategy) -> EventSourceMapping {
    let concurrency = if strategy == Strategy::Evacuate { 50 } else { 2 };
    EventSourceMapping { batch_size: 1_000, window: Duration::from_secs(1), concurrency }
}

/// The queue's `VisibilityTimeout`.
pub(crate) fn visibility(strategy: Strategy) -> Duration {
    Duration::from_mins(if strategy == Strategy::Evacuate { 2 } else { 1 })
}

/// The queue's `maxReceiveCount`.
pub(crate) const MAX_RECEIVES: u32 = 2;
