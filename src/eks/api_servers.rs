//! The API servers that are known, by cluster.

use std::sync::Arc;

use super::{Eks, api_server::ApiServer};
use crate::{aws::calls::Calls, error::Error, identifier::ClusterName, lock::lock};

impl Eks {
    /// The API server of a cluster; `None` if there is no such cluster, or it has no API server yet.
    pub(super) async fn api_server(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
    ) -> Result<Option<Arc<ApiServer>>, Error> {
        let known = lock(&self.0.api_servers).get(cluster).filter(|known| !known.is_deleted()).cloned();
        match known {
            Some(known) => Ok(Some(known)),
            None => self.0.describing.get_one(self, calls, cluster, Self::find).await,
        }
    }

    async fn find(self, calls: Calls, cluster: ClusterName) -> Result<Option<Arc<ApiServer>>, Error> {
        let Some(endpoint) = self.0.control_plane.endpoint(&calls, &cluster).await? else { return Ok(None) };
        let api_server = Arc::new(ApiServer::new(&self.0.control_plane, cluster.clone(), endpoint));
        lock(&self.0.api_servers).insert(cluster, Arc::clone(&api_server));
        Ok(Some(api_server))
    }
}
