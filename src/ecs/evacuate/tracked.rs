//! What is known of a container instance under evacuation, and of its tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    step::Completion,
    tracked_task::{Detail, StopRequest, TrackedTask},
};
use crate::{
    config::StandaloneTasks,
    ecs::{
        change::Ended,
        container_instance::{ContainerInstance, Status},
        task::{Listed, Progress, Task},
    },
    error::{Error, ErrorClass},
    identifier::TaskArn,
    outcome::EndState,
};

/// When draining that failed is tried again, a list that is too short is asked for again, and what ECS did not know is
/// looked at again.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// When stopping tasks, or deregistering what is empty, is tried again after it failed.
const WRITE_AGAIN: Duration = Duration::from_millis(500);

/// The first pause after a read that failed; it doubles until one succeeds.
const BACKOFF: Duration = Duration::from_millis(500);

/// The longest pause after a read that failed.
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

/// What is known of a container instance under evacuation.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) standalone_tasks: StandaloneTasks,
    pub(super) drained: Drained,
    /// Whether those of its tasks were listed that nobody had begun to stop.
    pub(super) running: List,
    /// Whether those were listed that were being stopped by then.
    pub(super) stopping: List,
    /// Its tasks that have not stopped, as far as they are known.
    pub(super) tasks: BTreeMap<TaskArn, TrackedTask>,
    /// Those that were seen to have stopped.
    over: BTreeSet<TaskArn>,
    /// How many tasks run or are on their way there, by what ECS counts or lists, whatever came last.
    pub(super) counted: usize,
    /// How many of them ECS counted last, and how many tasks were seen to end since then.
    expected: usize,
    ended: usize,
    /// How often lists that show fewer tasks than ECS counts were asked for again, and when that is next.
    pub(super) relisted: u32,
    pub(super) list_after: Instant,
    /// When its tasks were last looked at.
    pub(super) seen: Option<Instant>,
    pub(super) next_look: Instant,
    pub(super) is_being_counted: bool,
    /// Whether ECS did not know it when it was last counted.
    is_missed: bool,
    /// Whether it is being deregistered.
    pub(super) is_leaving: bool,
    /// Changes have failed: none before this time, but what can't wait.
    pub(super) writes_after: Instant,
    pub(super) reading: Backoff,
    pub(super) learning: Backoff,
    /// How many tasks were asked to stop.
    stopped: usize,
    /// Why it could not be looked at, or its tasks could not be stopped.
    denied: Option<Error>,
}

/// Whether it is `DRAINING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drained {
    /// Not before this time; it has been tried if there is one.
    No(Option<Instant>),
    UnderWay,
    Yes,
    /// ECS refuses it; what else can be done is done.
    Refused,
}

/// How far a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    No,
    UnderWay,
    Yes,
}

/// When it is read again after failures.
#[derive(Debug)]
pub(super) struct Backoff {
    pub(super) after: Instant,
    pause: Duration,
}

impl Backoff {
    fn new(now: Instant) -> Self {
        Self { after: now, pause: BACKOFF }
    }

    fn note<T>(&mut self, read: &Result<T, Error>, now: Instant) {
        if read.is_ok() {
            self.pause = BACKOFF;
        } else if self.after <= now {
            // Those that fail together count once.
            self.after = now + self.pause;
            self.pause = LONGEST_BACKOFF.min(self.pause * 2);
        }
    }
}

impl Tracked {
    pub(super) fn new(found: &ContainerInstance, standalone_tasks: StandaloneTasks, now: Instant) -> Self {
        Self {
            standalone_tasks,
            drained: if found.status == Status::Draining { Drained::Yes } else { Drained::No(None) },
            running: List::No,
            stopping: List::No,
            tasks: BTreeMap::new(),
            over: BTreeSet::new(),
            counted: found.tasks(),
            expected: found.tasks(),
            ended: 0,
            relisted: 0,
            list_after: now,
            seen: None,
            next_look: now,
            is_being_counted: false,
            is_missed: false,
            is_leaving: false,
            writes_after: now,
            reading: Backoff::new(now),
            learning: Backoff::new(now),
            stopped: 0,
            denied: None,
        }
    }

