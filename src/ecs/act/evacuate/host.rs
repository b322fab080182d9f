//! A container instance under evacuation: its clock, its tasks, and what is due. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    learn,
    task::{Progress, Task},
};
use crate::{
    aws::timestamp,
    config::StandaloneTasks,
    ecs::{ContainerInstance, Status, TaskArn, plan::Evacuation},
    error::Error,
};

/// A container instance under evacuation.
#[derive(Debug)]
pub(super) struct Host {
    /// As it was before.
    pub(super) found: ContainerInstance,
    /// When EC2 ends it, less what the answer takes.
    pub(super) ends: Instant,
    evacuation: Evacuation,
    pub(super) drained: Drained,
    /// Whether those of its tasks were listed that nobody had begun to stop.
    pub(super) running: Listed,
    /// Whether those were listed that were being stopped by then.
    pub(super) stopping: Listed,
    /// Its tasks that have not stopped, as far as they are known.
    pub(super) tasks: BTreeMap<TaskArn, Entry>,
    /// Those that were seen to have stopped.
    pub(super) over: BTreeSet<TaskArn>,
    /// How many tasks ECS counts as running or on their way there.
    pub(super) counted: usize,
    /// When its tasks were last looked at.
    pub(super) seen: Option<Instant>,
    /// How many tasks were asked to stop.
    pub(super) told: usize,
    /// Why it could not be looked at, or its tasks could not be told.
    pub(super) denied: Option<Error>,
    pub(super) is_being_counted: bool,
    /// Whether ECS did not know it when it was last counted.
    pub(super) is_missed: bool,
    /// Whether it is being deregistered.
    pub(super) is_leaving: bool,
}

/// A task of it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Nothing where it was only listed.
    pub(super) task: Option<Task>,
    pub(super) is_being_described: bool,
    /// Whether ECS could not say more of it.
    pub(super) is_obscure: bool,
    /// Whether it is, or was, asked to stop.
    pub(super) is_told: bool,
    /// How long its containers have after SIGTERM, once that is known.
    pub(super) stop_timeout: Option<Duration>,
    /// Whether its service runs one task on each instance, once that is known.
    pub(super) is_daemon: Option<bool>,
}

/// Whether it is `DRAINING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drained {
    /// Not before this time; it has been tried if there was one.
    No(Option<Instant>),
    UnderWay,
    Yes,
    /// ECS refuses it; what else can be done is done.
    Refused,
}

/// How far a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// So many times it has shown fewer tasks than ECS counts; not before this time.
    No(u32, Option<Instant>),
    UnderWay(u32),
    Yes,
}

/// In which order tasks are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Ordinary,
    /// What collects the logs or carries the traffic of others.
    Daemon,
}

/// A task that is to be stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop<'a> {
    pub(super) task: &'a TaskArn,
    pub(super) rank: Rank,
    /// How long before the end, apart from any margin; at once where there is nothing.
    before_end: Option<Duration>,
}

impl Host {
    pub(super) fn new(found: ContainerInstance, evacuation: Evacuation, ends: Instant) -> Self {
        let drained = if found.status == Status::Draining { Drained::Yes } else { Drained::No(None) };
        Self {
            counted: count(&found),
            found,
            ends,
            evacuation,
            drained,
            running: Listed::No(0, None),
            stopping: Listed::No(0, None),
            tasks: BTreeMap::new(),
            over: BTreeSet::new(),
            seen: None,
            told: 0,
            denied: None,
            is_being_counted: false,
            is_missed: false,
            is_leaving: false,
        }
    }

    /// What its tasks are told.
    pub(super) fn reason(&self) -> String {
        let deadline = timestamp(self.evacuation.deadline);
        format!("EC2 Spot interruption: {} is terminated at {deadline}", self.found.instance)
    }

    /// Whether nothing is left on it.
    pub(super) fn is_empty(&self) -> bool {
        self.running == Listed::Yes && self.stopping == Listed::Yes && self.tasks.is_empty()
    }

    /// Takes down a task that was listed.
    pub(super) fn list(&mut self, task: TaskArn) {
        if !self.over.contains(&task) {
            self.tasks.entry(task).or_default();
        }
    }

    /// Takes down what became of a task.
    pub(super) fn note(&mut self, task: Task) {
        if task.progress == Progress::Stopped {
            self.end(&task.arn);
        } else {
            let entry = self.tasks.entry(task.arn.clone()).or_default();
            (entry.task, entry.is_being_described, entry.is_obscure) = (Some(task), false, false);
        }
    }

    /// Takes down that a task has stopped.
    pub(super) fn end(&mut self, task: &TaskArn) {
        self.tasks.remove(task);
        self.over.insert(task.clone());
    }

