//! What `template.yaml` sets, as far as it matters to a wave.

use std::time::Duration;

use standin::{EventSourceMapping, Retries};

use crate::options::Delivery;

/// The function's `Timeout`.
pub(crate) fn timeout(delivery: Delivery) -> Duration {
    match delivery {
        Delivery::Direct => Duration::from_mins(2),
        Delivery::Queue => Duration::from_mins(1),
    }
}

/// The function's `EventInvokeConfig`.
pub(crate) const RETRIES: Retries = Retries { attempts: 1, max_age: Duration::from_mins(2) };

/// The queue's event source.
pub(crate) const MAPPING: EventSourceMapping =
    EventSourceMapping { batch_size: 1_000, window: Duration::from_secs(1), concurrency: 2 };

/// The queue's `VisibilityTimeout`.
pub(crate) const VISIBILITY: Duration = Duration::from_mins(1);

/// The queue's `maxReceiveCount`.
pub(crate) const MAX_RECEIVES: u32 = 2;
