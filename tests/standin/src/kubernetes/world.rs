//! The objects of one cluster, and their behaviour over time.

mod budget;
mod controllers;
mod placed_pod;
mod termination;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::arn;
use crate::history::History;
use crate::model::{Deployment, Node, Pdb, Pod};
pub(super) use budget::{Budgets, Verdict};
pub(crate) use placed_pod::PlacedPod;
pub use placed_pod::{PodEnding, StopRequest};

/// How long after the end of its instance a node is removed, with its pods.
const NODE_REMOVED: Duration = Duration::from_mins(1);

/// The objects of one cluster.
///
/// Pods are found by name, node and app without a look at all of them: a wave of notices is some thousand evictions.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(super) nodes: BTreeMap<String, PlacedNode>,
    /// All pods that there have been, in the order of their creation.
    pods: Vec<PlacedPod>,
    /// Existing pods by namespace and name.
    by_name: BTreeMap<String, usize>,
    by_node: BTreeMap<String, BTreeSet<String>>,
    /// All pods by namespace and label `app`.
    by_app: BTreeMap<String, Vec<usize>>,
    budgets: Vec<PlacedBudget>,
    deployments: BTreeMap<String, Deployment>,
    due: BTreeMap<(Instant, u64), Event>,
    /// The last resource version.
    version: u64,
    events: u64,
}

/// A node, as it is now.
#[derive(Clone, Debug)]
pub(super) struct PlacedNode {
    pub(super) model: Node,
    pub(super) uid: String,
    pub(super) version: u64,
    pub(super) created: Instant,
    /// Whether its instance runs.
    pub(super) is_alive: bool,
}

/// A budget, since when it is there.
#[derive(Clone, Debug)]
struct PlacedBudget {
    model: Pdb,
    added: Instant,
    /// Evicted pods that are not known to terminate yet, by name.
    disrupted: BTreeMap<String, Instant>,
}

/// What happens at its time, if it still applies then.
#[derive(Clone, Debug)]
enum Event {
    /// A terminating pod ends.
    End(usize),
    /// A pod is ready.
    Ready(usize),
    /// A controller creates a pod on this node.
    Create { pod: Box<Pod>, node: String, ready_after: Option<Duration> },
    /// A node is removed with its pods.
    RemoveNode(String),
}

impl World {
    /// The time of the next change.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Makes the changes that are due.
    pub(crate) fn advance(&mut self, now: Instant, history: &mut History) {
        while self.due().is_some_and(|due| due <= now) {
            let Some(((at, _), event)) = self.due.pop_first() else { return };
            match event {
                Event::End(index) => self.end_if_due(index, at, history),
                Event::Ready(index) => self.make_ready(index, at, history),
                Event::Create { pod, node, ready_after } => self.create(*pod, &node, ready_after, at, history),
                Event::RemoveNode(name) => self.remove_node(&name, at, history),
            }
        }
    }

    fn plan(&mut self, at: Instant, event: Event) {
        self.events += 1;
        self.due.insert((at, self.events), event);
    }

    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn add_node(&mut self, model: Node, now: Instant) {
        let version = self.next_version();
        let node = PlacedNode { uid: arn::uuid(), version, created: now, is_alive: true, model };
        self.nodes.insert(node.model.name.clone(), node);
    }

    /// Places a pod on a node and returns its uid.
    pub(crate) fn add_pod(&mut self, mut pod: Pod, node: &str, now: Instant) -> String {
        if pod.uid.is_empty() {
            pod.uid = arn::uuid();
        }
        let uid = pod.uid.clone();
        let instance = self.nodes.get(node).map(|node| node.model.instance_id.clone());
        let version = self.next_version();
        let index = self.pods.len();
        let (key, app) = (pod.key(), pod.app_key());
        if let Some(former) = self.by_name.insert(key.clone(), index) {
            self.unlist(former);
        }
        self.by_node.entry(node.to_owned()).or_default().insert(key);
        if let Some(app) = app {
            self.by_app.entry(app).or_default().push(index);
        }
        self.pods.push(PlacedPod::new(pod, node.to_owned(), instance, version, now));
        uid
    }

    /// Takes a pod out of the lists, since another one has its name.
    fn unlist(&mut self, index: usize) {
        let pod = &mut self.pods[index];
        pod.exists = false;
        if let Some(keys) = self.by_node.get_mut(&pod.node) {
            keys.remove(&pod.pod.key());
        }
    }

    pub(crate) fn add_budget(&mut self, model: Pdb, now: Instant) {
        self.budgets.retain(|other| (&other.model.namespace, &other.model.name) != (&model.namespace, &model.name));
        self.budgets.push(PlacedBudget { model, added: now, disrupted: BTreeMap::new() });
    }

    pub(crate) fn change_budget(&mut self, namespace: &str, name: &str, change: impl FnOnce(&mut Pdb)) {
        let fits = |budget: &&mut PlacedBudget| budget.model.namespace == namespace && budget.model.name == name;
        if let Some(budget) = self.budgets.iter_mut().find(fits) {
            change(&mut budget.model);
        }
    }

    pub(crate) fn remove_budget(&mut self, namespace: &str, name: &str) {
        self.budgets.retain(|budget| budget.model.namespace != namespace || budget.model.name != name);
    }

    pub(crate) fn add_deployment(&mut self, deployment: Deployment) {
        self.deployments.insert(format!("{}/{}", deployment.namespace, deployment.app), deployment);
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name).map(|node| &node.model)
    }

    pub(crate) fn nodes(&self) -> Vec<Node> {
        self.nodes.values().map(|node| node.model.clone()).collect()
    }

    pub(crate) fn change_node(&mut self, name: &str, change: impl FnOnce(&mut Node)) {
        let version = self.next_version();
        if let Some(node) = self.nodes.get_mut(name) {
            change(&mut node.model);
            node.version = version;
        }
    }

    pub(crate) fn remove_node(&mut self, name: &str, now: Instant, history: &mut History) {
        self.nodes.remove(name);
        let keys = self.by_node.get(name).cloned().unwrap_or_default();
        for index in keys.iter().filter_map(|key| self.by_name.get(key).copied()).collect::<Vec<_>>() {
            self.remove(index, now, history);
        }
    }

    /// The pod with this namespace and name.
    pub(super) fn index_of(&self, key: &str) -> Option<usize> {
        self.by_name.get(key).copied()
    }

    pub(super) fn at(&self, index: usize) -> &PlacedPod {
        &self.pods[index]
    }

    /// Existing pods in the order of namespace and name: those of a node, or all.
    pub(crate) fn listed(&self, node: Option<&str>) -> Vec<(&str, &PlacedPod)> {
        let pod = |key: &str| self.by_name.get(key).map(|index| &self.pods[*index]);
        match node {
            None => self.by_name.iter().map(|(key, index)| (key.as_str(), &self.pods[*index])).collect(),
            Some(node) => {
                let keys = self.by_node.get(node).into_iter().flatten();
                keys.filter_map(|key| Some((key.as_str(), pod(key)?))).collect()
            }
        }
    }

    /// All pods that there have been on instances.
    pub(crate) fn pods(&self) -> &[PlacedPod] {
        &self.pods
    }

    /// Changes an existing pod.
    pub(crate) fn change_pod(&mut self, key: &str, change: impl FnOnce(&mut Pod)) {
        let version = self.next_version();
        if let Some(index) = self.index_of(key) {
            let pod = &mut self.pods[index];
            change(&mut pod.pod);
            pod.version = version;
        }
    }
}
