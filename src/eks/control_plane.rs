//! `DescribeCluster`: where a cluster's API server is, and what it takes to reach it.

use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_eks::types::{Cluster, ClusterStatus};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::sync::Semaphore;

use super::{connection::Connect, identity::Identity, token::Signer};
use crate::{
    aws::{calls::Calls, operation::Operation, token_bucket::Share},
    error::{BoxError, Error, ErrorClass},
    identifier::{ClusterName, Region},
};

/// The most lists that are read at the same time in an account and Region, 4: a page may have 10 MB.
const LISTS: usize = 4;

/// A cluster's endpoint, and what connects to it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) access: EndpointAccess,
    pub(super) connector: SharedHttpConnector,
}

/// From where a cluster's endpoint can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndpointAccess {
    is_public: bool,
    is_private: bool,
}

/// What it takes to reach the API servers of an account and Region, and to authenticate to them.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    client: aws_sdk_eks::Client,
    connect: Connect,
    pub(super) signer: Signer,
    pub(super) identity: Identity,
    /// Limits the lists that are read at the same time.
    pub(super) lists: Semaphore,
    /// The part of the API servers' quotas that is used.
    pub(super) share: Share,
}

impl ControlPlane {
    pub(super) fn new(sdk: &SdkConfig, region: &Region, connect: &Connect, share: Share) -> Self {
        Self {
            client: aws_sdk_eks::Client::new(sdk),
            connect: connect.clone(),
            signer: Signer::new(sdk, region),
            identity: Identity::new(sdk),
            lists: Semaphore::new(LISTS),
            share,
        }
    }

    /// Reads a cluster's endpoint; `None` if there is no such cluster, or it has no endpoint yet.
    pub(super) async fn endpoint(&self, calls: &Calls, cluster: &ClusterName) -> Result<Option<Endpoint>, Error> {
        let request = self.client.describe_cluster().name(cluster.as_str());
        let described = match calls.make(Operation::DescribeCluster, cluster, || request.clone().send()).await {
            Ok(answer) => answer.cluster,
            Err(error) if error.code() == Some("ResourceNotFoundException") => None,
            Err(error) => return Err(error),
        };
        let has_nodes = |status| !matches!(status, Some(ClusterStatus::Creating | ClusterStatus::Pending));
        let Some(described) = described.filter(|cluster| has_nodes(cluster.status.clone())) else { return Ok(None) };
        let Cluster { endpoint: Some(url), certificate_authority, resources_vpc_config, .. } = described else {
            return Ok(None);
        };
        let Some(authority) = certificate_authority.and_then(|authority| authority.data) else { return Ok(None) };
        let connector = self.connector(&authority).map_err(|error| {
            let cause = format!("its certificateAuthority is not valid: {error}");
            Error::call(Operation::DescribeCluster, cluster, ErrorClass::Rejected, cause)
        })?;
        let access = resources_vpc_config.map(|vpc| EndpointAccess {
            is_public: vpc.endpoint_public_access,
            is_private: vpc.endpoint_private_access,
        });
        Ok(Some(Endpoint { url, access: access.unwrap_or_default(), connector }))
    }

    fn connector(&self, authority: &str) -> Result<SharedHttpConnector, BoxError> {
        self.connect.connector(&STANDARD.decode(authority)?)
    }
}

impl Default for EndpointAccess {
    /// What Amazon EKS sets by default.
    fn default() -> Self {
        Self { is_public: true, is_private: false }
    }
}

/// What an operator can do if the endpoint can't be reached.
impl fmt::Display for EndpointAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_public, is_private } = self;
        write!(f, "the cluster has endpointPublicAccess={is_public} and endpointPrivateAccess={is_private}: ")?;
        f.write_str(match (is_public, is_private) {
            (true, false) => "allow the function's addresses in its publicAccessCidrs",
            (true, true) => {
                "allow the function's addresses in its publicAccessCidrs, or set SubnetIds and SecurityGroupIds to \
                 reach it within its VPC"
            }
            (false, _) => "set SubnetIds and SecurityGroupIds to reach it within its VPC",
        })
    }
}
