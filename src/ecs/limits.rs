//! The limits of ECS's calls. Source: the Amazon ECS API Reference.

/// The most container instances, tasks or clusters in a page or a description.
pub(crate) const PAGE: usize = 100;

/// The most container instances in an update.
pub(crate) const UPDATE: usize = 10;

/// The most attributes in a call.
pub(crate) const ATTRIBUTES: usize = 10;

/// The most services in a description.
pub(crate) const SERVICES: usize = 10;
