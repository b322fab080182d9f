//! The knowledge that an evacuation has of its container instance and tasks.

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
        change::ChangeOutcome,
        container_instance::{ContainerInstance, Status},
        task::{Listed, Progress, Task},
    },
    error::{Error, ErrorClass},
    identifier::TaskArn,
    outcome::EndState,
};

/// The delay before draining is retried, a short list is repeated, and a missing container instance is read again, 1 s.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The delay before stopping tasks, or deregistering an empty instance, is retried, 0.5 s.
const WRITE_RETRY_AFTER: Duration = Duration::from_millis(500);

/// The first backoff after a failed read, 0.5 s; it doubles until a read succeeds.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// The longest backoff after a failed read, 8 s.
const MAX_BACKOFF: Duration = Duration::from_secs(8);

/// A container instance under evacuation, as far as it is known.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) standalone_tasks: StandaloneTasks,
    pub(super) drained: DrainState,
    /// Whether its running tasks have been listed.
    pub(super) running: ListState,
    /// Whether the tasks that were being stopped have been listed.
    pub(super) stopping: ListState,
    /// Its known tasks that have not stopped.
    pub(super) tasks: BTreeMap<TaskArn, TrackedTask>,
    /// The tasks that were seen to have stopped.
    seen_stopped: BTreeSet<TaskArn>,
    /// The number of running or pending tasks by the last count or list.
    pub(super) counted: usize,
    /// The number of tasks that ECS counted last, and the number of tasks that were seen to stop since then.
    expected: usize,
    ended: usize,
    /// How often short lists were repeated, and when the next repetition is allowed.
    pub(super) relisted: u32,
    pub(super) list_after: Instant,
    /// When its tasks were described last.
    pub(super) seen: Option<Instant>,
    pub(super) next_poll: Instant,
    pub(super) is_being_counted: bool,
    /// Whether ECS did not know it at the last count.
    was_missing: bool,
    /// Whether it is being deregistered.
    pub(super) is_deregistering: bool,
    /// The time before which changes are not retried, except urgent ones.
    pub(super) next_write: Instant,
    pub(super) reads_backoff: Backoff,
    pub(super) details_backoff: Backoff,
    /// The number of tasks that were asked to stop.
    stopped: usize,
    /// The first denied read or stop.
    denied: Option<Error>,
}

/// Whether it is `DRAINING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DrainState {
    /// The next attempt is made at this time; at once if there is none.
    Pending(Option<Instant>),
    InFlight,
    Done,
    /// ECS refuses to drain it. The other steps go on.
    Refused,
}

/// The progress of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListState {
    Pending,
    InFlight,
    Done,
}

/// When reads are made again after failures.
#[derive(Debug)]
pub(super) struct Backoff {
    pub(super) after: Instant,
    pause: Duration,
}

impl Backoff {
    fn new(now: Instant) -> Self {
        Self { after: now, pause: FIRST_BACKOFF }
    }

    fn record<T>(&mut self, read: &Result<T, Error>, now: Instant) {
        if read.is_ok() {
            self.pause = FIRST_BACKOFF;
        } else if self.after <= now {
            // Concurrent failures count once.
            self.after = now + self.pause;
            self.pause = MAX_BACKOFF.min(self.pause * 2);
        }
    }
}

impl Tracked {
    pub(super) fn new(found: &ContainerInstance, standalone_tasks: StandaloneTasks, now: Instant) -> Self {
        Self {
            standalone_tasks,
            drained: if found.status == Status::Draining { DrainState::Done } else { DrainState::Pending(None) },
            running: ListState::Pending,
            stopping: ListState::Pending,
            tasks: BTreeMap::new(),
            seen_stopped: BTreeSet::new(),
            counted: found.tasks(),
            expected: found.tasks(),
            ended: 0,
            relisted: 0,
            list_after: now,
            seen: None,
            next_poll: now,
            is_being_counted: false,
            was_missing: false,
            is_deregistering: false,
            next_write: now,
            reads_backoff: Backoff::new(now),
            details_backoff: Backoff::new(now),
            stopped: 0,
            denied: None,
        }
    }

    /// Whether no task is left on it.
    pub(super) fn is_empty(&self) -> bool {
        self.is_listed() && self.tasks.is_empty()
    }

    pub(super) fn is_listed(&self) -> bool {
        self.running == ListState::Done && self.stopping == ListState::Done && self.missing() == 0
    }

    /// The number of tasks that ECS counted but lists, which may lag behind, have not shown.
    pub(super) fn missing(&self) -> usize {
        let known = self.tasks.values().filter(|task| !task.is_uncounted).count();
        self.expected.saturating_sub(known + self.ended)
    }

    /// Whether it may be empty, or have only daemons left.
    pub(super) fn is_nearly_empty(&self) -> bool {
        self.counted <= self.tasks.values().filter(|task| task.is_daemon()).count()
    }

    /// Whether only daemons are left, as far as tasks are known.
    pub(super) fn has_only_daemons(&self) -> bool {
        self.tasks.values().all(TrackedTask::is_daemon)
    }

