//! The instances of a wave, and the faults of its calls.

use std::time::Duration;

use standin::{CapacityProvider, Cluster, Container, ContainerInstance, Fault, Instance, Region, Task, TaskDefinition};

use crate::options::{Hints, Options, Percent, Strategy};

/// The key of the EC2 tag that names the cluster.
pub(crate) const CLUSTER_TAG: &str = "cluster";

/// An instance that is going to be interrupted.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its EC2 id.
    pub(crate) instance: String,
    /// The ARN of its container instance.
    pub(crate) container_instance: String,
}

/// Fills the clusters in turn.
pub(crate) fn fill(home: &Region, options: &Options) -> Vec<Member> {
    for n in 0..options.clusters {
        let cluster = Cluster::new(cluster(n));
        if options.hints == Hints::Asg {
            home.cluster(cluster.capacity_provider(provider(n)))
                .capacity_provider(CapacityProvider::asg(provider(n), asg(n)).managed_draining(false));
        } else {
            home.cluster(cluster);
        }
    }
    let fleet: Vec<_> = (0..options.events).map(|n| member(home, options, n, n % options.clusters)).collect();
    if options.strategy == Strategy::Evacuate {
        place_tasks(home, &fleet);
    }
    fleet
}

/// Places two standalone tasks on each instance, which draining leaves alone: one ends soon after SIGTERM, the other
/// takes longer.
fn place_tasks(home: &Region, fleet: &[Member]) {
    for (family, stop_timeout, needs_s) in [("quick", 30, 5), ("slow", 60, 50)] {
        let container = Container::new(family).stop_timeout(stop_timeout).exits_after(Duration::from_secs(needs_s));
        home.task_definition(TaskDefinition::new(family).container(container));
        for member in fleet {
            home.task(&member.container_instance, Task::standalone(family).task_definition(family));
        }
    }
}

fn member(home: &Region, options: &Options, n: usize, cluster_number: usize) -> Member {
    let (hints, strategy) = (options.hints, options.strategy);
    let id = format!("i-{n:017x}");
    let instance = Instance::new(&id);
    let registered = ContainerInstance::new(&id);
    // The tasks are only counted, except in an evacuation, which reads them.
    let registered = if strategy == Strategy::Evacuate { registered } else { registered.running_tasks(2) };
    let (instance, registered) = match hints {
        Hints::None => (instance, registered),
        Hints::Tag => (instance.tag(CLUSTER_TAG, cluster(cluster_number)), registered),
        Hints::UserData => (instance.user_data(script(cluster_number)), registered),
        Hints::Group => (instance.asg(asg(cluster_number)), registered),
        Hints::Asg => (instance.asg(asg(cluster_number)), registered.capacity_provider(provider(cluster_number))),
    };
    home.instance(instance);
    let container_instance = home.container_instance(&cluster(cluster_number), registered);
    Member { instance: id, container_instance }
}

fn cluster(n: usize) -> String {
    format!("cluster-{n:03}")
}

/// The name of an Auto Scaling group differs from that of its cluster.
fn asg(n: usize) -> String {
    format!("spot-{n:03}-20261124")
}

fn provider(n: usize) -> String {
    format!("provider-{n:03}")
}

fn script(cluster_number: usize) -> String {
    format!("#!/bin/bash\nyum install -y jq\necho ECS_CLUSTER={} >> /etc/ecs/ecs.config\n", cluster(cluster_number))
}

/// Faults on this share of the calls: a third of them each is throttled, answered with 500 and cut off. Half of the
/// calls that are cut off have their effect.
pub(crate) fn faults(share: Percent) -> [Fault; 4] {
    let third = share.0 / 300.0;
    // Each fault is drawn for the calls that the previous ones let pass.
    let of_the_rest = |part: f64, before: f64| if part > 0.0 { part / (1.0 - before) } else { 0.0 };
    [
        Fault::on_any().throttle().probability(third),
        Fault::on_any().status(500).probability(of_the_rest(third, third)),
        Fault::on_any().cut().probability(of_the_rest(third / 2.0, third * 2.0)),
        Fault::on_any().cut().after_effect().probability(of_the_rest(third / 2.0, third * 2.5)),
    ]
}
