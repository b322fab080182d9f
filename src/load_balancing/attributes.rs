//! Attributes of target groups.

use std::time::Duration;

use super::LoadBalancing;
use crate::{
    aws::{
        calls::Calls,
        operation::Operation,
        query::{Parameters, answer::List},
    },
    error::Error,
};

const LIST: List = List::new("*/Attributes/member", &["Key", "Value"]);

const DEREGISTRATION_DELAY: &str = "deregistration_delay.timeout_seconds";

impl LoadBalancing {
    /// How long a target group waits for the connections of a target that is deregistered; `None` if it does not say.
    pub(crate) async fn deregistration_delay(
        &self,
        calls: &Calls,
        target_group_arn: &str,
    ) -> Result<Option<Duration>, Error> {
        let parameters = Parameters::default().with("TargetGroupArn", target_group_arn);
        let operation = Operation::DescribeTargetGroupAttributes;
        let attributes = self.client.call(calls, operation, &target_group_arn, &parameters, &LIST).await?;
        let delay = attributes.iter().find(|attribute| attribute.get("Key") == Some(DEREGISTRATION_DELAY));
        Ok(delay.and_then(|delay| delay.get("Value")?.parse().ok()).map(Duration::from_secs))
    }
}