    /// Records the completion of a step. Returns the state that the container instance reached if the evacuation is
    /// over.
    pub(super) fn record(&mut self, completion: Completion, now: Instant) -> Option<ChangeOutcome> {
        match completion {
            Completion::Drained(drained) => return self.record_drained(drained, now),
            Completion::Counted(counted) => {
                self.is_being_counted = false;
                if let Some(counted) = self.read_or_warn(counted, now) {
                    return self.record_counted(counted.as_ref(), now);
                }
            }
            Completion::ListedRunning(listed) => match self.read_or_warn(listed, now) {
                Some(listed) => self.record_running(listed, now),
                None => self.running = ListState::Pending,
            },
            Completion::ListedStopping(listed) => match self.read_or_warn(listed, now) {
                Some(listed) => self.record_stopping(listed),
                None => self.stopping = ListState::Pending,
            },
            Completion::Described(task, described) => match self.read_or_warn(described, now) {
                Some(Some(task)) => self.record_task(task, now),
                // It stopped more than an hour ago.
                Some(None) => self.record_end(&task),
                None => {
                    if let Some(task) = self.tasks.get_mut(&task) {
                        (task.is_being_described, task.is_undescribable) = (false, task.task.is_none());
                    }
                }
            },
            Completion::StopTimeout(task, read) => {
                self.details_backoff.record(&read, now);
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.stop_timeout = read.map_or(Detail::Unknown, Detail::Known);
                }
            }
            Completion::Daemon(task, read) => {
                self.details_backoff.record(&read, now);
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.is_daemon = read.map_or(Detail::Unknown, Detail::Known);
                }
            }
            Completion::Stopped(task, stopped) => self.record_stopped(&task, stopped, now),
            Completion::Deregistered(Ok(reached)) => return Some(reached),
            Completion::Deregistered(Err(_)) => {
                self.is_deregistering = false;
                self.next_write = now + WRITE_RETRY_AFTER;
            }
        }
        None
    }

    fn record_drained(&mut self, drained: Result<ChangeOutcome, Error>, now: Instant) -> Option<ChangeOutcome> {
        match drained {
            Ok(reached) if reached.state == EndState::Deregistered => return Some(reached),
            Ok(reached) => {
                self.drained = DrainState::Done;
                if let Some(tasks) = reached.tasks {
                    self.expect(tasks);
                }
            }
            Err(error) if error.is_transient() => self.drained = DrainState::Pending(Some(now + RETRY_AFTER)),
            Err(error) => {
                tracing::warn!(%error, "the container instance could not be drained: it is evacuated without");
                self.drained = DrainState::Refused;
            }
        }
        None
    }

    fn record_counted(&mut self, counted: Option<&ContainerInstance>, now: Instant) -> Option<ChangeOutcome> {
        if let Some(counted) = counted.filter(|counted| counted.status != Status::Gone) {
            self.was_missing = false;
            self.expect(counted.tasks());
            if self.missing() > 0 && self.running == ListState::Done {
                (self.running, self.stopping) = (ListState::Pending, ListState::Pending);
            }
            if counted.status == Status::Active && self.drained == DrainState::Done {
                // Someone else set it to `ACTIVE`.
                self.drained = DrainState::Pending(None);
            }
        } else if counted.is_none() && !self.was_missing {
            // ECS is eventually consistent: one miss proves nothing.
            self.was_missing = true;
            self.next_poll = self.next_poll.min(now + RETRY_AFTER);
        } else if !self.is_deregistering {
            return Some(ChangeOutcome { state: EndState::Deregistered, is_ours: false, tasks: None });
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
        self.running = ListState::Done;
        // As far as tasks are known by now.
        let is_running = |task: &&TrackedTask| task.task.as_ref().is_none_or(|task| task.progress == Progress::Running);
        self.counted = self.tasks.values().filter(is_running).count();
    }

    fn record_stopping(&mut self, listed: Vec<TaskArn>) {
        for arn in listed {
            self.record_listed(arn);
        }
        self.stopping = ListState::Done;
    }

    fn record_listed(&mut self, task: TaskArn) {
        if !self.seen_stopped.contains(&task) {
            self.tasks.entry(task).or_default();
        }
    }

    fn record_task(&mut self, task: Task, now: Instant) {
        self.seen = Some(now);
        if task.progress == Progress::Stopped {
            self.record_end(&task.arn);
        } else {
            let tracked = self.tasks.entry(task.arn.clone()).or_default();
            (tracked.task, tracked.is_being_described, tracked.is_undescribable) = (Some(task), false, false);
        }
    }

    fn record_end(&mut self, task: &TaskArn) {
        // A task that had stopped when it was first seen may have stopped before ECS counted.
        let was_counted = |tracked: TrackedTask| tracked.task.is_some() && !tracked.is_uncounted;
        self.ended += usize::from(self.tasks.remove(task).is_some_and(was_counted));
        self.seen_stopped.insert(task.clone());
    }

    fn record_stopped(&mut self, task: &TaskArn, stopped: Result<(), Error>, now: Instant) {
        let is_over = !stopped.as_ref().is_err_and(Error::is_transient);
        if let Some(task) = self.tasks.get_mut(task) {
            task.stop = if is_over { StopRequest::Done } else { StopRequest::NotSent };
            if let Some(task) = task.task.as_mut().filter(|_| stopped.is_ok()) {
                task.progress = Progress::Stopping;
            }
        }
        match stopped {
            Ok(()) => self.stopped += 1,
            Err(_) if !is_over => self.next_write = now + WRITE_RETRY_AFTER,
            // The task has stopped in the meantime, or the role may not stop it.
            Err(error) => self.warn(error),
        }
    }

    /// The value that was read. A failed read is logged, and repeated later.
    fn read_or_warn<T>(&mut self, read: Result<T, Error>, now: Instant) -> Option<T> {
        self.reads_backoff.record(&read, now);
        read.map_err(|error| self.warn(error)).ok()
    }

    /// Only the first denied call is a warning.
    fn warn(&mut self, error: Error) {
        if error.is_transient() || self.denied.is_some() {
            tracing::info!(%error, "a step failed: the evacuation continues");
        } else {
            tracing::warn!(%error, "a step failed: the evacuation continues");
        }
        if error.class() == Some(ErrorClass::Denied) {
            self.denied.get_or_insert(error);
        }
    }

    /// Returns the state that was reached, the number of tasks that were stopped and the number of tasks that were
    /// left; or the error that kept tasks from being stopped.
    pub(super) fn conclude(self, reached: ChangeOutcome) -> Result<(ChangeOutcome, usize, usize), Error> {
        let left = self.tasks.len() + self.missing();
        match self.denied {
            Some(denied) if left > 0 && reached.is_ours => Err(denied),
            _ => Ok((reached, self.stopped, left)),
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

    /// A container instance with these tasks, of which everything is known.
    pub(in super::super) fn tracked(standalone_tasks: StandaloneTasks, tasks: Vec<TrackedTask>) -> Tracked {
        let mut tracked = Tracked::new(&container_instance(0), standalone_tasks, Instant::now());
        for task in tasks {
            tracked.tasks.insert(task.task.as_ref().unwrap().arn.clone(), task);
        }
        tracked.record_running(Vec::new(), Instant::now());
        tracked.stopping = ListState::Done;
        tracked
    }

    pub(in super::super) fn task(name: &str, service: Option<&str>, timeout_s: u64, progress: Progress) -> TrackedTask {
        let task = Task {
            arn: arn("task", name),
            container_instance: String::new(),
            progress,
            definition: String::new(),
            service: service.map(str::to_owned),
            started_by: None,
        };
        TrackedTask {
            task: Some(task),
            stop_timeout: Detail::Known(Duration::from_secs(timeout_s)),
            is_daemon: Detail::Known(false),
            ..TrackedTask::default()
        }
    }

    #[test]
    fn instance_is_empty_only_when_all_tasks_are_known_to_have_stopped() {
        let web = |progress| task("web", Some("web"), 30, progress);
        let mut tracked = tracked(StandaloneTasks::Stop, vec![web(Progress::Running)]);
        let now = Instant::now();
        assert!(!tracked.is_empty());
        tracked.record_task(web(Progress::Stopped).task.unwrap(), now);
        assert!(tracked.is_empty());
        tracked.record_listed(arn("task", "web"));
        assert!(tracked.is_empty(), "it has stopped");
        tracked.stopping = ListState::Pending;
        assert!(!tracked.is_empty());
        tracked.stopping = ListState::Done;
        assert!(tracked.record_counted(Some(&container_instance(1)), now).is_none());
        assert!(!tracked.is_empty(), "a task was placed later");
        assert_eq!((tracked.running, tracked.stopping), (ListState::Pending, ListState::Pending));
        tracked.record_running(Vec::new(), now);
        tracked.record_stopping(Vec::new());
        assert!(!tracked.is_empty(), "the lists lag behind");
        assert!(tracked.record_counted(Some(&container_instance(0)), now).is_none());
        assert!(tracked.is_empty(), "the count is zero again");
    }

    #[test]
    fn counted_tasks_are_missing_until_lists_show_them() {
        let now = Instant::now();
        let web = |name, progress| task(name, Some("web"), 30, progress).task.unwrap();
        let mut tracked = tracked(StandaloneTasks::Stop, vec![]);
        tracked.record_drained(Ok(ChangeOutcome { state: EndState::Draining, is_ours: true, tasks: Some(2) }), now);
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
    fn instance_is_gone_only_after_two_misses() {
        let mut tracked = tracked(StandaloneTasks::Stop, vec![]);
        let now = Instant::now();
        let gone = Some(ChangeOutcome { state: EndState::Deregistered, is_ours: false, tasks: None });
        assert_eq!(tracked.record_counted(None, now), None);
        assert!(tracked.record_counted(Some(&container_instance(1)), now).is_none());
        assert_eq!((tracked.record_counted(None, now), tracked.record_counted(None, now)), (None, gone));
        let inactive = ContainerInstance { status: Status::Gone, ..container_instance(0) };
        assert_eq!(tracked.record_counted(Some(&inactive), now), gone);
    }
}
