//! A small fleet with one instance of each kind.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::model::{
    CapacityProvider, Cluster, Container, ContainerInstance, EksCluster, Instance, Node, Pdb, Pod, Service, Task,
    TaskDefinition,
};
use crate::region::Region;
use crate::standin::{ACCOUNT, REGION, Standin};

/// The name of a cluster as AWS Batch creates it.
const BATCH: &str = "nightly_Batch_8f1c2d3e-4a5b-6c7d-8e9f-0a1b2c3d4e5f";

/// The time when the resumed instance was drained, since 1970: 2026-11-02T07:00:00Z.
const DRAINED: Duration = Duration::from_hours(498_223);

/// Fills account 123456789012 in us-east-2 with one instance of each kind that a handler has to distinguish.
///
/// | EC2 instance | cluster | what is special |
/// |---|---|---|
/// | `i-1234567890abcdef0` | web | ASG web-spot, `ECS_CLUSTER=web` in a shell script, 3 tasks behind a load balancer |
/// | `i-0000000000000001a` | web | the same ASG |
/// | `i-0000000000000002a` | api | `ECS_CLUSTER="api"` in a cloud-config |
/// | `i-0000000000000003a` | workers | Bottlerocket's TOML; one of its tasks belongs to no service |
/// | `i-0000000000000004a` | workers | registered twice; user data in gzip |
/// | `i-0000000000000005a` | managed | capacity provider with managed draining |
/// | `i-0000000000000006a` | own | capacity provider without it |
/// | `i-0000000000000007a` | autonomous | ECS Managed Instances |
/// | `i-0000000000000008a` | `nightly_Batch_…` | AWS Batch |
/// | `i-0000000000000009a` | none | no ECS |
/// | `i-0000000000000010a` | api | already DRAINING |
/// | `i-0000000000000011a` | api | DRAINING with this handler's mark: it was stopped and started again |
/// | `i-0000000000000012a` | shop | a node of an EKS cluster, with 4 pods |
/// | `i-0000000000000013a` | api | in an interruptible capacity reservation |
pub fn fleet(aws: &Standin) {
    let home = aws.region(ACCOUNT, REGION);
    clusters(&home);
    services(&home);
    hinted(&home);
    resumed(&home);
    left_to_others(&home);
    node(&home);
    home.instance(Instance::new("i-0000000000000009a").tag("Name", "bastion").user_data("#!/bin/sh\nyum update -y\n"));
}

fn clusters(home: &Region) {
    for name in ["web", "api", "workers", "default", "staging"] {
        home.cluster(Cluster::new(name));
    }
    home.cluster(Cluster::new("managed").capacity_provider("managed-spot"))
        .cluster(Cluster::new("own").capacity_provider("own-spot"))
        .cluster(Cluster::new("autonomous").capacity_provider("autonomous-mi"))
        .cluster(Cluster::new(BATCH).tag("AWSBatchServiceTag", "batch"))
        .capacity_provider(CapacityProvider::asg("managed-spot", "managed-spot-asg"))
        .capacity_provider(CapacityProvider::asg("own-spot", "own-spot-asg").managed_draining(false))
        .capacity_provider(CapacityProvider::managed_instances("autonomous-mi", "autonomous"));
}

/// The service `web`, half of which may be missing and half of which runs elsewhere, and the definition of a standalone
/// task.
fn services(home: &Region) {
    let web = Service::new("web", 10).minimum_healthy_percent(50).load_balancer(Duration::from_secs(5));
    home.task_definition(TaskDefinition::new("web").container(Container::new("nginx").stop_timeout(30)));
    home.task_definition(TaskDefinition::new("report").container(Container::new("report").stop_timeout(60)));
    home.service("web", web.task_definition("web"));
}

