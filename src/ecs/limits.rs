//! How much one call takes. Source: the Amazon ECS API Reference.

/// The most container instances, tasks or clusters that come in a page, or that one description takes.
pub(crate) const PAGE: usize = 100;

/// The most container instances that one update takes.
pub(crate) const UPDATE: usize = 10;

/// The most attributes that one call takes.
pub(crate) const ATTRIBUTES: usize = 10;

/// The most services that one description takes.
pub(crate) const SERVICES: usize = 10;
