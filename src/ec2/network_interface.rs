//! `DescribeNetworkInterfaces`: the subnet and security groups of a task, which ECS does not show.

use std::collections::HashMap;

use aws_sdk_ec2::types::Filter;

use super::Ec2;
use crate::{
    aws::{calls::Calls, next, operation::Operation},
    error::Error,
    interrupted_task::NetworkInterface,
};

impl Ec2 {
    /// Describes a network interface; `None` if it is gone.
    pub(crate) async fn network_interface(&self, calls: &Calls, id: &str) -> Result<Option<NetworkInterface>, Error> {
        self.network_interfaces.get(self, calls, &(), id.to_owned(), Self::describe_network_interfaces).await
    }

    async fn describe_network_interfaces(
        self,
        calls: Calls,
        (): (),
        ids: Vec<String>,
    ) -> Result<HashMap<String, Option<NetworkInterface>>, Error> {
        let resource = format!("{} network interfaces", ids.len());
        // By filter: in a request by ids, one that is gone fails the whole call.
        let filter = Filter::builder().name("network-interface-id").set_values(Some(ids)).build();
        let mut request = self.client.describe_network_interfaces().filters(filter);
        let mut found = HashMap::new();
        loop {
            let operation = Operation::DescribeNetworkInterfaces;
            let page = calls.make(operation, &resource, || request.clone().send()).await?;
            found.extend(page.network_interfaces.unwrap_or_default().into_iter().filter_map(|of| {
                let has_public_ip = of.association().is_some_and(|association| association.public_ip().is_some());
                let mut security_groups: Vec<_> =
                    of.groups.unwrap_or_default().into_iter().filter_map(|g| g.group_id).collect();
                security_groups.sort_unstable();
                Some((
                    of.network_interface_id?,
                    Some(NetworkInterface { subnet: of.subnet_id?, security_groups, has_public_ip }),
                ))
            }));
            match next(page.next_token) {
                Some(token) => request = request.next_token(token),
                None => return Ok(found),
            }
        }
    }
}
