//! The schedule of an evacuation: which steps are due at a time. Pure.

use std::{cmp::Reverse, time::Duration};

use tokio::time::Instant;

use super::{
    step::Step,
    tracked::{DrainState, ListState, RETRY_AFTER, Tracked},
    tracked_task::{Detail, StopRequest, TrackedTask},
};
use crate::{config::StandaloneTasks, identifier::TaskArn};

/// How long before its end an instance is deregistered, 3 s, whatever is left on it.
const DEREGISTER_BEFORE: Duration = Duration::from_secs(3);

/// How much earlier a task is stopped than its stop timeout and the deregistration require, 5 s: it takes a second or
/// two until its containers get SIGTERM.
const SIGTERM_DELAY: Duration = Duration::from_secs(5);

/// The most time that is allowed for stopping more tasks than the quota admits at once, 1 min: enough for 2,300 tasks.
/// If there are still more, the last tasks are stopped late, rather than the first ones far too early.
pub(super) const MAX_STOP_BACKLOG: Duration = Duration::from_mins(1);

/// The same for deregistrations, 30 s: enough for 1,200 instances.
pub(super) const MAX_DEREGISTER_BACKLOG: Duration = Duration::from_secs(30);

/// How long before a stop or a deregistration tasks are described once more, 2 s.
pub(super) const CHECK: Duration = Duration::from_secs(2);

/// How long a description of tasks is relied on, 5 s.
const SEEN_FOR: Duration = Duration::from_secs(5);

/// How long a task waits for its stop timeout and its service to be read, 2 s, before the default stop timeout is used.
const DETAILS_TIMEOUT: Duration = Duration::from_secs(2);

/// How often lists that show fewer tasks than ECS counts are repeated at once. After that, each poll reads the count.
const MAX_RELISTS: u32 = 3;

/// The interval between polls, 10 s: a dozen in two minutes.
const POLL: Duration = Duration::from_secs(10);

/// The interval between polls for each cluster, 2 s: with more than five clusters polls are rarer, so that they take
/// one or two calls a second, 5 to 10 % of their quota.
const POLL_CLUSTER: Duration = Duration::from_secs(2);

/// The longest interval between polls, apart from what throttling adds. It is longer where it would be less than
/// [`MIN_POLL_CLUSTER`] for each cluster.
const MAX_POLL: Duration = Duration::from_secs(30);
const MIN_POLL_CLUSTER: Duration = Duration::from_millis(200);

/// Intervals are multiples of 5 s, so that evacuations poll at the same times.
const POLL_STEP: Duration = Duration::from_secs(5);

/// How long the deregistration of an instance whose end has passed is retried, 15 s.
const LATE_DEREGISTRATION: Duration = Duration::from_secs(15);

/// The longest sleep, 1 s: the announcements of other evacuations change.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// The shortest sleep, 10 ms.
const MIN_SLEEP: Duration = Duration::from_millis(10);

/// The clock of an evacuation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) started: Instant,
    /// When EC2 ends the instance, less the margin for the answer.
    pub(super) ends: Instant,
    /// The time that all coinciding stops, and the deregistrations after them, take at the quota.
    pub(super) stop_backlog: Duration,
    /// The time that all coinciding deregistrations take at the quota.
    pub(super) deregister_backlog: Duration,
    /// The interval between polls. Polls are made at multiples of it since `epoch`, so that evacuations share them.
    pub(super) poll_interval: Duration,
    pub(super) epoch: Instant,
}

/// A task that is to be stopped.
#[derive(Clone, Copy, Debug)]
struct PlannedStop<'a> {
    task: &'a TaskArn,
    /// Whether it may collect the logs or carry the traffic of other tasks.
    is_daemon: bool,
    timeout: Duration,
    /// How long before the end it is to be stopped, without margins; at once if `None`.
    before_end: Option<Duration>,
    /// Until when it waits for details that are being read, if there is time.
    read_by: Option<Instant>,
}

/// The interval between polls, by the number of clusters with evacuations and the slowdown of reads.
pub(super) fn poll_interval(clusters: usize, slowdown: f64) -> Duration {
    let clusters = u32::try_from(clusters).unwrap_or(u32::MAX);
    let longest = MAX_POLL.max(MIN_POLL_CLUSTER * clusters);
    let poll = POLL.max(POLL_CLUSTER * clusters).min(longest).mul_f64(slowdown.clamp(1.0, 3.0));
    POLL_STEP.mul_f64((poll.as_secs_f64() / POLL_STEP.as_secs_f64()).ceil())
}

