//! The stand-in from the outside, over the wire.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod ec2;
mod ecs;
mod fleet;
mod function;
mod sts;
mod world;
