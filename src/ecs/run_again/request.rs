//! The request that starts a task again. Pure: the same task always results in the same request.

use aws_sdk_ecs::{
    operation::run_task::builders::RunTaskInputBuilder,
    types::{
        AssignPublicIp, Attachment, AwsVpcConfiguration, CapacityProviderStrategyItem, LaunchType,
        NetworkConfiguration, Tag, Task,
    },
};
use sha2::{Digest, Sha256};

use super::terms::COUNT_TAG;
use crate::{
    config::RunAgainOn,
    identifier::{ClusterName, TaskArn},
    interrupted_task::{Network, Recalled},
};

/// The type of the attachment that is a task's network interface.
const INTERFACE: &str = "ElasticNetworkInterface";

/// The type of the attachment that is an EBS volume.
const VOLUME: &str = "AmazonElasticBlockStorage";

/// The most tags of a task: "Tag restrictions" in the Amazon ECS Developer Guide.
const TAGS: usize = 50;

/// What `startedBy` of tasks begins with that were started again.
const STARTED_BY: &str = "spot-interruption-handler/";

/// The id of a task's own network interface.
pub(crate) fn network_interface(task: &Task) -> Option<&str> {
    let details = task.attachments().iter().filter(|of| of.r#type() == Some(INTERFACE)).flat_map(Attachment::details);
    details.filter(|of| of.name() == Some("networkInterfaceId")).find_map(|of| of.value())
}

/// What identifies the requests for a task: the hash of its ARN.
pub(crate) fn hash(task: &TaskArn) -> String {
    hex::encode(Sha256::digest(task.as_str()))
}

/// The client token of a request. ECS may remember that there was no capacity under a token; there is another one then.
pub(crate) fn client_token(task: &TaskArn, generation: u32) -> String {
    match generation {
        0 => hash(task),
        _ => hex::encode(Sha256::digest(format!("{task}#{generation}"))),
    }
}

/// The `startedBy` of the task that runs in the place of this one.
pub(crate) fn started_by(task: &TaskArn) -> String {
    format!("{STARTED_BY}{:.40}", hash(task))
}

/// The request for a task. The error is the reason why it can't be started again as it was.
pub(crate) fn request(
    cluster: &ClusterName,
    old: &TaskArn,
    task: &Task,
    recalled: &Recalled,
    on: RunAgainOn,
) -> Result<RunTaskInputBuilder, String> {
    if task.attachments().iter().any(|of| of.r#type() == Some(VOLUME)) {
        return Err("it has an EBS volume, whose size and type a task does not show".to_owned());
    }
    let definition = task.task_definition_arn().ok_or("its task definition is not known")?;
    let is_fargate = task.launch_type() == Some(&LaunchType::Fargate) || is_spot(task);
    let mut request = RunTaskInputBuilder::default()
        .cluster(cluster.as_str())
        .task_definition(definition)
        .started_by(started_by(old))
        .enable_execute_command(task.enable_execute_command())
        .set_tags(Some(tags(recalled)?))
        .set_network_configuration(network_configuration(&recalled.network, is_fargate)?);
    // The service adds these tags itself if it is asked to.
    if recalled.tags.contains_key("aws:ecs:clusterName") {
        request = request.enable_ecs_managed_tags(true);
    }
    // The default group, which names the family, need not be accepted.
    if let Some(group) = task.group().filter(|group| !group.starts_with("family:")) {
        request = request.group(group);
    }
    if let Some(mut overrides) = task.overrides().cloned() {
        // ECS shows an empty list, and may refuse one.
        overrides.inference_accelerator_overrides =
            overrides.inference_accelerator_overrides.filter(|of| !of.is_empty());
        request = request.overrides(overrides);
    }
    if let Some(version) = task.platform_version().filter(|_| is_fargate) {
        request = request.platform_version(version);
    }
    Ok(match task.capacity_provider_name() {
        Some("FARGATE_SPOT") if on == RunAgainOn::Fargate => request.launch_type(LaunchType::Fargate),
        Some(provider) => {
            let item = CapacityProviderStrategyItem::builder().capacity_provider(provider).weight(1).build();
            request.capacity_provider_strategy(item.map_err(|error| error.to_string())?)
        }
        None => request.set_launch_type(task.launch_type().cloned()),
    })
}

fn is_spot(task: &Task) -> bool {
    task.capacity_provider_name().is_some_and(|provider| provider.starts_with("FARGATE"))
}

/// The task's own tags, with the count.
fn tags(recalled: &Recalled) -> Result<Vec<Tag>, String> {
    let is_own = |key: &str| key != COUNT_TAG && !key.to_lowercase().starts_with("aws:");
    let own = recalled.tags.iter().filter(|(key, _)| is_own(key));
    let mut tags: Vec<_> = own.map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    if tags.len() >= TAGS {
        return Err(format!("it has {TAGS} tags, and the tag {COUNT_TAG} does not fit"));
    }
    tags.push(Tag::builder().key(COUNT_TAG).value(recalled.terms.count.to_string()).build());
    Ok(tags)
}

fn network_configuration(network: &Network, is_fargate: bool) -> Result<Option<NetworkConfiguration>, String> {
    let interface = match network {
        Network::Shared => return Ok(None),
        Network::Gone => return Err("its network interface is gone, and with it its security groups".to_owned()),
        Network::Own(interface) => interface,
    };
    let public_ip = match (is_fargate, interface.has_public_ip) {
        // Tasks on container instances can't have one.
        (false, _) => None,
        (true, true) => Some(AssignPublicIp::Enabled),
        (true, false) => Some(AssignPublicIp::Disabled),
    };
    let configuration = AwsVpcConfiguration::builder()
        .subnets(&interface.subnet)
        .set_security_groups(Some(interface.security_groups.clone()))
        .set_assign_public_ip(public_ip)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Some(NetworkConfiguration::builder().awsvpc_configuration(configuration).build()))
}
