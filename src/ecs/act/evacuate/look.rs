//! A look at what is left: how many tasks ECS counts on each instance, and which they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_ecs::types::DesiredStatus;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{
    SLICE, Ward, daemon,
    host::{Drained, Host, Known},
    stop_timeout,
    task::{self, Task},
};
use crate::{
    aws::Calls,
    ecs::{
        ClusterName, ContainerInstance, ContainerInstanceArn, Status, TaskArn, act::Outcome, locate, plan::EndState,
    },
    error::Error,
};

/// From one look to the next: a dozen in two minutes.
const POLL: Duration = Duration::from_secs(10);

/// The same for each cluster: with more than five, looks are rarer, so that they take a call a second at most, 5 % of
/// their quota.
const POLL_CLUSTER: Duration = Duration::from_secs(2);

/// When what could not be read at first is looked for again; twice that the next time, and so on.
const AGAIN: Duration = Duration::from_secs(1);

/// How many calls are under way at the same time.
const WIDTH: usize = 8;

/// Of the quota for looks, the burst that others may need: as it is used up, looks become rarer.
const BURST: usize = 90;

/// What is listed, for these instances: the tasks of one of them, or of the whole cluster.
type Listing = (ClusterName, Option<ContainerInstanceArn>, Vec<ContainerInstanceArn>);

