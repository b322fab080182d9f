//! Amazon EKS: find the node, decide, act.

pub(crate) mod act;
pub(crate) mod api_server;
pub(crate) mod budget;
pub(crate) mod connection;
pub(crate) mod control_plane;
pub(crate) mod drain;
pub(crate) mod eviction;
pub(crate) mod handle;
pub(crate) mod identity;
pub(crate) mod list;
pub(crate) mod locate;
pub(crate) mod node;
pub(crate) mod plan;
pub(crate) mod pod;
pub(crate) mod remaining;
pub(crate) mod token;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_config::SdkConfig;

use self::{api_server::ApiServer, connection::Connect, control_plane::ControlPlane, node::NodeNames};
use crate::{
    aws::{calls::Calls, coalesce::Coalesced, operation::Operation, token_bucket::Share},
    error::Error,
    identifier::{ClusterName, Region},
    lock::lock,
};

/// Amazon EKS in one account and Region.
#[derive(Clone, Debug)]
pub(crate) struct Eks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    control_plane: Arc<ControlPlane>,
    api_servers: Mutex<HashMap<ClusterName, Arc<ApiServer>>>,
    describing: Coalesced<ClusterName, (), Option<Arc<ApiServer>>>,
    listing: Coalesced<ClusterName, (), Arc<NodeNames>>,
}

impl Eks {
    /// `share` is the part of the API servers' quotas that is used.
    pub(crate) fn new(sdk: &SdkConfig, region: &Region, connect: &Connect, share: Share) -> Self {
        Self(Arc::new(Inner {
            control_plane: Arc::new(ControlPlane::new(sdk, region, connect, share)),
            api_servers: Mutex::default(),
            describing: Coalesced::shared(Operation::DescribeCluster),
            listing: Coalesced::shared(Operation::ListNodes),
        }))
    }

    /// The API server of a cluster; `None` if there is no such cluster, or it has no API server yet.
    async fn api_server(&self, calls: &Calls, cluster: &ClusterName) -> Result<Option<Arc<ApiServer>>, Error> {
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

    /// The ARN of the role that requests are made with, if AWS STS answers.
    pub(crate) async fn role_arn(&self, calls: &Calls) -> Option<String> {
        self.0.control_plane.identity.role_arn(calls).await
    }
}
