//! Who calls, and whether they may.

use std::time::SystemTime;

use hyper::HeaderMap;

use super::answer::Answer;
use super::request::Request;
use super::{ClusterId, PlacedCluster};
use crate::account::{Accounts, Principal};
use crate::model::Access;
use crate::token::{Presigned, TokenError};

/// The bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get("authorization")?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The principal that a token proves, as STS knows it, and its access key id.
///
/// A key that was not issued here has no secret key to check with: where the stand-in accepts such keys, it accepts
/// their signatures.
pub(super) fn authenticate(
    accounts: &Accounts,
    cluster: &ClusterId,
    token: &str,
    now: SystemTime,
) -> Result<(Principal, String), TokenError> {
    let presigned = Presigned::parse(token, &cluster.region, now)?;
    let principal = accounts.principal(presigned.access_key(), presigned.session_token(), now);
    let principal = principal.map_err(|_| TokenError::Credentials)?;
    let access_key = presigned.access_key().to_owned();
    let signed = |secret: &String| presigned.is_signed_with(secret, &cluster.name);
    if principal.secret_key.as_ref().is_none_or(signed) {
        Ok((principal, access_key))
    } else {
        Err(TokenError::Signature)
    }
}

impl PlacedCluster {
    /// Whether a principal has an access entry.
    pub(super) fn knows(&self, cluster: &ClusterId, principal: &Principal) -> bool {
        let entries = match &self.model.access {
            Access::Account => return principal.account == cluster.account,
            Access::Only(entries) => entries,
        };
        // The session's ARN has the role's name without its path. Access entries know the role itself.
        let with_path = self.model.authentication_mode.as_deref() != Some("CONFIG_MAP");
        let role = canonical(&principal.arn);
        entries.iter().any(|entry| {
            let entry = if with_path { without_path(entry) } else { entry.clone() };
            matches(&entry, &role) || matches(&entry, &principal.arn)
        })
    }

    /// Refuses what RBAC does not allow.
    pub(super) fn authorize(&self, principal: &Principal, request: &Request) -> Result<(), Answer> {
        if !self.model.denied.contains(&(request.verb.to_owned(), request.resource.to_owned())) {
            return Ok(());
        }
        let place = match request.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let message = format!(
            "User \"{}\" cannot {} resource \"{}\" in API group \"\" {place}",
            principal.arn, request.verb, request.resource
        );
        let kind = request.resource.split('/').next().unwrap_or_default();
        Err(Answer::forbidden(kind, &request.name, &message))
    }
}

/// The role of a session; another principal is answered as it is.
fn canonical(arn: &str) -> String {
    match arn.split(':').collect::<Vec<_>>()[..] {
        ["arn", partition, "sts", "", account, resource] => match resource.split('/').collect::<Vec<_>>()[..] {
            ["assumed-role", role, _session] => format!("arn:{partition}:iam::{account}:role/{role}"),
            _ => arn.to_owned(),
        },
        _ => arn.to_owned(),
    }
}

/// A role's ARN without the role's path.
fn without_path(arn: &str) -> String {
    match (arn.split_once(":role/"), arn.rsplit_once('/')) {
        (Some((start, _)), Some((_, name))) => format!("{start}:role/{name}"),
        _ => arn.to_owned(),
    }
}

/// Whether a text fits a pattern, in which `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))),
    }
}
