//! Kubernetes pods.

use std::collections::BTreeMap;
use std::time::Duration;

/// A pod, as it is placed on a node.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name, unique in its namespace.
    pub name: String,
    /// The controller that owns it; `None` for a bare pod.
    pub owner: Option<Owner>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// `Running` unless set.
    pub phase: String,
    /// Whether it is ready, as it is by default.
    pub ready: bool,
    /// Its `terminationGracePeriodSeconds`; 30 unless set.
    pub grace_period_s: u64,
    /// How long after SIGTERM it ends by itself; `None` if it ignores SIGTERM.
    pub stops_after: Option<Duration>,
    pub(crate) uid: String,
}

/// The controller of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `ReplicaSet`, `StatefulSet`, `DaemonSet`, `Job` or `Node`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Pod {
    /// A bare pod that runs, is ready and ends 2 seconds after SIGTERM.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            owner: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            phase: "Running".to_owned(),
            ready: true,
            grace_period_s: 30,
            stops_after: Some(Duration::from_secs(2)),
            uid: String::new(),
        }
    }

    /// Makes it a pod of a deployment's `ReplicaSet`, with the label `app`.
    #[must_use]
    pub fn replica_set(self, app: &str) -> Self {
        self.app(app).owner("ReplicaSet", format!("{app}-5d4f8c7b9"))
    }

    /// Makes it a pod of a `StatefulSet`, with the label `app`.
    #[must_use]
    pub fn stateful_set(self, app: &str) -> Self {
        self.app(app).owner("StatefulSet", app)
    }

    /// Makes it a pod of a `DaemonSet`, with the label `app`. It is put back when it is gone.
    #[must_use]
    pub fn daemon_set(self, app: &str) -> Self {
        self.app(app).owner("DaemonSet", app)
    }

    /// Makes it a pod of a `Job`.
    #[must_use]
    pub fn job(self, name: &str) -> Self {
        self.label("job-name", name).owner("Job", name)
    }

    /// Makes it the mirror of a static pod: deleting it leaves its containers alone.
    #[must_use]
    pub fn mirror(self) -> Self {
        let node = self.name.clone();
        self.annotation("kubernetes.io/config.mirror", "0123456789abcdef0123456789abcdef").owner("Node", node)
    }

    /// Sets its controller.
    #[must_use]
    pub fn owner(mut self, kind: impl Into<String>, name: impl Into<String>) -> Self {
        self.owner = Some(Owner { kind: kind.into(), name: name.into() });
        self
    }

    /// Sets the label `app`, by which a [`Pdb`](crate::Pdb) and a [`Deployment`](crate::Deployment) select pods.
    #[must_use]
    pub fn app(self, app: impl Into<String>) -> Self {
        self.label("app", app)
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Sets the phase: `Pending`, `Running`, `Succeeded` or `Failed`. It is ready only while it runs.
    #[must_use]
    pub fn phase(mut self, phase: impl Into<String>) -> Self {
        self.phase = phase.into();
        self.ready &= self.phase == "Running";
        self
    }

    /// Makes it a finished one: phase `Succeeded`.
    #[must_use]
    pub fn finished(self) -> Self {
        self.phase("Succeeded")
    }

    /// Makes it not ready.
    #[must_use]
    pub fn unready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// Sets `terminationGracePeriodSeconds`.
    #[must_use]
    pub fn grace_period_s(mut self, seconds: u64) -> Self {
        self.grace_period_s = seconds;
        self
    }

    /// Sets how long after SIGTERM it ends by itself.
    #[must_use]
    pub fn stops_after(mut self, time: Duration) -> Self {
        self.stops_after = Some(time);
        self
    }

    /// Makes it ignore SIGTERM.
    #[must_use]
    pub fn ignores_sigterm(mut self) -> Self {
        self.stops_after = None;
        self
    }

    /// Its namespace and name.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Its namespace and label `app`, if it has one.
    pub(crate) fn app_key(&self) -> Option<String> {
        self.labels.get("app").map(|app| format!("{}/{app}", self.namespace))
    }

    pub(crate) fn is_owned_by(&self, kind: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.kind == kind)
    }

    pub(crate) fn is_mirror(&self) -> bool {
        self.annotations.contains_key("kubernetes.io/config.mirror")
    }

    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}
