//! What is known of target groups.

use std::time::Duration;

use super::LoadBalancing;
use crate::{
    aws::{
        calls::Calls,
        operation::Operation,
        query::{Parameters, answer::List},
    },
    error::Error,
    lock::lock,
};

const ATTRIBUTES: List = List::new("*/Attributes/member", &["Key", "Value"]);

const GROUPS: List = List::new("*/TargetGroups/member", &["IpAddressType"]);

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
        let attributes = self.client.call(calls, operation, &target_group_arn, &parameters, &ATTRIBUTES).await?;
        let delay = attributes.iter().find(|attribute| attribute.get("Key") == Some(DEREGISTRATION_DELAY));
        Ok(delay.and_then(|delay| delay.get("Value")?.parse().ok()).map(Duration::from_secs))
    }

    /// Whether the targets of a target group are IPv6 addresses.
    pub(crate) async fn is_ipv6(&self, calls: &Calls, target_group_arn: &str) -> Result<bool, Error> {
        let known = lock(&self.are_ipv6).get(target_group_arn).copied();
        match known {
            Some(is_ipv6) => Ok(is_ipv6),
            None => self.descriptions.get_one(self, calls, &target_group_arn.to_owned(), Self::describe).await,
        }
    }

    async fn describe(self, calls: Calls, arn: String) -> Result<bool, Error> {
        let parameters = Parameters::default().with("TargetGroupArns.member.1", &arn);
        let found = self.client.call(&calls, Operation::DescribeTargetGroups, &arn, &parameters, &GROUPS).await?;
        let is_ipv6 = found.first().and_then(|group| group.get("IpAddressType")) == Some("ipv6");
        lock(&self.are_ipv6).insert(arn, is_ipv6);
        Ok(is_ipv6)
    }
}
