//! The instances of a wave and what goes wrong with calls.

use std::time::Duration;

use standin::{CapacityProvider, Cluster, Container, ContainerInstance, Fault, Instance, Region, Task, TaskDefinition};

use crate::options::{Hints, Options, Percent, Strategy};

/// The key of the EC2 tag that names the cluster.
pub(crate) const CLUSTER_TAG: &str = "cluster";

/// An instance that is to be interrupted.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its EC2 id.
    pub(crate) instance: String,
    /// The ARN of its container instance.
    pub(crate) container_instance: String,
}

/// Fills the clusters, each in turn.
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

/// Two tasks on each instance, of no service, since those are what draining leaves alone: one is done soon after SIGTERM,
/// one takes its time.
fn place_tasks(home: &Region, fleet: &[Member]) {
    for (family, stop_timeout, needs_s) in [("quick", 30, 5), ("slow", 60, 50)] {
        let container = Container::new(family).stop_timeout(stop_timeout).exits_after(Duration::from_secs(needs_s));
        home.task_definition(TaskDefinition::new(family).container(container));
        for member in fleet {
            home.task(&member.container_instance, Task::standalone(family).task_definition(family));
        }
    }
}

fn member(home: &Region, options: &Options, n: usize, place: usize) -> Member {
    let (hints, strategy) = (options.hints, options.strategy);
    let id = format!("i-{n:017x}");
    let instance = Instance::new(&id);
    let registered = ContainerInstance::new(&id);
    // Tasks that are only counted, but for an evacuation, which looks for them.
    let registered = if strategy == Strategy::Evacuate { registered } else { registered.running_tasks(2) };
    let (instance, registered) = match hints {
        Hints::None => (instance, registered),
        Hints::Tag => (instance.tag(CLUSTER_TAG, cluster(place)), registered),
        Hints::UserData => (instance.user_data(script(place)), registered),
        Hints::Group => (instance.asg(asg(place)), registered),
        Hints::Asg => (instance.asg(asg(place)), registered.capacity_provider(provider(place))),
    };
    home.instance(instance);
    let container_instance = home.container_instance(&cluster(place), registered);
    Member { instance: id, container_instance }
}

fn cluster(n: usize) -> String {
    format!("cluster-{n:03}")
}

/// An Auto Scaling group's name is not its cluster's.
fn asg(n: usize) -> String {
    format!("spot-{n:03}-20261124")
}

fn provider(n: usize) -> String {
    format!("provider-{n:03}")
}

fn script(place: usize) -> String {
    format!("#!/bin/bash\nyum install -y jq\necho ECS_CLUSTER={} >> /etc/ecs/ecs.config\n", cluster(place))
}

/// Faults on so many of the calls: a third each is throttled, answered with 500 and cut off; of those cut off, every
/// second had its effect.
pub(crate) fn faults(share: Percent) -> [Fault; 4] {
    let third = share.0 / 300.0;
    // Each is drawn for what those before it let pass.
    let of_the_rest = |part: f64, before: f64| if part > 0.0 { part / (1.0 - before) } else { 0.0 };
    [
        Fault::on_any().throttle().probability(third),
        Fault::on_any().status(500).probability(of_the_rest(third, third)),
        Fault::on_any().cut().probability(of_the_rest(third / 2.0, third * 2.0)),
        Fault::on_any().cut().after_effect().probability(of_the_rest(third / 2.0, third * 2.5)),
    ]
}
