//! Plans what to do with a node. Pure.

use std::{fmt, time::SystemTime};

use super::node::Node;
use crate::{
    config::{BudgetPolicy, Config, EksStrategy, ManagedDrainingPolicy, Mode, Verdict},
    ec2::instance::{ECS, Instance, LastStart, NodeManager},
    identifier::ClusterName,
    interruption::{InstanceAction, Interruption, Kind},
    mark::Mark,
    outcome::{NodeOutcome, Outcome},
};

/// What to do with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Apply(Change),
    /// Nothing but report what the change would be.
    DryRun(Change),
    /// Nothing: it is left alone for this reason.
    Skip(Reason),
}

/// A change to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Cordon it, and drain it if asked to.
    Cordon {
        /// Shows later that this function cordoned it.
        mark: Mark,
        /// Whether EC2 starts the instance again.
        comes_back: bool,
        drain: Option<Drain>,
    },
    /// Undo what this function did.
    Uncordon,
}

/// How a node is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    /// When EC2 acts; `None` if it may not act at all, or nobody knows when.
    pub(crate) ends: Option<SystemTime>,
    pub(crate) budgets: BudgetPolicy,
    /// Whether the node is drained again later, so that blocked pods need not be evicted again now.
    pub(crate) is_repeated: bool,
}

/// Why a node is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// An AWS service manages its instance.
    Operator(String),
    /// `EKS_CLUSTERS` is not set.
    NotConfigured,
    /// `EKS_CLUSTERS` doesn't match its cluster.
    NotIncluded,
    /// Its manager drains it.
    ManagedBy(NodeManager),
    /// Its instance is terminated.
    Terminated,
    /// The instance is running, but this function had not cordoned the node before.
    NotCordonedByUs,
    /// EC2 has started the instance again after the event, which is thus obsolete.
    RestartedSince,
}

/// Decides in which clusters the node of an instance is looked up; in none if it belongs to none. The error
/// is the reason why the instance is left alone.
pub(crate) fn clusters_to_search(instance: &Instance, kind: Kind, config: &Config) -> Result<Vec<ClusterName>, Reason> {
    let mut clusters = instance.eks_clusters();
    // Instances that ECS manages are found in ECS.
    if let Some(principal) = instance.operator().filter(|principal| *principal != ECS || !clusters.is_empty()) {
        return Err(Reason::Operator(principal.to_owned()));
    }
    if clusters.is_empty() {
        return Ok(clusters);
    }
    if config.eks_clusters.is_empty() {
        return Err(Reason::NotConfigured);
    }
    clusters.retain(|cluster| config.eks_clusters.verdict(cluster) == Verdict::Included);
    if clusters.is_empty() {
        return Err(Reason::NotIncluded);
    }
    if kind == Kind::Terminated {
        return Err(Reason::Terminated);
    }
    match instance.node_manager() {
        Some(manager) if config.managed_draining == ManagedDrainingPolicy::Respect => Err(Reason::ManagedBy(manager)),
        _ => Ok(clusters),
    }
}

/// The outcome for the cluster that an instance which is left alone belongs to, if its tags name one.
pub(crate) fn left_alone(instance: &Instance, reason: &Reason) -> Vec<NodeOutcome> {
    let cluster = instance.eks_clusters().into_iter().next();
    let skipped = |cluster| NodeOutcome::new(cluster, None, Outcome::Skipped, Some(reason.to_string()));
    cluster.map(skipped).into_iter().collect()
}

