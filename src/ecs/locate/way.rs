//! The ways in which a cluster is found.

use serde::Serialize;

/// How the cluster of an instance was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Way {
    /// By what the process had read before: the cluster's container instances, or another instance of the same group.
    Cache,
    /// By a tag of the instance: that of `CLUSTER_TAG`, or one that Amazon EKS reads.
    Tag,
    /// By the capacity provider of its Auto Scaling group.
    CapacityProvider,
    /// By its user data.
    UserData,
    /// By listing the container instances of all clusters.
    Scan,
}
