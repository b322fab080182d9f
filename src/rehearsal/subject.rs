//! An instance in a rehearsal: what would become of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::SystemTime,
};

use serde::Serialize;

use crate::{
    aws::calls::Calls,
    config::{Config, EksStrategy, Strategy},
    ec2::instance::{CapacityPool, Instance},
    ecs::{
        container_instance::ContainerInstance,
        locate::{self as ecs_locate, Located, way::Way},
        plan::{self as ecs_plan, Action},
    },
    eks::{
        api_server::ApiServer,
        locate as eks_locate,
        plan::{self as eks_plan, clusters_to_search},
    },
    error::Error,
    identifier::{AccountId, ClusterName, InstanceId, Region},
    interruption::{InstanceAction, Interruption, Kind},
    outcome::EndState,
    scope::Scope,
};

/// What would become of an instance, in ascending order of significance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Fate {
    /// There was no time to look it up.
    NotReached,
    /// It is in no cluster.
    NotFound,
    /// It would be left alone.
    Skipped,
    /// Its node would be cordoned.
    Cordoned,
    /// Its container instance would be set to `DRAINING`.
    Draining,
    /// Its node would be cordoned, and its pods evicted.
    Drained,
    /// Its container instance would be deregistered.
    Deregistered,
    /// Its container instance would be evacuated.
    Evacuated,
    /// It could not be looked up.
    Failed,
}

impl Fate {
    pub(crate) const ALL: [Self; 9] = [
        Self::NotReached,
        Self::NotFound,
        Self::Skipped,
        Self::Cordoned,
        Self::Draining,
        Self::Drained,
        Self::Deregistered,
        Self::Evacuated,
        Self::Failed,
    ];

    /// Whether the function would change something.
    pub(crate) fn is_handled(self) -> bool {
        matches!(self, Self::Cordoned | Self::Draining | Self::Drained | Self::Deregistered | Self::Evacuated)
    }
}

/// A Kubernetes node that would be handled.
#[derive(Clone, Debug)]
pub(crate) struct NodeOf {
    pub(crate) api_server: Arc<ApiServer>,
    pub(crate) name: String,
}

/// An instance, and what would become of it.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) id: InstanceId,
    pub(crate) pool: CapacityPool,
    pub(crate) auto_scaling_group: Option<String>,
    /// The EKS clusters that its tags name.
    pub(crate) eks_clusters: Vec<ClusterName>,
    pub(crate) fate: Fate,
    /// How its cluster was found.
    pub(crate) way: Option<Way>,
    /// Its cluster, or the cluster that its tags name.
    pub(crate) cluster: Option<ClusterName>,
    /// The reason why it is left alone.
    pub(crate) skipped_by: Option<String>,
    /// Whether nobody handles it, although it is in a cluster.
    pub(crate) is_unhandled: bool,
    /// Its container instances that would be changed.
    pub(crate) container_instances: Vec<ContainerInstance>,
    pub(crate) node: Option<NodeOf>,
    pub(crate) error: Option<Error>,
}

impl Subject {
    /// An instance that was not looked up.
    pub(crate) fn new(id: InstanceId, instance: Option<&Instance>) -> Self {
        Self {
            id,
            pool: instance.map(|instance| instance.pool.clone()).unwrap_or_default(),
            auto_scaling_group: instance.and_then(Instance::auto_scaling_group).map(str::to_owned),
            eks_clusters: instance.map(Instance::eks_clusters).unwrap_or_default(),
            fate: Fate::NotReached,
            way: None,
            cluster: None,
            skipped_by: None,
            is_unhandled: false,
            container_instances: Vec::new(),
            node: None,
            error: None,
        }
    }

    /// Whether it counts as not covered: the function would not handle it, and nobody else would.
    pub(crate) fn is_not_covered(&self) -> bool {
        matches!(self.fate, Fate::NotReached | Fate::Failed) || self.is_unhandled
    }

