//! Deployments and stateful sets.

use std::time::Duration;

/// A deployment, which creates a pod elsewhere for each of its pods that is evicted or deleted.
///
/// Replicas that are on no node of the stand-in run elsewhere and are ready.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Its namespace.
    pub namespace: String,
    /// The label `app` of its pods.
    pub app: String,
    /// The number of pods that it is to have.
    pub replicas: usize,
    /// Whether it is a `StatefulSet`.
    pub stateful: bool,
    /// How long it takes to create a pod; `None` if it never does.
    pub created_after: Option<Duration>,
    /// How long a new pod takes until it is ready; `None` if it never is.
    pub ready_after: Option<Duration>,
}

impl Deployment {
    /// A deployment of one replica, which creates pods after a second. They are ready after 20 more.
    #[must_use]
    pub fn new(namespace: impl Into<String>, app: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            app: app.into(),
            replicas: 1,
            stateful: false,
            created_after: Some(Duration::from_secs(1)),
            ready_after: Some(Duration::from_secs(20)),
        }
    }

    /// Sets the number of replicas.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Makes it a `StatefulSet`: a pod is created again under its name, with another uid, only after the old one is
    /// gone.
    #[must_use]
    pub fn stateful_set(mut self) -> Self {
        self.stateful = true;
        self
    }

    /// Sets how long it takes to create a pod; `None` if it never does.
    #[must_use]
    pub fn created_after(mut self, time: Option<Duration>) -> Self {
        self.created_after = time;
        self
    }

    /// Sets how long a new pod takes until it is ready; `None` if there is no room for it.
    #[must_use]
    pub fn ready_after(mut self, time: Option<Duration>) -> Self {
        self.ready_after = time;
        self
    }
}
