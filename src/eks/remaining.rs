//! What is left on a node that is being drained.

use super::Eks;
use crate::{aws::calls::Calls, error::Error, identifier::ClusterName, outcome::Remaining};

impl Eks {
    /// Counts the pods of a node that leave it.
    pub(crate) async fn remaining(&self, calls: &Calls, cluster: &ClusterName, node: &str) -> Result<Remaining, Error> {
        let Some(api_server) = self.api_server(calls, cluster).await? else { return Ok(Remaining::default()) };
        let pods = api_server.pods(calls, node).await?;
        let leaving = pods.iter().filter(|pod| pod.leaves()).count();
        let blocked = pods.iter().filter(|pod| pod.is_to_be_evicted()).count();
        Ok(Remaining { stopping: leaving - blocked, blocked, ..Remaining::default() })
    }
}
