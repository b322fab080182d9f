//! A container instance under evacuation: its clock, its tasks, and what is due. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_ecs::primitives::{DateTime, DateTimeFormat};
use tokio::time::Instant;

use super::{
    stop_timeout,
    task::{Progress, Task},
};
use crate::{
    config::StandaloneTasks,
    ecs::{ContainerInstance, Status, TaskArn, plan::Evacuation},
};

/// A container instance under evacuation.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) found: ContainerInstance,
    /// When EC2 ends it.
    pub(super) ends: Instant,
    evacuation: Evacuation,
    pub(super) drained: Drained,
    pub(super) known: Known,
    /// When its tasks were last looked at.
    pub(super) seen: Option<Instant>,
    /// Its tasks that have not stopped, as far as they are known.
    pub(super) tasks: BTreeMap<TaskArn, Task>,
    /// Those that were seen to have stopped.
    pub(super) over: BTreeSet<TaskArn>,
    /// Those that were asked to stop.
    pub(super) asked: BTreeSet<TaskArn>,
}

/// Whether it is `DRAINING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drained {
    No,
    Yes,
    /// ECS refuses it; what else can be done is done.
    Refused,
}

/// How much is known of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    Nothing,
    /// Those that nobody had begun to stop when they were listed, and all that came of them.
    Running,
    /// Those that were being stopped by then, too.
    All,
}

/// What a task is stopped with, in the order in which that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Ordinary,
    /// What collects the logs or carries the traffic of others.
    Daemon,
}

impl Host {
    pub(super) fn new(found: ContainerInstance, evacuation: Evacuation, ends: Instant) -> Self {
        let drained = if found.status == Status::Draining { Drained::Yes } else { Drained::No };
        Self {
            found,
            ends,
            evacuation,
            drained,
            known: Known::Nothing,
            seen: None,
            tasks: BTreeMap::new(),
            over: BTreeSet::new(),
            asked: BTreeSet::new(),
        }
    }

    /// What its tasks are told.
    pub(super) fn reason(&self) -> String {
        // It fails for years past 9999.
        let deadline = DateTime::from(self.evacuation.deadline).fmt(DateTimeFormat::DateTime).unwrap_or_default();
        format!("EC2 Spot interruption: {} is terminated at {deadline}", self.found.instance)
    }

    /// Whether nothing is left on it.
    pub(super) fn is_empty(&self) -> bool {
        self.known == Known::All && self.tasks.is_empty()
    }

    /// Takes down what became of tasks.
    pub(super) fn note(&mut self, tasks: impl IntoIterator<Item = Task>) {
        for task in tasks {
            if task.progress == Progress::Stopped {
                self.tasks.remove(&task.arn);
                self.over.insert(task.arn);
            } else {
                self.tasks.insert(task.arn.clone(), task);
            }
        }
    }

    /// Takes down what became of its tasks; those that are not there are known no longer.
    pub(super) fn renew(&mut self, tasks: impl IntoIterator<Item = Task>) {
        self.over.extend(std::mem::take(&mut self.tasks).into_keys());
        self.note(tasks);
        self.over.retain(|task| !self.tasks.contains_key(task));
    }

    /// Counts as ECS does, where ECS was not asked.
    pub(super) fn recount(&mut self) {
        let running = self.tasks.values().filter(|task| task.progress == Progress::Running).count();
        (self.found.running_tasks, self.found.pending_tasks) = (running.try_into().unwrap_or(i32::MAX), 0);
    }

    /// How many tasks ECS counts as running or on their way there.
    pub(super) fn counted(&self) -> usize {
        let count = self.found.running_tasks.saturating_add(self.found.pending_tasks);
        count.try_into().unwrap_or_default()
    }

    /// Whether ECS counts tasks that are not known.
    pub(super) fn has_unknown_tasks(&self) -> bool {
        self.known == Known::Nothing || self.counted() > self.tasks.len()
    }