    /// Takes down how many tasks ECS counts.
    pub(super) fn count(&mut self, counted: &ContainerInstance) {
        self.counted = count(counted);
        // There are some that are not known: they came after the list.
        if self.counted > self.tasks.len() && self.running == Listed::Yes {
            self.running = Listed::No(0, None);
        }
    }

    /// Takes down that those of its tasks were listed that nobody had begun to stop.
    pub(super) fn listed(&mut self) {
        self.running = Listed::Yes;
        // As far as is known by now.
        let is_running = |entry: &&Entry| entry.task.as_ref().is_none_or(|task| task.progress == Progress::Running);
        self.counted = self.tasks.values().filter(is_running).count();
    }

    /// Takes down that those were listed that were being stopped.
    ///
    /// Lists may lag behind. As long as there are fewer tasks than ECS counted before, they are asked for again, up to
    /// three times.
    pub(super) fn swept(&mut self, now: Instant) {
        let times = if let Listed::UnderWay(times) = self.stopping { times } else { 0 };
        if self.tasks.len() + self.over.len() < count(&self.found) && times < 3 {
            self.running = Listed::No(0, Some(now + AGAIN));
            self.stopping = Listed::No(times + 1, None);
        } else {
            self.stopping = Listed::Yes;
        }
    }

    /// Whether it may be empty, or empty but for its daemons.
    pub(super) fn is_nearly_empty(&self) -> bool {
        self.counted <= self.tasks.values().filter(|entry| entry.is_daemon()).count()
    }

    /// Whether, of what is known, nothing but daemons is left.
    pub(super) fn has_only_daemons(&self) -> bool {
        self.tasks.values().all(Entry::is_daemon)
    }

    /// The tasks to stop at this time, in their order, if stopping takes `margin` longer than their stop timeouts. No
    /// daemon, as long as another task is due as well.
    pub(super) fn due(&self, now: Instant, margin: Duration) -> Vec<Stop<'_>> {
        let mut due: Vec<_> = self.stops().filter(|stop| stop.due(self.ends, now, margin) <= now).collect();
        if due.iter().any(|stop| stop.rank == Rank::Ordinary) {
            due.retain(|stop| stop.rank == Rank::Ordinary);
        }
        due.sort_by_key(|stop| Reverse(stop.before_end));
        due
    }

    /// When the next task is to be stopped.
    pub(super) fn next_due(&self, now: Instant, margin: Duration) -> Option<Instant> {
        self.stops().map(|stop| stop.due(self.ends, now, margin)).min()
    }

    /// How many tasks there are that may have to be stopped.
    pub(super) fn open(&self) -> usize {
        self.stops().count()
    }

    /// The tasks that are still to be stopped, each by its own stop timeout: every second more may be the one in which
    /// it is replaced and drained, or ends by itself. Daemons are last: no other task waits for longer than the longest
    /// of theirs, and they themselves do not wait when nothing else is left.
    fn stops(&self) -> impl Iterator<Item = Stop<'_>> {
        let leaves = self.evacuation.standalone_tasks == StandaloneTasks::Leave;
        // One that was only listed may be a standalone one.
        let is_left = move |entry: &Entry| leaves && entry.task.as_ref().is_none_or(|task| task.service.is_none());
        let to_tell = self.tasks.iter().filter(move |(_, entry)| entry.is_open() && !is_left(entry));
        let daemons = to_tell.clone().filter(|(_, entry)| entry.is_daemon());
        let longest = daemons.map(|(_, entry)| entry.timeout()).max().unwrap_or_default();
        let only_daemons = self.running == Listed::Yes && self.stopping == Listed::Yes && self.has_only_daemons();
        to_tell.map(move |(task, entry)| {
            if entry.is_daemon() {
                Stop { task, rank: Rank::Daemon, before_end: (!only_daemons).then(|| entry.timeout()) }
            } else {
                Stop { task, rank: Rank::Ordinary, before_end: Some(entry.timeout().max(longest)) }
            }
        })
    }
}

/// When a list that is too short is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

fn count(found: &ContainerInstance) -> usize {
    found.running_tasks.saturating_add(found.pending_tasks).try_into().unwrap_or_default()
}

impl Entry {
    /// Whether its containers have yet to be told. What was only listed is described first, if it can be.
    fn is_open(&self) -> bool {
        let is_to_tell = self.task.as_ref().map_or(self.is_obscure, |task| task.progress != Progress::Stopping);
        is_to_tell && !self.is_told
    }

    fn timeout(&self) -> Duration {
        self.stop_timeout.unwrap_or(learn::DEFAULT)
    }

    fn is_daemon(&self) -> bool {
        self.is_daemon == Some(true)
    }
}

