//! AWS IAM: the simulation of a role's policies.

use serde_json::Value;

use crate::error::ApiError;
use crate::query::list;
use crate::settings::Settings;
use crate::xml::{element, escape, response, text};

pub(crate) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// Answers a call in XML.
pub(crate) fn call(settings: &Settings, api: &str, params: &Value) -> Result<String, ApiError> {
    if api != "SimulatePrincipalPolicy" {
        let message = format!("Could not find operation {api} for version 2010-05-08");
        return Err(ApiError::new(400, "InvalidAction", message));
    }
    let role = params["PolicySourceArn"].as_str().unwrap_or_default();
    let Some(denied) = &settings.simulated_denials else {
        let message = format!("User is not authorized to perform: iam:SimulatePrincipalPolicy on resource: {role}");
        return Err(ApiError::new(403, "AccessDenied", message));
    };
    if !role.contains(":role/") {
        return Err(ApiError::new(400, "InvalidInput", "Invalid Entity Arn"));
    }
    let (actions, resources) = (list(params, "ActionNames.member"), list(params, "ResourceArns.member"));
    if actions.is_empty() {
        return Err(ApiError::new(400, "ValidationError", "Member must have length greater than or equal to 1"));
    }
    let result = |action: &&str| {
        // A policy that is limited to resources allows nothing on "*".
        let is_outside = settings.organization_denials.contains(*action);
        let is_denied = denied.contains(*action) || !resources.iter().all(|resource| resource.starts_with("arn:"));
        let decision = if is_outside || is_denied { "implicitDeny" } else { "allowed" };
        let resource = text("EvalResourceName", &escape(resources.first().copied().unwrap_or("*")));
        let organization =
            element("OrganizationsDecisionDetail", &text("AllowedByOrganizations", &(!is_outside).to_string()));
        let decision = text("EvalDecision", decision) + &organization;
        element("member", &(text("EvalActionName", action) + &resource + &decision))
    };
    let results: String = actions.iter().map(result).collect();
    Ok(response(api, NAMESPACE, &(element("EvaluationResults", &results) + &text("IsTruncated", "false"))))
}