    /// Looks the instance up as if its notice had come, and plans. Nothing is changed.
    ///
    /// `closed` are the EKS clusters whose API server does not answer, with the error.
    pub(crate) async fn assess(
        self,
        scope: &Scope,
        config: &Config,
        calls: &Calls,
        interruption: &Interruption,
        closed: &HashMap<ClusterName, Error>,
    ) -> Self {
        let Scope { ec2, ecs, eks, .. } = scope;
        let (described, located, error) = ecs_locate::locate(ec2, ecs, config, calls, interruption).await;
        if !located.is_empty() || error.is_some() {
            return self.in_ecs(located, error, interruption, config);
        }
        let instance = match described {
            Ok(Some(instance)) => instance,
            Ok(None) => return Self { fate: Fate::NotFound, ..self },
            Err(error) => return Self { fate: Fate::Failed, error: Some(error), ..self },
        };
        let clusters = match clusters_to_search(&instance, interruption.kind, config) {
            Ok(clusters) if clusters.is_empty() => {
                let skipped_by = instance.other_platform().map(|other| other.to_string());
                return Self { fate: Fate::NotFound, skipped_by, ..self };
            }
            Ok(clusters) => clusters,
            Err(reason) => {
                // Nobody drains a node that no setting, no managed node group and no Karpenter covers.
                let is_unhandled = reason == eks_plan::Reason::NotConfigured && instance.node_manager().is_none();
                let cluster = instance.eks_clusters().into_iter().next();
                let skipped_by = Some(reason.to_string());
                return Self { fate: Fate::Skipped, cluster, skipped_by, is_unhandled, ..self };
            }
        };
        let cluster = clusters.first().cloned();
        let (shut, open): (Vec<_>, Vec<_>) = clusters.into_iter().partition(|cluster| closed.contains_key(cluster));
        let unread = shut.first().and_then(|cluster| closed.get(cluster)).cloned();
        match eks_locate::locate(eks, calls, &open, (&self.id, &instance)).await {
            Ok(Some(located)) => {
                let action = eks_plan::plan(&located.node, instance.start, interruption, config);
                let (fate, skipped_by) = match action {
                    eks_plan::Action::Skip(reason) => (Fate::Skipped, Some(reason.to_string())),
                    _ if config.eks_strategy == EksStrategy::Cordon => (Fate::Cordoned, None),
                    _ => (Fate::Drained, None),
                };
                let (cluster, name) = (Some(located.api_server.cluster.clone()), located.node.name().to_owned());
                let node = fate.is_handled().then_some(NodeOf { api_server: located.api_server, name });
                Self { fate, skipped_by, way: Some(Way::Tag), cluster, node, ..self }
            }
            Ok(None) if unread.is_none() => Self { fate: Fate::NotFound, cluster, ..self },
            Ok(None) => Self { fate: Fate::Failed, cluster, error: unread, ..self },
            Err(error) => Self { fate: Fate::Failed, cluster, error: Some(error), ..self },
        }
    }

    fn in_ecs(self, located: Vec<Located>, error: Option<Error>, interruption: &Interruption, config: &Config) -> Self {
        let mut of = Self { fate: if error.is_some() { Fate::Failed } else { Fate::NotFound }, error, ..self };
        for located in located {
            of.way = of.way.or(Some(located.way));
            let (fate, skipped_by) = match ecs_plan::plan(&located, interruption, config) {
                Action::Skip(reason) => (Fate::Skipped, Some(reason.to_string())),
                Action::DryRun(state) | Action::AlreadyDone(state) => (fate(state, config.strategy), None),
                Action::Apply(change) => (fate(change.end_state(), config.strategy), None),
            };
            of.cluster = of.cluster.or_else(|| Some(located.container_instance.cluster.clone()));
            if fate > of.fate {
                (of.fate, of.skipped_by) = (fate, skipped_by);
            }
            if fate.is_handled() {
                of.container_instances.push(located.container_instance);
            }
        }
        of
    }
}

fn fate(state: EndState, strategy: Strategy) -> Fate {
    match (state, strategy) {
        (EndState::Deregistered, Strategy::Evacuate) => Fate::Evacuated,
        (EndState::Deregistered, _) => Fate::Deregistered,
        (EndState::Draining | EndState::Active, _) => Fate::Draining,
    }
}

/// The instances by capacity pool.
pub(crate) fn by_pool(subjects: &[Subject]) -> BTreeMap<(String, String), Vec<&Subject>> {
    let mut pools: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for subject in subjects {
        let CapacityPool { instance_type, availability_zone } = subject.pool.clone();
        pools
            .entry((instance_type.unwrap_or_default(), availability_zone.unwrap_or_default()))
            .or_default()
            .push(subject);
    }
    pools
}

/// The interruption that is rehearsed: a notice that comes now.
pub(crate) fn notice(instance: InstanceId, account: &AccountId, region: &Region) -> Interruption {
    let kind = Kind::Notice(InstanceAction::Terminate);
    let (account, region, time) = (account.clone(), region.clone(), SystemTime::now());
    Interruption { instance, kind, account, region, time, announced_end: None, lifecycle_action: None }
}