impl Clock {
    /// Returns the steps that are due, the most urgent first, and the time of the next tick if no step completes
    /// before.
    pub(super) fn tick(&self, tracked: &mut Tracked, now: Instant) -> (Vec<Step>, Instant) {
        let (mut steps, mut wakes) = (Vec::new(), vec![now + MAX_SLEEP]);
        // The details come first, since they decide what is due.
        if tracked.details_backoff.after <= now {
            read_details(tracked, now, &mut steps);
        } else {
            wakes.push(tracked.details_backoff.after);
        }
        self.deregister(tracked, now, &mut steps, &mut wakes);
        if !tracked.is_deregistering {
            if tracked.next_write <= now {
                self.stop(tracked, now, &mut steps, &mut wakes);
            } else {
                wakes.push(tracked.next_write);
            }
            drain(tracked, now, &mut steps, &mut wakes);
            if tracked.reads_backoff.after <= now {
                list(tracked, now, &mut steps, &mut wakes);
                self.describe(tracked, now, &mut steps);
                self.poll_tasks(tracked, now, &mut steps);
                wakes.push(tracked.next_poll);
            } else {
                wakes.push(tracked.reads_backoff.after);
            }
        }
        let next = wakes.into_iter().filter(|wake| *wake > now).min().unwrap_or(now + MAX_SLEEP);
        (steps, next.max(now + MIN_SLEEP))
    }

    /// Deregisters an instance that is empty or out of time.
    fn deregister(&self, tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>, wakes: &mut Vec<Instant>) {
        if tracked.is_deregistering {
            return;
        }
        let at = self.ends.checked_sub(DEREGISTER_BEFORE + self.deregister_backlog).unwrap_or(now);
        // The clock wakes before that time, to describe the tasks that are left.
        wakes.extend([at.checked_sub(CHECK).unwrap_or(now), at]);
        let until = (at <= now).then(|| self.ends.max(self.started + LATE_DEREGISTRATION));
        if until.is_some() || tracked.is_empty() && tracked.next_write <= now {
            tracked.is_deregistering = true;
            // Instances with fewer tasks go first.
            let due = self.ends + Duration::from_millis(tracked.tasks.len() as u64);
            steps.push(Step::Deregister { until, due });
        }
    }

    fn stop(&self, tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>, wakes: &mut Vec<Instant>) {
        if let Some(next) = self.next_due(tracked, now) {
            wakes.extend([next.checked_sub(CHECK).unwrap_or(now), next]);
        }
        for (task, due) in self.due(tracked, now) {
            let Some(known) = tracked.tasks.get_mut(&task) else { continue };
            known.stop = StopRequest::InFlight;
            let may_be_standalone = known.may_be_standalone();
            steps.push(Step::Stop { task, due, may_be_standalone });
        }
    }

    /// The tasks that are due, in the order in which they are stopped, and the time at which each was due. No daemon is
    /// due while another task is due or being stopped, unless its own time would run out.
    fn due(&self, tracked: &Tracked, now: Instant) -> Vec<(TaskArn, Instant)> {
        let mut due: Vec<_> = stops(tracked, now).filter(|stop| self.due_at(stop, now) <= now).collect();
        let is_being_stopped = |task: &TrackedTask| task.stop == StopRequest::InFlight && !task.is_daemon();
        if due.iter().any(|stop| !stop.is_daemon) {
            due.retain(|stop| !stop.is_daemon);
        } else if tracked.tasks.values().any(is_being_stopped) {
            let margin = DEREGISTER_BEFORE + self.deregister_backlog + SIGTERM_DELAY / 2;
            due.retain(|stop| self.ends <= now + stop.timeout + margin);
        }
        due.sort_by_key(|stop| Reverse(stop.before_end));
        let at = |stop: &PlannedStop| self.ends.checked_sub(stop.before_end.unwrap_or_default()).unwrap_or(now);
        due.iter().map(|stop| (stop.task.clone(), at(stop))).collect()
    }

    /// The time at which the next task is due.
    fn next_due(&self, tracked: &Tracked, now: Instant) -> Option<Instant> {
        stops(tracked, now).map(|stop| self.due_at(&stop, now)).min()
    }