impl Ward<'_> {
    /// Looks at all of them. What can't be read is left for the next look: they are stopped and let go by the clock.
    pub(super) async fn look(&mut self) {
        let calls = &self.calls.impatient(SLICE);
        self.look_at_counts(calls).await;
        self.list(calls, DesiredStatus::Running, Known::Running, Host::has_unknown_tasks).await;
        self.look_at_tasks(|host| host.known > Known::Nothing && host.is_nearly_empty() && !host.tasks.is_empty())
            .await;
        // What was being stopped before it was listed shows only there.
        self.list(calls, DesiredStatus::Stopped, Known::All, |host| {
            host.known == Known::Running && host.is_nearly_empty() && host.has_only_daemons()
        })
        .await;
        self.learn_details(calls).await;
        let clusters: BTreeSet<_> = self.hosts.iter().map(|host| &host.found.cluster).collect();
        let clusters = POLL_CLUSTER * u32::try_from(clusters.len()).unwrap_or(u32::MAX);
        let mut pause = POLL.max(clusters) + calls.time_for("DescribeContainerInstances", BURST);
        if self.hosts.iter().all(|host| host.known > Known::Nothing) {
            self.incomplete_looks = 0;
        } else {
            pause = pause.min(AGAIN * 2_u32.saturating_pow(self.incomplete_looks));
            self.incomplete_looks += 1;
        }
        self.next_look = Instant::now() + pause;
    }

    /// Reads how many tasks ECS counts, and whether someone else has changed the container instance. Where nothing but
    /// the end of known tasks is waited for, that is not needed.
    async fn look_at_counts(&mut self, calls: &Calls) {
        let mut asked: BTreeMap<ClusterName, Vec<ContainerInstanceArn>> = BTreeMap::new();
        for host in self.hosts.iter().filter(|host| host.known > Known::Nothing && !host.is_nearly_empty()) {
            asked.entry(host.found.cluster.clone()).or_default().push(host.found.arn.clone());
        }
        let aws = self.aws;
        let read = stream::iter(asked)
            .map(async |(cluster, arns)| {
                let found = locate::describe(aws, calls, &cluster, &arns).await;
                (arns, found)
            })
            .buffer_unordered(WIDTH)
            .collect::<Vec<_>>()
            .await;
        for (arns, found) in read {
            let Some(found) = readable(found) else { continue };
            let mut found: BTreeMap<_, _> = found.into_iter().map(|found| (found.arn.clone(), found)).collect();
            for arn in arns {
                match found.remove(&arn).filter(|found| found.status != Status::Gone) {
                    Some(found) => self.count(found),
                    None => self.finish(&arn, Ok(Outcome::Kept(EndState::Deregistered))),
                }
            }
        }
    }

    fn count(&mut self, found: ContainerInstance) {
        if let Some(host) = self.host_mut(&found.arn) {
            if found.status == Status::Active && host.drained == Drained::Yes {
                // Someone has undone it.
                host.drained = Drained::No;
            }
            host.found = found;
        }
    }

    /// Lists the tasks of some of them, and describes those that are not known.
    async fn list(&mut self, calls: &Calls, desired: DesiredStatus, known: Known, which: impl Fn(&Host) -> bool) {
        let mut of_cluster: BTreeMap<&ClusterName, Vec<&Host>> = BTreeMap::new();
        for host in self.hosts.iter().filter(|host| which(host)) {
            of_cluster.entry(&host.found.cluster).or_default().push(host);
        }
        let listings = of_cluster.into_iter().flat_map(|(cluster, hosts)| self.listings(cluster, &hosts, &desired));
        let (aws, listings) = (self.aws, listings.collect::<Vec<_>>());
        let listed = stream::iter(listings)
            .map(async |(cluster, of, hosts)| {
                let tasks = task::list(aws, calls, &cluster, of.as_ref(), desired.clone()).await;
                (cluster, hosts, tasks)
            })
            .buffer_unordered(WIDTH)
            .collect::<Vec<_>>()
            .await;

        let mut to_describe: BTreeMap<ClusterName, (Vec<ContainerInstanceArn>, Vec<TaskArn>)> = BTreeMap::new();
        for (cluster, hosts, tasks) in listed {
            let Some(mut tasks) = readable(tasks) else { continue };
            tasks.retain(|task| !self.hosts.iter().any(|host| host.over.contains(task)));
            let (of, all) = to_describe.entry(cluster).or_default();
            of.extend(hosts);
            all.extend(tasks);
        }
        for (hosts, tasks) in self.describe(calls, to_describe).await {
            for arn in hosts {
                if let Some(host) = self.host_mut(&arn) {
                    host.note(tasks.iter().filter(|task| task.container_instance == arn).cloned());
                    host.seen = Some(Instant::now());
                    host.known = host.known.max(known);
                    if known == Known::Running {
                        host.recount();
                    }
                }
            }
        }
    }

    /// One listing for each instance, or one for the whole cluster where that takes no more calls. Tasks that have
    /// stopped are listed by instance: of a whole cluster there may be any number.
    fn listings(&self, cluster: &ClusterName, hosts: &[&Host], desired: &DesiredStatus) -> Vec<Listing> {
        let arns: Vec<_> = hosts.iter().map(|host| host.found.arn.clone()).collect();
        let tasks: usize = hosts.iter().map(|host| host.counted()).sum();
        let whole = self.aws.knowledge.tasks_of(cluster).map(|tasks| 2 * tasks.div_ceil(task::PAGE));
        if *desired == DesiredStatus::Running
            && whole.is_some_and(|whole| whole <= hosts.len() + tasks.div_ceil(task::PAGE))
        {
            return vec![(cluster.clone(), None, arns)];
        }
        arns.into_iter().map(|arn| (cluster.clone(), Some(arn.clone()), vec![arn])).collect()
    }

    /// Looks at the known tasks of some of them.
    pub(super) async fn look_at_tasks(&mut self, which: impl Fn(&Host) -> bool) {
        let mut asked: BTreeMap<ClusterName, (Vec<ContainerInstanceArn>, Vec<TaskArn>)> = BTreeMap::new();
        for host in self.hosts.iter().filter(|host| which(host)) {
            let (hosts, tasks) = asked.entry(host.found.cluster.clone()).or_default();
            hosts.push(host.found.arn.clone());
            tasks.extend(host.tasks.keys().cloned());
        }
        let calls = &self.calls.impatient(SLICE);
        for (hosts, tasks) in self.describe(calls, asked).await {
            for arn in hosts {
                if let Some(host) = self.host_mut(&arn) {
                    host.renew(tasks.iter().filter(|task| task.container_instance == arn).cloned());
                    host.seen = Some(Instant::now());
                }
            }
        }
        self.learn_details(calls).await;
    }

    /// Describes tasks; gives nothing of a cluster where that fails.
    async fn describe(
        &self,
        calls: &Calls,
        asked: BTreeMap<ClusterName, (Vec<ContainerInstanceArn>, Vec<TaskArn>)>,
    ) -> Vec<(Vec<ContainerInstanceArn>, Vec<Task>)> {
        let aws = self.aws;
        stream::iter(asked)
            .map(async |(cluster, (hosts, tasks))| {
                Some((hosts, readable(task::describe(aws, calls, &cluster, &tasks).await)?))
            })
            .buffer_unordered(WIDTH)
            .filter_map(|described| async { described })
            .collect()
            .await
    }

    /// Learns the stop timeouts of tasks, and which of them are daemons.
    async fn learn_details(&mut self, calls: &Calls) {
        let knowledge = &self.aws.knowledge;
        let (mut definitions, mut services) = (BTreeSet::new(), BTreeMap::<_, BTreeSet<_>>::new());
        for host in &self.hosts {
            for task in host.tasks.values() {
                if task.stop_timeout.is_none() && knowledge.stop_timeout(&task.definition).is_none() {
                    definitions.insert(task.definition.clone());
                }
                if let Some(service) = &task.service
                    && knowledge.is_daemon(&host.found.cluster, service).is_none()
                {
                    services.entry(host.found.cluster.clone()).or_default().insert(service.clone());
                }
            }
        }
        let aws = self.aws;
        let learn_timeouts = stream::iter(definitions)
            .for_each_concurrent(WIDTH, async |definition| stop_timeout::learn(aws, calls, &definition).await);
        let services = services.into_iter().flat_map(|(cluster, names)| {
            let names: Vec<_> = names.into_iter().collect();
            names.chunks(daemon::DESCRIBED).map(|names| (cluster.clone(), names.to_vec())).collect::<Vec<_>>()
        });
        let learn_daemons = stream::iter(services)
            .for_each_concurrent(WIDTH, async |(cluster, names)| daemon::learn(aws, calls, &cluster, &names).await);
        tokio::join!(learn_timeouts, learn_daemons);
        for host in &mut self.hosts {
            for task in host.tasks.values_mut() {
                task.stop_timeout = knowledge.stop_timeout(&task.definition);
                let service = task.service.as_deref();
                task.is_daemon = service.and_then(|service| knowledge.is_daemon(&host.found.cluster, service));
            }
        }
    }
}

fn readable<T>(read: Result<T, Error>) -> Option<T> {
    read.inspect_err(|error| tracing::info!(%error, "an evacuation goes on without")).ok()
}
