//! The stop timeouts of task definitions.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::TaskDefinition;
use futures_util::future::join_all;

use super::tasks::family;
use crate::{
    aws::{calls::Calls, operation::Operation},
    ecs::{Ecs, stop_order::time_to_stop},
    error::Error,
    rehearsal::{finding::Kind, notes::Notes, timeline::MAX_STOP_S},
};

/// What matters of a task definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StopTimeouts {
    /// Its family and revision.
    name: String,
    /// The time from its first SIGTERM to its last SIGKILL, in seconds.
    longest_s: u64,
    /// Whether each container has one.
    are_set: bool,
}

/// Reads task definitions, by their ARNs.
pub(super) async fn read(ecs: &Ecs, calls: &Calls, definitions: &BTreeSet<String>) -> Vec<Result<StopTimeouts, Error>> {
    join_all(definitions.iter().filter(|arn| !arn.is_empty()).map(async |arn| {
        let request = ecs.client.describe_task_definition().task_definition(arn);
        let answer = calls.make(Operation::DescribeTaskDefinition, arn, || request.clone().send()).await?;
        Ok(StopTimeouts::of(family(arn), &answer.task_definition.unwrap_or_else(|| TaskDefinition::builder().build())))
    }))
    .await
}

impl StopTimeouts {
    fn of(name: &str, definition: &TaskDefinition) -> Self {
        let are_set = definition.container_definitions().iter().all(|container| container.stop_timeout().is_some());
        Self { name: name.to_owned(), longest_s: time_to_stop(definition).as_secs(), are_set }
    }
}

pub(super) fn find_stop_timeouts(read: Vec<Result<StopTimeouts, Error>>, notes: &mut Notes) {
    for StopTimeouts { name, longest_s, are_set } in notes.answers(read) {
        if longest_s > MAX_STOP_S {
            notes.add(Kind::StopTimeoutTooLong, &format!("{name} ({longest_s} s)"));
        } else if !are_set {
            notes.add(Kind::StopTimeoutNotSet, &name);
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::ContainerDefinition;

    use super::*;

    #[test]
    fn stop_timeouts_are_found_that_do_not_fit_or_are_not_set() {
        for (timeouts, expected) in [
            (&[Some(30)][..], None),
            (&[Some(110), Some(2)], None),
            (&[Some(111)], Some(Kind::StopTimeoutTooLong)),
            (&[Some(120), None], Some(Kind::StopTimeoutTooLong)),
            (&[Some(10), None], Some(Kind::StopTimeoutNotSet)),
            (&[], None),
        ] {
            let containers = timeouts.iter().map(|t| ContainerDefinition::builder().set_stop_timeout(*t).build());
            let definition = TaskDefinition::builder().set_container_definitions(Some(containers.collect())).build();
            let mut notes = Notes::default();
            find_stop_timeouts(vec![Ok(StopTimeouts::of("web:1", &definition))], &mut notes);
            let found = notes.findings.into_list();
            assert_eq!(found.first().map(|finding| finding.kind), expected, "{timeouts:?}");
        }
    }
}
