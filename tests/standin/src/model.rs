//! What the world consists of.

mod capacity_provider;
mod cluster;
mod container_instance;
mod instance;
mod task;

pub use capacity_provider::CapacityProvider;
pub(crate) use capacity_provider::Kind;
pub use cluster::Cluster;
pub use container_instance::ContainerInstance;
pub(crate) use container_instance::Record;
pub use instance::Instance;
pub use task::Task;
