//! The resources in the world.

mod capacity_provider;
mod cluster;
mod container;
mod container_instance;
mod instance;
mod service;
mod task;
mod task_definition;

pub use capacity_provider::CapacityProvider;
pub(crate) use capacity_provider::Kind;
pub use cluster::Cluster;
pub use container::Container;
pub use container_instance::ContainerInstance;
pub(crate) use container_instance::Record;
pub use instance::Instance;
pub use service::Service;
pub use task::Task;
pub use task_definition::TaskDefinition;
