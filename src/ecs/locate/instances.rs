//! `DescribeInstances` and `DescribeInstanceAttribute`: what EC2 knows of an instance that hints at its cluster.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::SystemTime,
};

use aws_sdk_ec2::types::{self, Filter, InstanceAttributeName};
use futures_util::{StreamExt, stream};

use super::{
    WIDTH,
    keeper::BATCH_TAG,
    user_data::{Mention, mention},
};
use crate::{
    aws::{Calls, Regional, next},
    ecs::ClusterName,
    error::Error,
    interruption::InstanceId,
};

/// The tags that name what started an instance: instances of one group mostly join one cluster.
const GROUP_TAGS: [&str; 3] = [AUTO_SCALING_GROUP_TAG, "aws:ec2spot:fleet-request-id", "aws:ec2:fleet-id"];

const AUTO_SCALING_GROUP_TAG: &str = "aws:autoscaling:groupName";

/// The most values that a filter takes.
const FILTER_VALUES: usize = 200;

/// Within how many seconds an instance and its network interface are launched. No instance is stopped and started again
/// in that time.
const LAUNCH_S: i64 = 30;

/// What EC2 knows of an instance, as far as it matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Instance {
    /// What started it: a tag's key and value.
    pub(super) group: Option<String>,
    pub(super) auto_scaling_group: Option<String>,
    /// The cluster in the operators' tag.
    pub(super) cluster: Option<ClusterName>,
    pub(super) has_batch_tag: bool,
    /// Whether Amazon ECS operates it.
    pub(super) is_managed: bool,
    pub(super) start: Start,
    pub(super) machine: Machine,
}

/// How an instance came to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Start {
    /// EC2 does not say.
    #[default]
    Unknown,
    /// It was launched.
    First,
    /// It was stopped before, and started again at this time.
    Again(SystemTime),
}

/// What kind of instance one is, to see which kinds are interrupted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its type, such as `m6i.large`.
    pub instance_type: Option<String>,
    /// Its zone, such as `us-east-1a`.
    pub availability_zone: Option<String>,
}

/// Describes instances; those that are gone are left out.
pub(super) async fn describe(
    aws: &Regional,
    calls: &Calls,
    ids: &BTreeSet<InstanceId>,
    cluster_tag: Option<&str>,
) -> Result<HashMap<InstanceId, Instance>, Error> {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let mut instances = HashMap::new();
    for ids in ids.chunks(FILTER_VALUES) {
        // By filter: asked for by id, one instance that is gone fails the whole call.
        let filter = Filter::builder().name("instance-id").set_values(Some(ids.to_vec())).build();
        let mut request = aws.ec2.describe_instances().filters(filter);
        loop {
            let about = format!("{} instances", ids.len());
            let page = calls.make("DescribeInstances", about, || request.clone().send()).await?;
            let described =
                page.reservations.unwrap_or_default().into_iter().flat_map(|r| r.instances.unwrap_or_default());
            instances.extend(described.filter_map(|described| instance(described, cluster_tag)));
            match next(page.next_token) {
                Some(token) => request = request.next_token(token),
                None => break,
            }
        }
    }
    Ok(instances)
}

fn instance(described: types::Instance, cluster_tag: Option<&str>) -> Option<(InstanceId, Instance)> {
    let tag = |key: &str| described.tags().iter().find(|tag| tag.key() == Some(key)).and_then(types::Tag::value);
    let instance = Instance {
        group: GROUP_TAGS.iter().find_map(|key| tag(key).map(|value| format!("{key}={value}"))),
        auto_scaling_group: tag(AUTO_SCALING_GROUP_TAG).map(str::to_owned),
        cluster: cluster_tag.and_then(tag).and_then(ClusterName::from_name_or_arn),
        has_batch_tag: tag(BATCH_TAG).is_some(),
        is_managed: described.operator().and_then(types::OperatorResponse::principal) == Some("ecs.amazonaws.com"),
        start: start(&described),
        machine: Machine {
            instance_type: described.instance_type().map(|instance_type| instance_type.as_str().to_owned()),
            availability_zone: described.placement().and_then(types::Placement::availability_zone).map(str::to_owned),
        },
    };
    Some((described.instance_id?.try_into().ok()?, instance))
}

/// How an instance came to run.
///
/// The primary network interface is attached when an instance is launched, and stays attached when it is stopped; each
/// start has a launch time of its own.
fn start(described: &types::Instance) -> Start {
    let mut attachments = described.network_interfaces().iter().filter_map(types::InstanceNetworkInterface::attachment);
    let primary = attachments.find(|attachment| attachment.device_index() == Some(0));
    let attached = primary.and_then(types::InstanceNetworkInterfaceAttachment::attach_time);
    match (described.launch_time(), attached) {
        (Some(launched), Some(attached)) if launched.secs() < attached.secs().saturating_add(LAUNCH_S) => Start::First,
        (Some(launched), Some(_)) => (*launched).try_into().map_or(Start::Unknown, Start::Again),
        _ => Start::Unknown,
    }
}

/// Reads what instances' user data says about their cluster; nothing of those whose user data can't be read.
///
/// User data holds secrets: only a cluster's name leaves this function.
pub(super) async fn mentions(
    aws: &Regional,
    calls: &Calls,
    ids: &BTreeSet<InstanceId>,
) -> BTreeMap<InstanceId, Mention> {
    let read = |id: InstanceId| async move {
        let request =
            aws.ec2.describe_instance_attribute().instance_id(id.as_str()).attribute(InstanceAttributeName::UserData);
        match calls.make("DescribeInstanceAttribute", &id, || request.clone().send()).await {
            Ok(answer) => {
                let user_data = answer.user_data.and_then(|attribute| attribute.value).unwrap_or_default();
                Some((id, mention(&user_data)))
            }
            Err(error) => {
                super::hint_lost(&error);
                None
            }
        }
    };
    stream::iter(ids.iter().cloned())
        .map(read)
        .buffer_unordered(WIDTH)
        .filter_map(|mention| async { mention })
        .collect()
        .await
}
