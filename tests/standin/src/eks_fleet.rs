//! Clusters with many nodes and pods.

use std::time::Duration;

use crate::model::{Deployment, EksCluster, Instance, Node, Pdb, Pod};
use crate::region::Region;

/// Starts clusters with nodes and pods, and returns the ids of the instances, cluster by cluster.
///
/// The clusters are `eks-0`, `eks-1` and so on; a node's name is the private DNS name of its instance, which has the tag
/// `aws:eks:cluster-name`. Of a node's pods the first is a daemon set's; the others are those of the deployments `app-0`
/// to `app-9`, in the namespace `default`, without a budget.
pub fn eks_fleet(region: &Region, clusters: usize, nodes_per_cluster: usize, pods_per_node: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for cluster in 0..clusters {
        let name = format!("eks-{cluster}");
        region.eks_cluster(EksCluster::new(&name));
        for node in 0..nodes_per_cluster {
            let id = format!("i-{cluster:04x}{node:012x}e");
            let instance = Instance::new(&id).tag("aws:eks:cluster-name", &name);
            let node_name = instance.private_dns_in(region.name());
            region.instance(instance).node(&name, Node::new(&node_name, &id));
            for pod in 0..pods_per_node {
                let app = format!("app-{}", pod % 10);
                let pod = if pod == 0 {
                    Pod::new("kube-system", format!("aws-node-{node}")).daemon_set("aws-node")
                } else {
                    Pod::new("default", format!("{app}-{node}-{pod}")).replica_set(&app)
                };
                region.pod(&name, &node_name, pod);
            }
            ids.push(id);
        }
    }
    ids
}

/// Starts a cluster with the node of an instance, which runs a pod of each kind that a draining has to distinguish:
///
/// | pod | of | grace period | needs after SIGTERM | |
/// |---|---|---|---|---|
/// | front | deployment, one of 2 may be missing | 30 s | 12 s | |
/// | api | deployment, none of 1 may be missing, and its budget has no room for 40 s | 30 s | 12 s | |
/// | search | deployment, its budget never has room | 90 s | 80 s | |
/// | db | stateful set, its budget never has room | 30 s | 25 s | |
/// | import | no controller | 300 s | more | no notice is long enough for it |
/// | logs | daemon set | 30 s | 5 s | |
pub fn eks_node(region: &Region, cluster: &str, id: &str) {
    let instance = Instance::new(id).tag("aws:eks:cluster-name", cluster);
    let name = instance.private_dns_in(region.name());
    region.eks_cluster(EksCluster::new(cluster)).node(cluster, Node::new(&name, id)).instance(instance);
    let s = Duration::from_secs;
    let of = |app: &str, needs_s| Pod::new("default", app).stops_after(s(needs_s));
    for pod in [
        of("front", 12).replica_set("front"),
        of("api", 12).replica_set("api"),
        of("search", 80).replica_set("search").grace_period_s(90),
        of("db", 25).stateful_set("db"),
        of("import", 600).grace_period_s(300),
        of("logs", 5).daemon_set("logs"),
    ] {
        region.pod(cluster, &name, pod);
    }
    region.deployment(cluster, Deployment::new("default", "front").replicas(2));
    region
        .pdb(cluster, Pdb::new("default", "front"))
        .pdb(cluster, Pdb::new("default", "api").opens_after(s(40)))
        .pdb(cluster, Pdb::new("default", "search").never())
        .pdb(cluster, Pdb::new("default", "db").never());
}
