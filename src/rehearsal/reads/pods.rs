//! The pods of nodes that would be drained.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::join_all;

use crate::{
    aws::calls::Calls,
    eks::{api_server::ApiServer, pod::Pod},
    error::Error,
    identifier::InstanceId,
    rehearsal::{finding::Kind, notes::Notes, subject::Subject, timeline::MAX_STOP_S},
};

/// The pods of nodes that have to be evicted.
pub(super) struct NodePods(Vec<OfNode>);

/// An instance, the API server of its cluster, and the pods on its node.
type OfNode = (InstanceId, Arc<ApiServer>, Result<Vec<Pod>, Error>);

/// Reads the pods of nodes.
pub(super) async fn read(calls: &Calls, subjects: impl Iterator<Item = &Subject>) -> NodePods {
    let read = subjects.filter_map(|subject| Some((&subject.id, subject.node.as_ref()?))).map(async |(id, node)| {
        let pods = node.api_server.pods(calls, &node.name).await;
        let pods = pods.map(|pods| pods.into_iter().filter(Pod::is_to_be_evicted).collect());
        (id.clone(), Arc::clone(&node.api_server), pods)
    });
    NodePods(join_all(read).await)
}

impl NodePods {
    pub(super) fn counts(&self) -> HashMap<InstanceId, usize> {
        self.0.iter().filter_map(|(id, _, pods)| Some((id.clone(), pods.as_ref().ok()?.len()))).collect()
    }

    /// The pods, with the API servers of their clusters.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<ApiServer>, &Pod)> {
        self.0.iter().flat_map(|(_, api_server, pods)| pods.iter().flatten().map(move |pod| (api_server, pod)))
    }

    pub(super) fn find_long_grace_periods(&self, notes: &mut Notes) {
        for error in self.0.iter().filter_map(|(.., pods)| pods.as_ref().err()) {
            notes.failed(error);
        }
        for (api_server, pod) in self.iter().filter(|(_, pod)| pod.grace().as_secs() > MAX_STOP_S) {
            let example = format!("{}: {pod} ({} s)", api_server.cluster, pod.grace().as_secs());
            notes.add(Kind::PodGracePeriodTooLong, &example);
        }
    }
}
