//! EKS clusters and the objects in them.

use std::time::Instant;

use super::Region;
use crate::history::History;
use crate::kubernetes::{ClusterId, PlacedCluster, World};
use crate::model::{Deployment, EksCluster, Node, Pdb, Pod};
use crate::pod_fate::PodFate;

impl Region {
    /// Starts an EKS cluster, with an endpoint of its own on 127.0.0.1 and a certificate authority of its own. Another
    /// one of this name is replaced, with its endpoint; its objects stay.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or when no port is free.
    #[expect(clippy::expect_used, reason = "without an endpoint no test can go on")]
    pub fn eks_cluster(&self, cluster: EksCluster) -> &Self {
        let id = self.cluster_id(&cluster.name);
        let mut started = PlacedCluster::start(&self.shared, &id, cluster).expect("a cluster's endpoint");
        let port = started.port();
        self.with(|resources| {
            if let Some(former) = resources.eks.remove(&id.name) {
                started.world = former.world;
            }
            resources.eks.insert(id.name.clone(), started);
        });
        self.shared.lock().endpoints.insert(port, id);
        self
    }

    /// Moves a cluster to another port with another certificate authority; connections to the old one end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or when no port is free.
    #[expect(clippy::expect_used, reason = "without an endpoint no test can go on")]
    pub fn move_eks_cluster(&self, name: &str) {
        let id = self.cluster_id(name);
        let port = self.with(|resources| {
            let cluster = resources.eks.get_mut(name)?;
            cluster.move_endpoint(&self.shared, &id).expect("a cluster's endpoint");
            Some(cluster.port())
        });
        port.map(|port| self.shared.lock().endpoints.insert(port, id));
    }

    /// Changes a cluster's settings, such as its status or what RBAC denies. Whether its endpoint is reached changes with
    /// [`move_eks_cluster`](Region::move_eks_cluster).
    pub fn change_eks_cluster(&self, name: &str, change: impl FnOnce(EksCluster) -> EksCluster) {
        self.with(|resources| {
            if let Some(cluster) = resources.eks.get_mut(name) {
                cluster.model = change(cluster.model.clone());
            }
        });
    }

    /// Deletes a cluster with its objects.
    pub fn forget_eks_cluster(&self, name: &str) {
        self.with(|resources| resources.eks.remove(name));
    }

    /// The URL of a cluster's endpoint, `https://localhost:PORT`.
    #[must_use]
    pub fn eks_endpoint(&self, name: &str) -> Option<String> {
        self.with(|resources| resources.eks.get(name).map(|cluster| cluster.endpoint.url()))
    }

    /// The most requests that a cluster's API server had under way at once.
    #[must_use]
    pub fn most_in_flight(&self, cluster: &str) -> usize {
        self.with(|resources| resources.eks.get(cluster).map_or(0, |cluster| cluster.most_in_flight))
    }

    /// Makes the `continue` tokens that a cluster has given so far too old: they are answered with 410.
    pub fn expire_lists(&self, cluster: &str) {
        self.cluster_mut(cluster, |cluster| cluster.list_epoch += 1);
    }

    /// Adds a node to a cluster or replaces it. The EC2 instance is not created.
    pub fn node(&self, cluster: &str, node: Node) -> &Self {
        self.world(cluster, |world, now, _| world.add_node(node, now));
        self
    }

    /// A node as it is now.
    #[must_use]
    pub fn node_at(&self, cluster: &str, name: &str) -> Option<Node> {
        self.with(|resources| resources.eks.get(cluster)?.world.node(name).cloned())
    }

    /// The nodes of a cluster as they are now, by name.
    #[must_use]
    pub fn nodes(&self, cluster: &str) -> Vec<Node> {
        self.with(|resources| resources.eks.get(cluster).map(|cluster| cluster.world.nodes()).unwrap_or_default())
    }

    /// The private DNS name of an EC2 instance, which is set or depends on its id; empty once it is terminated.
    #[must_use]
    pub fn private_dns_name(&self, instance: &str) -> Option<String> {
        self.instance_at(instance).map(|instance| instance.private_dns_in(&self.name))
    }

    /// Changes a node; nothing happens where there is no such node.
    pub fn change_node(&self, cluster: &str, name: &str, change: impl FnOnce(&mut Node)) {
        self.cluster_mut(cluster, |cluster| cluster.world.change_node(name, change));
    }

    /// Removes a node with its pods.
    pub fn forget_node(&self, cluster: &str, name: &str) {
        self.world(cluster, |world, now, history| world.remove_node(name, now, history));
    }

    /// Places a pod on a node and returns the pod's uid; `None` where there is no such cluster.
    pub fn pod(&self, cluster: &str, node: &str, pod: Pod) -> Option<String> {
        self.world(cluster, |world, now, _| world.add_pod(pod, node, now))
    }

    /// The existing pods of a node, in the order of namespace and name; terminating ones included.
    #[must_use]
    pub fn pods(&self, cluster: &str, node: &str) -> Vec<Pod> {
        self.with(|resources| {
            let pods = resources.eks.get(cluster).map(|cluster| cluster.world.listed(Some(node)));
            pods.into_iter().flatten().map(|(_, placed)| placed.pod.clone()).collect()
        })
    }

    /// Changes a pod, but not its name or labels; nothing happens where there is no such pod.
    pub fn change_pod(&self, cluster: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Pod)) {
        self.cluster_mut(cluster, |cluster| cluster.world.change_pod(&format!("{namespace}/{name}"), change));
    }

    /// Adds a pod disruption budget or replaces it.
    pub fn pdb(&self, cluster: &str, pdb: Pdb) -> &Self {
        self.world(cluster, |world, now, _| world.add_budget(pdb, now));
        self
    }

    /// Changes a pod disruption budget, to open or to close it; nothing happens where there is no such budget.
    pub fn change_pdb(&self, cluster: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Pdb)) {
        self.cluster_mut(cluster, |cluster| cluster.world.change_budget(namespace, name, change));
    }

    /// Removes a pod disruption budget.
    pub fn forget_pdb(&self, cluster: &str, namespace: &str, name: &str) {
        self.cluster_mut(cluster, |cluster| cluster.world.remove_budget(namespace, name));
    }

    /// Adds a deployment or stateful set, whose pods are those with its namespace and label `app`.
    pub fn deployment(&self, cluster: &str, deployment: Deployment) -> &Self {
        self.cluster_mut(cluster, |cluster| cluster.world.add_deployment(deployment));
        self
    }

    /// The fate so far of each pod that was on an instance's node, in the order of their creation.
    #[must_use]
    pub fn pod_fates(&self, cluster: &str) -> Vec<PodFate> {
        let started = self.shared.lock().clock.started();
        self.with(|resources| {
            let pods = resources.eks.get(cluster).map(|cluster| cluster.world.pods()).unwrap_or_default();
            pods.iter().filter_map(|pod| PodFate::new(pod, &resources.interruptions, started)).collect()
        })
    }

    fn cluster_id(&self, name: &str) -> ClusterId {
        ClusterId { account: self.account.clone(), region: self.name.clone(), name: name.to_owned() }
    }

    fn world<T>(&self, cluster: &str, act: impl FnOnce(&mut World, Instant, &mut History) -> T) -> Option<T> {
        self.with(|resources| {
            let now = resources.now;
            let cluster = resources.eks.get_mut(cluster)?;
            Some(act(&mut cluster.world, now, &mut resources.history))
        })
    }

    fn cluster_mut(&self, name: &str, change: impl FnOnce(&mut PlacedCluster)) {
        self.with(|resources| resources.eks.get_mut(name).map(change));
    }
}
