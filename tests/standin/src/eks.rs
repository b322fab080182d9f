//! Amazon EKS: descriptions of clusters.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::kubernetes::PlacedCluster;
use crate::state::CallContext;

/// Answers a call in JSON.
pub(crate) fn call(context: &CallContext<'_>, api: &str, params: &Value) -> Result<Value, ApiError> {
    if api != "DescribeCluster" {
        return Err(ApiError::new(404, "UnknownOperationException", ""));
    }
    let name = params["name"].as_str().unwrap_or_default();
    let cluster = context.resources.eks.get(name).ok_or_else(|| {
        ApiError::new(404, "ResourceNotFoundException", format!("No cluster found for name: {name}."))
    })?;
    Ok(json!({"cluster": show(context, cluster)}))
}

fn show(context: &CallContext<'_>, placed: &PlacedCluster) -> Value {
    let model = &placed.model;
    let mut cluster = json!({
        "name": model.name,
        "arn": context.arn("eks", &format!("cluster/{}", model.name)),
        "createdAt": 1_767_225_600.0,
        "version": model.version,
        "platformVersion": "eks.1",
        "status": model.status,
        "roleArn": format!("arn:aws:iam::{}:role/eks-cluster", context.account),
        "resourcesVpcConfig": {
            "subnetIds": ["subnet-0123456789abcdef0"],
            "securityGroupIds": [],
            "clusterSecurityGroupId": "sg-0123456789abcdef0",
            "vpcId": "vpc-0123456789abcdef0",
            "endpointPublicAccess": model.public_access,
            "endpointPrivateAccess": model.private_access,
            "publicAccessCidrs": if model.public_access { model.public_access_cidrs.clone() } else { Vec::new() },
        },
        "certificateAuthority": {},
        "tags": {},
    });
    if let Some(mode) = &model.authentication_mode {
        cluster["accessConfig"] = json!({"authenticationMode": mode});
    }
    if model.has_endpoint() {
        cluster["endpoint"] = placed.endpoint.url().into();
        cluster["certificateAuthority"]["data"] = placed.endpoint.authority().into();
    }
    cluster
}
