//! The IP address type of target groups.

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

const LIST: List = List::new("*/TargetGroups/member", &["IpAddressType"]);

impl LoadBalancing {
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
        let found = self.client.call(&calls, Operation::DescribeTargetGroups, &arn, &parameters, &LIST).await?;
        let is_ipv6 = found.first().and_then(|group| group.get("IpAddressType")) == Some("ipv6");
        lock(&self.are_ipv6).insert(arn, is_ipv6);
        Ok(is_ipv6)
    }
}
