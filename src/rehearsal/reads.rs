//! What findings take beyond locating the instances.

mod budgets;
mod definitions;
mod groups;
mod permissions;
mod pods;
mod services;
mod target_groups;
mod tasks;

use std::collections::HashMap;

pub(crate) use self::permissions::check as check_permissions;

use super::{
    notes::Notes,
    subject::{Fate, Subject},
};
use crate::{
    aws::calls::Calls,
    config::{Config, RehearsalReads},
    identifier::InstanceId,
    scope::Scope,
};

/// Reads what the findings take, as far as the settings say so. What can't be read is noted. Returns the number of pods
/// to be evicted from each instance.
pub(crate) async fn read(
    scope: &Scope,
    config: &Config,
    calls: &Calls,
    subjects: &[Subject],
    notes: &mut Notes,
) -> HashMap<InstanceId, usize> {
    let drained = subjects.iter().filter(|subject| subject.fate == Fate::Drained);
    let pods = pods::read(calls, drained).await;
    let counts = pods.counts();
    pods.find_long_grace_periods(notes);
    if config.rehearsal_reads == RehearsalReads::Few {
        return counts;
    }
    let container_instances = subjects.iter().flat_map(|subject| &subject.container_instances);
    let (tasks, budgets, groups) = tokio::join!(
        tasks::read(&scope.ecs, calls, container_instances),
        budgets::read(calls, &pods),
        groups::read(&scope.auto_scaling, config, calls, subjects),
    );
    budgets.find_closed(&pods, notes);
    groups::find_waiting(groups, notes);
    tasks.find_standalone(config, notes);
    let (definitions, services) = tokio::join!(
        definitions::read(&scope.ecs, calls, &tasks.definitions),
        services::read(&scope.ecs, calls, &tasks.services),
    );
    definitions::find_stop_timeouts(definitions, notes);
    let target_groups = services::find_without_room(services, notes);
    let delays = target_groups::read(&scope.load_balancing, calls, &target_groups).await;
    target_groups::find_long_delays(delays, notes);
    counts
}