impl Stop<'_> {
    /// What should have been done before now is due now.
    fn due(&self, ends: Instant, now: Instant, margin: Duration) -> Instant {
        let at = self.before_end.and_then(|time| ends.checked_sub(time + margin));
        at.map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARGIN: Duration = Duration::from_secs(8);

    fn arn<T: TryFrom<String>>(kind: &str, name: &str) -> T
    where
        T::Error: std::fmt::Debug,
    {
        format!("arn:aws:ecs:us-east-1:123456789012:{kind}/web/{name}").try_into().unwrap()
    }

    /// A host that ends in so many seconds, of which everything is known.
    fn host(ends_s: u64, standalone_tasks: StandaloneTasks, entries: Vec<Entry>) -> (Host, Instant) {
        let now = Instant::now() + Duration::from_hours(1);
        let found = ContainerInstance {
            cluster: "web".to_owned().try_into().unwrap(),
            arn: arn("container-instance", "1"),
            instance: "i-1234567890abcdef0".to_owned().try_into().unwrap(),
            status: Status::Draining,
            running_tasks: 0,
            pending_tasks: 0,
            capacity_provider: None,
            mark: None,
        };
        let evacuation = Evacuation { deadline: std::time::SystemTime::UNIX_EPOCH, standalone_tasks };
        let mut host = Host::new(found, evacuation, now + Duration::from_secs(ends_s));
        for entry in entries {
            host.tasks.insert(entry.task.as_ref().unwrap().arn.clone(), entry);
        }
        host.listed();
        host.stopping = Listed::Yes;
        (host, now)
    }

    fn entry(name: &str, service: Option<&str>, stop_timeout_s: u64, progress: Progress) -> Entry {
        let task = Task {
            arn: arn("task", name),
            container_instance: arn("container-instance", "1"),
            progress,
            definition: String::new(),
            service: service.map(str::to_owned),
        };
        Entry {
            task: Some(task),
            stop_timeout: Some(Duration::from_secs(stop_timeout_s)),
            is_daemon: Some(false),
            ..Entry::default()
        }
    }

    fn task(name: &str, service: Option<&str>, stop_timeout_s: u64) -> Entry {
        entry(name, service, stop_timeout_s, Progress::Running)
    }

    fn daemon(name: &str, stop_timeout_s: u64) -> Entry {
        Entry { is_daemon: Some(true), ..task(name, Some("logs"), stop_timeout_s) }
    }

    fn due(host: &Host, now: Instant) -> Vec<String> {
        let due = host.due(now, MARGIN).into_iter();
        due.map(|stop| stop.task.as_str().rsplit('/').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_is_due_when() {
        let all = || {
            vec![
                task("web", Some("web"), 30),
                task("api", Some("api"), 60),
                task("job", None, 20),
                task("long", None, 115),
                daemon("logs", 10),
            ]
        };
        for (left, expected) in [
            (118, &["long"][..]),
            (69, &["long"]),
            (68, &["long", "api"]),
            (39, &["long", "api"]),
            (38, &["long", "api", "web"]),
            (28, &["long", "api", "web", "job"]),
            (18, &["long", "api", "web", "job"]),
        ] {
            let (host, now) = host(left, StandaloneTasks::Stop, all());
            assert_eq!(due(&host, now), expected, "{left} s left");
        }
    }

    /// Tells all that is due.
    fn tell(host: &mut Host, now: Instant) {
        let due: Vec<_> = host.due(now, MARGIN).into_iter().map(|stop| stop.task.clone()).collect();
        for task in due {
            host.tasks.get_mut(&task).unwrap().is_told = true;
        }
    }

    #[test]
    fn a_daemon_is_last_even_with_the_longest_timeout() {
        let tasks = vec![daemon("logs", 90), task("web", Some("web"), 30), task("job", None, 10)];
        let (mut host, now) = host(98, StandaloneTasks::Stop, tasks);
        assert_eq!(due(&host, now), ["job", "web"]);
        tell(&mut host, now);
        assert_eq!(due(&host, now), ["logs"]);
    }

    #[test]
    fn a_daemon_alone_is_stopped_at_once_and_not_before_it_is_known_to_be_alone() {
        let (mut host, now) = host(100, StandaloneTasks::Stop, vec![daemon("logs", 10)]);
        assert_eq!(due(&host, now), ["logs"]);
        assert_eq!(host.next_due(now, MARGIN), Some(now));
        host.stopping = Listed::UnderWay(0);
        assert!(due(&host, now).is_empty());
        host.stopping = Listed::Yes;
        host.note(entry("web", Some("web"), 30, Progress::Stopping).task.unwrap());
        assert!(due(&host, now).is_empty(), "what is being stopped still logs");
    }

    #[test]
    fn standalone_tasks_may_be_left() {
        let (host, now) = host(1, StandaloneTasks::Leave, vec![task("job", None, 20), task("web", Some("web"), 20)]);
        assert_eq!(due(&host, now), ["web"]);
    }

    #[test]
    fn what_waits_for_a_load_balancer_is_told_by_its_own_timeout() {
        for (left, expected) in [(39, &[][..]), (38, &["web"])] {
            let waiting = entry("web", Some("web"), 30, Progress::Deactivating);
            let (host, now) = host(left, StandaloneTasks::Stop, vec![waiting]);
            assert_eq!(due(&host, now), expected);
        }
    }

    #[test]
    fn nobody_is_told_twice() {
        let stopping = entry("web", Some("web"), 30, Progress::Stopping);
        let (mut host, now) = host(5, StandaloneTasks::Stop, vec![stopping, task("job", None, 30)]);
        assert_eq!(due(&host, now), ["job"]);
        tell(&mut host, now);
        assert!(due(&host, now).is_empty());
        assert_eq!((host.next_due(now, MARGIN), host.open()), (None, 0));
    }

    #[test]
    fn what_can_not_be_described_is_told_by_the_default() {
        let (mut host, now) = host(60, StandaloneTasks::Stop, vec![]);
        host.list(arn("task", "web"));
        assert_eq!(host.next_due(now, MARGIN), None, "it is described first");
        host.tasks.values_mut().for_each(|entry| entry.is_obscure = true);
        assert_eq!(host.next_due(now, MARGIN), Some(now + Duration::from_secs(60 - 38)));
        host.evacuation.standalone_tasks = StandaloneTasks::Leave;
        assert_eq!(host.next_due(now, MARGIN), None, "it may be a standalone one");
    }

    #[test]
    fn it_is_empty_only_when_everything_is_known_to_have_stopped() {
        let (mut host, _) = host(100, StandaloneTasks::Stop, vec![task("web", Some("web"), 30)]);
        assert!(!host.is_empty());
        host.note(entry("web", Some("web"), 30, Progress::Stopped).task.unwrap());
        assert!(host.is_empty());
        host.list(arn("task", "web"));
        assert!(host.is_empty(), "it is over");
        host.stopping = Listed::No(0, None);
        assert!(!host.is_empty());
        host.stopping = Listed::Yes;
        let mut counted = host.found.clone();
        counted.pending_tasks = 1;
        host.count(&counted);
        assert!(!host.is_empty(), "there is one that came later");
        host.listed();
        assert!(host.is_empty(), "and is gone again");
    }

    #[test]
    fn lists_that_lag_behind_are_asked_for_again_but_not_for_ever() {
        let (mut host, now) = host(100, StandaloneTasks::Stop, vec![]);
        host.found.running_tasks = 2;
        for times in 0..3 {
            host.stopping = Listed::UnderWay(times);
            host.swept(now);
            assert_eq!((host.running, host.stopping), (Listed::No(0, Some(now + AGAIN)), Listed::No(times + 1, None)));
            assert!(!host.is_empty());
            host.listed();
        }
        host.stopping = Listed::UnderWay(3);
        host.swept(now);
        assert!(host.is_empty());
    }

    #[test]
    fn the_reason_names_the_interruption() {
        let (host, _) = host(100, StandaloneTasks::Stop, vec![]);
        assert_eq!(host.reason(), "EC2 Spot interruption: i-1234567890abcdef0 is terminated at 1970-01-01T00:00:00Z");
    }

    proptest! {
        /// Whoever sleeps until something is due finds it due, and nothing before.
        #[test]
        fn the_next_is_due_when_it_is_said_to_be(
            ends_s in 0..200_u64,
            timeouts in prop::collection::vec((0..150_u64, 0..4_u8), 0..6),
            stopping in prop::sample::select(vec![Listed::UnderWay(0), Listed::Yes]),
        ) {
            let tasks = timeouts.into_iter().enumerate().map(|(n, (timeout, kind))| match kind {
                0 => task(&n.to_string(), None, timeout),
                1 => daemon(&n.to_string(), timeout),
                2 => entry(&n.to_string(), Some("web"), timeout, Progress::Deactivating),
                _ => task(&n.to_string(), Some("web"), timeout),
            });
            let (mut host, now) = host(ends_s, StandaloneTasks::Stop, tasks.collect());
            host.stopping = stopping;
            match host.next_due(now, MARGIN) {
                None => prop_assert!(host.tasks.is_empty()),
                Some(at) => {
                    prop_assert!(!host.due(at, MARGIN).is_empty());
                    prop_assert!(at == now || host.due(at - Duration::from_millis(1), MARGIN).is_empty());
                }
            }
        }
    }
}