    /// Whether it may be empty, or empty but for its daemons.
    pub(super) fn is_nearly_empty(&self) -> bool {
        self.counted() <= self.tasks.values().filter(|task| is_daemon(task)).count()
    }

    /// Whether, of what is known, nothing but daemons is left.
    pub(super) fn has_only_daemons(&self) -> bool {
        self.tasks.values().all(is_daemon)
    }

    /// The tasks to stop at this time, in their order, if stopping takes `margin` longer than their stop timeouts.
    pub(super) fn due(&self, now: Instant, margin: Duration) -> Vec<(Rank, TaskArn)> {
        let mut due: Vec<_> = self.stops().filter(|stop| stop.due(self.ends, now, margin) <= now).collect();
        due.sort_by_key(|stop| (stop.rank, Reverse(stop.before_end)));
        due.into_iter().map(|stop| (stop.rank, stop.task.arn.clone())).collect()
    }

    /// When the next task is to be stopped.
    pub(super) fn next_due(&self, now: Instant, margin: Duration) -> Option<Instant> {
        self.stops().map(|stop| stop.due(self.ends, now, margin)).min()
    }

    /// The tasks that are still to be stopped, each by its own stop timeout: every second more may be the one in which
    /// it is replaced and drained, or ends by itself. Daemons are last: no other task waits for longer than the longest
    /// of theirs, and they themselves do not wait when nothing else is left.
    fn stops(&self) -> impl Iterator<Item = Stop<'_>> {
        let is_open = |task: &&Task| {
            let is_left = task.service.is_none() && self.evacuation.standalone_tasks == StandaloneTasks::Leave;
            let is_told = task.progress == Progress::Stopping || self.asked.contains(&task.arn);
            !is_left && !is_told
        };
        let daemons = self.tasks.values().filter(is_open).filter(|task| is_daemon(task));
        let longest = daemons.map(timeout).max().unwrap_or_default();
        let only_daemons = self.known == Known::All && self.has_only_daemons();
        self.tasks.values().filter(is_open).map(move |task| {
            if is_daemon(task) {
                Stop { task, rank: Rank::Daemon, before_end: (!only_daemons).then(|| timeout(task)) }
            } else {
                Stop { task, rank: Rank::Ordinary, before_end: Some(timeout(task).max(longest)) }
            }
        })
    }
}

/// A task that is to be stopped.
struct Stop<'a> {
    task: &'a Task,
    rank: Rank,
    /// How long before the end, apart from any margin; at once where there is nothing.
    before_end: Option<Duration>,
}

impl Stop<'_> {
    /// What should have been done before now is due now.
    fn due(&self, ends: Instant, now: Instant, margin: Duration) -> Instant {
        let at = self.before_end.and_then(|time| ends.checked_sub(time + margin));
        at.map_or(now, |at| at.max(now))
    }
}

fn timeout(task: &Task) -> Duration {
    task.stop_timeout.unwrap_or(stop_timeout::DEFAULT)
}

