//! When an evacuation takes which step. Pure.

use std::{cmp::Reverse, time::Duration};

use tokio::time::Instant;

use super::{
    step::Step,
    tracked::{AGAIN, Drained, List, Tracked},
    tracked_task::{Detail, StopRequest, TrackedTask},
};
use crate::{config::StandaloneTasks, identifier::TaskArn};

/// How long before its end an instance is deregistered, with whatever is left on it.
const DEREGISTERED: Duration = Duration::from_secs(3);

/// How much earlier a task is stopped than its stop timeout and the deregistration ask for: it takes a second or two
/// until its containers get SIGTERM.
const SIGTERM: Duration = Duration::from_secs(5);

/// The most time that is allowed for where more tasks are to be stopped than the quota takes at once: 2,300 of them. With
/// still more, the last ones are late, rather than the first ones far too early.
pub(super) const STOP_RUSH: Duration = Duration::from_mins(1);

/// The same for instances that are to be deregistered: 1,200 of them.
pub(super) const DEREGISTER_RUSH: Duration = Duration::from_secs(30);

/// How long before a task is to be stopped, or an instance deregistered, it is looked at once more.
pub(super) const CHECK: Duration = Duration::from_secs(2);

/// For how long a look at tasks counts.
const FRESH: Duration = Duration::from_secs(5);

/// How long a task waits for its stop timeout and its service to be read, before it is stopped by the default.
const READ: Duration = Duration::from_secs(2);

/// How often lists that show fewer tasks than ECS counts are asked for again at once. After that ECS is asked with each
/// look how many it still counts.
const RELISTED: u32 = 3;

/// From one look to the next: a dozen in two minutes.
const POLL: Duration = Duration::from_secs(10);

/// The same for each cluster: with more than five, looks are rarer, so that they take a call or two a second, 5 to 10 %
/// of their quota.
const POLL_CLUSTER: Duration = Duration::from_secs(2);

/// The most time from one look to the next, apart from what throttling adds; more where it is less for a cluster than
/// [`SHORTEST_POLL_CLUSTER`].
const LONGEST_POLL: Duration = Duration::from_secs(30);
const SHORTEST_POLL_CLUSTER: Duration = Duration::from_millis(200);

/// Times from one look to the next are multiples of 5 s, so that evacuations agree on them.
const POLL_STEP: Duration = Duration::from_secs(5);

/// How long it is tried to deregister what is late from the start.
const LATE: Duration = Duration::from_secs(15);

/// The longest pause, 1 s: what others have announced changes.
const TICK: Duration = Duration::from_secs(1);

/// The shortest one.
const PAUSE: Duration = Duration::from_millis(10);

/// The clock of an evacuation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) started: Instant,
    /// When EC2 ends the instance, less what the answer takes.
    pub(super) ends: Instant,
    /// How long all stops that come together take at the quota.
    pub(super) stop_rush: Duration,
    /// How long all deregistrations that come together take at the quota.
    pub(super) deregister_rush: Duration,
    /// From one look to the next. Looks are taken at multiples of it since `epoch`, so that many share them.
    pub(super) poll: Duration,
    pub(super) epoch: Instant,
}

/// In which order tasks are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    Ordinary,
    /// What collects the logs or carries the traffic of others.
    Daemon,
}

/// A task that is to be stopped.
#[derive(Clone, Copy, Debug)]
struct Stop<'a> {
    task: &'a TaskArn,
    rank: Rank,
    /// How long before the end, apart from any margin; at once if there is nothing.
    before_end: Option<Duration>,
    /// Until when it waits for what is being read of it, if there is time.
    read_by: Option<Instant>,
}

/// From one look to the next, where so many clusters have evacuations and reads are so many times slower than usual.
pub(super) fn poll(clusters: usize, slowness: f64) -> Duration {
    let clusters = u32::try_from(clusters).unwrap_or(u32::MAX);
    let longest = LONGEST_POLL.max(SHORTEST_POLL_CLUSTER * clusters);
    let poll = POLL.max(POLL_CLUSTER * clusters).min(longest).mul_f64(slowness.clamp(1.0, 3.0));
    POLL_STEP.mul_f64((poll.as_secs_f64() / POLL_STEP.as_secs_f64()).ceil())
}

