//! Clusters with many nodes and pods.

use crate::model::{EksCluster, Instance, Node, Pod};
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
