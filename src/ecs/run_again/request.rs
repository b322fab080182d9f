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

/// The attachment that is a task's own network interface.
pub(crate) fn interface_of(task: &Task) -> Option<&Attachment> {
    task.attachments().iter().find(|of| of.r#type() == Some(INTERFACE))
}

/// The id of a network interface, if it is attached by now.
pub(crate) fn interface_id(interface: &Attachment) -> Option<&str> {
    interface.details().iter().find(|of| of.name() == Some("networkInterfaceId"))?.value()
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
    let is_fargate = task.launch_type() == Some(&LaunchType::Fargate)
        || task.capacity_provider_name().is_some_and(|provider| provider.starts_with("FARGATE"));
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
        // They are no longer available. ECS shows an empty list, and may refuse one.
        overrides.inference_accelerator_overrides = None;
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
        Network::Gone => return Err("its network interface is not there, and with it its security groups".to_owned()),
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

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{Attachment, TaskOverride, builders::TaskBuilder};

    use super::*;
    use crate::interrupted_task::{NetworkInterface, Terms};

    const OLD: &str = "arn:aws:ecs:us-east-1:123456789012:task/web/0123456789abcdef0123456789abcdef";
    const DEFINITION: &str = "arn:aws:ecs:us-east-1:123456789012:task-definition/job:7";

    fn recalled(network: Network, tags: &[(&str, &str)]) -> Recalled {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Recalled { network, tags, terms: Terms { count: 2, even_if_ended: false } }
    }

    fn task() -> TaskBuilder {
        Task::builder().task_definition_arn(DEFINITION)
    }

    fn of(task: TaskBuilder, recalled: &Recalled, on: RunAgainOn) -> Result<RunTaskInputBuilder, String> {
        let (cluster, old) = ("web".to_owned().try_into().unwrap(), OLD.to_owned().try_into().unwrap());
        request(&cluster, &old, &task.build(), recalled, on)
    }

    fn interface(has_public_ip: bool) -> Network {
        let (subnet, security_groups) = ("subnet-1".to_owned(), vec!["sg-1".to_owned(), "sg-2".to_owned()]);
        Network::Own(NetworkInterface { subnet, security_groups, has_public_ip })
    }

    #[test]
    fn token_and_starter_are_accepted_by_ecs() {
        let old: TaskArn = OLD.to_owned().try_into().unwrap();
        let tokens: Vec<_> = (0..3).map(|generation| client_token(&old, generation)).collect();
        assert!(tokens.iter().all(|token| token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit())));
        assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2]);
        let starter = started_by(&old);
        assert!(starter.len() <= 128 && starter.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b)));
    }

    #[test]
    fn launch_is_that_of_the_old_task() {
        let fargate = || task().platform_version("1.4.0");
        for (task, on, launch_type, provider, version) in [
            (task().launch_type(LaunchType::Ec2), RunAgainOn::Same, Some(LaunchType::Ec2), None, None),
            (task().launch_type(LaunchType::Ec2), RunAgainOn::Fargate, Some(LaunchType::Ec2), None, None),
            (task().capacity_provider_name("spot"), RunAgainOn::Fargate, None, Some("spot"), None),
            (
                fargate().capacity_provider_name("FARGATE_SPOT"),
                RunAgainOn::Same,
                None,
                Some("FARGATE_SPOT"),
                Some("1.4.0"),
            ),
            (
                fargate().capacity_provider_name("FARGATE_SPOT"),
                RunAgainOn::Fargate,
                Some(LaunchType::Fargate),
                None,
                Some("1.4.0"),
            ),
        ] {
            let request = of(task, &recalled(Network::Shared, &[]), on).unwrap();
            assert_eq!(*request.get_launch_type(), launch_type);
            let first = request.get_capacity_provider_strategy().iter().flatten().next();
            assert_eq!(first.map(CapacityProviderStrategyItem::capacity_provider), provider);
            assert_eq!(request.get_platform_version().as_deref(), version);
        }
    }

    #[test]
    fn only_fargate_gets_a_public_address() {
        for (launch_type, has_public_ip, expected) in [
            (LaunchType::Fargate, true, Some(AssignPublicIp::Enabled)),
            (LaunchType::Fargate, false, Some(AssignPublicIp::Disabled)),
            (LaunchType::Ec2, true, None),
        ] {
            let recalled = recalled(interface(has_public_ip), &[]);
            let request = of(task().launch_type(launch_type), &recalled, RunAgainOn::Same).unwrap();
            let network = request.get_network_configuration().as_ref().unwrap().awsvpc_configuration().unwrap();
            assert_eq!(
                (network.assign_public_ip(), network.subnets()),
                (expected.as_ref(), &["subnet-1".to_owned()][..])
            );
        }
    }

    #[test]
    fn tags_of_aws_are_left_out_and_the_count_is_set() {
        let tags = [("team", "data"), ("aws:ecs:clusterName", "web"), ("AWS:x", "y"), (COUNT_TAG, "1")];
        let request = of(task(), &recalled(Network::Shared, &tags), RunAgainOn::Same).unwrap();
        let tags: Vec<_> =
            request.get_tags().iter().flatten().map(|tag| (tag.key().unwrap(), tag.value().unwrap())).collect();
        assert_eq!(tags, [("team", "data"), (COUNT_TAG, "2")]);
        assert_eq!(*request.get_enable_ecs_managed_tags(), Some(true));
    }

    #[test]
    fn what_can_not_be_recovered_is_named() {
        let keys: Vec<_> = (0..50).map(|n| format!("key-{n}")).collect();
        let tags: Vec<_> = keys.iter().map(|key| (key.as_str(), "x")).collect();
        let volume = Attachment::builder().r#type(VOLUME).build();
        for (task, recalled, named) in [
            (task(), recalled(Network::Gone, &[]), "network interface is not there"),
            (task(), recalled(Network::Shared, &tags), "50 tags"),
            (task().attachments(volume), recalled(Network::Shared, &[]), "EBS volume"),
            (Task::builder(), recalled(Network::Shared, &[]), "task definition"),
        ] {
            let reason = of(task, &recalled, RunAgainOn::Same).unwrap_err();
            assert!(reason.contains(named), "{reason}");
        }
    }

    #[test]
    fn group_and_overrides_are_sent_as_ecs_accepts_them() {
        let overrides = TaskOverride::builder().cpu("512").set_inference_accelerator_overrides(Some(Vec::new()));
        for (group, expected) in [("family:job", None), ("nightly", Some("nightly"))] {
            let task = task().group(group).overrides(overrides.clone().build());
            let request = of(task, &recalled(Network::Shared, &[]), RunAgainOn::Same).unwrap();
            assert_eq!(request.get_group().as_deref(), expected);
            let overrides = request.get_overrides().as_ref().unwrap();
            assert_eq!((overrides.cpu(), &overrides.inference_accelerator_overrides), (Some("512"), &None));
        }
    }
}
