//! Whether a standalone task is started again, and on which terms. Pure.

use aws_sdk_ecs::types::{Tag, Task};

use crate::{
    config::RunAgainPolicy,
    interrupted_task::{EVACUATION_REASON, RUN_AGAIN as TAG, Terms},
};

/// The tag of a task that was started again: how many times in a row.
pub(crate) const COUNT_TAG: &str = "spot-interruption-handler:run-again-count";

/// How many times in a row a task is started again if its tag does not say.
const DEFAULT_LIMIT: u32 = 3;

/// The `startedBy` of tasks that Step Functions started.
const STEP_FUNCTIONS: &str = "AWS Step Functions";

/// The end of the reason for which an evacuation stops a task that is started again.
const MARKER: &str = "; run again";

impl Terms {
    /// Decides, with the tag of the task's definition. The error is the reason not to start it again.
    pub(crate) fn decide(task: &Task, definition_tag: Option<&str>, policy: RunAgainPolicy) -> Result<Self, String> {
        // Stopping a task removes its tags, so an evacuation decides before.
        if let Some(terms) = task.stopped_reason().and_then(Self::read) {
            return Ok(terms);
        }
        let starter = task.started_by().unwrap_or_default();
        if starter == STEP_FUNCTIONS || starter.starts_with("ecs-svc/") {
            return Err(format!("{starter} started it, and decides whether to start it again"));
        }
        let tag = tag(task.tags(), TAG).or(definition_tag);
        let (limit, even_if_ended) = match (tag, policy) {
            (_, RunAgainPolicy::Never) => return Err("RUN_AGAIN is never".to_owned()),
            (None, RunAgainPolicy::Tagged) => {
                return Err(format!("neither it nor its task definition has the tag {TAG}"));
            }
            (None | Some("true"), _) => (DEFAULT_LIMIT, false),
            (Some("always"), _) => (DEFAULT_LIMIT, true),
            (Some(number), _) => match number.parse() {
                Ok(limit) => (limit, false),
                Err(_) => return Err(format!("its tag {TAG} is {number:?}: expected true, always or a number")),
            },
        };
        let before = self::tag(task.tags(), COUNT_TAG).and_then(|count| count.parse::<u32>().ok()).unwrap_or_default();
        if before >= limit {
            return Err(format!("it was started again {before} times in a row, and {limit} is the limit"));
        }
        Ok(Self { count: before + 1, even_if_ended })
    }

    /// The end of the reason for which an evacuation stops the task.
    pub(crate) fn marker(self) -> String {
        format!("{MARKER}{}, {} in a row", if self.even_if_ended { " in any case" } else { "" }, self.count)
    }

    /// Reads the reason that an evacuation gave.
    fn read(reason: &str) -> Option<Self> {
        let marker = reason.strip_prefix(EVACUATION_REASON)?.split_once(MARKER)?.1;
        let (how, count) = marker.strip_suffix(" in a row")?.split_once(", ")?;
        Some(Self { count: count.parse().ok()?, even_if_ended: !how.is_empty() })
    }
}

/// The value of a tag.
pub(super) fn tag<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.key() == Some(key))?.value()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn task(tags: &[(&str, &str)]) -> Task {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
        Task::builder().set_tags(Some(tags)).build()
    }

    #[test]
    fn tags_decide() {
        use RunAgainPolicy::{All, Never, Tagged};
        let again = |count| Ok(Terms { count, even_if_ended: false });
        let always = |count| Ok(Terms { count, even_if_ended: true });
        for (policy, tags, definition, expected) in [
            (Never, &[(TAG, "true")][..], None, Err("RUN_AGAIN")),
            (Tagged, &[], None, Err("neither it nor its task definition")),
            (Tagged, &[("Name", "true")], None, Err("neither it nor its task definition")),
            (Tagged, &[(TAG, "true")], None, again(1)),
            (Tagged, &[], Some("true"), again(1)),
            (Tagged, &[(TAG, "0")], Some("true"), Err("0 is the limit")),
            (Tagged, &[(TAG, "always")], None, always(1)),
            (Tagged, &[(TAG, "yes")], None, Err("expected true, always or a number")),
            (Tagged, &[(TAG, "-1")], None, Err("expected true, always or a number")),
            (Tagged, &[(TAG, "true"), (COUNT_TAG, "2")], None, again(3)),
            (Tagged, &[(TAG, "true"), (COUNT_TAG, "3")], None, Err("3 times in a row")),
            (Tagged, &[(TAG, "10"), (COUNT_TAG, "9")], None, again(10)),
            (Tagged, &[(TAG, "10"), (COUNT_TAG, "10")], None, Err("10 is the limit")),
            (All, &[], None, again(1)),
            (All, &[(COUNT_TAG, "3")], None, Err("3 is the limit")),
            (All, &[(TAG, "5"), (COUNT_TAG, "3")], None, again(4)),
        ] {
            match (Terms::decide(&task(tags), definition, policy), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{tags:?}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{tags:?}: {found}"),
                (found, expected) => panic!("{policy:?} {tags:?}: {found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn tasks_that_others_start_again_are_left() {
        for (starter, is_left) in [
            ("AWS Step Functions", true),
            ("ecs-svc/1234567890123456789", true),
            ("events-rule/nightly", false),
            ("chronos-schedule/nightly", false),
            ("airflow", false),
        ] {
            let mut task = task(&[(TAG, "true")]);
            task.started_by = Some(starter.to_owned());
            assert_eq!(Terms::decide(&task, None, RunAgainPolicy::All).is_err(), is_left, "{starter}");
        }
    }

    proptest! {
        #[test]
        fn reason_of_an_evacuation_is_read_back(count in 1_u32.., even_if_ended: bool) {
            let terms = Terms { count, even_if_ended };
            let reason = format!("{EVACUATION_REASON}i-1 is terminated at 2026-11-24T08:00:00Z{}", terms.marker());
            prop_assert_eq!(Terms::read(&reason), Some(terms));
            prop_assert_eq!(Terms::read(&reason[1..]), None);
            let mut task = task(&[]);
            task.stopped_reason = Some(reason);
            prop_assert_eq!(Terms::decide(&task, None, RunAgainPolicy::Tagged), Ok(terms));
        }
    }
}
