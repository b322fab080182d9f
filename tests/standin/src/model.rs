//! The resources in the world.

mod capacity_provider;
mod cluster;
mod container;
mod container_instance;
mod deployment;
mod eks_cluster;
mod fargate_task;
mod instance;
mod node;
mod pdb;
mod pod;
mod service;
mod task;
mod task_definition;

pub use capacity_provider::CapacityProvider;
pub(crate) use capacity_provider::Kind;
pub use cluster::Cluster;
pub use container::Container;
pub use container_instance::ContainerInstance;
pub(crate) use container_instance::Record;
pub use deployment::Deployment;
pub use eks_cluster::EksCluster;
pub(crate) use eks_cluster::{Access, Reach};
pub use fargate_task::FargateTask;
pub use instance::Instance;
pub use node::Node;
pub use pdb::{Budget, Pdb};
pub use pod::{Owner, Pod};
pub use service::Service;
pub use task::Task;
pub use task_definition::TaskDefinition;