/// Decides what to do with a node.
pub(crate) fn plan(node: &Node, start: LastStart, interruption: &Interruption, config: &Config) -> Action {
    let Interruption { kind, time, .. } = *interruption;
    let comes_back = !matches!(kind, Kind::Notice(InstanceAction::Terminate) | Kind::LifecycleAction);
    let change = if kind == Kind::Running {
        // A late event must not undo a later draining.
        if !node.mark().is_some_and(|mark| mark.is_before(time)) {
            return Action::Skip(Reason::NotCordonedByUs);
        }
        Change::Uncordon
    } else {
        if comes_back && matches!(start, LastStart::Restarted(started) if started > time) {
            return Action::Skip(Reason::RestartedSince);
        }
        let ends = interruption.deadline();
        let is_repeated = kind == Kind::LifecycleAction && ends.is_none();
        let drain = Drain { ends, budgets: config.pod_disruption_budgets, is_repeated };
        let drain = (config.eks_strategy == EksStrategy::Drain).then_some(drain);
        Change::Cordon { mark: Mark::new(time), comes_back, drain }
    };
    match config.mode {
        Mode::DryRun => Action::DryRun(change),
        Mode::Change => Action::Apply(change),
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator(principal) => return write!(f, "EC2 says that {principal} manages the instance"),
            Self::NotConfigured => "the instance is a Kubernetes node, and EKS_CLUSTERS is not set",
            Self::NotIncluded => "EKS_CLUSTERS does not match the cluster",
            Self::ManagedBy(NodeManager::ManagedNodeGroup) => {
                "managed node group: Amazon EKS drains its nodes by itself"
            }
            Self::ManagedBy(NodeManager::Karpenter) => "Karpenter: it drains its nodes by itself",
            Self::Terminated => "the instance is terminated: Kubernetes removes its node by itself",
            Self::NotCordonedByUs => "this function did not cordon the node before the instance was running",
            Self::RestartedSince => "the instance was started again after this event",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        Config::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())).unwrap()
    }

    const TERMINATE: Kind = Kind::Notice(InstanceAction::Terminate);
    const STOP: Kind = Kind::Notice(InstanceAction::Stop);
    const ANY: [(&str, &str); 1] = [("EKS_CLUSTERS", "*")];

    #[test]
    fn node_is_searched_in_the_clusters_that_its_tags_name() {
        let cluster = |names: &[&str]| -> Vec<ClusterName> {
            names.iter().map(|name| (*name).to_owned().try_into().unwrap()).collect()
        };
        for (tags, expected) in [
            (
                &[("aws:eks:cluster-name", "a"), ("eks:cluster-name", "b"), ("kubernetes.io/cluster/c", "owned")][..],
                &["a"][..],
            ),
            (&[("eks:cluster-name", "b"), ("eks:eks-cluster-name", "c")], &["b"]),
            (&[("eks:eks-cluster-name", "c"), ("kubernetes.io/cluster/d", "owned")], &["c"]),
            (&[("kubernetes.io/cluster/d", "shared"), ("kubernetes.io/cluster/e", "owned")], &["d", "e"]),
            (&[("kubernetes.io/cluster/not a name", "owned")], &[]),
            (&[("Name", "web")], &[]),
        ] {
            assert_eq!(
                clusters_to_search(&Instance::with_tags(tags), TERMINATE, &config(&ANY)),
                Ok(cluster(expected)),
                "{tags:?}"
            );
        }
        let several =
            Instance::with_tags(&[("kubernetes.io/cluster/d", "shared"), ("kubernetes.io/cluster/e", "owned")]);
        assert_eq!(clusters_to_search(&several, STOP, &config(&[("EKS_CLUSTERS", "e*")])), Ok(cluster(&["e"])));
    }

    #[test]
    fn node_is_left_alone_for_a_reason() {
        let managed = ("MANAGED_DRAINING", "override");
        let group = ("eks:nodegroup-name", "g");
        let web = ("aws:eks:cluster-name", "web");
        for (tags, kind, settings, expected) in [
            (&[web][..], TERMINATE, &[][..], Err(Reason::NotConfigured)),
            (&[web], TERMINATE, &[("EKS_CLUSTERS", "api,w?")], Err(Reason::NotIncluded)),
            (&[web], Kind::Terminated, &ANY, Err(Reason::Terminated)),
            (&[web, group], TERMINATE, &ANY, Err(Reason::ManagedBy(NodeManager::ManagedNodeGroup))),
            (&[web, group], TERMINATE, &[ANY[0], managed], Ok(1)),
            (&[web, ("karpenter.sh/nodepool", "x")], STOP, &ANY, Err(Reason::ManagedBy(NodeManager::Karpenter))),
            (
                &[web, ("karpenter.k8s.aws/ec2nodeclass", "x")],
                STOP,
                &ANY,
                Err(Reason::ManagedBy(NodeManager::Karpenter)),
            ),
            (&[web, ("karpenter.sh/nodepool", "x")], STOP, &[ANY[0], managed], Ok(1)),
            // Users put it on everything.
            (&[web, ("karpenter.sh/discovery", "web")], STOP, &ANY, Ok(1)),
        ] {
            let found =
                clusters_to_search(&Instance::with_tags(tags), kind, &config(settings)).map(|clusters| clusters.len());
            assert_eq!(found, expected, "{tags:?} {settings:?}");
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn planned(kind: Kind, start: LastStart, mark: Option<&str>, settings: &[(&str, &str)]) -> Action {
        let interruption = Interruption {
            instance: "i-1234567890abcdef0".to_owned().try_into().unwrap(),
            kind,
            account: "123456789012".to_owned().try_into().unwrap(),
            region: "us-east-1".to_owned().try_into().unwrap(),
            time: at(60),
            announced_end: None,
            lifecycle_action: None,
        };
        let annotations = mark.map(|time| json!({ "spot-interruption-handler/drained": time })).unwrap_or(json!({}));
        let node = serde_json::from_value(json!({ "metadata": { "name": "n", "annotations": annotations } })).unwrap();
        plan(&node, start, &interruption, &config(settings))
    }

    #[test]
    fn node_is_drained_until_ec2_acts() {
        let budgets = BudgetPolicy::UntilDeadline;
        for (kind, comes_back, ends) in [
            (TERMINATE, false, Some(at(180))),
            (STOP, true, Some(at(180))),
            (Kind::Notice(InstanceAction::Hibernate), true, Some(at(60))),
            (Kind::Rebalance, true, None),
        ] {
            let change = Change::Cordon {
                mark: Mark::new(at(60)),
                comes_back,
                drain: Some(Drain { ends, budgets, is_repeated: false }),
            };
            assert_eq!(planned(kind, LastStart::Launched, None, &[]), Action::Apply(change), "{kind}");
            assert_eq!(planned(kind, LastStart::Unknown, None, &[("DRY_RUN", "true")]), Action::DryRun(change));
            let cordon = Change::Cordon { mark: Mark::new(at(60)), comes_back, drain: None };
            assert_eq!(planned(kind, LastStart::Unknown, None, &[("EKS_STRATEGY", "cordon")]), Action::Apply(cordon));
        }
    }

    #[test]
    fn only_a_node_that_was_cordoned_before_is_uncordoned() {
        let restarted = LastStart::Restarted(at(60));
        for (mark, expected) in [
            (None, Action::Skip(Reason::NotCordonedByUs)),
            (Some("1970-01-01T00:00:59Z"), Action::Apply(Change::Uncordon)),
            (Some("1970-01-01T00:01:00Z"), Action::Skip(Reason::NotCordonedByUs)),
        ] {
            assert_eq!(planned(Kind::Running, restarted, mark, &[]), expected, "{mark:?}");
        }
    }

    #[test]
    fn instance_that_was_started_again_is_left_alone() {
        let restarted = LastStart::Restarted(at(61));
        assert_eq!(planned(STOP, restarted, None, &[]), Action::Skip(Reason::RestartedSince));
        assert!(matches!(planned(TERMINATE, restarted, None, &[]), Action::Apply(_)));
    }
}
