//! What findings take beyond locating the instances.

mod budgets;
mod definitions;
mod pods;
mod services;
mod tasks;

use std::collections::HashMap;

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

/// What is on the instances.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// The number of pods to be evicted.
    pub(crate) pods: HashMap<InstanceId, usize>,
}

/// Reads what the findings take, as far as the settings say so. What can't be read is noted.
pub(crate) async fn read(
    scope: &Scope,
    config: &Config,
    calls: &Calls,
    subjects: &[Subject],
    notes: &mut Notes,
) -> Counted {
    let nodes = subjects.iter().filter(|subject| subject.fate == Fate::Drained);
    let pods = pods::read(calls, nodes).await;
    let counted = Counted { pods: pods.counts() };
    pods.find_long_grace_periods(notes);
    if config.rehearsal_reads == RehearsalReads::Few {
        return counted;
    }
    let container_instances = subjects.iter().flat_map(|subject| &subject.container_instances);
    let (tasks, budgets) =
        tokio::join!(tasks::read(&scope.ecs, calls, container_instances), budgets::read(calls, &pods));
    budgets.find_closed(&pods, notes);
    tasks.find_standalone(notes);
    let (definitions, services) = tokio::join!(
        definitions::read(&scope.ecs, calls, &tasks.definitions),
        services::read(&scope.ecs, calls, &tasks.services),
    );
    definitions::find_stop_timeouts(definitions, notes);
    services::find_without_room(services, notes);
    counted
}
