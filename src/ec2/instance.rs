//! An instance, as EC2 describes it.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use aws_smithy_types::{DateTime, date_time::Format};

use crate::{
    aws::query::answer::{List, Record},
    identifier::ClusterName,
};

/// Instances, and what is read of each.
pub(super) const LIST: List = List {
    path: "reservationSet/item/instancesSet/item",
    fields: &[
        "instanceId",
        "instanceType",
        "launchTime",
        "operator/managed",
        "operator/principal",
        "placement/availabilityZone",
        "privateDnsName",
    ],
    lists: &[&TAGS, &ATTACHMENTS],
};

const TAGS: List = List::new("tagSet/item", &["key", "value"]);

const ATTACHMENTS: List = List::new("networkInterfaceSet/item/attachment", &["deviceIndex", "attachTime"]);

/// The tags that name what launched an instance. Instances of one group mostly join one cluster.
const GROUP_TAGS: [&str; 3] = [AUTO_SCALING_GROUP_TAG, "aws:ec2spot:fleet-request-id", "aws:ec2:fleet-id"];

const AUTO_SCALING_GROUP_TAG: &str = "aws:autoscaling:groupName";

/// The tags whose value is the name of an instance's EKS cluster.
const EKS_TAGS: [&str; 3] = ["aws:eks:cluster-name", "eks:cluster-name", "eks:eks-cluster-name"];

/// The prefix of tags whose key ends with the name of a Kubernetes cluster.
const CLUSTER_TAG: &str = "kubernetes.io/cluster/";

/// The tags of nodes that Karpenter launched. Users put `karpenter.sh/discovery` on anything.
const KARPENTER_TAGS: [&str; 4] =
    ["karpenter.sh/nodepool", "karpenter.sh/nodeclaim", "karpenter.sh/provisioner-name", "karpenter.k8s.aws/"];

/// The tag of instances in no cluster that are to be replaced.
const REPLACE_TAG: &str = "spot-interruption-handler:replace";

/// The `Operator.Principal` of Amazon ECS Managed Instances.
pub(crate) const ECS: &str = "ecs.amazonaws.com";

/// The most seconds between an instance's launch and the attachment of its network interface. No instance is stopped
/// and started again in that time.
const MAX_ATTACH_DELAY_S: i64 = 30;

/// An instance, as EC2 describes it.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    tags: HashMap<String, String>,
    /// The principal of the AWS service that manages it.
    operator: Option<String>,
    pub(crate) start: LastStart,
    /// The time of its last start.
    started: Option<SystemTime>,
    /// Its host name within the VPC, unless it is terminated.
    pub(crate) private_dns_name: Option<String>,
    pub(crate) pool: CapacityPool,
}

/// How an instance came to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LastStart {
    /// EC2's description does not show it.
    #[default]
    Unknown,
    /// It was launched and has not been stopped since.
    Launched,
    /// It was stopped before, and was started again at this time.
    Restarted(SystemTime),
}

/// The instance type and Availability Zone whose Spot Instances EC2 interrupts together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapacityPool {
    /// Such as `m6i.large`.
    pub instance_type: Option<String>,
    /// Such as `us-east-1a`.
    pub availability_zone: Option<String>,
}

/// A platform other than ECS that an instance belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OtherPlatform {
    /// Amazon EKS, or another Kubernetes.
    Kubernetes,
    /// Amazon EMR.
    Emr,
    /// An AWS service that manages the instance, by its principal.
    Service(String),
}

/// What drains a Kubernetes node by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeManager {
    /// Amazon EKS, as for all nodes of a managed node group.
    ManagedNodeGroup,
    /// Karpenter, if its interruption queue is set.
    Karpenter,
}

impl Instance {
    pub(crate) fn new(described: &Record) -> Self {
        let tag = |tag: &Record| Some((tag.get("key")?.to_owned(), tag.get("value")?.to_owned()));
        let launched = described.get("launchTime").and_then(time);
        Self {
            tags: described.list(&TAGS).filter_map(tag).collect(),
            operator: operator(described),
            start: start(described, launched),
            started: launched.and_then(|time| time.try_into().ok()),
            private_dns_name: described.text("privateDnsName"),
            pool: CapacityPool {
                instance_type: described.text("instanceType"),
                availability_zone: described.text("placement/availabilityZone"),
            },
        }
    }

    /// The value of a tag.
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// What launched the instance: a tag's key and value.
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

    /// The EKS clusters that the instance may be a node of, by its tags. AWS sets the first one on every instance that
    /// joins a cluster; the last ones are the users', and an instance may have several.
    pub(crate) fn eks_clusters(&self) -> Vec<ClusterName> {
        let name = |name: &str| ClusterName::try_from(name.to_owned()).ok();
        if let Some(cluster) = EKS_TAGS.iter().find_map(|key| name(self.tag(key)?)) {
            return vec![cluster];
        }
        let mut clusters: Vec<_> = self.tags.keys().filter_map(|key| name(key.strip_prefix(CLUSTER_TAG)?)).collect();
        clusters.sort();
        clusters
    }

