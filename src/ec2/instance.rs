//! An instance, as EC2 describes it.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use aws_sdk_ec2::types;

/// The tags that name what launched an instance: instances of one group mostly join one cluster.
const GROUP_TAGS: [&str; 3] = [AUTO_SCALING_GROUP_TAG, "aws:ec2spot:fleet-request-id", "aws:ec2:fleet-id"];

const AUTO_SCALING_GROUP_TAG: &str = "aws:autoscaling:groupName";

/// The `Operator.Principal` of Amazon ECS Managed Instances.
pub(crate) const ECS: &str = "ecs.amazonaws.com";

/// Within how many seconds an instance and its network interface are launched. No instance is stopped and started again
/// in that time.
const LAUNCH_S: i64 = 30;

/// What EC2 knows of an instance.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    tags: HashMap<String, String>,
    /// The service that manages it.
    operator: Option<String>,
    pub(crate) start: Start,
    /// When it was started last.
    started: Option<SystemTime>,
    pub(crate) pool: CapacityPool,
}

/// How an instance came to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Start {
    /// EC2 does not say.
    #[default]
    Unknown,
    /// It was launched.
    First,
    /// It was stopped before, and started again at this time.
    Again(SystemTime),
}

/// What is interrupted together: an instance type in a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapacityPool {
    /// Such as `m6i.large`.
    pub instance_type: Option<String>,
    /// Such as `us-east-1a`.
    pub availability_zone: Option<String>,
}

/// What an instance is a part of that is no ECS cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// Amazon EKS, or another Kubernetes.
    Kubernetes,
    /// Amazon EMR.
    Emr,
    /// A service that manages the instance.
    Service(String),
}

impl Instance {
    pub(crate) fn new(described: &types::Instance) -> Self {
        let tag = |tag: &types::Tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()));
        Self {
            tags: described.tags().iter().filter_map(tag).collect(),
            operator: described.operator().and_then(operator),
            start: start(described),
            started: described.launch_time().and_then(|time| (*time).try_into().ok()),
            pool: CapacityPool {
                instance_type: described.instance_type().map(|instance_type| instance_type.as_str().to_owned()),
                availability_zone: described
                    .placement()
                    .and_then(types::Placement::availability_zone)
                    .map(str::to_owned),
            },
        }
    }

    /// The value of a tag.
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// What launched it: a tag's key and value.
    pub(crate) fn group(&self) -> Option<String> {
        GROUP_TAGS.iter().find_map(|key| Some(format!("{key}={}", self.tag(key)?)))
    }

    /// The Auto Scaling group that launched it.
    pub(crate) fn auto_scaling_group(&self) -> Option<&str> {
        self.tag(AUTO_SCALING_GROUP_TAG)
    }

    /// The principal of the AWS service that manages it.
    pub(crate) fn operator(&self) -> Option<&str> {
        self.operator.as_deref()
    }

    /// Whether it was started within this time.
    pub(crate) fn is_younger_than(&self, age: Duration) -> bool {
        self.started.is_some_and(|started| started.elapsed().is_ok_and(|elapsed| elapsed < age))
    }

    /// What it is a part of, if that is no ECS cluster.
    pub(crate) fn elsewhere(&self) -> Option<Elsewhere> {
        let has = |prefixes: &[&str]| self.tags.keys().any(|key| prefixes.iter().any(|prefix| key.starts_with(prefix)));
        match &self.operator {
            Some(principal) if principal != ECS => Some(Elsewhere::Service(principal.clone())),
            _ if has(&["aws:eks:", "eks:", "kubernetes.io/cluster/"]) => Some(Elsewhere::Kubernetes),
            _ if has(&["aws:elasticmapreduce:"]) => Some(Elsewhere::Emr),
            _ => None,
        }
    }
}

impl std::fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kubernetes => f.write_str("its tags say that it is a node of Kubernetes"),
            Self::Emr => f.write_str("its tags say that it is a part of Amazon EMR"),
            Self::Service(principal) => write!(f, "EC2 says that {principal} manages it"),
        }
    }
}

fn operator(described: &types::OperatorResponse) -> Option<String> {
    let is_managed = described.managed().unwrap_or(described.principal().is_some());
    is_managed.then(|| described.principal().unwrap_or("an AWS service").to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn with_tags(tags: &[(&str, &str)]) -> Instance {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Instance { tags, ..Instance::default() }
    }

    #[test]
    fn only_marks_of_others_rule_an_ecs_cluster_out() {
        for (tag, expected) in [
            ("aws:eks:cluster-name", Some(Elsewhere::Kubernetes)),
            ("eks:cluster-name", Some(Elsewhere::Kubernetes)),
            ("eks:eks-cluster-name", Some(Elsewhere::Kubernetes)),
            ("kubernetes.io/cluster/web", Some(Elsewhere::Kubernetes)),
            ("aws:elasticmapreduce:job-flow-id", Some(Elsewhere::Emr)),
            ("aws:autoscaling:groupName", None),
            ("my:eks:name", None),
            ("kubernetes.io/role", None),
            ("AWSBatchServiceTag", None),
        ] {
            assert_eq!(with_tags(&[(tag, "x")]).elsewhere(), expected, "{tag}");
        }
        let operated = |principal: &str| Instance { operator: Some(principal.to_owned()), ..Instance::default() };
        assert_eq!(operated("eks.amazonaws.com").elsewhere(), Some(Elsewhere::Service("eks.amazonaws.com".into())));
        assert!(operated(ECS).operator() == Some(ECS) && operated(ECS).elsewhere().is_none());
    }

    #[test]
    fn the_group_is_the_first_of_what_may_have_launched_it() {
        let of = |tags: &[_]| with_tags(tags).group();
        assert_eq!(of(&[("Name", "web")]), None);
        assert_eq!(of(&[("aws:ec2:fleet-id", "f-1")]).as_deref(), Some("aws:ec2:fleet-id=f-1"));
        let both = [("aws:ec2:fleet-id", "f-1"), (AUTO_SCALING_GROUP_TAG, "web")];
        assert_eq!(of(&both).as_deref(), Some("aws:autoscaling:groupName=web"));
    }
}
