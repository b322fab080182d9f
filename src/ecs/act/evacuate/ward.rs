//! The container instances that are evacuated together: how things stand, and what is to be done.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    host::{Drained, Host, Listed},
    job::{Job, Listing, News},
    learn,
    task::{self, Task},
};
use crate::{
    aws::{Calls, Regional, less_margin},
    ecs::{
        ClusterName, ContainerInstance, ContainerInstanceArn, Status, TaskArn,
        act::{Done, Outcome, deregister, set_state::UPDATED},
        plan::{EndState, Evacuation},
    },
    error::{Class, Error},
};

pub(super) const STOP_TASK: &str = "StopTask";

/// How long before its end an instance is let go: deregistered, with whatever is left on it.
const LET_GO: Duration = Duration::from_secs(3);

/// How much earlier a task is stopped than its stop timeout and the letting go ask for: it takes a second or two until
/// its containers are told.
const TELL: Duration = Duration::from_secs(5);

/// The most time that is allowed for, where more tasks are to be stopped than the quota takes at once: 2,300 of them. With
/// still more, the last ones are late, rather than the first ones far too early.
const STOP_RUSH: Duration = Duration::from_mins(1);

/// The same for instances that are to be deregistered: 1,200 of them.
const LET_GO_RUSH: Duration = Duration::from_secs(30);

/// How long before a task is to be stopped, or an instance let go, it is looked at once more.
const CHECK: Duration = Duration::from_secs(2);

/// For how long a look at tasks counts.
const FRESH: Duration = Duration::from_secs(5);

/// From one look to the next: a dozen in two minutes.
const POLL: Duration = Duration::from_secs(10);

/// The same for each cluster: with more than five, looks are rarer, so that they take a call or two a second, 5 to 10 %
/// of their quota.
const POLL_CLUSTER: Duration = Duration::from_secs(2);

/// The most time from one look to the next, apart from what throttling adds; more where it is less for a cluster than
/// [`SHORTEST_POLL_CLUSTER`].
const LONGEST_POLL: Duration = Duration::from_secs(30);
const SHORTEST_POLL_CLUSTER: Duration = Duration::from_millis(200);

/// When draining that failed is tried again, and what ECS did not know is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// When stopping tasks, or letting go of what is empty, is tried again after it failed.
const WRITE_AGAIN: Duration = Duration::from_millis(500);

/// How long it is tried to let go of what is late from the start.
const LATE: Duration = Duration::from_secs(15);

/// The first pause after a read that failed; it doubles until one succeeds.
const BACKOFF: Duration = Duration::from_millis(500);

/// The longest pause after a read that failed.
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

/// The least time from one plan to the next, and more for each task: plans look at all of them.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_TASK: Duration = Duration::from_micros(20);

/// How many calls of a kind are under way at the same time.
const WRITES: usize = 16;
const READS: usize = 8;
const LEARNS: usize = 4;

/// The container instances that are evacuated together.
pub(super) struct Ward<'a> {
    aws: &'a Regional,
    calls: &'a Calls,
    /// Those that are not done.
    hosts: BTreeMap<ContainerInstanceArn, Host>,
    /// Tasks that were listed for a whole cluster, and whether they are being described: their hosts are not known.
    unplaced: BTreeMap<ClusterName, BTreeMap<TaskArn, bool>>,
    /// Where the others are.
    places: BTreeMap<TaskArn, ContainerInstanceArn>,
    /// Clusters whose tasks are listed by instance, since they can't be described.
    by_instance: BTreeSet<ClusterName>,
    /// What is known of task definitions and services; nothing while it is being read.
    timeouts: BTreeMap<String, Option<Duration>>,
    daemons: BTreeMap<(ClusterName, String), Option<bool>>,
    leaves: Queue,
    writes: Queue,
    reads: Queue,
    learns: Queue,
    started: Instant,
    planned: Instant,
    next_plan: Instant,
    next_look: Instant,
    /// Changes have failed: none before this time, but what can't wait.
    writes_after: Instant,
    reading: Backoff,
    learning: Backoff,
    is_warned: bool,
    done: Vec<Done>,
}

/// Jobs that wait, and how many are under way.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Job>,
    under_way: usize,
}

