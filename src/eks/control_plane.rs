//! `DescribeCluster`: where a cluster's API server is, and what it takes to reach it.

use std::fmt;

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{connection::Connect, identity::Identity, token::Signer};
use crate::{
    aws::{
        calls::Calls,
        escape,
        operation::Operation,
        query::{Client, Json, Service},
        token_bucket::Share,
    },
    error::{BoxError, Error, ErrorClass},
    identifier::{ClusterName, Region},
};

const SERVICE: Service = Service { id: "EKS", name: "eks", version: "" };

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
    client: Client,
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
            client: Client::new(sdk, &SERVICE),
            connect: connect.clone(),
            signer: Signer::new(sdk, region),
            identity: Identity::new(sdk),
            lists: Semaphore::new(LISTS),
            share,
        }
    }

    /// Reads a cluster's endpoint; `None` if there is no such cluster, or it has no endpoint yet.
    pub(super) async fn endpoint(&self, calls: &Calls, cluster: &ClusterName) -> Result<Option<Endpoint>, Error> {
        let path = format!("/clusters/{}", escape(cluster.as_str()));
        let answer = match self.client.call_json(calls, Operation::DescribeCluster, cluster, Json::Get(&path)).await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(None),
            Err(error) => return Err(error),
        };
        let described = &answer["cluster"];
        if matches!(described["status"].as_str(), Some("CREATING" | "PENDING")) {
            return Ok(None);
        }
        let (url, authority) = (&described["endpoint"], &described["certificateAuthority"]["data"]);
        let (Some(url), Some(authority)) = (url.as_str(), authority.as_str()) else { return Ok(None) };
        let connector = STANDARD.decode(authority).map_err(BoxError::from).and_then(|pem| self.connect.connector(&pem));
        let connector = connector.map_err(|error| {
            let cause = format!("its certificateAuthority is not valid: {error}");
            Error::call(Operation::DescribeCluster, cluster, ErrorClass::Rejected, cause)
        })?;
        let access = described["resourcesVpcConfig"].as_object().map(|vpc| {
            let is_set = |name| vpc.get(name).and_then(Value::as_bool).unwrap_or_default();
            EndpointAccess { is_public: is_set("endpointPublicAccess"), is_private: is_set("endpointPrivateAccess") }
        });
        // What Amazon EKS sets by default.
        let access = access.unwrap_or(EndpointAccess { is_public: true, is_private: false });
        Ok(Some(Endpoint { url: url.to_owned(), access, connector }))
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
