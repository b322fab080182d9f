//! What a rehearsal is asked for.

use std::collections::BTreeSet;

use crate::{
    config::{STRATEGIES, Strategy},
    identifier::{AccountId, ClusterName, InstanceId, ParseError, Region},
};

/// The most instances of a rehearsal, 10,000.
pub(crate) const MAX_INSTANCES: usize = 10_000;

/// A rehearsal, as it is asked for. What is empty is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Only instances in these clusters are reported.
    pub clusters: BTreeSet<ClusterName>,
    /// The instances, running Spot Instances or not; all running Spot Instances if empty.
    pub instances: BTreeSet<InstanceId>,
    /// The strategy in place of `STRATEGY`.
    pub strategy: Option<Strategy>,
    /// The accounts; `ACCOUNTS`, or else the function's own, if empty.
    pub accounts: BTreeSet<AccountId>,
    /// The Regions; the function's own if empty.
    pub regions: BTreeSet<Region>,
}

impl TryFrom<String> for Strategy {
    type Error = ParseError;

    fn try_from(found: String) -> Result<Self, ParseError> {
        let strategy = STRATEGIES.into_iter().find(|(word, _)| *word == found);
        strategy.map(|(_, strategy)| strategy).ok_or_else(|| ParseError::new(&found, "deregister, drain or evacuate"))
    }
}
