//! The stand-in from the outside, over the wire.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attributes;
mod auto_scaling;
mod client;
mod clock;
mod ec2;
mod ecs;
mod eks;
mod elb;
mod eviction;
mod fargate;
mod fates;
mod fleet;
mod function;
mod hooks;
mod instance_end;
mod kube;
mod kubernetes;
mod lifecycle;
mod paused;
mod pod_fates;
mod queue;
mod run_task;
mod scheduler;
mod services;
mod sts;
mod token;
mod world;
