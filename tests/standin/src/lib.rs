//! A stand-in for AWS, for tests: ECS, EC2, EKS, Auto Scaling, Elastic Load Balancing, SQS, STS and event buses on a
//! loopback port, a Kubernetes API server for each EKS cluster, and a Lambda Runtime API that starts a function's process and
//! sends it events.
//!
//! [`Standin`] speaks the services' wire protocols, so that the real SDK clients talk to it. It holds any number of
//! accounts and Regions ([`Region`]), filled with [`Cluster`]s, [`Instance`]s, [`ContainerInstance`]s,
//! [`CapacityProvider`]s, [`TaskDefinition`]s, [`Service`]s, [`Task`]s, [`AutoScalingGroup`]s and [`TargetGroup`]s, and
//! rejects what AWS rejects. Every call is logged ([`Call`]), so that a test can check which calls were made and which
//! were not. Request quotas ([`Quotas`]), latency, eventual consistency, short pages and faults ([`Fault`]) can be set.
//! The account comes from the access key and the Region from the signature's scope; the signature itself is not verified.
//!
//! Time passes in the world: tasks that are stopped take their time, the service scheduler replaces what it may, and
//! EC2 ends an instance two minutes after [`Region::interrupt`]. [`Region::fates`] reports the fate of each container,
//! [`Region::history`] all changes with their times. The world's time is tokio's, which a test can pause while a client
//! calls [`Standin::answer`], or make faster with [`Builder::speed`].
//!
//! # Amazon EKS
//!
//! [`Region::eks_cluster`] starts an [`EksCluster`] with an API server on a port of its own, with TLS and a certificate
//! authority of its own, as `DescribeCluster` says. [`Standin::answer`] gets requests to that port there, too.
//! [`Region::move_eks_cluster`] changes port and authority. A bearer token is checked as the control plane checks it
//! ([`token`]), access entries and RBAC as the cluster is set.
//!
//! The API server has [`Node`]s ([`Region::node`]) and [`Pod`]s ([`Region::pod`]): get, list in pages with selectors,
//! patch of a node, and eviction and deletion of a pod with every answer of Kubernetes 1.30 and later. A [`Pdb`] opens and
//! closes by what its pods are, at a time, or by hand ([`Region::change_pdb`]). A [`Deployment`] creates pods elsewhere in
//! the place of those that go. Pods get SIGTERM with their deletion, end by themselves or at the end of their grace
//! period, and die with their instance: [`Region::pod_fates`] reports the fate of each.
//!
//! The calls are logged with the service `kubernetes` and the APIs `GetNode`, `ListNodes`, `PatchNode`, `ListPods`,
//! `GetPod`, `EvictPod`, `DeletePod`, `ListPodDisruptionBudgets` and `GetVersion`, by which faults apply as well.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use standin::{Deployment, EksCluster, Fault, Instance, Node, Pdb, Pod, Standin};
//!
//! let aws = Standin::builder().start().await?;
//! let (home, node) = (aws.home(), "ip-10-0-1-2.us-east-2.compute.internal");
//! home.instance(Instance::new("i-1234567890abcdef0").private_dns(node).tag("aws:eks:cluster-name", "web"));
//! home.eks_cluster(EksCluster::new("web").deny("delete", "pods"));
//! home.node("web", Node::new(node, "i-1234567890abcdef0"));
//! home.pod("web", node, Pod::new("default", "api-1").replica_set("api").grace_period_s(90));
//! home.deployment("web", Deployment::new("default", "api").replicas(3)).pdb("web", Pdb::new("default", "api"));
//! aws.fault(Fault::on("EvictPod").times(1).throttle().retry_after_s(1));
//! home.interrupt("i-1234567890abcdef0", "terminate");
//! assert!(home.pod_fates("web").iter().all(|fate| fate.stop_request == standin::StopRequest::Not));
//! # Ok(())
//! # }
//! ```
//!
//! # Tasks on Fargate, and tasks that run again
//!
//! [`Region::fargate_task`] starts a [`FargateTask`] with a network interface of its own, which `DescribeTasks` and
//! `DescribeNetworkInterfaces` show while it exists. [`Region::interrupt_task`] interrupts it as Fargate Spot does, and
//! returns the events of all shapes that are known ([`SpotShape`]); [`task_state_change`] is the event for any task's
//! state. Stopped tasks, on Fargate or not, show for an hour with stop code, reason and exit codes.
//!
//! `RunTask` checks its parameters, starts tasks in the world and follows the rules of client tokens: the same task for
//! the same parameters, `ConflictException` with the tasks for others, per cluster, for 24 hours or until an hour after
//! the task has stopped. [`Region::no_capacity`] makes it answer with `failures`.
//!
//! The tasks of a service with a [`TargetGroup`] are registered as they start. `DeregisterTargets` takes them out; ECS
//! does so five seconds after SIGTERM. [`Fate::deregistered`] and [`Fate::sigterm_with_traffic`] say which was first.
//!
//! # Auto Scaling
//!
//! An [`AutoScalingGroup`] has the instances that are tagged as launched by it. It replaces an instance that ended when
//! the health check finds it, and one that is detached at once; with Capacity Rebalancing, with the notice or the
//! recommendation ([`Region::recommend_rebalance`]). [`Region::launches`] has all launches. [`Region::begin_termination`]
//! terminates an instance, which waits in each [`LifecycleHook`] until it is completed, or its heartbeat or global timeout
//! is over.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use standin::{AutoScalingGroup, FargateTask, Instance, LifecycleHook, Service, Standin, Task, TaskDefinition};
//!
//! let aws = Standin::builder().start().await?;
//! let home = aws.home();
//! home.task_definition(TaskDefinition::new("api").awsvpc());
//! let service = Service::new("api", 2).target_group("blue", "app", 8080).alternate_target_group("green");
//! home.service("web", service.task_definition("api").capacity_provider("FARGATE_SPOT"));
//! let task = home.fargate_task("web", FargateTask::new(Task::of_service("api")));
//! let events = home.interrupt_task(&task);
//! assert_eq!(events[0]["detail"]["stopCode"], "SpotInterruption");
//!
//! let hook = LifecycleHook::new("drain").heartbeat_timeout(Duration::from_secs(300));
//! home.auto_scaling_group(AutoScalingGroup::new("web-spot").hook(hook));
//! home.instance(Instance::new("i-1234567890abcdef0").asg("web-spot"));
//! let event = home.begin_termination("i-1234567890abcdef0").expect("the group has a hook");
//! assert_eq!(event["detail"]["LifecycleHookName"], "drain");
//! # Ok(())
//! # }
//! ```
//!
//! # The function
//!
//! [`Function`] starts a binary as Lambda does and returns an [`Environment`] that accepts events. A [`Pool`] runs as
//! many of them as there are concurrent invocations, and retries asynchronous ones; a [`Queue`] with an
//! [`EventSourceMapping`] feeds it batches. `ChangeMessageVisibility` of SQS decides when a message that failed is
//! delivered again.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use standin::{ContainerInstance, Function, Instance, Standin};
//!
//! let aws = Standin::builder().start().await?;
//! let home = aws.home();
//! home.instance(Instance::new("i-1234567890abcdef0").asg("web-spot"));
//! let arn = home.container_instance("web", ContainerInstance::new("i-1234567890abcdef0"));
//!
//! let function = Function::new("target/debug/bootstrap").envs(aws.env()).start().await?;
//! let answer = function.invoke(br#"{"detail": {}}"#).await?;
//! assert!(answer.is_ok());
//! assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
//! assert_eq!(aws.writes().len(), 1);
//! # Ok(())
//! # }
//! ```

