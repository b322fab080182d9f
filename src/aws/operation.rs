//! Every API operation that is called, and the request quota that it draws on.

use std::fmt;

/// An API operation, by its AWS name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "AWS's own names")]
pub enum Operation {
    AssumeRole,
    ChangeMessageVisibility,
    CompleteLifecycleAction,
    DeleteAttributes,
    DeregisterContainerInstance,
    DeregisterTargets,
    DescribeAutoScalingGroups,
    DescribeAutoScalingInstances,
    DescribeCapacityProviders,
    DescribeCluster,
    DescribeClusters,
    DescribeContainerInstances,
    DescribeInstanceAttribute,
    DescribeInstances,
    DescribeLifecycleHooks,
    DescribeNetworkInterfaces,
    DescribeServices,
    DescribeTargetGroupAttributes,
    DescribeTargetGroups,
    DescribeTaskDefinition,
    DescribeTasks,
    DetachInstances,
    GetCallerIdentity,
    ListClusters,
    ListContainerInstances,
    ListTasks,
    PutAttributes,
    PutEvents,
    RecordLifecycleActionHeartbeat,
    RunTask,
    SendMessage,
    SimulatePrincipalPolicy,
    StopTask,
    UpdateContainerInstancesState,
    // Of the Kubernetes API.
    GetNode,
    ListNodes,
    PatchNode,
    ListPodDisruptionBudgets,
    ListPods,
    EvictPod,
    DeletePod,
}

/// A request quota: a token bucket that all callers share. Those of AWS are an account's in a Region, those of Kubernetes
/// a cluster's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quota {
    ClusterRead,
    ClusterResourceRead,
    ClusterResourceModify,
    CapacityProviderRead,
    ServiceRead,
    TaskDefinitionRead,
    Ec2Read,
    AssumeRole,
    PutEvents,
    EksRead,
    AutoScaling,
    ElbModify,
    ElbRead,
    Iam,
    Sqs,
    Kubernetes,
    // The last one: `COUNT` is derived from it.
    Eviction,
}

impl Operation {
    pub(super) fn quota(self) -> Quota {
        match self {
            Self::ListClusters | Self::DescribeClusters => Quota::ClusterRead,
            Self::ListContainerInstances | Self::DescribeContainerInstances | Self::ListTasks | Self::DescribeTasks => {
                Quota::ClusterResourceRead
            }
            Self::DeregisterContainerInstance
            | Self::UpdateContainerInstancesState
            | Self::StopTask
            | Self::RunTask
            | Self::PutAttributes
            | Self::DeleteAttributes => Quota::ClusterResourceModify,
            Self::DescribeCapacityProviders => Quota::CapacityProviderRead,
            Self::DescribeServices => Quota::ServiceRead,
            Self::DescribeTaskDefinition => Quota::TaskDefinitionRead,
            Self::DescribeInstances | Self::DescribeInstanceAttribute | Self::DescribeNetworkInterfaces => {
                Quota::Ec2Read
            }
            Self::AssumeRole | Self::GetCallerIdentity => Quota::AssumeRole,
            Self::PutEvents => Quota::PutEvents,
            Self::DescribeCluster => Quota::EksRead,
            Self::DescribeAutoScalingGroups
            | Self::DescribeAutoScalingInstances
            | Self::DescribeLifecycleHooks
            | Self::DetachInstances
            | Self::CompleteLifecycleAction
            | Self::RecordLifecycleActionHeartbeat => Quota::AutoScaling,
            Self::DeregisterTargets => Quota::ElbModify,
            Self::DescribeTargetGroupAttributes | Self::DescribeTargetGroups => Quota::ElbRead,
            Self::SimulatePrincipalPolicy => Quota::Iam,
            Self::ChangeMessageVisibility | Self::SendMessage => Quota::Sqs,
            Self::GetNode
            | Self::ListNodes
            | Self::PatchNode
            | Self::ListPodDisruptionBudgets
            | Self::ListPods
            | Self::DeletePod => Quota::Kubernetes,
            Self::EvictPod => Quota::Eviction,
        }
    }

    /// The burst of requests that its quota admits at once, and the requests per second after that.
    pub(crate) fn limits(self) -> (f64, f64) {
        self.quota().limits()
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Quota {
    /// The number of quotas.
    pub(super) const COUNT: usize = Self::Eviction as usize + 1;

    /// The burst of requests that is admitted at once, and the requests per second after that.
    ///
    /// Sources: "Request throttling for the Amazon ECS API" in the Amazon ECS API Reference, "Request throttling for
    /// the Amazon EC2 API" in the Amazon EC2 Developer Guide, "Quotas" in the IAM User Guide, the lowest of "Amazon
    /// `EventBridge` quotas" for any Region, "Request throttling for the Elastic Load Balancing API" in the Elastic Load
    /// Balancing User Guide. SQS limits a FIFO queue to 300 requests a second, a standard queue to no documented number:
    /// "Amazon SQS message quotas". The quotas for task definitions, of Amazon EKS and of Auto Scaling are not documented;
    /// they are assumed to be the lowest of the others. That of IAM is not documented either; a rehearsal makes five calls
    /// at most. Kubernetes has none: it queues requests, and rejects them when it
    /// is overloaded.
    pub(super) fn limits(self) -> (f64, f64) {
        match self {
            Self::ClusterRead
            | Self::CapacityProviderRead
            | Self::TaskDefinitionRead
            | Self::EksRead
            | Self::AutoScaling => (50.0, 20.0),
            Self::ClusterResourceRead | Self::ServiceRead | Self::Ec2Read => (100.0, 20.0),
            Self::ClusterResourceModify => (100.0, 40.0),
            Self::AssumeRole | Self::PutEvents => (600.0, 600.0),
            Self::ElbModify => (20.0, 4.0),
            Self::ElbRead => (40.0, 10.0),
            Self::Iam => (10.0, 5.0),
            Self::Sqs => (300.0, 300.0),
            Self::Kubernetes | Self::Eviction => (400.0, 100.0),
        }
    }
}