fn is_daemon(task: &Task) -> bool {
    task.is_daemon == Some(true)
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
    fn host(ends_s: u64, standalone_tasks: StandaloneTasks, tasks: Vec<Task>) -> (Host, Instant) {
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
        host.known = Known::All;
        host.note(tasks);
        host.recount();
        (host, now)
    }

    fn task(name: &str, service: Option<&str>, stop_timeout_s: u64) -> Task {
        Task {
            arn: arn("task", name),
            container_instance: arn("container-instance", "1"),
            progress: Progress::Running,
            definition: String::new(),
            service: service.map(str::to_owned),
            stop_timeout: Some(Duration::from_secs(stop_timeout_s)),
            is_daemon: Some(false),
        }
    }

    fn daemon(name: &str, stop_timeout_s: u64) -> Task {
        Task { is_daemon: Some(true), ..task(name, Some("logs"), stop_timeout_s) }
    }

    fn due(host: &Host, now: Instant) -> Vec<String> {
        let due = host.due(now, MARGIN).into_iter();
        due.map(|(_, arn)| arn.as_str().rsplit('/').next().unwrap().to_owned()).collect()
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
            (18, &["long", "api", "web", "job", "logs"]),
        ] {
            let (host, now) = host(left, StandaloneTasks::Stop, all());
            assert_eq!(due(&host, now), expected, "{left} s left");
        }
    }

    #[test]
    fn a_daemon_with_the_longest_timeout_is_still_last() {
        let tasks = vec![daemon("logs", 90), task("web", Some("web"), 30), task("job", None, 10)];
        let (host, now) = host(98, StandaloneTasks::Stop, tasks);
        assert_eq!(due(&host, now), ["job", "web", "logs"]);
    }

    #[test]
    fn a_daemon_alone_is_stopped_at_once_and_not_before_it_is_known_to_be_alone() {
        let (mut host, now) = host(100, StandaloneTasks::Stop, vec![daemon("logs", 10)]);
        assert_eq!(due(&host, now), ["logs"]);
        assert_eq!(host.next_due(now, MARGIN), Some(now));
        host.known = Known::Running;
        assert!(due(&host, now).is_empty());
        host.known = Known::All;
        host.note([Task { progress: Progress::Stopping, ..task("web", Some("web"), 30) }]);
        assert!(due(&host, now).is_empty(), "what is being stopped still logs");
    }

    #[test]
    fn standalone_tasks_may_be_left() {
        let (host, now) = host(1, StandaloneTasks::Leave, vec![task("job", None, 20), task("web", Some("web"), 20)]);
        assert_eq!(due(&host, now), ["web"]);
    }

    #[test]
    fn what_waits_for_a_load_balancer_is_told_by_its_own_timeout() {
        let waiting = Task { progress: Progress::Deactivating, ..task("web", Some("web"), 30) };
        for (left, expected) in [(39, &[][..]), (38, &["web"])] {
            let (host, now) = host(left, StandaloneTasks::Stop, vec![waiting.clone()]);
            assert_eq!(due(&host, now), expected);
        }
    }

    #[test]
    fn nobody_is_told_twice() {
        let stopping = Task { progress: Progress::Stopping, ..task("web", Some("web"), 30) };
        let (mut host, now) = host(5, StandaloneTasks::Stop, vec![stopping, task("job", None, 30)]);
        assert_eq!(due(&host, now), ["job"]);
        host.asked.insert(arn("task", "job"));
        assert!(due(&host, now).is_empty());
        assert_eq!(host.next_due(now, MARGIN), None);
    }

    #[test]
    fn a_timeout_that_is_not_known_is_the_default() {
        let unknown = Task { stop_timeout: None, is_daemon: None, ..task("web", Some("web"), 0) };
        let (host, now) = host(60, StandaloneTasks::Stop, vec![unknown]);
        assert_eq!(host.next_due(now, MARGIN), Some(now + Duration::from_secs(60 - 38)));
    }

    #[test]
    fn it_is_empty_only_when_everything_is_known_to_have_stopped() {
        let (mut host, _) = host(100, StandaloneTasks::Stop, vec![task("web", Some("web"), 30)]);
        assert!(!host.is_empty());
        host.note([Task { progress: Progress::Stopped, ..task("web", Some("web"), 30) }]);
        assert!(host.is_empty());
        host.known = Known::Running;
        assert!(!host.is_empty());
        host.found.pending_tasks = 1;
        assert!(host.has_unknown_tasks());
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
            known in prop::sample::select(vec![Known::Running, Known::All]),
        ) {
            let tasks = timeouts.into_iter().enumerate().map(|(n, (timeout, kind))| match kind {
                0 => task(&n.to_string(), None, timeout),
                1 => daemon(&n.to_string(), timeout),
                2 => Task { progress: Progress::Deactivating, ..task(&n.to_string(), Some("web"), timeout) },
                _ => task(&n.to_string(), Some("web"), timeout),
            });
            let (mut host, now) = host(ends_s, StandaloneTasks::Stop, tasks.collect());
            host.known = known;
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