/// How much earlier than their stop timeouts ask for tasks are stopped, by when their instance ends.
struct Margins(BTreeMap<Instant, Duration>);

impl Margins {
    fn of(&self, host: &Host) -> Duration {
        self.0.get(&host.ends).copied().unwrap_or(LET_GO + TELL)
    }
}

/// When it is read again after failures.
#[derive(Debug)]
struct Backoff {
    after: Instant,
    pause: Duration,
}

impl Backoff {
    fn read<T>(&mut self, read: Result<T, Error>, now: Instant) -> Option<T> {
        match read {
            Ok(read) => {
                self.pause = BACKOFF;
                Some(read)
            }
            Err(error) => {
                tracing::debug!(%error, "it is read again later");
                // Those that fail together count once.
                if self.after <= now {
                    self.after = now + self.pause;
                    self.pause = LONGEST_BACKOFF.min(self.pause * 2);
                }
                None
            }
        }
    }
}

impl Queue {
    fn next(&mut self, width: usize) -> Option<Job> {
        if self.under_way >= width {
            return None;
        }
        let job = self.waiting.pop_front()?;
        self.under_way += 1;
        Some(job)
    }
}

impl<'a> Ward<'a> {
    pub(super) fn new(aws: &'a Regional, calls: &'a Calls, planned: Vec<(ContainerInstance, Evacuation)>) -> Self {
        // Once, so that those of one notice's time have one end.
        let (now, system_now) = (Instant::now(), SystemTime::now());
        let hosts = planned.into_iter().map(|(found, evacuation)| {
            let left = evacuation.deadline.duration_since(system_now).unwrap_or_default();
            let ends = now + less_margin(left).min(calls.left());
            (found.arn.clone(), Host::new(found, evacuation, ends))
        });
        Self {
            aws,
            calls,
            hosts: hosts.collect(),
            unplaced: BTreeMap::new(),
            places: BTreeMap::new(),
            by_instance: BTreeSet::new(),
            timeouts: BTreeMap::new(),
            daemons: BTreeMap::new(),
            leaves: Queue::default(),
            writes: Queue::default(),
            reads: Queue::default(),
            learns: Queue::default(),
            started: now,
            planned: now,
            next_plan: now,
            next_look: now + POLL,
            writes_after: now,
            reading: Backoff { after: now, pause: BACKOFF },
            learning: Backoff { after: now, pause: BACKOFF },
            is_warned: false,
            done: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    pub(super) fn into_done(self) -> Vec<Done> {
        self.done
    }

    /// When there is something to do, if there are no news before.
    pub(super) fn wakes(&self) -> Instant {
        self.next_plan
    }

    /// The next call to make now, the most urgent first.
    pub(super) fn next_job(&mut self, now: Instant) -> Option<Job> {
        if self.next_plan <= now {
            self.plan(now);
        }
        self.leaves
            .next(WRITES)
            .or_else(|| self.writes.next(WRITES))
            .or_else(|| self.reads.next(READS))
            .or_else(|| self.learns.next(LEARNS))
    }

    /// Plans what is due, and when to plan again.
    fn plan(&mut self, now: Instant) {
        self.planned = now;
        let mut wakes = vec![self.next_look];
        let margins = self.margins();
        // First, since what is learned decides what is due.
        self.plan_learning(now, &mut wakes);
        self.plan_leaves(now, &mut wakes);
        self.plan_stops(now, &margins, &mut wakes);
        self.plan_draining(now, &mut wakes);
        if self.reading.after <= now {
            self.plan_lists(now, &mut wakes);
            self.plan_descriptions(now, &margins);
            self.plan_look(now);
        } else {
            wakes.push(self.reading.after);
        }
        self.next_plan =
            wakes.into_iter().filter(|wake| *wake > now).min().unwrap_or(self.next_look).max(now + self.pause());
    }

    fn pause(&self) -> Duration {
        PAUSE + PAUSE_TASK * u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    /// Those that are empty, and those whose time is up, the emptiest first: all of them at once take a while.
    fn plan_leaves(&mut self, now: Instant, wakes: &mut Vec<Instant>) {
        let mut hosts: Vec<_> = self.hosts.values_mut().filter(|host| !host.is_leaving).collect();
        hosts.sort_by_key(|host| (host.ends, host.open(), host.tasks.len()));
        let ends: Vec<_> = hosts.iter().map(|host| host.ends).collect();
        for (at, host) in hosts.into_iter().enumerate() {
            // Those that come later, but not much later.
            let together = ends[at..].partition_point(|ends| *ends <= host.ends + LET_GO_RUSH);
            let rush = self.calls.time_for(deregister::OPERATION, together).min(LET_GO_RUSH);
            let up = host.ends.checked_sub(LET_GO + rush).unwrap_or(now);
            // As long as it has tasks, it is looked at before; and deregistered when that is clear.
            wakes.extend([up.checked_sub(CHECK).unwrap_or(now), up]);
            let is_empty = host.is_empty() && !has_unplaced(&self.unplaced, &host.found.cluster);
            let until = (up <= now).then(|| host.ends.max(self.started + LATE));
            if until.is_some() || is_empty && self.writes_after <= now {
                host.is_leaving = true;
                self.leaves.waiting.push_back(Job::LetGo { found: host.found.clone(), until });
            }
        }
    }

    /// Tasks that are due, the most urgent first.
    fn plan_stops(&mut self, now: Instant, margins: &Margins, wakes: &mut Vec<Instant>) {
        if now < self.writes_after {
            wakes.push(self.writes_after);
            return;
        }
        for host in self.hosts.values_mut().filter(|host| !host.is_leaving) {
            let margin = margins.of(host);
            wakes.extend(
                host.next_due(now, margin).into_iter().flat_map(|due| [due.checked_sub(CHECK).unwrap_or(now), due]),
            );
            let due: Vec<_> = host.due(now, margin).into_iter().map(|stop| stop.task.clone()).collect();
            for task in due {
                if let Some(entry) = host.tasks.get_mut(&task) {
                    entry.is_told = true;
                }
                let (cluster, host, reason) = (host.found.cluster.clone(), host.found.arn.clone(), host.reason());
                self.writes.waiting.push_back(Job::Stop { cluster, host, task, reason });
            }
        }
    }

    /// How much longer than its stop timeout it takes to stop a task, and to let its instance go, by when that ends:
    /// together with all others that end by about the same time.
    fn margins(&self) -> Margins {
        let mut open: BTreeMap<Instant, usize> = BTreeMap::new();
        for host in self.hosts.values() {
            *open.entry(host.ends).or_default() += host.open();
        }
        let margin = |ends: Instant| {
            let together = open.range(..=ends + STOP_RUSH).map(|(_, open)| open).sum();
            LET_GO + TELL + self.calls.time_for(STOP_TASK, together).min(STOP_RUSH)
        };
        Margins(open.keys().map(|ends| (*ends, margin(*ends))).collect())
    }

    fn plan_draining(&mut self, now: Instant, wakes: &mut Vec<Instant>) {
        let mut to_drain: BTreeMap<ClusterName, Vec<ContainerInstance>> = BTreeMap::new();
        for host in self.hosts.values_mut().filter(|host| !host.is_leaving) {
            if let Drained::No(after) = host.drained {
                if after.is_none_or(|after| after <= now) {
                    host.drained = Drained::UnderWay;
                    to_drain.entry(host.found.cluster.clone()).or_default().push(host.found.clone());
                }
                wakes.extend(after);
            }
        }
        for (cluster, found) in to_drain {
            let jobs = found.chunks(UPDATED).map(|found| Job::Drain(cluster.clone(), found.to_vec()));
            // Before what is stopped: it is what keeps new tasks away.
            jobs.rev().for_each(|job| self.writes.waiting.push_front(job));
        }
    }

    /// Lists of tasks: by instance, or of a whole cluster where that takes no more calls. What is being stopped is listed
    /// when nothing else is left, and by instance: of a whole cluster there may be any number.
    fn plan_lists(&mut self, now: Instant, wakes: &mut Vec<Instant>) {
        let mut running: BTreeMap<ClusterName, Vec<ContainerInstanceArn>> = BTreeMap::new();
        let mut counted: BTreeMap<ClusterName, usize> = BTreeMap::new();
        for (arn, host) in self.hosts.iter_mut().filter(|(_, host)| !host.is_leaving) {
            let cluster = &host.found.cluster;
            // What is placed while it is not draining would be missing.
            let is_tried = !matches!(host.drained, Drained::No(None) | Drained::UnderWay);
            match host.running {
                Listed::No(_, Some(after)) if after > now => wakes.push(after),
                Listed::No(times, _) if is_tried => {
                    host.running = Listed::UnderWay(times);
                    running.entry(cluster.clone()).or_default().push(arn.clone());
                    *counted.entry(cluster.clone()).or_default() += host.counted;
                }
                Listed::Yes
                    if let Listed::No(times, _) = host.stopping
                        && host.is_nearly_empty()
                        && host.has_only_daemons()
                        && !has_unplaced(&self.unplaced, cluster) =>
                {
                    host.stopping = Listed::UnderWay(times);
                    let (cluster, hosts) = (cluster.clone(), vec![arn.clone()]);
                    let listing = Listing { cluster, hosts, is_whole: false, are_stopping: true };
                    self.reads.waiting.push_back(Job::List(listing));
                }
                _ => {}
            }
        }
        for (cluster, hosts) in running {
            let pages = |tasks: usize| tasks.div_ceil(task::PAGE);
            let whole = self.aws.knowledge.tasks_of(&cluster).map(|tasks| 2 * pages(tasks));
            let each = hosts.len() + pages(counted.get(&cluster).copied().unwrap_or_default());
            let listing =
                |hosts, is_whole| Job::List(Listing { cluster: cluster.clone(), hosts, is_whole, are_stopping: false });
            if whole.is_some_and(|whole| whole <= each) && !self.by_instance.contains(&cluster) {
                self.reads.waiting.push_back(listing(hosts, true));
            } else {
                self.reads.waiting.extend(hosts.into_iter().map(|host| listing(vec![host], false)));
            }
        }
    }

    /// Descriptions of tasks that are not known, and of those that are about to be stopped or left behind.
    fn plan_descriptions(&mut self, now: Instant, margins: &Margins) {
        let mut unknown: BTreeMap<ClusterName, Vec<TaskArn>> = BTreeMap::new();
        for (cluster, tasks) in &mut self.unplaced {
            for (task, is_being_described) in tasks.iter_mut().filter(|(_, is_being_described)| !**is_being_described) {
                *is_being_described = true;
                unknown.entry(cluster.clone()).or_default().push(task.clone());
            }
        }
        for host in self.hosts.values_mut().filter(|host| !host.is_leaving) {
            let soon = now + CHECK;
            let is_due =
                host.next_due(now, margins.of(host)).is_some_and(|due| due <= soon) || host.ends <= soon + LET_GO;
            let is_checked = is_due && host.seen.is_none_or(|seen| seen + FRESH <= now);
            for (task, entry) in &mut host.tasks {
                if !entry.is_being_described && (entry.task.is_none() || is_checked) {
                    entry.is_being_described = true;
                    unknown.entry(host.found.cluster.clone()).or_default().push(task.clone());
                }
            }
        }
        self.describe(unknown);
    }

    /// Before further lists: what is listed and not described is of little use.
    fn describe(&mut self, tasks: BTreeMap<ClusterName, Vec<TaskArn>>) {
        for (cluster, tasks) in tasks {
            for tasks in tasks.chunks(task::PAGE) {
                self.reads.waiting.push_front(Job::Describe(cluster.clone(), tasks.to_vec()));
            }
        }
    }

    /// What is to be known of the tasks: their stop timeouts, and whether they are daemons.
    fn plan_learning(&mut self, now: Instant, wakes: &mut Vec<Instant>) {
        let (mut definitions, mut services) = (BTreeSet::new(), BTreeMap::<_, BTreeSet<_>>::new());
        for host in self.hosts.values_mut() {
            let cluster = &host.found.cluster;
            for entry in host.tasks.values_mut() {
                let Some(task) = &entry.task else { continue };
                if entry.stop_timeout.is_none() {
                    match self.timeouts.get(&task.definition) {
                        Some(known) => entry.stop_timeout = *known,
                        None => drop(definitions.insert(task.definition.clone())),
                    }
                }
                if let (None, Some(service)) = (entry.is_daemon, &task.service) {
                    match self.daemons.get(&(cluster.clone(), service.clone())) {
                        Some(known) => entry.is_daemon = *known,
                        None => drop(services.entry(cluster.clone()).or_default().insert(service.clone())),
                    }
                }
            }
        }
        if now < self.learning.after {
            wakes.push(self.learning.after);
            return;
        }
        for definition in definitions {
            self.timeouts.insert(definition.clone(), None);
            self.learns.waiting.push_back(Job::LearnTimeout(definition));
        }
        for (cluster, services) in services {
            let services: Vec<_> = services.into_iter().collect();
            for names in services.chunks(learn::SERVICES) {
                self.daemons.extend(names.iter().map(|name| ((cluster.clone(), name.clone()), None)));
                self.learns.waiting.push_back(Job::LearnDaemons(cluster.clone(), names.to_vec()));
            }
        }
    }

    /// A look at all of them: how many tasks ECS counts, and whether someone else has changed the container instance.
    /// Where nothing but the end of known tasks is waited for, these are looked at instead.
    fn plan_look(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        let mut to_count: BTreeMap<ClusterName, Vec<ContainerInstanceArn>> = BTreeMap::new();
        let mut to_describe: BTreeMap<ClusterName, Vec<TaskArn>> = BTreeMap::new();
        let mut clusters = BTreeSet::new();
        for (arn, host) in self.hosts.iter_mut().filter(|(_, host)| !host.is_leaving) {
            clusters.insert(host.found.cluster.clone());
            if host.running != Listed::Yes || !host.is_nearly_empty() {
                if !std::mem::replace(&mut host.is_being_counted, true) {
                    to_count.entry(host.found.cluster.clone()).or_default().push(arn.clone());
                }
                continue;
            }
            for (task, entry) in host.tasks.iter_mut().filter(|(_, entry)| !entry.is_being_described) {
                entry.is_being_described = true;
                to_describe.entry(host.found.cluster.clone()).or_default().push(task.clone());
            }
        }
        for (cluster, arns) in to_count {
            let jobs = arns.chunks(task::PAGE).map(|arns| Job::Count(cluster.clone(), arns.to_vec()));
            self.reads.waiting.extend(jobs);
        }
        self.describe(to_describe);
        let clusters = u32::try_from(clusters.len()).unwrap_or(u32::MAX);
        let longest = LONGEST_POLL.max(SHORTEST_POLL_CLUSTER * clusters);
        let slowness = self.calls.slowness("DescribeContainerInstances").clamp(1.0, 3.0);
        self.next_look = now + POLL.max(POLL_CLUSTER * clusters).min(longest).mul_f64(slowness);
    }

    /// Takes down what came of a job.
    pub(super) fn note(&mut self, news: News, now: Instant) {
        let queue = match &news {
            News::LetGo(_) => &mut self.leaves,
            News::Drained(_) | News::Told(..) => &mut self.writes,
            News::LearnedTimeout(..) | News::LearnedDaemons(..) => &mut self.learns,
            _ => &mut self.reads,
        };
        queue.under_way = queue.under_way.saturating_sub(1);
        self.next_plan = self.next_plan.min(self.planned + self.pause());
        match news {
            News::Drained(done) => done.into_iter().for_each(|done| self.note_drained(done, now)),
            News::Counted(arns, counted) => {
                let counted = self.readable(counted, &arns, now);
                self.note_counted(&arns, counted.as_deref(), now);
            }
            News::Listed(listing, listed) => {
                let listed = self.readable(listed, &listing.hosts, now);
                self.note_listed(&listing, listed.as_deref(), now);
            }
            News::Described(cluster, tasks, described) => {
                if described.as_ref().is_err_and(|error| !error.is_transient()) {
                    self.list_by_instance(&cluster);
                }
                let hosts: BTreeSet<_> = tasks.iter().filter_map(|task| self.places.get(task).cloned()).collect();
                let hosts: Vec<_> = hosts.into_iter().collect();
                let described = self.readable(described, &hosts, now);
                self.note_described(&cluster, &tasks, described, now);
            }
            News::LearnedTimeout(definition, timeout) => match self.learning.read(timeout, now) {
                Some(timeout) => drop(self.timeouts.insert(definition, Some(timeout))),
                None => drop(self.timeouts.remove(&definition)),
            },
            News::LearnedDaemons(cluster, services, daemons) => match self.learning.read(daemons, now) {
                Some(daemons) => self.daemons.extend(
                    daemons.into_iter().map(|(service, is_daemon)| ((cluster.clone(), service), Some(is_daemon))),
                ),
                None => self.daemons.retain(|(of, service), _| *of != cluster || !services.contains(service)),
            },
            News::Told(arn, task, told) => self.note_told(&arn, &task, &told, now),
            News::LetGo(done) => self.note_let_go(done, now),
        }
    }

    fn note_drained(&mut self, done: Done, now: Instant) {
        let Some(host) = self.hosts.get_mut(&done.found.arn) else { return };
        match &done.outcome {
            Ok(Outcome::Kept(EndState::Deregistered)) => self.finish(done),
            Ok(_) => host.drained = Drained::Yes,
            Err(error) if error.is_transient() => host.drained = Drained::No(Some(now + AGAIN)),
            Err(error) => {
                tracing::warn!(%error, "it is evacuated without draining");
                host.drained = Drained::Refused;
            }
        }
    }

    fn note_counted(&mut self, arns: &[ContainerInstanceArn], counted: Option<&[ContainerInstance]>, now: Instant) {
        for arn in arns {
            let Some(host) = self.hosts.get_mut(arn) else { continue };
            host.is_being_counted = false;
            let Some(counted) = counted else { continue };
            let counted = counted.iter().find(|counted| counted.arn == *arn);
            match counted.filter(|counted| counted.status != Status::Gone) {
                Some(counted) => {
                    host.is_missed = false;
                    host.count(counted);
                    if counted.status == Status::Active && host.drained == Drained::Yes {
                        // Someone has undone it.
                        host.drained = Drained::No(None);
                    }
                }
                None if host.is_leaving => {}
                // It may not show everywhere.
                None if counted.is_none() && !host.is_missed => {
                    host.is_missed = true;
                    self.next_look = self.next_look.min(now + AGAIN);
                }
                None => {
                    let found = host.found.clone();
                    self.finish(Done::now(found, Ok(Outcome::Kept(EndState::Deregistered))));
                }
            }
        }
    }

    fn note_listed(&mut self, listing: &Listing, listed: Option<&[TaskArn]>, now: Instant) {
        let Listing { cluster, hosts, is_whole, are_stopping } = listing;
        if *is_whole && listed.is_none() {
            // Many pages would have to come, all of them.
            self.by_instance.insert(cluster.clone());
        }
        for task in listed.into_iter().flatten() {
            match hosts.first().filter(|_| !is_whole) {
                Some(arn) => {
                    if let Some(host) = self.hosts.get_mut(arn) {
                        self.places.insert(task.clone(), arn.clone());
                        host.list(task.clone());
                    }
                }
                None if self.places.contains_key(task) => {}
                None => drop(self.unplaced.entry(cluster.clone()).or_default().insert(task.clone(), false)),
            }
        }
        for arn in hosts {
            let Some(host) = self.hosts.get_mut(arn) else { continue };
            match (*are_stopping, listed.is_some()) {
                (true, true) => host.swept(now),
                (true, false) => host.stopping = Listed::No(0, None),
                (false, false) => host.running = Listed::No(0, None),
                // Where the tasks are shows when they are described.
                (false, true) if *is_whole => {}
                (false, true) => host.listed(),
            }
        }
        if *is_whole && listed.is_some() {
            self.settle(cluster);
        }
    }

    fn note_described(&mut self, cluster: &ClusterName, asked: &[TaskArn], described: Option<Vec<Task>>, now: Instant) {
        let Some(described) = described else {
            for task in asked {
                if let Some(is_being_described) = self.unplaced.get_mut(cluster).and_then(|tasks| tasks.get_mut(task)) {
                    *is_being_described = false;
                }
                let host = self.places.get(task).and_then(|arn| self.hosts.get_mut(arn));
                if let Some(entry) = host.and_then(|host| host.tasks.get_mut(task)) {
                    (entry.is_being_described, entry.is_obscure) = (false, entry.task.is_none());
                }
            }
            return;
        };
        let mut missing: BTreeSet<_> = asked.iter().collect();
        for task in described {
            missing.remove(&task.arn);
            if let Some(host) = self.hosts.get_mut(&task.container_instance) {
                self.places.insert(task.arn.clone(), task.container_instance.clone());
                host.seen = Some(now);
                host.note(task);
            }
        }
        for task in missing {
            // It stopped more than an hour ago.
            if let Some(host) = self.places.get(task).and_then(|arn| self.hosts.get_mut(arn)) {
                host.end(task);
            }
        }
        if let Some(unplaced) = self.unplaced.get_mut(cluster) {
            unplaced.retain(|task, _| !asked.contains(task));
            self.settle(cluster);
        }
    }

    /// Where tasks can't be described, only a list by instance says where they are: so they can be told, at least.
    fn list_by_instance(&mut self, cluster: &ClusterName) {
        self.unplaced.remove(cluster);
        self.by_instance.insert(cluster.clone());
        let hosts = self.hosts.values_mut().filter(|host| host.found.cluster == *cluster);
        hosts
            .filter(|host| matches!(host.running, Listed::UnderWay(_)))
            .for_each(|host| host.running = Listed::No(0, None));
    }

    /// Once all tasks of a whole cluster's list are placed, its hosts' tasks are listed.
    fn settle(&mut self, cluster: &ClusterName) {
        if !has_unplaced(&self.unplaced, cluster) {
            let waiting = self.hosts.values_mut().filter(|host| host.found.cluster == *cluster);
            waiting.filter(|host| matches!(host.running, Listed::UnderWay(_))).for_each(Host::listed);
        }
    }

    fn note_told(&mut self, arn: &ContainerInstanceArn, task: &TaskArn, told: &Result<(), Error>, now: Instant) {
        let Some(host) = self.hosts.get_mut(arn) else { return };
        match told {
            Ok(()) => host.told += 1,
            Err(error) if error.is_transient() => {
                if let Some(entry) = host.tasks.get_mut(task) {
                    entry.is_told = false;
                }
                self.writes_after = now + WRITE_AGAIN;
            }
            // It has ended meanwhile, or the role may not stop it.
            Err(error) => self.warn(error, std::slice::from_ref(arn)),
        }
    }

    fn note_let_go(&mut self, done: Done, now: Instant) {
        let Some(host) = self.hosts.get_mut(&done.found.arn) else { return };
        match &done.outcome {
            // An empty one has time.
            Err(error) if error.is_transient() && now + CHECK < host.ends => {
                host.is_leaving = false;
                self.writes_after = now + WRITE_AGAIN;
            }
            _ => self.finish(done),
        }
    }

    fn finish(&mut self, done: Done) {
        let Some(host) = self.hosts.remove(&done.found.arn) else { return };
        let left = if host.running == Listed::Yes { host.tasks.len() } else { host.counted.max(host.tasks.len()) };
        let outcome = match (done.outcome, host.denied) {
            (Ok(Outcome::Reached(_)), Some(denied)) if left > 0 => Err(denied),
            (Ok(Outcome::Reached(_)), _) => Ok(Outcome::Evacuated { stopped: host.told, left }),
            (outcome, _) => outcome,
        };
        self.done.push(Done { outcome, ..done });
    }

    /// What was read; what could not be is read later.
    fn readable<T>(&mut self, read: Result<T, Error>, hosts: &[ContainerInstanceArn], now: Instant) -> Option<T> {
        if let Err(error) = &read {
            self.warn(error, hosts);
        }
        self.reading.read(read, now)
    }

    /// The first of many failures is one to look at; that something is not allowed is one of each instance.
    fn warn(&mut self, error: &Error, hosts: &[ContainerInstanceArn]) {
        if error.is_transient() || self.is_warned {
            tracing::info!(%error, "an evacuation goes on without");
        } else {
            tracing::warn!(%error, "an evacuation goes on without");
            self.is_warned = true;
        }
        if matches!(error, Error::Call { class: Class::Denied, .. }) {
            for arn in hosts {
                if let Some(host) = self.hosts.get_mut(arn) {
                    host.denied.get_or_insert_with(|| error.clone());
                }
            }
        }
    }
}

fn has_unplaced(unplaced: &BTreeMap<ClusterName, BTreeMap<TaskArn, bool>>, cluster: &ClusterName) -> bool {
    unplaced.get(cluster).is_some_and(|tasks| !tasks.is_empty())
}
