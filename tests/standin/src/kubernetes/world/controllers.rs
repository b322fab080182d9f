//! Controllers, which create pods in the place of those that go.

use std::time::{Duration, Instant};

use super::{Event, World};
use crate::arn;
use crate::history::History;
use crate::model::Pod;

/// The node of pods that controllers create.
const ELSEWHERE: &str = "elsewhere";

/// How long a daemon set takes to put a pod back.
const DAEMON_CREATED: Duration = Duration::from_secs(1);

impl World {
    /// A deployment creates a pod as soon as one of its pods terminates.
    pub(super) fn replace_terminating(&mut self, index: usize, now: Instant) {
        if self.pods[index].pod.is_owned_by("ReplicaSet") {
            self.replace_elsewhere(index, now);
        }
    }

    /// A stateful set creates a pod once the old one is gone, and a daemon set does so on the same node.
    pub(super) fn replace_removed(&mut self, index: usize, now: Instant) {
        let placed = &self.pods[index];
        let was_terminating = placed.deletion.is_some();
        if placed.pod.is_owned_by("DaemonSet") {
            let node = placed.node.clone();
            if self.nodes.get(&node).is_some_and(|node| node.is_alive) {
                let pod = Box::new(renamed(&placed.pod));
                let ready_after = Some(Duration::ZERO);
                self.plan(now + DAEMON_CREATED, Event::Create { pod, node, ready_after });
            }
        } else if placed.pod.is_owned_by("StatefulSet")
            || placed.pod.is_owned_by("ReplicaSet") && !was_terminating && !placed.pod.is_finished()
        {
            self.replace_elsewhere(index, now);
        }
    }

    fn replace_elsewhere(&mut self, index: usize, now: Instant) {
        let pod = &self.pods[index].pod;
        let Some(deployment) = pod.app_key().and_then(|key| self.deployments.get(&key)) else { return };
        let Some(created_after) = deployment.created_after else { return };
        let pod = if pod.is_owned_by("StatefulSet") { pod.clone() } else { renamed(pod) };
        let (pod, ready_after) = (Box::new(pod), deployment.ready_after);
        self.plan(now + created_after, Event::Create { pod, node: ELSEWHERE.to_owned(), ready_after });
    }

    pub(super) fn create(
        &mut self,
        pod: Pod,
        node: &str,
        ready_after: Option<Duration>,
        now: Instant,
        history: &mut History,
    ) {
        let mut pod = Pod { uid: String::new(), ..pod }.phase("Pending");
        // Its annotations are those of its template.
        pod.ready = false;
        history.note(now, pod.key(), "created");
        self.add_pod(pod, node, now);
        let index = self.pods.len() - 1;
        self.pods[index].is_replacement = true;
        if let Some(time) = ready_after {
            self.plan(now + time, Event::Ready(index));
        }
    }

    pub(super) fn make_ready(&mut self, index: usize, now: Instant, history: &mut History) {
        let version = self.next_version();
        let placed = &mut self.pods[index];
        if placed.is_active() && placed.pod.phase == "Pending" {
            "Running".clone_into(&mut placed.pod.phase);
            (placed.pod.ready, placed.version) = (true, version);
            history.note(now, placed.subject(), "ready");
        }
    }
}

/// A pod of the same controller, under another name.
fn renamed(pod: &Pod) -> Pod {
    let base = pod.name.rsplit_once('-').map_or(pod.name.as_str(), |(base, _)| base);
    Pod { name: format!("{base}-{}", arn::hex(5)), uid: String::new(), ..pod.clone() }
}
