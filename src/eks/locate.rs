//! Locates the node of an EC2 instance. Nothing is changed.
//!
//! A node can't be selected by its instance. Its name mostly is the instance's private DNS name, sometimes its id;
//! otherwise all nodes are listed once for all instances that are looked for.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::select_all};
use serde::de::IgnoredAny;

use super::{
    Eks,
    api_server::ApiServer,
    node::{Node, NodeNames},
};
use crate::{
    aws::{calls::Calls, escape, operation::Operation},
    ec2::instance::Instance,
    error::Error,
    identifier::{ClusterName, InstanceId},
};

/// The most nodes on a page, as for kubectl: a page has some 10 MB.
const PAGE: usize = 500;

/// A node, and the API server of its cluster.
pub(crate) struct Located {
    pub(crate) api_server: Arc<ApiServer>,
    pub(crate) node: Node,
}

/// Finds the node of an instance in the clusters that it may belong to. Fails if it is found in none, and one of them can't be
/// read.
pub(crate) async fn locate(
    eks: &Eks,
    calls: &Calls,
    clusters: &[ClusterName],
    (id, instance): (&InstanceId, &Instance),
) -> Result<Option<Located>, Error> {
    let mut searches: Vec<_> =
        clusters.iter().map(|cluster| eks.locate_in(calls, cluster, id, instance).boxed()).collect();
    let mut failed = None;
    // A cluster that can't be reached does not delay a node in another one.
    while !searches.is_empty() {
        let (found, _, others) = select_all(searches).await;
        searches = others;
        match found {
            Ok(Some(located)) => return Ok(Some(located)),
            Ok(None) => {}
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

/// The time that a probe may take, 8 s: one attempt that hangs, and one that does not.
const PROBE: Duration = Duration::from_secs(8);

/// Finds out whether a cluster's API server answers, with one read.
pub(crate) async fn probe(eks: &Eks, calls: &Calls, cluster: &ClusterName) -> Result<(), Error> {
    let calls = &calls.retrying_for(Duration::from_secs(1)).within(PROBE);
    let Some(api_server) = eks.api_server(calls, cluster).await? else { return Ok(()) };
    let path = "/api/v1/nodes?limit=1".to_owned();
    api_server.get::<IgnoredAny>(calls, Operation::ListNodes, path).await.map(drop)
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
        match self.node(calls, &api_server, id, instance).await {
            Ok(node) => Ok(node.map(|node| Located { api_server, node })),
            Err(_) if api_server.is_deleted() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn node(
        &self,
        calls: &Calls,
        api_server: &Arc<ApiServer>,
        id: &InstanceId,
        instance: &Instance,
    ) -> Result<Option<Node>, Error> {
        for name in [instance.private_dns_name.as_deref(), Some(id.as_str())].into_iter().flatten() {
            if let Some(node) = named(api_server, calls, name, id).await? {
                return Ok(Some(node));
            }
        }
        let names = self.0.listing.get_one(api_server, calls, &api_server.cluster, list).await?;
        match names.get(id) {
            Some(name) => named(api_server, calls, name, id).await,
            None => Ok(None),
        }
    }
}

/// Reads the node of this name, if it runs on this instance. Names are those of addresses, which are used again.
async fn named(api_server: &ApiServer, calls: &Calls, name: &str, id: &InstanceId) -> Result<Option<Node>, Error> {
    let node: Option<Node> =
        api_server.get(calls, Operation::GetNode, format!("/api/v1/nodes/{}", escape(name))).await?;
    Ok(node.filter(|node| node.instance().as_ref() == Some(id)))
}

async fn list(api_server: Arc<ApiServer>, calls: Calls, _: ClusterName) -> Result<Arc<NodeNames>, Error> {
    let name = |node: Node| Some((node.instance()?, node.name().to_owned()));
    let names = api_server.list(&calls, Operation::ListNodes, &format!("/api/v1/nodes?limit={PAGE}"), name).await?;
    Ok(Arc::new(names.into_iter().collect()))
}
