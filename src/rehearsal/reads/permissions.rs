//! Whether the role may make the changes that would be made. AWS has no dry run for them.

use futures_util::future::join_all;

use crate::{
    aws::calls::Calls,
    config::{Config, FargateSpotPolicy, RehearsalReads, ReplacementPolicy, ResumedPolicy, RunAgainPolicy, Strategy},
    ecs::container_instance::ContainerInstance,
    error::{Error, ErrorClass},
    iam::{Denied, Iam, Simulation},
    rehearsal::{
        finding::Kind,
        notes::Notes,
        subject::{Fate, Subject},
    },
    scope::Scope,
};

/// Changes of one kind of resource.
struct Changes {
    actions: Vec<&'static str>,
    /// A resource that they would be made to.
    resource: String,
    cluster: Option<String>,
}

/// Simulates the changes, if the role may do that. What can't be simulated is noted as not checked.
pub(crate) async fn check(scope: &Scope, config: &Config, calls: &Calls, subjects: &[Subject], notes: &mut Notes) {
    let changes = changes(config, subjects);
    let is_simulated = |action: &str| changes.iter().any(|changes| changes.actions.contains(&action));
    let untried = untried(config).into_iter().filter(|action| !is_simulated(action));
    notes.not_checked.extend(untried.map(str::to_owned));
    let of_nodes = subjects.iter().any(|subject| matches!(subject.fate, Fate::Drained | Fate::Cordoned));
    if of_nodes {
        notes.not_checked.insert("changes of nodes and pods in EKS clusters".to_owned());
    }
    let role_arn = if changes.is_empty() { None } else { scope.eks.role_arn(calls).await };
    let simulated = match (&scope.iam, &role_arn) {
        // In order: the first one shows whether the role may simulate.
        (Some(iam), Some(role_arn)) => simulate(iam, calls, role_arn, &changes).await,
        _ => Vec::new(),
    };
    for (at, changes) in changes.iter().enumerate() {
        match simulated.get(at) {
            Some(Ok(denied)) => {
                denied.by_role.iter().for_each(|action| notes.add(Kind::PermissionMissing, action));
                let unclear = denied.by_organization.iter();
                notes
                    .not_checked
                    .extend(unclear.map(|action| format!("{action}: a service control policy may deny it")));
            }
            _ => notes.not_checked.extend(changes.actions.iter().map(|action| (*action).to_owned())),
        }
    }
}

async fn simulate(iam: &Iam, calls: &Calls, role_arn: &str, changes: &[Changes]) -> Vec<Result<Denied, Error>> {
    let one = async |changes: &Changes| {
        let mut context = Vec::new();
        let (cluster, region) = (changes.cluster.as_deref(), changes.resource.split(':').nth(3));
        context.extend(cluster.map(|cluster| ("ecs:cluster", cluster)));
        context.extend(region.map(|region| ("aws:RequestedRegion", region)));
        let (actions, resource) = (&changes.actions[..], changes.resource.as_str());
        iam.denied(calls, &Simulation { role_arn, actions, resource, context: &context }).await
    };
    let Some((first, others)) = changes.split_first() else { return Vec::new() };
    let first = one(first).await;
    if first.as_ref().is_err_and(|error| error.class() == Some(ErrorClass::Denied)) {
        return vec![first];
    }
    let mut simulated = vec![first];
    simulated.extend(join_all(others.iter().map(one)).await);
    simulated
}

/// The actions that these settings need and that a rehearsal neither tries nor simulates, since it has no tasks, hooks or
/// targets to do it with.
fn untried(config: &Config) -> Vec<&'static str> {
    let (reads_few, replaces) =
        (config.rehearsal_reads == RehearsalReads::Few, config.replacement == ReplacementPolicy::Detach);
    let (of_fargate, runs_again, completes) = (
        config.fargate_spot == FargateSpotPolicy::Handle,
        config.run_again != RunAgainPolicy::Never,
        !config.lifecycle_hooks.is_empty(),
    );
    let evacuates = config.strategy == Strategy::Evacuate;
    let of: [(bool, &[&str]); 9] = [
        (reads_few && (evacuates || completes), &["ecs:ListTasks"]),
        (reads_few && (evacuates || completes || runs_again || of_fargate), &["ecs:DescribeTasks"]),
        (reads_few && (evacuates || of_fargate), &["ecs:DescribeServices"]),
        (reads_few && (evacuates || runs_again), &["ecs:DescribeTaskDefinition"]),
        (of_fargate, &["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:DescribeTargetGroups"]),
        (runs_again, &["ecs:RunTask", "ecs:TagResource", "iam:PassRole", "ec2:DescribeNetworkInterfaces"]),
        (replaces && reads_few, &["autoscaling:DescribeAutoScalingGroups"]),
        (replaces, &["autoscaling:DetachInstances", "autoscaling:DescribeAutoScalingInstances"]),
        (
            completes,
            &[
                "autoscaling:CompleteLifecycleAction",
                "autoscaling:RecordLifecycleActionHeartbeat",
                "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeLifecycleHooks",
            ],
        ),
    ];
    of.into_iter().filter(|(is_needed, _)| *is_needed).flat_map(|(_, actions)| actions).copied().collect()
}

/// The changes that would be made by these settings, each on one of its resources.
fn changes(config: &Config, subjects: &[Subject]) -> Vec<Changes> {
    let Some(found) = subjects.iter().find_map(|subject| subject.container_instances.first()) else {
        return Vec::new();
    };
    let instance = found.arn.as_str();
    let of = |kind: &str| of_cluster(found, kind);
    let cluster = of("cluster");
    let mut changes = Vec::new();
    let mut add = |actions: &[&'static str], resource: String, is_in_cluster: bool| {
        let cluster = is_in_cluster.then(|| cluster.clone());
        changes.push(Changes { actions: actions.to_vec(), resource, cluster });
    };
    if config.strategy != Strategy::Drain {
        add(&["ecs:DeregisterContainerInstance"], cluster.clone(), false);
    }
    if config.strategy == Strategy::Evacuate {
        add(&["ecs:StopTask"], format!("{}/0123456789abcdef0123456789abcdef", of("task")), true);
    }
    // Instances that are stopped or hibernated are drained with any strategy.
    add(&["ecs:UpdateContainerInstancesState"], instance.to_owned(), true);
    if config.reactivate_resumed == ResumedPolicy::Reactivate {
        add(&["ecs:PutAttributes", "ecs:DeleteAttributes"], instance.to_owned(), true);
    }
    let group = subjects.iter().find_map(|subject| subject.auto_scaling_group.as_ref());
    if let Some(group) = group.filter(|_| config.replacement == ReplacementPolicy::Detach) {
        let parts: Vec<_> = instance.split(':').collect();
        if let [arn, partition, _, region, account, ..] = parts[..] {
            let id = "01234567-89ab-cdef-0123-456789abcdef";
            let of = format!("{arn}:{partition}:autoscaling:{region}:{account}:autoScalingGroup:{id}");
            add(&["autoscaling:DetachInstances"], format!("{of}:autoScalingGroupName/{group}"), false);
        }
    }
    changes
}

/// The ARN of a resource in the cluster of a container instance, such as `arn:aws:ecs:us-east-1:123456789012:task/web`.
fn of_cluster(found: &ContainerInstance, kind: &str) -> String {
    let prefix = found.arn.as_str().split(":container-instance/").next().unwrap_or_default();
    format!("{prefix}:{kind}/{}", found.cluster)
}