#![expect(clippy::must_use_candidate, reason = "methods that fill the world return values that may be ignored")]

mod account;
mod arn;
mod autoscaling;
mod call;
mod clock;
mod cpu_share;
mod ec2;
mod ecs;
mod eks;
mod eks_fleet;
mod elb;
mod error;
pub mod evacuation_fleet;
mod events;
mod fate;
mod fault;
mod fleet;
mod function;
mod history;
mod iam;
mod kubernetes;
mod model;
mod notice;
mod page;
mod pod_fate;
mod query;
mod queue;
mod quota;
mod region;
mod release;
mod request;
mod reservation;
mod resources;
mod server;
mod settings;
mod standin;
mod state;
mod sts;
mod timestamp;
mod tls;
pub mod token;
mod xml;

pub use account::{Credentials, Role};
pub use call::{Call, Tally};
pub use cpu_share::CpuShare;
pub use eks_fleet::{eks_fleet, eks_node};
pub use fate::{Ending, Fate};
pub use fault::Fault;
pub use fleet::fleet;
pub use function::{Answer, Environment, Event, Function, FunctionError, Pool, PoolFigures, Retries, Undelivered};
pub use history::Moment;
pub use kubernetes::{PodEnding, StopRequest};
pub use model::{
    AutoScalingGroup, Budget, CapacityProvider, Cluster, Container, ContainerInstance, Deployment, EksCluster,
    FargateTask, Instance, LifecycleHook, Node, Owner, Pdb, Pod, Service, Target, TargetGroup, Task, TaskDefinition,
};
pub use notice::{notice, rebalance_recommendation, sqs_batch, state_change, task_state_change, test_notification};
pub use pod_fate::PodFate;
pub use queue::{EventSourceMapping, Queue, QueueFigures};
pub use quota::{Bucket, Quotas};
pub use region::{Launch, Region, SpotShape};
pub use release::build_release;
pub use reservation::{Reservation, capacity_block_expirations, reservation_interruption};
pub use settings::Builder;
pub use standin::{ACCOUNT, REGION, Standin};
