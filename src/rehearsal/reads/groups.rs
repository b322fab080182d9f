//! The Auto Scaling groups of instances that would be handled.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use crate::{
    auto_scaling::AutoScaling,
    aws::calls::Calls,
    config::Config,
    error::Error,
    rehearsal::{finding::Kind, notes::Notes, subject::Subject},
};

/// Groups that wait for the health check, by name.
pub(super) type Waiting = Vec<Result<Option<String>, Error>>;

/// Reads the groups of instances.
pub(super) async fn read(auto_scaling: &AutoScaling, config: &Config, calls: &Calls, subjects: &[Subject]) -> Waiting {
    let handled = subjects.iter().filter(|subject| subject.fate.is_handled());
    let groups: BTreeSet<_> = handled.filter_map(|subject| subject.auto_scaling_group.as_deref()).collect();
    join_all(groups.into_iter().map(async |group| {
        let waits = auto_scaling.waits_for_health_check(calls, config, group).await?;
        Ok(waits.then(|| group.to_owned()))
    }))
    .await
}

pub(super) fn find_waiting(read: Waiting, notes: &mut Notes) {
    for group in notes.answers(read).into_iter().flatten() {
        notes.add(Kind::AutoScalingWaitsForHealthCheck, &group);
    }
}
