//! The evacuations in progress in an account and Region, for what they share.

use std::{collections::BTreeMap, sync::Mutex};

use tokio::time::Instant;

use crate::{identifier::ClusterName, lock::lock};

/// The evacuations in progress in an account and Region.
#[derive(Debug)]
pub(crate) struct Evacuations {
    /// Polls are made at multiples of an interval since then.
    pub(crate) epoch: Instant,
    /// The number of evacuations of each cluster.
    clusters: Mutex<BTreeMap<ClusterName, usize>>,
}

/// An evacuation in progress; it ends on drop.
pub(crate) struct Evacuating<'a> {
    all: &'a Evacuations,
    cluster: ClusterName,
}

impl Default for Evacuations {
    fn default() -> Self {
        Self { epoch: Instant::now(), clusters: Mutex::default() }
    }
}

impl Evacuations {
    pub(crate) fn begin(&self, cluster: &ClusterName) -> Evacuating<'_> {
        *lock(&self.clusters).entry(cluster.clone()).or_default() += 1;
        Evacuating { all: self, cluster: cluster.clone() }
    }
}

impl Evacuating<'_> {
    /// The number of clusters with evacuations.
    pub(crate) fn clusters(&self) -> usize {
        lock(&self.all.clusters).len()
    }
}

impl Drop for Evacuating<'_> {
    fn drop(&mut self) {
        let mut clusters = lock(&self.all.clusters);
        if let Some(evacuations) = clusters.get_mut(&self.cluster) {
            *evacuations -= 1;
            if *evacuations == 0 {
                clusters.remove(&self.cluster);
            }
        }
    }
}
