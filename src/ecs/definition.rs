//! What starting a task again needs of its task definition.

use aws_sdk_ecs::{operation::describe_task_definition::DescribeTaskDefinitionOutput, types::TaskDefinition};

use crate::interrupted_task::RUN_AGAIN;

/// What starting a task again needs of its task definition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Definition {
    /// The names of its essential containers.
    pub(crate) essential: Vec<String>,
    /// The value of its tag `spot-interruption-handler:run-again`.
    pub(crate) run_again: Option<String>,
}

impl Definition {
    pub(crate) fn new(described: &DescribeTaskDefinitionOutput) -> Self {
        let run_again = described.tags().iter().find(|tag| tag.key() == Some(RUN_AGAIN)).and_then(|tag| tag.value());
        let containers = described.task_definition().map(TaskDefinition::container_definitions).unwrap_or_default();
        // A container is essential unless it says otherwise.
        let essential = containers.iter().filter(|of| of.essential() != Some(false)).filter_map(|of| of.name());
        Self { essential: essential.map(str::to_owned).collect(), run_again: run_again.map(str::to_owned) }
    }
}
