//! Pod disruption budgets.

use std::time::Duration;

/// A `PodDisruptionBudget` of the pods with a label `app`. Its status is always up to date.
#[derive(Clone, Debug)]
pub struct Pdb {
    /// Its namespace.
    pub namespace: String,
    /// Its name; that of the app unless set.
    pub name: String,
    /// The label `app` of its pods.
    pub app: String,
    /// How many pods may be disrupted.
    pub budget: Budget,
    /// Whether pods that are not ready may always be evicted.
    pub always_allows_unready: bool,
    /// Whether the controller has seen its latest change.
    pub observed: bool,
    /// Whether every change of its status conflicts with somebody else's.
    pub conflicting: bool,
    /// Its `disruptionsAllowed`, whatever its pods are; computed where nothing is set.
    pub disruptions_allowed: Option<i64>,
    /// It has no room until so long after it was added.
    pub opens_after: Option<Duration>,
    /// It has no room from so long after it was added.
    pub closes_after: Option<Duration>,
}

/// The limit of a [`Pdb`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many pods may be missing.
    MaxUnavailable(usize),
    /// So many pods have to be healthy.
    MinAvailable(usize),
}

impl Pdb {
    /// A budget that lets one pod of an app be missing.
    #[must_use]
    pub fn new(namespace: impl Into<String>, app: impl Into<String>) -> Self {
        let app = app.into();
        Self {
            namespace: namespace.into(),
            name: app.clone(),
            app,
            budget: Budget::MaxUnavailable(1),
            always_allows_unready: false,
            observed: true,
            conflicting: false,
            disruptions_allowed: None,
            opens_after: None,
            closes_after: None,
        }
    }

    /// Sets its name, so that an app can have two.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Lets so many pods be missing.
    #[must_use]
    pub fn max_unavailable(mut self, pods: usize) -> Self {
        self.budget = Budget::MaxUnavailable(pods);
        self
    }

    /// Wants so many healthy pods.
    #[must_use]
    pub fn min_available(mut self, pods: usize) -> Self {
        self.budget = Budget::MinAvailable(pods);
        self
    }

    /// Lets no pod be missing, ever.
    #[must_use]
    pub fn never(self) -> Self {
        self.max_unavailable(0)
    }

    /// Lets pods that are not ready be evicted always: `unhealthyPodEvictionPolicy: AlwaysAllow`.
    #[must_use]
    pub fn always_allows_unready(mut self) -> Self {
        self.always_allows_unready = true;
        self
    }

    /// Makes it one that the controller has not seen yet: an eviction is answered with 429 and `Retry-After: 10`.
    #[must_use]
    pub fn not_observed(mut self) -> Self {
        self.observed = false;
        self
    }

    /// Makes every change of its status conflict: an eviction is answered with 504 after 10 seconds.
    #[must_use]
    pub fn conflicting(mut self) -> Self {
        self.conflicting = true;
        self
    }

    /// Sets `disruptionsAllowed`; a negative number is answered with 403. A positive one is used up.
    #[must_use]
    pub fn disruptions_allowed(mut self, disruptions: i64) -> Self {
        self.disruptions_allowed = Some(disruptions);
        self
    }

    /// It has no room until so long after it is added.
    #[must_use]
    pub fn opens_after(mut self, time: Duration) -> Self {
        self.opens_after = Some(time);
        self
    }

    /// It has no room from so long after it is added.
    #[must_use]
    pub fn closes_after(mut self, time: Duration) -> Self {
        self.closes_after = Some(time);
        self
    }
}
