//! The ways in which a pod ends.

use std::time::{Duration, Instant};

use super::{Event, NODE_REMOVED, PlacedPod, PodEnding, StopRequest, World};
use crate::arn;
use crate::history::History;

impl World {
    /// Deletes a pod; `grace_s` is what the caller asked for. A pod that terminates already can only do so sooner.
    pub(in crate::kubernetes) fn delete(
        &mut self,
        index: usize,
        request: StopRequest,
        grace_s: Option<i64>,
        now: Instant,
        history: &mut History,
    ) {
        let version = self.next_version();
        let pod = &mut self.pods[index];
        // Whoever sends a negative period gets a second.
        let asked = grace_s.map(|seconds| u64::try_from(seconds).unwrap_or(1));
        let what = if request == StopRequest::Evicted { "evicted" } else { "deleted" };
        if let (Some(deletion), Some(grace)) = (pod.deletion, pod.grace) {
            let Some(shorter) = asked.map(Duration::from_secs).filter(|asked| *asked < grace) else {
                return;
            };
            if shorter.is_zero() {
                self.kill(index, now, history);
                return;
            }
            // A time in the past becomes one second from now.
            let moved = deletion.checked_sub(grace.saturating_sub(shorter)).unwrap_or(now);
            pod.deletion = Some(if moved < now { now + Duration::from_secs(1) } else { moved });
            (pod.grace, pod.version) = (Some(shorter), version);
            history.note(now, pod.subject(), format!("grace period shortened to {} s", shorter.as_secs()));
            self.plan_end(index, now);
            return;
        }
        let grace = Duration::from_secs(asked.unwrap_or(pod.pod.grace_period_s));
        pod.stop_request = request;
        history.note(now, pod.subject(), format!("{what} with {} s", grace.as_secs()));
        if pod.pod.is_mirror() {
            // The kubelet creates the mirror again and leaves the static pod alone.
            (pod.pod.uid, pod.version) = (arn::uuid(), version);
            return;
        }
        if pod.pod.is_finished() {
            self.remove(index, now, history);
            return;
        }
        if grace.is_zero() {
            self.kill(index, now, history);
            return;
        }
        (pod.grace, pod.deletion, pod.version) = (Some(grace), Some(now + grace), version);
        let runs = pod.ended.is_none() && pod.pod.phase == "Running";
        if runs {
            pod.sigterm = Some(now);
            history.note(now, pod.subject(), "SIGTERM");
        }
        self.plan_end(index, now);
        self.replace_terminating(index, now);
    }

    fn plan_end(&mut self, index: usize, now: Instant) {
        let pod = &self.pods[index];
        let waits = pod.pod.phase == "Pending" && pod.ended.is_none();
        // A pod that never started has nothing to wait for.
        let end = if waits { pod.deletion.map(|_| now) } else { pod.end().map(|(at, _)| at) };
        if let Some(at) = end {
            self.plan(at, Event::End(index));
        }
    }

    /// Ends a terminating pod if it is its time, which may have moved.
    pub(super) fn end_if_due(&mut self, index: usize, now: Instant, history: &mut History) {
        let pod = &mut self.pods[index];
        if !pod.exists || pod.ended.is_some() {
            return;
        }
        match pod.end() {
            Some((at, ending)) if at <= now => {
                pod.ended = Some((at, ending));
                let how = if ending == PodEnding::Killed { "SIGKILL" } else { "exited" };
                history.note(at, pod.subject(), how);
            }
            None if pod.deletion.is_some() && pod.pod.phase == "Pending" => {}
            _ => return,
        }
        self.remove(index, now, history);
    }

    /// Removes a pod whose containers get no time at all.
    fn kill(&mut self, index: usize, now: Instant, history: &mut History) {
        let pod = &mut self.pods[index];
        pod.grace = Some(Duration::ZERO);
        if pod.ended.is_none() {
            pod.sigterm.get_or_insert(now);
            pod.ended = Some((now, PodEnding::Killed));
            history.note(now, pod.subject(), "SIGKILL");
        }
        self.remove(index, now, history);
    }

    /// Removes a pod from the API server.
    pub(super) fn remove(&mut self, index: usize, now: Instant, history: &mut History) {
        let key = self.pods[index].pod.key();
        if !self.pods[index].exists {
            return;
        }
        self.unlist(index);
        if self.by_name.get(&key) == Some(&index) {
            self.by_name.remove(&key);
        }
        self.next_version();
        history.note(now, key, "removed");
        self.replace_removed(index, now);
    }

    /// Ends everything that runs on an instance.
    pub(crate) fn end_instance(&mut self, instance: &str, terminates: bool, now: Instant, history: &mut History) {
        let on_it = |pod: &&mut PlacedPod| pod.instance.as_deref() == Some(instance) && pod.ended.is_none();
        for pod in self.pods.iter_mut().filter(on_it).filter(|pod| pod.exists && !pod.pod.is_finished()) {
            let ending = match pod.sigterm {
                Some(_) => PodEnding::KilledInGracePeriod,
                None => PodEnding::KilledUntold,
            };
            pod.ended = Some((now, ending));
            history.note(now, pod.subject(), "died with its instance");
        }
        let mut gone = Vec::new();
        for node in self.nodes.values_mut().filter(|node| node.model.instance_id == instance) {
            node.is_alive = false;
            gone.push(node.model.name.clone());
        }
        if terminates {
            for name in gone {
                self.plan(now + NODE_REMOVED, Event::RemoveNode(name));
            }
        }
    }

    /// Starts what is still bound to the node of a stopped instance.
    pub(crate) fn start_again(&mut self, instance: &str, now: Instant, history: &mut History) {
        let nodes = self.nodes.values_mut().filter(|node| node.model.instance_id == instance && !node.is_alive);
        let names: Vec<String> = nodes.map(|node| (node.is_alive = true, node.model.name.clone()).1).collect();
        for name in names {
            let keys = self.by_node.get(&name).cloned().unwrap_or_default();
            for index in keys.iter().filter_map(|key| self.by_name.get(key).copied()).collect::<Vec<_>>() {
                if self.pods[index].deletion.is_some() {
                    self.remove(index, now, history);
                } else if self.pods[index].ended.is_some() {
                    let pod = self.pods[index].pod.clone();
                    self.add_pod(pod, &name, now);
                    // Not one more replica.
                    if let Some(pod) = self.pods.last_mut() {
                        pod.is_replacement = true;
                    }
                }
            }
        }
    }
}