impl Clock {
    /// The steps to take now, the most urgent first, and when there is something to do if nothing comes of them before.
    pub(super) fn tick(&self, tracked: &mut Tracked, now: Instant) -> (Vec<Step>, Instant) {
        let (mut steps, mut wakes) = (Vec::new(), vec![now + TICK]);
        // First, since it decides what is due.
        if tracked.learning.after <= now {
            read_details(tracked, now, &mut steps);
        } else {
            wakes.push(tracked.learning.after);
        }
        self.deregister(tracked, now, &mut steps, &mut wakes);
        if !tracked.is_leaving {
            if tracked.writes_after <= now {
                self.stop(tracked, now, &mut steps, &mut wakes);
            } else {
                wakes.push(tracked.writes_after);
            }
            drain(tracked, now, &mut steps, &mut wakes);
            if tracked.reading.after <= now {
                list(tracked, now, &mut steps, &mut wakes);
                self.describe(tracked, now, &mut steps);
                self.look(tracked, now, &mut steps);
                wakes.push(tracked.next_look);
            } else {
                wakes.push(tracked.reading.after);
            }
        }
        let next = wakes.into_iter().filter(|wake| *wake > now).min().unwrap_or(now + TICK);
        (steps, next.max(now + PAUSE))
    }

    /// What is empty is deregistered, and what has no time left.
    fn deregister(&self, tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>, wakes: &mut Vec<Instant>) {
        if tracked.is_leaving {
            return;
        }
        let at = self.ends.checked_sub(DEREGISTERED + self.deregister_rush).unwrap_or(now);
        // As long as it has tasks, it is looked at before; and deregistered when that is clear.
        wakes.extend([at.checked_sub(CHECK).unwrap_or(now), at]);
        let until = (at <= now).then(|| self.ends.max(self.started + LATE));
        if until.is_some() || tracked.is_empty() && tracked.writes_after <= now {
            tracked.is_leaving = true;
            // The emptiest first.
            let due = self.ends + Duration::from_millis(tracked.tasks.len() as u64);
            steps.push(Step::Deregister { until, due });
        }
    }

    fn stop(&self, tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>, wakes: &mut Vec<Instant>) {
        if let Some(next) = self.next_due(tracked, now) {
            wakes.extend([next.checked_sub(CHECK).unwrap_or(now), next]);
        }
        for (task, due) in self.due(tracked, now) {
            if let Some(task) = tracked.tasks.get_mut(&task) {
                task.stop = StopRequest::UnderWay;
            }
            steps.push(Step::Stop { task, due });
        }
    }

    /// The tasks to stop at this time, in their order, and when each was due. No daemon, as long as another task is due, or
    /// being asked.
    fn due(&self, tracked: &Tracked, now: Instant) -> Vec<(TaskArn, Instant)> {
        let mut due: Vec<_> = stops(tracked, now).filter(|stop| self.due_at(stop, now) <= now).collect();
        let is_asked = |task: &TrackedTask| task.stop == StopRequest::UnderWay && !task.is_daemon();
        if due.iter().any(|stop| stop.rank == Rank::Ordinary) || tracked.tasks.values().any(is_asked) {
            due.retain(|stop| stop.rank == Rank::Ordinary);
        }
        due.sort_by_key(|stop| Reverse(stop.before_end));
        let at = |stop: &Stop| self.ends.checked_sub(stop.before_end.unwrap_or_default()).unwrap_or(now);
        due.iter().map(|stop| (stop.task.clone(), at(stop))).collect()
    }

    /// When the next task is to be stopped.
    fn next_due(&self, tracked: &Tracked, now: Instant) -> Option<Instant> {
        stops(tracked, now).map(|stop| self.due_at(&stop, now)).min()
    }

    /// What should have been done before now is due now. What is being read is waited for, if there is time.
    fn due_at(&self, stop: &Stop, now: Instant) -> Instant {
        let margin = DEREGISTERED + SIGTERM + self.stop_rush;
        let before_end = |time| self.ends.checked_sub(time + margin);
        let read_by = stop.read_by.min(before_end(Duration::ZERO));
        stop.before_end.and_then(before_end).max(read_by).map_or(now, |at| at.max(now))
    }

