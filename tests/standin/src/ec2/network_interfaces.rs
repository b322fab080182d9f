//! `DescribeNetworkInterfaces`, for those of tasks.

use serde_json::Value;

use super::query::{Filter, bad_filter, filters, list, paginate};
use crate::error::ApiError;
use crate::resources::{NetworkInterface, PlacedTask};
use crate::state::CallContext;
use crate::xml::{element, text};

pub(super) fn call(context: &CallContext<'_>, params: &Value) -> Result<String, ApiError> {
    let ids = list(params, "NetworkInterfaceId");
    let filters = filters(params)?;
    if !ids.is_empty() && params["MaxResults"].is_string() {
        let message = "The parameter NetworkInterfaceIds cannot be used with the parameter MaxResults";
        return Err(ApiError::new(400, "InvalidParameterCombination", message));
    }
    ids.iter().try_for_each(|id| check_id(id))?;
    let existing: Vec<_> = context.resources.network_interfaces().collect();
    if let Some(missing) = ids.iter().find(|id| !existing.iter().any(|(network, _)| network.id == **id)) {
        let message = format!("The networkInterface ID '{missing}' does not exist");
        return Err(ApiError::new(400, "InvalidNetworkInterfaceID.NotFound", message));
    }
    let mut found = Vec::new();
    for (network, run) in existing {
        let mut fits = ids.is_empty() || ids.contains(&network.id.as_str());
        for filter in &filters {
            fits &= has(filter, network)?;
        }
        if fits {
            found.push(Entry(network, run));
        }
    }
    found.sort_by_key(|entry| &entry.0.id);
    let page = paginate(context, "DescribeNetworkInterfaces", params, found)?;
    let items: String = page.items.iter().map(|entry| show(context, entry.0, entry.1)).collect();
    let token = page.next.map(|token| text("nextToken", &token)).unwrap_or_default();
    Ok(element("networkInterfaceSet", &items) + &token)
}

struct Entry<'a>(&'a NetworkInterface, &'a PlacedTask);

impl AsRef<str> for Entry<'_> {
    fn as_ref(&self) -> &str {
        &self.0.id
    }
}

fn check_id(id: &str) -> Result<(), ApiError> {
    let digits = id.strip_prefix("eni-").unwrap_or_default();
    if matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    let message = format!("Invalid id: \"{id}\" (expecting \"eni-...\")");
    Err(ApiError::new(400, "InvalidNetworkInterfaceId.Malformed", message))
}

fn has(filter: &Filter<'_>, network: &NetworkInterface) -> Result<bool, ApiError> {
    Ok(match filter.name {
        "network-interface-id" => filter.has(&network.id),
        "subnet-id" => filter.has(&network.subnet),
        "private-ip-address" | "addresses.private-ip-address" => filter.has(&network.private_ip),
        "group-id" => network.security_groups.iter().any(|group| filter.has(group)),
        name => return Err(bad_filter(name)),
    })
}

fn show(context: &CallContext<'_>, network: &NetworkInterface, run: &PlacedTask) -> String {
    let group = |id: &String| element("item", &(text("groupId", id) + &text("groupName", &format!("name of {id}"))));
    let groups: String = network.security_groups.iter().map(group).collect();
    let association = network.public_ip.as_ref().map(|ip| {
        let name = format!("ec2-{}.{}.compute.amazonaws.com", ip.replace('.', "-"), context.region);
        element("association", &(text("publicIp", ip) + &text("publicDnsName", &name) + &text("ipOwnerId", "amazon")))
    });
    let parts = [
        text("networkInterfaceId", &network.id),
        text("subnetId", &network.subnet),
        text("vpcId", "vpc-0123456789abcdef0"),
        text("availabilityZone", &format!("{}a", context.region)),
        text("description", &run.task.arn),
        text("ownerId", context.account),
        text("requesterManaged", "true"),
        text("status", "in-use"),
        text("macAddress", &network.mac),
        text("privateIpAddress", &network.private_ip),
        text("sourceDestCheck", "true"),
        element("groupSet", &groups),
        association.unwrap_or_default(),
        text("interfaceType", "interface"),
    ];
    element("item", &parts.concat())
}