    /// The time at which a task is due; at the earliest `now`. Details that are being read are waited for, if there is
    /// time.
    fn due_at(&self, stop: &PlannedStop, now: Instant) -> Instant {
        let margin = DEREGISTER_BEFORE + SIGTERM_DELAY + self.stop_backlog;
        let before_end = |time| self.ends.checked_sub(time + margin);
        let read_by = stop.read_by.min(before_end(Duration::ZERO));
        stop.before_end.and_then(before_end).max(read_by).map_or(now, |at| at.max(now))
    }

    /// Describes unknown tasks, and tasks that are about to be stopped or left behind.
    fn describe(&self, tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>) {
        let soon = now + CHECK;
        let is_due =
            self.next_due(tracked, now).is_some_and(|due| due <= soon) || self.ends <= soon + DEREGISTER_BEFORE;
        let is_checked = is_due && tracked.seen.is_none_or(|seen| seen + SEEN_FOR <= now);
        for (arn, task) in &mut tracked.tasks {
            if !task.is_being_described && (task.task.is_none() || is_checked) {
                task.is_being_described = true;
                steps.push(Step::Describe(arn.clone()));
            }
        }
    }

    /// Reads how many tasks ECS counts, and whether someone else has changed the container instance. If only known
    /// tasks are left to stop, these are described instead.
    fn poll_tasks(&self, tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>) {
        if now < tracked.next_poll {
            return;
        }
        // The list stands in for the first poll.
        let is_first = tracked.next_poll == self.started;
        tracked.next_poll = self.next_poll(now);
        if is_first {
            return;
        }
        if tracked.running != ListState::Done || !tracked.is_nearly_empty() || tracked.missing() > 0 {
            if !std::mem::replace(&mut tracked.is_being_counted, true) {
                steps.push(Step::Count);
            }
            return;
        }
        for (arn, task) in tracked.tasks.iter_mut().filter(|(_, task)| !task.is_being_described) {
            task.is_being_described = true;
            steps.push(Step::Describe(arn.clone()));
        }
    }

    /// The next multiple of the interval that is not too soon.
    fn next_poll(&self, now: Instant) -> Instant {
        let polls = (now + self.poll_interval / 2 - self.epoch).as_millis() / self.poll_interval.as_millis().max(1) + 1;
        self.epoch + self.poll_interval * u32::try_from(polls).unwrap_or(u32::MAX)
    }
}

fn read_details(tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>) {
    for (arn, task) in &mut tracked.tasks {
        let TrackedTask { task: Some(known), stop_timeout, is_daemon, read_since, .. } = task else { continue };
        read_since.get_or_insert(now);
        if *stop_timeout == Detail::Unknown {
            *stop_timeout = Detail::InFlight;
            let (definition, is_standalone) = (known.definition.clone(), known.service.is_none());
            steps.push(Step::ReadStopTimeout { task: arn.clone(), definition, is_standalone });
        }
        if let (Detail::Unknown, Some(service)) = (*is_daemon, &known.service) {
            *is_daemon = Detail::InFlight;
            steps.push(Step::ReadService { task: arn.clone(), service: service.clone() });
        }
    }
}

fn drain(tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>, wakes: &mut Vec<Instant>) {
    if let DrainState::Pending(after) = tracked.drained {
        if after.is_none_or(|after| after <= now) {
            tracked.drained = DrainState::InFlight;
            steps.push(Step::Drain);
        }
        wakes.extend(after);
    }
}

/// Lists running tasks, and the tasks that are being stopped once nothing else is left.
fn list(tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>, wakes: &mut Vec<Instant>) {
    // Tasks that are placed until the instance is `DRAINING` would be missing.
    let is_drained = !matches!(tracked.drained, DrainState::Pending(None) | DrainState::InFlight);
    let is_missing = tracked.missing() > 0;
    match (tracked.running, tracked.stopping) {
        (ListState::Pending, _) if tracked.list_after > now => wakes.push(tracked.list_after),
        (ListState::Pending, _) if is_drained => {
            tracked.running = ListState::InFlight;
            steps.push(Step::ListRunning { counted: tracked.counted });
        }
        (ListState::Done, ListState::Pending) if tracked.is_nearly_empty() && tracked.has_only_daemons() => {
            tracked.stopping = ListState::InFlight;
            steps.push(Step::ListStopping);
        }
        (ListState::Done, ListState::Done) if is_missing && tracked.relisted < MAX_RELISTS => {
            tracked.relisted += 1;
            tracked.list_after = now + RETRY_AFTER;
            (tracked.running, tracked.stopping) = (ListState::Pending, ListState::Pending);
            wakes.push(tracked.list_after);
        }
        _ => {}
    }
}

