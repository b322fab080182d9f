//! Locates the node of an EC2 instance. Nothing is changed.
//!
//! A node can't be selected by its instance. Its name mostly is the instance's private DNS name, sometimes its id;
//! otherwise all nodes are listed once for all instances that are looked for.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{
    Eks,
    api_server::ApiServer,
    connection::escape,
    node::{Node, NodeNames},
};
use crate::{
    aws::{calls::Calls, operation::Operation},
    ec2::instance::Instance,
    error::Error,
    identifier::{ClusterName, InstanceId},
};

/// A node, and the API server of its cluster.
pub(crate) struct Located {
    pub(crate) api_server: Arc<ApiServer>,
    pub(crate) node: Node,
}

/// Finds the node of an instance in the clusters that it may belong to.
///
/// # Errors
///
/// If it was found in none, and one of them could not be read.
pub(crate) async fn locate(
    eks: &Eks,
    calls: &Calls,
    clusters: &[ClusterName],
    (id, instance): (&InstanceId, &Instance),
) -> Result<Option<Located>, Error> {
    let searches = clusters.iter().map(|cluster| eks.locate_in(calls, cluster, id, instance));
    let mut failed = None;
    for searched in join_all(searches).await {
        match searched {
            Ok(Some(located)) => return Ok(Some(located)),
            Ok(None) => {}
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

impl Eks {
    async fn locate_in(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        id: &InstanceId,
        instance: &Instance,
    ) -> Result<Option<Located>, Error> {
        let Some(api_server) = self.api_server(calls, cluster).await? else { return Ok(None) };
        for name in [instance.private_dns_name.as_deref(), Some(id.as_str())].into_iter().flatten() {
            if let Some(node) = named(&api_server, calls, name, id).await? {
                return Ok(Some(Located { api_server, node }));
            }
        }
        let names = self.0.listing.get_one(&api_server, calls, cluster, list).await?;
        let Some(name) = names.get(id) else { return Ok(None) };
        let node = named(&api_server, calls, name, id).await?;
        Ok(node.map(|node| Located { api_server, node }))
    }
}

/// Reads the node of this name, if it runs on this instance. Names are those of addresses, which are used again.
async fn named(api_server: &ApiServer, calls: &Calls, name: &str, id: &InstanceId) -> Result<Option<Node>, Error> {
    let node: Option<Node> =
        api_server.get(calls, Operation::GetNode, format!("/api/v1/nodes/{}", escape(name))).await?;
    Ok(node.filter(|node| node.instance().as_ref() == Some(id)))
}

async fn list(api_server: Arc<ApiServer>, calls: Calls, _: ClusterName) -> Result<Arc<NodeNames>, Error> {
    let nodes: Vec<Node> = api_server.list(&calls, Operation::ListNodes, "/api/v1/nodes?").await?;
    Ok(Arc::new(nodes.iter().filter_map(|node| Some((node.instance()?, node.name().to_owned()))).collect()))
}
