//! AWS STS: who is calling, and roles.

use std::time::Duration;

use serde_json::Value;

use crate::account::{Accounts, Principal};
use crate::arn;
use crate::error::ApiError;
use crate::request::Request;
use crate::settings::Settings;
use crate::timestamp::iso8601;
use crate::xml::{element, response, text};

pub(crate) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Answers a call in XML.
pub(crate) fn call(
    accounts: &mut Accounts,
    settings: &Settings,
    caller: &Principal,
    request: &Request,
) -> Result<String, ApiError> {
    let result = match request.api.as_str() {
        "GetCallerIdentity" => {
            text("Arn", &caller.arn)
                + &text("UserId", &format!("AROA{}:standin", caller.account))
                + &text("Account", &caller.account)
        }
        "AssumeRole" => assume_role(accounts, settings, caller, &request.params)?,
        api => {
            let message = format!("Could not find operation {api} for version 2011-06-15");
            return Err(ApiError::new(400, "InvalidAction", message));
        }
    };
    Ok(response(&request.api, NAMESPACE, &result))
}

fn assume_role(
    accounts: &mut Accounts,
    settings: &Settings,
    caller: &Principal,
    params: &Value,
) -> Result<String, ApiError> {
    let param = |name: &str| params[name].as_str();
    let invalid = |message: &str| ApiError::new(400, "ValidationError", message);
    let role_arn = param("RoleArn").ok_or_else(|| invalid("RoleArn is missing"))?;
    let session = param("RoleSessionName").ok_or_else(|| invalid("RoleSessionName is missing"))?;
    if !is_session_name(session) {
        return Err(invalid(
            "Value at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*",
        ));
    }
    let seconds = match param("DurationSeconds") {
        None => 3_600,
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| (900..=43_200).contains(seconds))
            .ok_or_else(|| invalid("DurationSeconds has to be between 900 and 43200"))?,
    };
    let external_id = param("ExternalId");
    let Some(role) = accounts.assumable(role_arn, &caller.account, external_id) else {
        let message =
            format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}", caller.arn);
        return Err(ApiError::new(403, "AccessDenied", message));
    };
    let account = role.account().to_owned();
    let (partition, name) = (role_arn.split(':').nth(1).unwrap_or("aws"), arn::last(role_arn));
    let session_arn = format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}");
    let lifetime = settings.role_lifetime.unwrap_or(Duration::from_secs(seconds));
    let expires = settings.now() + lifetime;
    let issued = accounts.issue(&account, session_arn.clone(), Some(expires));

    let credentials = text("AccessKeyId", &issued.access_key)
        + &text("SecretAccessKey", &issued.secret_key)
        + &text("SessionToken", &issued.session_token)
        + &text("Expiration", &iso8601(expires));
    let user = text("AssumedRoleId", &format!("AROA{account}:{session}")) + &text("Arn", &session_arn);
    Ok(element("Credentials", &credentials) + &element("AssumedRoleUser", &user))
}

fn is_session_name(name: &str) -> bool {
    (2..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
}
