//! The pods of a node while it is drained.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::clock::{Clock, State, Step};
use crate::{
    eks::{eviction::Eviction, pod::Pod},
    error::Error,
};

/// The shortest time between two evictions of a blocked pod, 1 s, and the most that chance adds, 1 s.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const JITTER: Duration = Duration::from_secs(1);

/// What became of a node's pods.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    pub(crate) evicted: usize,
    pub(crate) deleted: usize,
    /// Pods that were not asked to stop, by namespace and name.
    pub(crate) left: Vec<String>,
    /// Why a request failed for good.
    pub(crate) error: Option<Error>,
}

/// A completed request, with the pod's uid.
#[derive(Debug)]
pub(super) enum Completion {
    Evicted(String, Result<Eviction, Error>),
    Deleted(String, Result<bool, Error>),
    Read(Result<Vec<Pod>, Error>),
}

/// What to do for a pod, or for the node if there is none.
pub(super) type PodStep = (Option<Arc<Pod>>, Step);

/// The pods of a node, and what became of them.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    pods: BTreeMap<String, TrackedPod>,
    evicted: usize,
    deleted: usize,
    /// When the pods are read again.
    next_read: Option<Instant>,
    /// Whether they are being read.
    is_reading: bool,
}

#[derive(Debug)]
struct TrackedPod {
    pod: Arc<Pod>,
    state: State,
    /// Why a request for it failed, if that has not been made up for.
    error: Option<Error>,
}

impl Tracked {
    pub(super) fn new(pods: Vec<Pod>) -> Self {
        let mut tracked = Self::default();
        tracked.add(pods);
        tracked
    }

    fn add(&mut self, pods: impl IntoIterator<Item = Pod>) {
        for pod in pods.into_iter().filter(Pod::is_to_be_evicted) {
            let uid = pod.metadata.uid.clone();
            self.pods.entry(uid).or_insert_with(|| TrackedPod { pod: Arc::new(pod), state: State::Due, error: None });
        }
    }

    /// The steps that are due, and when to look again. A step without a pod concerns the node.
    pub(super) fn tick(&mut self, clock: &Clock, now: Instant) -> (Vec<PodStep>, Instant) {
        let (mut steps, mut wakes) = (Vec::new(), now + RETRY_AFTER + JITTER);
        for tracked in self.pods.values_mut() {
            match clock.step(&tracked.state, tracked.pod.grace(), now) {
                Step::Wait(until) => wakes = wakes.min(until),
                Step::Leave => tracked.state = State::Left,
                step => {
                    tracked.state = match &step {
                        Step::Evict { sent, .. } => State::Evicting { since: now, sent: Arc::clone(sent) },
                        _ => State::Deleting,
                    };
                    steps.push((Some(Arc::clone(&tracked.pod)), step));
                }
            }
        }
        if self.pods.values().any(|of| of.state == State::Blocked) && clock.tries_again(now) && !self.is_reading {
            let at = *self.next_read.get_or_insert(now + RETRY_AFTER + JITTER.mul_f64(fastrand::f64()));
            if now >= at {
                (self.next_read, self.is_reading) = (None, true);
                steps.push((None, Step::Read));
            } else {
                wakes = wakes.min(at);
            }
        }
        (steps, wakes)
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_done(&self) -> bool {
        self.pods.values().all(|of| matches!(of.state, State::Done | State::Left))
    }

    pub(super) fn record(&mut self, completion: Completion) {
        match completion {
            Completion::Evicted(uid, evicted) => self.record_eviction(&uid, evicted),
            Completion::Deleted(uid, deleted) => self.record_deletion(&uid, deleted),
            Completion::Read(read) => {
                self.is_reading = false;
                match read {
                    Ok(pods) => self.update(pods),
                    Err(error) => tracing::debug!(%error, "the node's pods could not be read again"),
                }
            }
        }
    }

    fn record_eviction(&mut self, uid: &str, evicted: Result<Eviction, Error>) {
        let is_accepted = matches!(evicted, Ok(Eviction::Accepted));
        let Some(tracked) = self.open(uid) else { return };
        let (state, error) = match evicted {
            Ok(Eviction::Accepted | Eviction::Gone) => (State::Done, None),
            Ok(Eviction::Blocked(_)) => (State::Blocked, None),
            Err(error) if error.is_transient() => (State::Blocked, Some(error)),
            Err(error) => (State::Refused, Some(error)),
        };
        // A deletion in flight goes on, whatever became of the eviction before it.
        if state == State::Done || tracked.state != State::Deleting {
            tracked.state = state;
        }
        tracked.error = error;
        self.evicted += usize::from(is_accepted);
    }

    fn record_deletion(&mut self, uid: &str, deleted: Result<bool, Error>) {
        let Some(tracked) = self.open(uid) else { return };
        let is_it = match deleted {
            Ok(is_it) => {
                tracked.state = State::Done;
                // A permission to evict that is missing stays an error.
                tracked.error.take_if(|error| error.is_transient());
                is_it
            }
            // It is deleted again, with the grace period that is left then.
            Err(error) if error.is_transient() => {
                (tracked.state, tracked.error) = (State::Blocked, Some(error));
                false
            }
            Err(error) => {
                (tracked.state, tracked.error) = (State::Left, Some(error));
                false
            }
        };
        self.deleted += usize::from(is_it);
    }

    /// Pods that are gone or stopping are done; blocked ones are evicted again.
    fn update(&mut self, pods: Vec<Pod>) {
        let present: HashMap<_, _> = pods.into_iter().map(|pod| (pod.metadata.uid.clone(), pod)).collect();
        for (uid, tracked) in &mut self.pods {
            if matches!(tracked.state, State::Blocked | State::Refused) {
                let is_present = present.get(uid).is_some_and(Pod::is_to_be_evicted);
                if !is_present {
                    (tracked.state, tracked.error) = (State::Done, None);
                } else if tracked.state == State::Blocked {
                    tracked.state = State::Due;
                }
            }
        }
        self.add(present.into_values());
    }

    fn open(&mut self, uid: &str) -> Option<&mut TrackedPod> {
        self.pods.get_mut(uid).filter(|of| of.state != State::Done)
    }

    /// The result, once nothing is left to be done.
    pub(super) fn conclude(self) -> Drained {
        let error = self.pods.values().find_map(|of| of.error.clone());
        let left = self.pods.values().filter(|of| of.state == State::Left).map(|of| of.pod.to_string()).collect();
        Drained { evicted: self.evicted, deleted: self.deleted, left, error }
    }
}
