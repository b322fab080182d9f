//! Amazon ECS: find the container instance, decide, act.

pub(crate) mod act;
pub(crate) mod attributes;
pub(crate) mod cache;
pub(crate) mod capacity_provider;
pub(crate) mod capacity_providers;
pub(crate) mod change;
pub(crate) mod cluster_list;
pub(crate) mod clusters;
pub(crate) mod container_instance;
pub(crate) mod container_instances;
pub(crate) mod definition;
pub(crate) mod evacuate;
pub(crate) mod evacuations;
pub(crate) mod interrupted_task;
pub(crate) mod limits;
pub(crate) mod locate;
pub(crate) mod managed_by;
pub(crate) mod plan;
pub(crate) mod registrations;
pub(crate) mod remaining;
pub(crate) mod run_again;
pub(crate) mod run_task;
pub(crate) mod services;
pub(crate) mod state;
pub(crate) mod stop_order;
pub(crate) mod target_group;
pub(crate) mod task;
pub(crate) mod task_definitions;
pub(crate) mod tasks;

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use aws_config::SdkConfig;
use aws_sdk_ecs::types::Failure;

use self::{
    cache::Cache,
    capacity_provider::{CapacityProvider, CapacityProviderName},
    cluster_list::ClusterList,
    container_instance::ContainerInstance,
    definition::Definition,
    evacuations::Evacuations,
    limits::{ATTRIBUTES, PAGE, SERVICES, UPDATE},
    target_group::TargetGroup,
    task::{Listed, Task},
};
use crate::{
    aws::{coalesce::Coalesced, operation::Operation},
    error::{Error, ErrorClass},
    identifier::{ClusterName, ContainerInstanceArn, InstanceId, TaskArn},
    mark::Mark,
    outcome::EndState,
};

/// How long the first of several container instances waits for the others, 0.2 s. Instances that are found in sequence
/// are drained together, and instances that are drained together are listed together.
const TOGETHER: Duration = Duration::from_millis(200);

/// Amazon ECS in one account and Region.
#[derive(Clone, Debug)]
pub(crate) struct Ecs {
    pub(crate) client: aws_sdk_ecs::Client,
    pub(crate) cache: Arc<Cache>,
    pub(crate) coalesced: Arc<CoalescedCalls>,
    /// The number of instances that are being searched for.
    pub(crate) searches: Arc<AtomicUsize>,
    pub(crate) evacuations: Arc<Evacuations>,
}

/// The result for one item in a successful answer; `None` if the answer does not mention it.
pub(crate) type ItemAnswer<T> = Option<Result<T, Error>>;

/// Calls that concurrent callers share.
#[derive(Debug)]
pub(crate) struct CoalescedCalls {
    pub(crate) clusters: Coalesced<(), (), ClusterList>,
    pub(crate) capacity_providers: Coalesced<(ClusterName, CapacityProviderName), (), CapacityProvider>,
    pub(crate) batch_tags: Coalesced<(), ClusterName, bool>,
    pub(crate) snapshots: Coalesced<ClusterName, (), ()>,
    /// Large scans, which wait here for those of other processes.
    pub(crate) scan_queue: Coalesced<(), (), ()>,
    pub(crate) registrations: Coalesced<ClusterName, InstanceId, Vec<ContainerInstance>>,
    pub(crate) container_instances: Coalesced<ClusterName, ContainerInstanceArn, Option<ContainerInstance>>,
    pub(crate) states: Coalesced<(ClusterName, EndState), ContainerInstanceArn, ItemAnswer<Option<usize>>>,
    pub(crate) marks: Coalesced<ClusterName, (ContainerInstanceArn, Option<Mark>), ItemAnswer<()>>,
    pub(crate) tasks_on: Coalesced<ClusterName, (ContainerInstanceArn, usize), ItemAnswer<Vec<Listed>>>,
    pub(crate) tasks: Coalesced<ClusterName, TaskArn, Option<Task>>,
    pub(crate) stop_timeouts: Coalesced<String, (), Duration>,
    pub(crate) daemons: Coalesced<ClusterName, String, bool>,
    pub(crate) target_groups: Coalesced<ClusterName, String, BTreeSet<TargetGroup>>,
    pub(crate) tasks_with_tags: Coalesced<ClusterName, TaskArn, Option<Arc<aws_sdk_ecs::types::Task>>>,
    pub(crate) definitions: Coalesced<String, (), Arc<Definition>>,
}

impl Ecs {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        let searches = Arc::default();
        let coalesced = CoalescedCalls {
            clusters: Coalesced::shared(Operation::DescribeClusters),
            capacity_providers: Coalesced::shared(Operation::DescribeCapacityProviders),
            batch_tags: Coalesced::new(Operation::DescribeClusters, PAGE),
            snapshots: Coalesced::shared(Operation::ListContainerInstances),
            scan_queue: Coalesced::shared(Operation::ListContainerInstances),
            registrations: Coalesced::new(Operation::ListContainerInstances, usize::MAX),
            container_instances: Coalesced::new(Operation::DescribeContainerInstances, PAGE),
            states: Coalesced::new(Operation::UpdateContainerInstancesState, UPDATE)
                .lingering_while_any(TOGETHER, &searches),
            marks: Coalesced::new(Operation::PutAttributes, ATTRIBUTES),
            tasks_on: Coalesced::new(Operation::ListTasks, usize::MAX).lingering(TOGETHER),
            tasks: Coalesced::new(Operation::DescribeTasks, PAGE),
            stop_timeouts: Coalesced::shared(Operation::DescribeTaskDefinition),
            daemons: Coalesced::new(Operation::DescribeServices, SERVICES),
            target_groups: Coalesced::new(Operation::DescribeServices, SERVICES),
            tasks_with_tags: Coalesced::new(Operation::DescribeTasks, PAGE),
            definitions: Coalesced::shared(Operation::DescribeTaskDefinition),
        };
        Self {
            client: aws_sdk_ecs::Client::new(sdk),
            cache: Arc::default(),
            coalesced: Arc::new(coalesced),
            searches,
            evacuations: Arc::default(),
        }
    }
}

/// Checks that an answer reports no failures. A failure whose reason is in `gone` does not count.
pub(crate) fn none_failed(
    operation: Operation,
    resource: &str,
    failures: &[Failure],
    gone: &[&str],
) -> Result<(), Error> {
    let is_gone = |failure: &Failure| failure.reason().is_some_and(|reason| gone.contains(&reason));
    match failures.iter().find(|failure| !is_gone(failure)) {
        Some(failure) => {
            let (resource, reason) = (failure.arn().unwrap_or(resource), failure.reason().unwrap_or("no reason given"));
            Err(Error::call(operation, resource, ErrorClass::Rejected, reason))
        }
        None => Ok(()),
    }
}
