//! The mark on container instances and nodes that this function drained and that may come back.

use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};

use crate::aws::timestamp;

/// Shows that this function drained a container instance or node: an ECS attribute or a Kubernetes annotation, whose
/// value is the time of the event.
///
/// The time prevents a late "running" event from undoing a draining that came after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Mark(SystemTime);

impl Mark {
    /// The mark for an event of this time.
    pub(crate) fn new(time: SystemTime) -> Self {
        Self(time)
    }

    /// Reads the value of an attribute or annotation. An invalid time counts as a very old one.
    pub(crate) fn read(value: &str) -> Self {
        let time = DateTime::from_str(value, Format::DateTime).ok().and_then(|time| time.try_into().ok());
        Self(time.unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// The value of the attribute or annotation.
    pub(crate) fn value(self) -> String {
        timestamp(self.0)
    }

    /// Whether it was drained before this time.
    pub(crate) fn is_before(self, time: SystemTime) -> bool {
        self.0 < time
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn value_is_accepted_by_ecs_and_read_back() {
        let mark = Mark::new(SystemTime::UNIX_EPOCH + Duration::from_hours(498_752));
        assert_eq!(mark.value(), "2026-11-24T08:00:00Z");
        assert_eq!(Mark::read(&mark.value()), mark);
        assert_eq!(Mark::read("yesterday"), Mark::new(SystemTime::UNIX_EPOCH));
    }
}