/// Instances whose user data names their cluster.
fn hinted(home: &Region) {
    let cloud_config =
        "#cloud-config\nwrite_files:\n  - path: /etc/ecs/ecs.config\n    content: |\n      ECS_CLUSTER=\"api\"\n";
    let bottlerocket = "[settings.ecs]\ncluster = \"workers\"\n";
    let web = |id| Instance::new(id).asg("web-spot").user_data(script("web"));
    home.instance(web("i-1234567890abcdef0"))
        .instance(web("i-0000000000000001a"))
        .instance(Instance::new("i-0000000000000002a").user_data(cloud_config))
        .instance(Instance::new("i-0000000000000003a").user_data(bottlerocket))
        .instance(Instance::new("i-0000000000000004a").user_data(gzip(&script("workers"))))
        .instance(Instance::new("i-0000000000000010a").user_data(script("api")))
        .instance(
            Instance::new("i-0000000000000013a")
                .user_data(script("api"))
                .lifecycle("interruptible-capacity-reservation"),
        );
    for (id, tasks) in [("i-1234567890abcdef0", 3), ("i-0000000000000001a", 2)] {
        let container_instance = home.container_instance("web", ContainerInstance::new(id));
        (0..tasks).for_each(|_| drop(home.task(&container_instance, Task::of_service("web"))));
    }
    for id in ["i-0000000000000002a", "i-0000000000000013a"] {
        home.container_instance("api", ContainerInstance::new(id).running_tasks(1));
    }
    let worker = home.container_instance("workers", ContainerInstance::new("i-0000000000000003a").running_tasks(3));
    home.task(&worker, Task::standalone("report").task_definition("report"));
    home.container_instance("workers", ContainerInstance::new("i-0000000000000004a").agent_connected(false));
    home.container_instance("workers", ContainerInstance::new("i-0000000000000004a").running_tasks(2));
    home.container_instance("api", ContainerInstance::new("i-0000000000000010a").status("DRAINING").running_tasks(1));
}

/// A node of an EKS cluster. A budget protects one of its pods at present.
fn node(home: &Region) {
    let instance = Instance::new("i-0000000000000012a").tag("aws:eks:cluster-name", "shop");
    let name = instance.private_dns_in(home.name());
    home.eks_cluster(EksCluster::new("shop")).node("shop", Node::new(&name, &instance.id)).instance(instance);
    for pod in [
        Pod::new("default", "cart-0").replica_set("cart"),
        Pod::new("default", "search-0").stateful_set("search"),
        Pod::new("default", "orders-0").stateful_set("orders"),
        Pod::new("kube-system", "aws-node-0").daemon_set("aws-node"),
    ] {
        home.pod("shop", &name, pod);
    }
    home.pdb("shop", Pdb::new("default", "orders").opens_after(Duration::from_secs(2)));
}

/// An instance that was stopped and started again.
fn resumed(home: &Region) {
    let drained = UNIX_EPOCH + DRAINED;
    let instance = Instance::new("i-0000000000000011a").user_data(script("api"));
    let instance = instance.attached(drained - Duration::from_hours(24)).launched(drained + Duration::from_hours(1));
    home.instance(instance);
    let registered = ContainerInstance::new("i-0000000000000011a").status("DRAINING");
    home.container_instance("api", registered.attribute("spot-interruption-handler.drained", "2026-11-02T07:00:00Z"));
}

/// Instances that others may manage.
fn left_to_others(home: &Region) {
    let managed = ContainerInstance::new("i-0000000000000005a").capacity_provider("managed-spot");
    let own = ContainerInstance::new("i-0000000000000006a").capacity_provider("own-spot");
    let autonomous = ContainerInstance::new("i-0000000000000007a").capacity_provider("autonomous-mi");
    home.instance(Instance::new("i-0000000000000005a").asg("managed-spot-asg"))
        .instance(Instance::new("i-0000000000000006a").asg("own-spot-asg"))
        .instance(Instance::new("i-0000000000000007a").operator("ecs.amazonaws.com"))
        .instance(Instance::new("i-0000000000000008a").tag("AWSBatchServiceTag", "batch"));
    home.container_instance("managed", managed.running_tasks(2));
    home.container_instance("own", own.running_tasks(2));
    home.container_instance("autonomous", autonomous.running_tasks(1));
    home.container_instance(BATCH, ContainerInstance::new("i-0000000000000008a").running_tasks(1));
}

fn script(cluster: &str) -> String {
    format!("#!/bin/bash\necho ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n")
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}