/// The number of tasks that may have to be stopped.
pub(super) fn open_stops(tracked: &Tracked, now: Instant) -> usize {
    stops(tracked, now).count()
}

/// The tasks that are still to be stopped, each as late as its stop timeout allows: with more time, a task may be
/// replaced and drained, or end by itself. Daemons come last: other tasks are stopped early enough for the longest stop
/// timeout of a daemon, and daemons are stopped at once when nothing else is left.
fn stops(tracked: &Tracked, now: Instant) -> impl Iterator<Item = PlannedStop<'_>> {
    let leaves = tracked.standalone_tasks == StandaloneTasks::Leave;
    let is_left = move |task: &TrackedTask| leaves && task.may_be_standalone();
    let to_stop = tracked.tasks.iter().filter(move |(_, task)| task.is_open() && !is_left(task));
    let daemons = to_stop.clone().filter(|(_, task)| task.is_daemon());
    let read_by = |task: &TrackedTask| task.unknown_since().map(|since| since + DETAILS_TIMEOUT);
    let daemons = daemons.filter(|(_, task)| read_by(task).is_none_or(|read_by| read_by <= now));
    let longest = daemons.map(|(_, task)| task.timeout()).max().unwrap_or_default();
    let only_daemons = tracked.is_listed() && tracked.has_only_daemons();
    to_stop.map(move |(arn, task)| {
        let is_daemon = task.is_daemon();
        let least = if is_daemon { Duration::ZERO } else { longest };
        let before_end = (!only_daemons).then(|| task.timeout().max(least));
        let (timeout, read_by) = (task.timeout(), before_end.and(read_by(task)));
        PlannedStop { task: arn, is_daemon, timeout, before_end, read_by }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            step::Completion,
            tracked::tests::{arn, container_instance, task, tracked},
        },
        *,
    };
    use crate::ecs::task::Progress;

    /// The clock of an instance that ends in this many seconds.
    fn clock(ends_s: u64) -> (Clock, Instant) {
        let epoch = Instant::now();
        let now = epoch + Duration::from_hours(1);
        let ends = now + Duration::from_secs(ends_s);
        let backlog = Duration::ZERO;
        (
            Clock {
                started: now,
                ends,
                stop_backlog: backlog,
                deregister_backlog: backlog,
                poll_interval: POLL,
                epoch,
            },
            now,
        )
    }

    fn running(name: &str, service: Option<&str>, timeout_s: u64) -> TrackedTask {
        task(name, service, timeout_s, Progress::Running)
    }

    fn daemon(name: &str, timeout_s: u64) -> TrackedTask {
        TrackedTask { is_daemon: Detail::Known(true), ..running(name, Some("logs"), timeout_s) }
    }

    /// The same task while its stop timeout is being read.
    fn being_read(task: TrackedTask, since: Instant) -> TrackedTask {
        TrackedTask { stop_timeout: Detail::InFlight, read_since: Some(since), ..task }
    }

    fn due(tracked: &Tracked, (clock, now): (Clock, Instant)) -> Vec<String> {
        let due = clock.due(tracked, now).into_iter();
        due.map(|(task, _)| task.as_str().rsplit('/').next().unwrap().to_owned()).collect()
    }

    /// Stops everything that is due.
    fn stop(tracked: &mut Tracked, (clock, now): (Clock, Instant)) {
        clock.stop(tracked, now, &mut Vec::new(), &mut Vec::new());
        assert!(due(tracked, (clock, now)).is_empty(), "a daemon waits until the others are stopped");
        let asked = tracked.tasks.values_mut().filter(|task| task.stop == StopRequest::InFlight);
        asked.for_each(|task| task.stop = StopRequest::Done);
    }

    #[test]
    fn each_task_is_due_by_its_own_stop_timeout() {
        for (left, expected) in [
            (118, &["long"][..]),
            (69, &["long"]),
            (68, &["long", "api"]),
            (39, &["long", "api"]),
            (38, &["long", "api", "web"]),
            (28, &["long", "api", "web", "job"]),
            (18, &["long", "api", "web", "job"]),
        ] {
            let tasks = vec![
                running("web", Some("web"), 30),
                running("api", Some("api"), 60),
                running("job", None, 20),
                running("long", None, 115),
                daemon("logs", 10),
            ];
            assert_eq!(due(&tracked(StandaloneTasks::Stop, tasks), clock(left)), expected, "{left} s left");
        }
    }

    #[test]
    fn backlog_of_stops_begins_earlier() {
        let tracked = tracked(StandaloneTasks::Stop, vec![running("web", Some("web"), 30)]);
        let (clock, now) = clock(50);
        assert!(due(&tracked, (clock, now)).is_empty());
        let backlog = Duration::from_secs(12);
        assert_eq!(due(&tracked, (Clock { stop_backlog: backlog, ..clock }, now)), ["web"]);
    }

    #[test]
    fn daemon_is_stopped_last_even_with_the_longest_timeout() {
        let tasks = vec![daemon("logs", 90), running("web", Some("web"), 30), running("job", None, 10)];
        let (mut tracked, clock) = (tracked(StandaloneTasks::Stop, tasks), clock(98));
        assert_eq!(due(&tracked, clock), ["job", "web"]);
        stop(&mut tracked, clock);
        assert_eq!(due(&tracked, clock), ["logs"]);
    }

    #[test]
    fn daemon_does_not_wait_longer_for_other_tasks_than_its_own_timeout_allows() {
        let tasks = vec![daemon("logs", 30), running("job", None, 60)];
        let mut tracked = tracked(StandaloneTasks::Stop, tasks);
        let hanging = tracked.tasks.values_mut().filter(|task| !task.is_daemon());
        hanging.for_each(|task| task.stop = StopRequest::InFlight);
        assert!(due(&tracked, clock(36)).is_empty());
        assert_eq!(due(&tracked, clock(35)), ["logs"]);
    }

    #[test]
    fn daemon_is_stopped_at_once_when_it_is_known_to_be_the_only_task() {
        let (mut tracked, clock) = (tracked(StandaloneTasks::Stop, vec![daemon("logs", 10)]), clock(100));
        assert_eq!(due(&tracked, clock), ["logs"]);
        assert_eq!(clock.0.next_due(&tracked, clock.1), Some(clock.1));
        tracked.stopping = ListState::InFlight;
        assert!(due(&tracked, clock).is_empty());
        tracked.stopping = ListState::Done;
        let stopping = task("web", Some("web"), 30, Progress::Stopping);
        tracked.tasks.insert(arn("task", "web"), stopping);
        assert!(due(&tracked, clock).is_empty(), "a stopping task still writes logs");
    }

    #[test]
    fn standalone_tasks_are_left_if_configured() {
        let tasks = vec![running("job", None, 20), running("web", Some("web"), 20)];
        assert_eq!(due(&tracked(StandaloneTasks::Leave, tasks), clock(1)), ["web"]);
    }

    #[test]
    fn deactivating_task_is_stopped_by_its_own_timeout() {
        for (left, expected) in [(39, &[][..]), (38, &["web"])] {
            let waiting = task("web", Some("web"), 30, Progress::Deactivating);
            assert_eq!(due(&tracked(StandaloneTasks::Stop, vec![waiting]), clock(left)), expected);
        }
    }

    #[test]
    fn no_task_is_stopped_twice() {
        let tasks = vec![task("web", Some("web"), 30, Progress::Stopping), running("job", None, 30)];
        let (mut tracked, clock) = (tracked(StandaloneTasks::Stop, tasks), clock(5));
        assert_eq!(due(&tracked, clock), ["job"]);
        stop(&mut tracked, clock);
        assert!(due(&tracked, clock).is_empty());
        assert_eq!((clock.0.next_due(&tracked, clock.1), open_stops(&tracked, clock.1)), (None, 0));
    }

    #[test]
    fn task_without_description_is_stopped_by_the_default_timeout() {
        let mut tracked = tracked(StandaloneTasks::Stop, vec![]);
        let (clock, now) = clock(60);
        tracked.tasks.insert(arn("task", "web"), TrackedTask::default());
        assert_eq!(clock.next_due(&tracked, now), None, "the task is described first");
        tracked.tasks.values_mut().for_each(|task| task.is_undescribable = true);
        assert_eq!(clock.next_due(&tracked, now), Some(now + Duration::from_secs(60 - 38)));
        tracked.standalone_tasks = StandaloneTasks::Leave;
        assert_eq!(clock.next_due(&tracked, now), None, "it may be a standalone task");
    }

    #[test]
    fn lagging_lists_are_repeated_a_limited_number_of_times() {
        let (clock, now) = clock(100);
        let mut tracked = Tracked::new(&container_instance(1), StandaloneTasks::Stop, now);
        let mut listed = Vec::new();
        for second in 0..9 {
            let now = now + Duration::from_secs(second);
            // Until no step is due: the answers come at once.
            loop {
                let mut steps = Vec::new();
                list(&mut tracked, now, &mut steps, &mut Vec::new());
                let Some(step) = steps.pop() else { break };
                listed.push(second);
                let completion = match step {
                    Step::ListRunning { .. } => Completion::ListedRunning(Ok(Vec::new())),
                    step => {
                        assert!(matches!(step, Step::ListStopping), "{step:?}");
                        Completion::ListedStopping(Ok(Vec::new()))
                    }
                };
                assert_eq!(tracked.record(completion, now), None);
            }
            assert!(!tracked.is_empty());
        }
        assert_eq!(listed, [0, 0, 1, 1, 2, 2, 3, 3]);
        let mut steps = Vec::new();
        clock.poll_tasks(&mut tracked, now + Duration::from_secs(70), &mut steps);
        assert!(steps.is_empty(), "the list stands in for the first poll");
        clock.poll_tasks(&mut tracked, now + Duration::from_secs(80), &mut steps);
        assert!(matches!(steps[..], [Step::Count]), "{steps:?}");
    }

    #[test]
    fn details_are_waited_for_while_there_is_time() {
        for (left, read_s, expected) in [
            (38, 0, &[][..]),
            (38, 1, &[]),
            (38, 2, &["job"]),
            (20, 0, &[]),
            (20, 2, &["job"]),
            (8, 0, &["job", "web"]),
        ] {
            let (clock, now) = clock(left);
            let job = being_read(running("job", None, 10), now - Duration::from_secs(read_s));
            let tracked = tracked(StandaloneTasks::Stop, vec![job, running("web", Some("web"), 0)]);
            assert_eq!(due(&tracked, (clock, now)), expected, "{left} {read_s}");
        }
    }

    #[test]
    fn daemon_without_known_timeout_does_not_hasten_other_tasks() {
        let (clock, now) = clock(30);
        let daemon = being_read(daemon("logs", 10), now);
        let tracked = tracked(StandaloneTasks::Stop, vec![daemon, running("job", None, 10)]);
        assert!(due(&tracked, (clock, now)).is_empty());
        assert_eq!(clock.next_due(&tracked, now), Some(now + DETAILS_TIMEOUT));
        assert_eq!(due(&tracked, (clock, now + DETAILS_TIMEOUT)), ["job"]);
    }

    #[test]
    fn polls_coincide_and_are_rarer_with_many_clusters_or_throttling() {
        for (clusters, slowdown, expected) in
            [(1, 1.0, 10), (5, 1.0, 10), (6, 1.0, 15), (20, 1.0, 30), (400, 1.0, 80), (1, 1.2, 15), (1, 9.0, 30)]
        {
            assert_eq!(poll_interval(clusters, slowdown).as_secs(), expected, "{clusters} {slowdown}");
        }
        let (clock, now) = clock(120);
        let after = |s: u64| clock.next_poll(now + Duration::from_secs(s)) - now;
        assert_eq!([after(0), after(4), after(6), after(10)].map(|at| at.as_secs()), [10, 10, 20, 20]);
    }

    proptest! {
        /// A task is due at the announced time, and not before.
        #[test]
        fn next_task_is_due_at_the_announced_time(
            ends_s in 0..200_u64,
            timeouts in prop::collection::vec((0..150_u64, 0..4_u8, prop::option::of(0..4_u64)), 0..6),
            stopping in prop::sample::select(vec![ListState::InFlight, ListState::Done]),
        ) {
            let (clock, now) = clock(ends_s);
            let tasks = timeouts.into_iter().enumerate().map(|(n, (timeout, kind, reading_s))| {
                let task = match kind {
                    0 => running(&n.to_string(), None, timeout),
                    1 => daemon(&n.to_string(), timeout),
                    2 => task(&n.to_string(), Some("web"), timeout, Progress::Deactivating),
                    _ => running(&n.to_string(), Some("web"), timeout),
                };
                match reading_s {
                    Some(s) => being_read(task, now - Duration::from_secs(s)),
                    None => task,
                }
            });
            let mut tracked = tracked(StandaloneTasks::Stop, tasks.collect());
            tracked.stopping = stopping;
            match clock.next_due(&tracked, now) {
                None => prop_assert!(tracked.tasks.is_empty()),
                Some(at) => {
                    prop_assert!(!clock.due(&tracked, at).is_empty());
                    prop_assert!(at == now || clock.due(&tracked, at - Duration::from_millis(1)).is_empty());
                }
            }
        }
    }
}