    /// What drains the instance's node by itself: its tags say so, and EC2 does not.
    pub(crate) fn node_manager(&self) -> Option<NodeManager> {
        let has = |prefix: &str| self.tags.keys().any(|key| key.starts_with(prefix));
        if has("eks:nodegroup-name") {
            Some(NodeManager::ManagedNodeGroup)
        } else if KARPENTER_TAGS.iter().any(|prefix| has(prefix)) {
            Some(NodeManager::Karpenter)
        } else {
            None
        }
    }

    /// Whether it is to be replaced although it is in no cluster.
    pub(crate) fn is_replaced_without_cluster(&self) -> bool {
        self.tag(REPLACE_TAG).is_some_and(|value| value != "false")
    }

    /// The other platform that the instance belongs to, if it does.
    pub(crate) fn other_platform(&self) -> Option<OtherPlatform> {
        let has = |prefixes: &[&str]| self.tags.keys().any(|key| prefixes.iter().any(|prefix| key.starts_with(prefix)));
        match &self.operator {
            Some(principal) if principal != ECS => Some(OtherPlatform::Service(principal.clone())),
            _ if has(&["aws:eks:", "eks:", CLUSTER_TAG]) => Some(OtherPlatform::Kubernetes),
            _ if has(&["aws:elasticmapreduce:"]) => Some(OtherPlatform::Emr),
            _ => None,
        }
    }
}

impl std::fmt::Display for OtherPlatform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kubernetes => f.write_str("its tags say that it is a Kubernetes node"),
            Self::Emr => f.write_str("its tags say that it is a node of Amazon EMR"),
            Self::Service(principal) => write!(f, "EC2 says that {principal} manages it"),
        }
    }
}

fn operator(described: &Record) -> Option<String> {
    let principal = described.text("operator/principal");
    let is_managed = described.get("operator/managed").map_or(principal.is_some(), |managed| managed == "true");
    is_managed.then(|| principal.unwrap_or_else(|| "an AWS service".to_owned()))
}

/// How an instance came to run.
///
/// The primary network interface is attached at launch, and stays attached while the instance is stopped. Each start
/// has a launch time of its own.
fn start(described: &Record, launched: Option<DateTime>) -> LastStart {
    let primary = described.list(&ATTACHMENTS).find(|attachment| attachment.get("deviceIndex") == Some("0"));
    let attached = primary.and_then(|attachment| time(attachment.get("attachTime")?));
    match (launched, attached) {
        (Some(launched), Some(attached)) if launched.secs() < attached.secs().saturating_add(MAX_ATTACH_DELAY_S) => {
            LastStart::Launched
        }
        (Some(launched), Some(_)) => launched.try_into().map_or(LastStart::Unknown, LastStart::Restarted),
        _ => LastStart::Unknown,
    }
}

fn time(text: &str) -> Option<DateTime> {
    DateTime::from_str(text, Format::DateTimeWithOffset).ok()
}

#[cfg(test)]
impl Instance {
    /// An instance of which only these tags are known.
    pub(crate) fn with_tags(tags: &[(&str, &str)]) -> Self {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { tags, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_tags(tags: &[(&str, &str)]) -> Instance {
        Instance::with_tags(tags)
    }

    #[test]
    fn other_platform_is_known_by_tags_and_operator() {
        for (tag, expected) in [
            ("aws:eks:cluster-name", Some(OtherPlatform::Kubernetes)),
            ("eks:cluster-name", Some(OtherPlatform::Kubernetes)),
            ("eks:eks-cluster-name", Some(OtherPlatform::Kubernetes)),
            ("kubernetes.io/cluster/web", Some(OtherPlatform::Kubernetes)),
            ("aws:elasticmapreduce:job-flow-id", Some(OtherPlatform::Emr)),
            ("aws:autoscaling:groupName", None),
            ("my:eks:name", None),
            ("kubernetes.io/role", None),
            ("AWSBatchServiceTag", None),
        ] {
            assert_eq!(with_tags(&[(tag, "x")]).other_platform(), expected, "{tag}");
        }
        let operated = |principal: &str| Instance { operator: Some(principal.to_owned()), ..Instance::default() };
        assert_eq!(
            operated("eks.amazonaws.com").other_platform(),
            Some(OtherPlatform::Service("eks.amazonaws.com".into()))
        );
        assert!(operated(ECS).operator() == Some(ECS) && operated(ECS).other_platform().is_none());
    }

    #[test]
    fn auto_scaling_group_takes_precedence_over_fleet() {
        let of = |tags: &[_]| with_tags(tags).group();
        assert_eq!(of(&[("Name", "web")]), None);
        assert_eq!(of(&[("aws:ec2:fleet-id", "f-1")]).as_deref(), Some("aws:ec2:fleet-id=f-1"));
        let both = [("aws:ec2:fleet-id", "f-1"), (AUTO_SCALING_GROUP_TAG, "web")];
        assert_eq!(of(&both).as_deref(), Some("aws:autoscaling:groupName=web"));
    }
}
