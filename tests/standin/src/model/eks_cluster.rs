//! Amazon EKS clusters.

use std::collections::BTreeSet;

/// An Amazon EKS cluster with its Kubernetes API server.
#[derive(Clone, Debug)]
pub struct EksCluster {
    /// Its name, unique in its account and Region.
    pub name: String,
    /// Its status: `ACTIVE` unless set.
    pub status: String,
    /// The minor version of Kubernetes.
    pub version: String,
    /// How principals are known: `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`; `None` leaves it out of the description.
    pub authentication_mode: Option<String>,
    /// Whether the endpoint is said to be public.
    pub public_access: bool,
    /// Whether the endpoint is said to be private.
    pub private_access: bool,
    /// The address ranges that may reach the public endpoint.
    pub public_access_cidrs: Vec<String>,
    pub(crate) access: Access,
    pub(crate) denied: BTreeSet<(String, String)>,
    pub(crate) reach: Reach,
    pub(crate) max_in_flight: Option<usize>,
    pub(crate) terminating: BTreeSet<String>,
}

/// The principals that have an access entry.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Every principal of the cluster's account.
    Account,
    /// Those that match one of these patterns.
    Only(Vec<String>),
}

/// What a connection to the endpoint meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Open,
    /// The connection is refused.
    Refused,
    /// The connection is made, and nothing follows.
    Silent,
}

impl EksCluster {
    /// An active cluster whose endpoint is public and private, and where every principal of its account may do
    /// everything.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status: "ACTIVE".to_owned(),
            version: "1.35".to_owned(),
            authentication_mode: Some("API".to_owned()),
            public_access: true,
            private_access: true,
            public_access_cidrs: vec!["0.0.0.0/0".to_owned()],
            access: Access::Account,
            denied: BTreeSet::new(),
            reach: Reach::Open,
            max_in_flight: None,
            terminating: BTreeSet::new(),
        }
    }

    /// Sets the status: `CREATING`, `ACTIVE`, `DELETING`, `FAILED`, `UPDATING` or `PENDING`. While it is being created,
    /// it has no endpoint.
    #[must_use]
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.status = status.into();
        self
    }

    /// Sets what is said of the endpoint; it is reached all the same, as from inside the VPC.
    #[must_use]
    pub fn endpoint_access(mut self, public: bool, private: bool) -> Self {
        (self.public_access, self.private_access) = (public, private);
        self
    }

    /// Sets the address ranges that are said to reach the public endpoint.
    #[must_use]
    pub fn public_access_cidrs<T: Into<String>>(mut self, cidrs: impl IntoIterator<Item = T>) -> Self {
        self.public_access_cidrs = cidrs.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the authentication mode: `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`. With `CONFIG_MAP`, a role with a path
    /// is known only by its ARN without the path, as in `aws-auth`.
    #[must_use]
    pub fn authentication_mode(mut self, mode: impl Into<String>) -> Self {
        self.authentication_mode = Some(mode.into());
        self
    }

    /// Leaves the access configuration out of the description.
    #[must_use]
    pub fn no_access_config(mut self) -> Self {
        self.authentication_mode = None;
        self
    }

    /// Gives a principal an access entry: the ARN of a role or user, of any account, with `*` for any text. Without any
    /// access entry set, every principal of the account has one; with one, only those that are set.
    #[must_use]
    pub fn access_entry(mut self, principal: impl Into<String>) -> Self {
        let principal = principal.into();
        match &mut self.access {
            Access::Only(entries) => entries.push(principal),
            Access::Account => self.access = Access::Only(vec![principal]),
        }
        self
    }

    /// Removes all access entries: every token is answered with 401.
    #[must_use]
    pub fn no_access_entry(mut self) -> Self {
        self.access = Access::Only(Vec::new());
        self
    }

    /// Takes a verb on a resource out of what everyone may do, such as `create` on `pods/eviction`.
    #[must_use]
    pub fn deny(mut self, verb: impl Into<String>, resource: impl Into<String>) -> Self {
        self.denied.insert((verb.into(), resource.into()));
        self
    }

    /// Makes the endpoint refuse connections.
    #[must_use]
    pub fn unreachable(mut self) -> Self {
        self.reach = Reach::Refused;
        self
    }

    /// Makes the endpoint accept connections and never answer, as a private endpoint does from outside its VPC.
    #[must_use]
    pub fn silent(mut self) -> Self {
        self.reach = Reach::Silent;
        self
    }

    /// Limits the requests that the API server has under way; more are answered with the 429 of API priority and
    /// fairness.
    #[must_use]
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = Some(requests);
        self
    }

    /// Puts a namespace into termination: it accepts no new objects, evictions included.
    #[must_use]
    pub fn terminating_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.terminating.insert(namespace.into());
        self
    }

    /// Whether it has an endpoint and a certificate authority.
    pub(crate) fn has_endpoint(&self) -> bool {
        !matches!(self.status.as_str(), "CREATING" | "PENDING" | "FAILED")
    }
}
