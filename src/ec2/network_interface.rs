//! `DescribeNetworkInterfaces`: the subnet and security groups of a task, which ECS does not show.

use std::collections::HashMap;

use super::{Ec2, Listing, all, filtered};
use crate::{
    aws::{
        calls::Calls,
        operation::Operation,
        query::answer::{List, Record},
    },
    error::Error,
    interrupted_task::NetworkInterface,
};

const LIST: List = List::new(
    "networkInterfaceSet/item",
    &["networkInterfaceId", "subnetId", "association/publicIp", "groupSet/item/groupId"],
);

const LISTING: Listing<(String, Option<NetworkInterface>)> =
    Listing { operation: Operation::DescribeNetworkInterfaces, list: &LIST, read };

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
        let ids = ids.iter().map(String::as_str);
        let parameters = filtered(all(), 1, "network-interface-id", ids);
        let (found, _) = self.list(&calls, &resource, &LISTING, &parameters, usize::MAX).await?;
        Ok(found.into_iter().collect())
    }
}

fn read(of: &Record) -> Option<(String, Option<NetworkInterface>)> {
    let mut security_groups: Vec<_> = of.all("groupSet/item/groupId").map(str::to_owned).collect();
    security_groups.sort_unstable();
    let has_public_ip = of.text("association/publicIp").is_some();
    let subnet = of.text("subnetId")?;
    Some((of.text("networkInterfaceId")?, Some(NetworkInterface { subnet, security_groups, has_public_ip })))
}