    /// Describes tasks that are not known, and those that are about to be stopped or left behind.
    fn describe(&self, tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>) {
        let soon = now + CHECK;
        let is_due = self.next_due(tracked, now).is_some_and(|due| due <= soon) || self.ends <= soon + DEREGISTERED;
        let is_checked = is_due && tracked.seen.is_none_or(|seen| seen + FRESH <= now);
        for (arn, task) in &mut tracked.tasks {
            if !task.is_being_described && (task.task.is_none() || is_checked) {
                task.is_being_described = true;
                steps.push(Step::Describe(arn.clone()));
            }
        }
    }

    /// Looks how many tasks ECS counts, and whether someone else has changed the container instance. Where nothing but
    /// the end of known tasks is waited for, these are looked at instead.
    fn look(&self, tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>) {
        if now < tracked.next_look {
            return;
        }
        // The first look comes with the list.
        let is_first = tracked.next_look == self.started;
        tracked.next_look = self.next_look(now);
        if is_first {
            return;
        }
        if tracked.running != List::Yes || !tracked.is_nearly_empty() || tracked.missing() > 0 {
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

    /// The next multiple, unless that comes too soon.
    fn next_look(&self, now: Instant) -> Instant {
        let polls = (now + self.poll / 2 - self.epoch).as_millis() / self.poll.as_millis().max(1) + 1;
        self.epoch + self.poll * u32::try_from(polls).unwrap_or(u32::MAX)
    }
}

fn read_details(tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>) {
    for (arn, task) in &mut tracked.tasks {
        let TrackedTask { task: Some(known), stop_timeout, is_daemon, read_since, .. } = task else { continue };
        read_since.get_or_insert(now);
        if *stop_timeout == Detail::Unknown {
            *stop_timeout = Detail::UnderWay;
            steps.push(Step::ReadStopTimeout { task: arn.clone(), definition: known.definition.clone() });
        }
        if let (Detail::Unknown, Some(service)) = (*is_daemon, &known.service) {
            *is_daemon = Detail::UnderWay;
            steps.push(Step::ReadService { task: arn.clone(), service: service.clone() });
        }
    }
}

fn drain(tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>, wakes: &mut Vec<Instant>) {
    if let Drained::No(after) = tracked.drained {
        if after.is_none_or(|after| after <= now) {
            tracked.drained = Drained::UnderWay;
            steps.push(Step::Drain);
        }
        wakes.extend(after);
    }
}

/// What is being stopped is listed when nothing else is left.
fn list(tracked: &mut Tracked, now: Instant, steps: &mut Vec<Step>, wakes: &mut Vec<Instant>) {
    // What is placed while it is not draining would be missing.
    let is_drained = !matches!(tracked.drained, Drained::No(None) | Drained::UnderWay);
    let is_missing = tracked.missing() > 0;
    match (tracked.running, tracked.stopping) {
        (List::No, _) if tracked.list_after > now => wakes.push(tracked.list_after),
        (List::No, _) if is_drained => {
            tracked.running = List::UnderWay;
            steps.push(Step::ListRunning { counted: tracked.counted });
        }
        (List::Yes, List::No) if tracked.is_nearly_empty() && tracked.has_only_daemons() => {
            tracked.stopping = List::UnderWay;
            steps.push(Step::ListStopping);
        }
        (List::Yes, List::Yes) if is_missing && tracked.relisted < RELISTED => {
            tracked.relisted += 1;
            tracked.list_after = now + AGAIN;
            (tracked.running, tracked.stopping) = (List::No, List::No);
            wakes.push(tracked.list_after);
        }
        _ => {}
    }
}

/// How many tasks there are that may have to be stopped.
pub(super) fn open(tracked: &Tracked, now: Instant) -> usize {
    stops(tracked, now).count()
}

/// The tasks that are still to be stopped, each by its own stop timeout: every second more may be the one in which
/// it is replaced and drained, or ends by itself. Daemons are last: no other task waits for longer than the longest
/// of theirs, and they themselves do not wait when nothing else is left.
fn stops(tracked: &Tracked, now: Instant) -> impl Iterator<Item = Stop<'_>> {
    let leaves = tracked.standalone_tasks == StandaloneTasks::Leave;
    let is_left = move |task: &TrackedTask| leaves && task.may_be_standalone();
    let to_stop = tracked.tasks.iter().filter(move |(_, task)| task.is_open() && !is_left(task));
    let daemons = to_stop.clone().filter(|(_, task)| task.is_daemon());
    let read_by = |task: &TrackedTask| task.unknown_since().map(|since| since + READ);
    let daemons = daemons.filter(|(_, task)| read_by(task).is_none_or(|read_by| read_by <= now));
    let longest = daemons.map(|(_, task)| task.timeout()).max().unwrap_or_default();
    let only_daemons = tracked.is_listed() && tracked.has_only_daemons();
    to_stop.map(move |(arn, task)| {
        if task.is_daemon() {
            let before_end = (!only_daemons).then(|| task.timeout());
            Stop { task: arn, rank: Rank::Daemon, before_end, read_by: before_end.and(read_by(task)) }
        } else {
            let before_end = Some(task.timeout().max(longest));
            Stop { task: arn, rank: Rank::Ordinary, before_end, read_by: read_by(task) }
        }
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

    /// The clock of an instance that ends in so many seconds.
    fn clock(ends_s: u64) -> (Clock, Instant) {
        let epoch = Instant::now();
        let now = epoch + Duration::from_hours(1);
        let ends = now + Duration::from_secs(ends_s);
        let rush = Duration::ZERO;
        (Clock { started: now, ends, stop_rush: rush, deregister_rush: rush, poll: POLL, epoch }, now)
    }

    fn running(name: &str, service: Option<&str>, timeout_s: u64) -> TrackedTask {
        task(name, service, timeout_s, Progress::Running)
    }

    fn daemon(name: &str, timeout_s: u64) -> TrackedTask {
        TrackedTask { is_daemon: Detail::Known(true), ..running(name, Some("logs"), timeout_s) }
    }

    /// The same while its stop timeout is being read.
    fn being_read(task: TrackedTask, since: Instant) -> TrackedTask {
        TrackedTask { stop_timeout: Detail::UnderWay, read_since: Some(since), ..task }
    }

    fn due(tracked: &Tracked, (clock, now): (Clock, Instant)) -> Vec<String> {
        let due = clock.due(tracked, now).into_iter();
        due.map(|(task, _)| task.as_str().rsplit('/').next().unwrap().to_owned()).collect()
    }

    /// Has everything stopped that is due.
    fn stop(tracked: &mut Tracked, (clock, now): (Clock, Instant)) {
        clock.stop(tracked, now, &mut Vec::new(), &mut Vec::new());
        assert!(due(tracked, (clock, now)).is_empty(), "not while others are asked");
        let asked = tracked.tasks.values_mut().filter(|task| task.stop == StopRequest::UnderWay);
        asked.for_each(|task| task.stop = StopRequest::Over);
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
    fn many_stops_that_come_together_begin_earlier() {
        let tracked = tracked(StandaloneTasks::Stop, vec![running("web", Some("web"), 30)]);
        let (clock, now) = clock(50);
        assert!(due(&tracked, (clock, now)).is_empty());
        let rush = Duration::from_secs(12);
        assert_eq!(due(&tracked, (Clock { stop_rush: rush, ..clock }, now)), ["web"]);
    }

    #[test]
    fn a_daemon_is_last_even_with_the_longest_timeout() {
        let tasks = vec![daemon("logs", 90), running("web", Some("web"), 30), running("job", None, 10)];
        let (mut tracked, clock) = (tracked(StandaloneTasks::Stop, tasks), clock(98));
        assert_eq!(due(&tracked, clock), ["job", "web"]);
        stop(&mut tracked, clock);
        assert_eq!(due(&tracked, clock), ["logs"]);
    }

    #[test]
    fn a_daemon_alone_is_stopped_at_once_and_not_before_it_is_known_to_be_alone() {
        let (mut tracked, clock) = (tracked(StandaloneTasks::Stop, vec![daemon("logs", 10)]), clock(100));
        assert_eq!(due(&tracked, clock), ["logs"]);
        assert_eq!(clock.0.next_due(&tracked, clock.1), Some(clock.1));
        tracked.stopping = List::UnderWay;
        assert!(due(&tracked, clock).is_empty());
        tracked.stopping = List::Yes;
        let stopping = task("web", Some("web"), 30, Progress::Stopping);
        tracked.tasks.insert(arn("task", "web"), stopping);
        assert!(due(&tracked, clock).is_empty(), "what is being stopped still logs");
    }

    #[test]
    fn standalone_tasks_may_be_left() {
        let tasks = vec![running("job", None, 20), running("web", Some("web"), 20)];
        assert_eq!(due(&tracked(StandaloneTasks::Leave, tasks), clock(1)), ["web"]);
    }

    #[test]
    fn what_waits_for_a_load_balancer_is_stopped_by_its_own_timeout() {
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
        assert_eq!((clock.0.next_due(&tracked, clock.1), open(&tracked, clock.1)), (None, 0));
    }

    #[test]
    fn what_can_not_be_described_is_stopped_by_the_default_timeout() {
        let mut tracked = tracked(StandaloneTasks::Stop, vec![]);
        let (clock, now) = clock(60);
        tracked.tasks.insert(arn("task", "web"), TrackedTask::default());
        assert_eq!(clock.next_due(&tracked, now), None, "it is described first");
        tracked.tasks.values_mut().for_each(|task| task.is_obscure = true);
        assert_eq!(clock.next_due(&tracked, now), Some(now + Duration::from_secs(60 - 38)));
        tracked.standalone_tasks = StandaloneTasks::Leave;
        assert_eq!(clock.next_due(&tracked, now), None, "it may be a standalone one");
    }

    #[test]
    fn lists_that_lag_behind_are_asked_for_again_but_not_without_end() {
        let (clock, now) = clock(100);
        let mut tracked = Tracked::new(&container_instance(1), StandaloneTasks::Stop, now);
        let mut listed = Vec::new();
        for second in 0..9 {
            let now = now + Duration::from_secs(second);
            // Until nothing more comes of it: the answers come at once.
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
        clock.look(&mut tracked, now + Duration::from_secs(70), &mut steps);
        assert!(steps.is_empty(), "the first look comes with the list");
        clock.look(&mut tracked, now + Duration::from_secs(80), &mut steps);
        assert!(matches!(steps[..], [Step::Count]), "{steps:?}");
    }

    #[test]
    fn what_is_being_read_is_waited_for_if_there_is_time() {
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
    fn a_daemon_that_is_being_read_hurries_nobody_until_it_is_due_itself() {
        let (clock, now) = clock(30);
        let daemon = being_read(daemon("logs", 10), now);
        let tracked = tracked(StandaloneTasks::Stop, vec![daemon, running("job", None, 10)]);
        assert!(due(&tracked, (clock, now)).is_empty());
        assert_eq!(clock.next_due(&tracked, now), Some(now + READ));
        assert_eq!(due(&tracked, (clock, now + READ)), ["job"]);
    }

    #[test]
    fn looks_come_together_and_rarer_with_many_clusters_or_throttling() {
        for (clusters, slowness, expected) in
            [(1, 1.0, 10), (5, 1.0, 10), (6, 1.0, 15), (20, 1.0, 30), (400, 1.0, 80), (1, 1.2, 15), (1, 9.0, 30)]
        {
            assert_eq!(poll(clusters, slowness).as_secs(), expected, "{clusters} {slowness}");
        }
        let (clock, now) = clock(120);
        let after = |s: u64| clock.next_look(now + Duration::from_secs(s)) - now;
        assert_eq!([after(0), after(4), after(6), after(10)].map(|at| at.as_secs()), [10, 10, 20, 20]);
    }

    proptest! {
        /// Whoever sleeps until something is due finds it due, and nothing before.
        #[test]
        fn the_next_is_due_when_it_is_said_to_be(
            ends_s in 0..200_u64,
            timeouts in prop::collection::vec((0..150_u64, 0..4_u8, prop::option::of(0..4_u64)), 0..6),
            stopping in prop::sample::select(vec![List::UnderWay, List::Yes]),
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