    /// Whether nothing is left on it.
    pub(super) fn is_empty(&self) -> bool {
        self.is_listed() && self.tasks.is_empty()
    }

    pub(super) fn is_listed(&self) -> bool {
        self.running == List::Yes && self.stopping == List::Yes && self.missing() == 0
    }

    /// How many tasks ECS counted that lists have not shown: these may lag behind.
    pub(super) fn missing(&self) -> usize {
        let known = self.tasks.values().filter(|task| !task.is_uncounted).count();
        self.expected.saturating_sub(known + self.ended)
    }

    /// Whether it may be empty, or empty but for its daemons.
    pub(super) fn is_nearly_empty(&self) -> bool {
        self.counted <= self.tasks.values().filter(|task| task.is_daemon()).count()
    }

    /// Whether, of what is known, nothing but daemons is left.
    pub(super) fn has_only_daemons(&self) -> bool {
        self.tasks.values().all(TrackedTask::is_daemon)
    }

    /// Records what came of a step. Gives where the container instance ended if someone else was first.
    pub(super) fn record(&mut self, completion: Completion, now: Instant) -> Option<Ended> {
        match completion {
            Completion::Drained(drained) => return self.record_drained(drained, now),
            Completion::Counted(counted) => {
                self.is_being_counted = false;
                if let Some(counted) = self.readable(counted, now) {
                    return self.record_counted(counted.as_ref(), now);
                }
            }
            Completion::ListedRunning(listed) => match self.readable(listed, now) {
                Some(listed) => self.record_running(listed, now),
                None => self.running = List::No,
            },
            Completion::ListedStopping(listed) => match self.readable(listed, now) {
                Some(listed) => self.record_stopping(listed),
                None => self.stopping = List::No,
            },
            Completion::Described(task, described) => match self.readable(described, now) {
                Some(Some(task)) => self.record_task(task, now),
                // It stopped more than an hour ago.
                Some(None) => self.record_end(&task),
                None => {
                    if let Some(task) = self.tasks.get_mut(&task) {
                        (task.is_being_described, task.is_obscure) = (false, task.task.is_none());
                    }
                }
            },
            Completion::StopTimeout(task, read) => {
                self.learning.note(&read, now);
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.stop_timeout = read.map_or(Detail::Unknown, Detail::Known);
                }
            }
            Completion::Daemon(task, read) => {
                self.learning.note(&read, now);
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.is_daemon = read.map_or(Detail::Unknown, Detail::Known);
                }
            }
            Completion::Stopped(task, stopped) => self.record_stopped(&task, stopped, now),
            Completion::Deregistered(Ok(ended)) => return Some(ended),
            Completion::Deregistered(Err(_)) => {
                self.is_leaving = false;
                self.writes_after = now + WRITE_AGAIN;
            }
        }
        None
    }

    fn record_drained(&mut self, drained: Result<Ended, Error>, now: Instant) -> Option<Ended> {
        match drained {
            Ok(ended) if ended.state == EndState::Deregistered => return Some(ended),
            Ok(ended) => {
                self.drained = Drained::Yes;
                if let Some(tasks) = ended.tasks {
                    self.expect(tasks);
                }
            }
            Err(error) if error.is_transient() => self.drained = Drained::No(Some(now + AGAIN)),
            Err(error) => {
                tracing::warn!(%error, "the instance is evacuated without draining");
                self.drained = Drained::Refused;
            }
        }
        None
    }

    fn record_counted(&mut self, counted: Option<&ContainerInstance>, now: Instant) -> Option<Ended> {
        if let Some(counted) = counted.filter(|counted| counted.status != Status::Gone) {
            self.is_missed = false;
            self.expect(counted.tasks());
            if self.missing() > 0 && self.running == List::Yes {
                (self.running, self.stopping) = (List::No, List::No);
            }
            if counted.status == Status::Active && self.drained == Drained::Yes {
                // Someone has undone it.
                self.drained = Drained::No(None);
            }
        } else if counted.is_none() && !self.is_missed {
            // It may not show everywhere.
            self.is_missed = true;
            self.next_look = self.next_look.min(now + AGAIN);
        } else if !self.is_leaving {
            return Some(Ended { state: EndState::Deregistered, is_ours: false, tasks: None });
        }
        None
    }

    fn expect(&mut self, counted: usize) {
        (self.counted, self.expected, self.ended) = (counted, counted, 0);
        for task in self.tasks.values_mut() {
            task.is_uncounted = task.task.as_ref().is_some_and(|task| task.progress != Progress::Running);
        }
    }

    fn record_running(&mut self, listed: Vec<Listed>, now: Instant) {
        for (arn, task) in listed {
            match task {
                Some(task) => self.record_task(task, now),
                None => self.record_listed(arn),
            }
        }
        self.running = List::Yes;
        // As far as is known by now.
        let is_running = |task: &&TrackedTask| task.task.as_ref().is_none_or(|task| task.progress == Progress::Running);
        self.counted = self.tasks.values().filter(is_running).count();
    }

    fn record_stopping(&mut self, listed: Vec<Listed>) {
        for (arn, _) in listed {
            self.record_listed(arn);
        }
        self.stopping = List::Yes;
    }

    fn record_listed(&mut self, task: TaskArn) {
        if !self.over.contains(&task) {
            self.tasks.entry(task).or_default();
        }
    }

    fn record_task(&mut self, task: Task, now: Instant) {
        self.seen = Some(now);
        if task.progress == Progress::Stopped {
            self.record_end(&task.arn);
        } else {
            let tracked = self.tasks.entry(task.arn.clone()).or_default();
            (tracked.task, tracked.is_being_described, tracked.is_obscure) = (Some(task), false, false);
        }
    }

    fn record_end(&mut self, task: &TaskArn) {
        // One that was over when it was first seen may have been so when ECS counted.
        let was_counted = |tracked: TrackedTask| tracked.task.is_some() && !tracked.is_uncounted;
        self.ended += usize::from(self.tasks.remove(task).is_some_and(was_counted));
        self.over.insert(task.clone());
    }

    fn record_stopped(&mut self, task: &TaskArn, stopped: Result<(), Error>, now: Instant) {
        let is_over = !stopped.as_ref().is_err_and(Error::is_transient);
        if let Some(task) = self.tasks.get_mut(task) {
            task.stop = if is_over { StopRequest::Over } else { StopRequest::No };
            if let Some(task) = task.task.as_mut().filter(|_| stopped.is_ok()) {
                task.progress = Progress::Stopping;
            }
        }
        match stopped {
            Ok(()) => self.stopped += 1,
            Err(_) if !is_over => self.writes_after = now + WRITE_AGAIN,
            // It has ended meanwhile, or the role may not stop it.
            Err(error) => self.warn(error),
        }
    }

    /// What was read; what could not be is read later.
    fn readable<T>(&mut self, read: Result<T, Error>, now: Instant) -> Option<T> {
        self.reading.note(&read, now);
        read.map_err(|error| self.warn(error)).ok()
    }

    /// The first of many failures is one to look at.
    fn warn(&mut self, error: Error) {
        if error.is_transient() || self.denied.is_some() {
            tracing::info!(%error, "an evacuation goes on without");
        } else {
            tracing::warn!(%error, "an evacuation goes on without");
        }
        if error.class() == Some(ErrorClass::Denied) {
            self.denied.get_or_insert(error);
        }
    }

    /// How many tasks were stopped, and how many had not gone; or why some could not be stopped.
    pub(super) fn conclude(self, ended: Ended) -> Result<(Ended, usize, usize), Error> {
        let left = self.tasks.len() + self.missing();
        match self.denied {
            Some(denied) if left > 0 && ended.is_ours => Err(denied),
            _ => Ok((ended, self.stopped, left)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn arn<T: TryFrom<String>>(kind: &str, name: &str) -> T
    where
        T::Error: std::fmt::Debug,
    {
        format!("arn:aws:ecs:us-east-1:123456789012:{kind}/web/{name}").try_into().unwrap()
    }

    pub(in super::super) fn container_instance(tasks: i32) -> ContainerInstance {
        ContainerInstance {
            cluster: "web".to_owned().try_into().unwrap(),
            arn: arn("container-instance", "1"),
            instance: "i-1234567890abcdef0".to_owned().try_into().unwrap(),
            status: Status::Draining,
            is_connected: true,
            running_tasks: tasks,
            pending_tasks: 0,
            capacity_provider: None,
            mark: None,
        }
    }

    /// A container instance of which everything is known.
    pub(in super::super) fn tracked(standalone_tasks: StandaloneTasks, tasks: Vec<TrackedTask>) -> Tracked {
        let mut tracked = Tracked::new(&container_instance(0), standalone_tasks, Instant::now());
        for task in tasks {
            tracked.tasks.insert(task.task.as_ref().unwrap().arn.clone(), task);
        }
        tracked.record_running(Vec::new(), Instant::now());
        tracked.stopping = List::Yes;
        tracked
    }

    pub(in super::super) fn task(name: &str, service: Option<&str>, timeout_s: u64, progress: Progress) -> TrackedTask {
        let task = Task {
            arn: arn("task", name),
            container_instance: String::new(),
            progress,
            definition: String::new(),
            service: service.map(str::to_owned),
        };
        TrackedTask {
            task: Some(task),
            stop_timeout: Detail::Known(Duration::from_secs(timeout_s)),
            is_daemon: Detail::Known(false),
            ..TrackedTask::default()
        }
    }

    #[test]
    fn it_is_empty_only_when_everything_is_known_to_have_stopped() {
        let web = |progress| task("web", Some("web"), 30, progress);
        let mut tracked = tracked(StandaloneTasks::Stop, vec![web(Progress::Running)]);
        let now = Instant::now();
        assert!(!tracked.is_empty());
        tracked.record_task(web(Progress::Stopped).task.unwrap(), now);
        assert!(tracked.is_empty());
        tracked.record_listed(arn("task", "web"));
        assert!(tracked.is_empty(), "it is over");
        tracked.stopping = List::No;
        assert!(!tracked.is_empty());
        tracked.stopping = List::Yes;
        assert!(tracked.record_counted(Some(&container_instance(1)), now).is_none());
        assert!(!tracked.is_empty(), "there is one that came later");
        assert_eq!((tracked.running, tracked.stopping), (List::No, List::No));
        tracked.record_running(Vec::new(), now);
        tracked.record_stopping(Vec::new());
        assert!(!tracked.is_empty(), "the lists lag behind");
        assert!(tracked.record_counted(Some(&container_instance(0)), now).is_none());
        assert!(tracked.is_empty(), "and is gone again");
    }

    #[test]
    fn what_ecs_counts_is_missing_until_lists_show_it() {
        let now = Instant::now();
        let web = |name, progress| task(name, Some("web"), 30, progress).task.unwrap();
        let mut tracked = tracked(StandaloneTasks::Stop, vec![]);
        tracked.record_drained(Ok(Ended { state: EndState::Draining, is_ours: true, tasks: Some(2) }), now);
        assert_eq!(tracked.missing(), 2);
        tracked.record_listed(arn("task", "old"));
        tracked.record_task(web("old", Progress::Stopped), now);
        assert_eq!(tracked.missing(), 2, "it had stopped before");
        tracked.record_task(web("one", Progress::Running), now);
        tracked.record_task(web("two", Progress::Stopping), now);
        tracked.record_end(&arn("task", "one"));
        assert_eq!((tracked.missing(), tracked.is_listed()), (0, true));
    }

    #[test]
    fn an_instance_that_is_missed_once_may_only_not_show() {
        let mut tracked = tracked(StandaloneTasks::Stop, vec![]);
        let now = Instant::now();
        let gone = Some(Ended { state: EndState::Deregistered, is_ours: false, tasks: None });
        assert_eq!(tracked.record_counted(None, now), None);
        assert!(tracked.record_counted(Some(&container_instance(1)), now).is_none());
        assert_eq!((tracked.record_counted(None, now), tracked.record_counted(None, now)), (None, gone));
        let inactive = ContainerInstance { status: Status::Gone, ..container_instance(0) };
        assert_eq!(tracked.record_counted(Some(&inactive), now), gone);
    }
}
