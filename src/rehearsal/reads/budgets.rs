//! `PodDisruptionBudgets` of the clusters whose nodes would be drained.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;

use super::pods::NodePods;
use crate::{
    aws::calls::Calls,
    eks::{api_server::ApiServer, budget::Budget},
    error::Error,
    identifier::ClusterName,
    rehearsal::{finding::Kind, notes::Notes},
};

/// The budgets of clusters.
pub(super) struct ClusterBudgets(BTreeMap<ClusterName, Result<Vec<Budget>, Error>>);

/// Reads the budgets of the clusters that pods are in.
pub(super) async fn read(calls: &Calls, pods: &NodePods) -> ClusterBudgets {
    let clusters: BTreeMap<&ClusterName, &Arc<ApiServer>> =
        pods.iter().map(|(api_server, _)| (&api_server.cluster, api_server)).collect();
    let read = clusters.into_iter().map(async |(name, api_server)| (name.clone(), api_server.budgets(calls).await));
    ClusterBudgets(join_all(read).await.into_iter().collect())
}

impl ClusterBudgets {
    /// Finds pods whose budget never allows an eviction, and pods of several budgets, which Kubernetes does not evict.
    pub(super) fn find_closed(&self, pods: &NodePods, notes: &mut Notes) {
        for error in self.0.values().filter_map(|budgets| budgets.as_ref().err()) {
            notes.failed(error);
        }
        for (api_server, pod) in pods.iter() {
            let budgets = self.0.get(&api_server.cluster).into_iter().flatten().flatten();
            let budgets: Vec<_> = budgets.filter(|budget| budget.covers(pod)).collect();
            if budgets.len() > 1 || budgets.iter().any(|budget| budget.never_allows()) {
                let names: Vec<_> = budgets.iter().map(|budget| budget.name()).collect();
                let example = format!("{}: {pod} (budget {})", api_server.cluster, names.join(", "));
                notes.add(Kind::PodDisruptionBudgetNeverAllows, &example);
            }
        }
    }
}
