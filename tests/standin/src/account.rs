//! Access keys, the accounts they belong to and the roles that can be assumed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::arn;

/// Credentials for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The access key id.
    pub access_key: String,
    /// The secret access key, which is used only to check bearer tokens of EKS.
    pub secret_key: String,
    /// The session token, which is required with the access key.
    pub session_token: String,
}

impl Credentials {
    fn random() -> Self {
        Self {
            access_key: format!("ASIA{}", arn::hex(16).to_uppercase()),
            secret_key: arn::hex(40),
            session_token: arn::hex(64),
        }
    }

    /// The environment variables that the SDKs read.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", &self.access_key),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_key),
            ("AWS_SESSION_TOKEN", &self.session_token),
        ]
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .to_vec()
    }
}

/// A role that can be assumed.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its ARN, `arn:aws:iam::ACCOUNT:role/NAME`.
    pub arn: String,
    /// The accounts whose callers may assume it.
    pub trusted: Vec<String>,
    /// The external id that a caller has to send.
    pub external_id: Option<String>,
}

impl Role {
    /// A role that trusts no account yet.
    #[must_use]
    pub fn new(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), trusted: Vec::new(), external_id: None }
    }

    /// Allows callers of an account to assume the role.
    #[must_use]
    pub fn trusts(mut self, account: impl Into<String>) -> Self {
        self.trusted.push(account.into());
        self
    }

    /// Requires an external id.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// The account that the role is in.
    pub(crate) fn account(&self) -> &str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }
}

/// The signer of a request.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    pub(crate) account: String,
    pub(crate) arn: String,
    session_token: Option<String>,
    /// `None` where the key was not issued here.
    pub(crate) secret_key: Option<String>,
    expires: Option<SystemTime>,
}

/// The reasons to reject a request's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unsigned,
    Unknown,
    Expired,
    /// The signature's time is not AWS's.
    Skewed,
}

/// Every access key and role.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    keys: BTreeMap<String, Principal>,
    defaults: BTreeMap<String, Credentials>,
    roles: BTreeMap<String, Role>,
    /// The account of unknown keys.
    open: Option<String>,
}

impl Accounts {
    pub(crate) fn new(open: Option<String>) -> Self {
        Self { open, ..Self::default() }
    }

    /// The account's credentials, which do not expire: the same each time.
    pub(crate) fn credentials_for(&mut self, account: &str) -> Credentials {
        if let Some(credentials) = self.defaults.get(account) {
            return credentials.clone();
        }
        let arn = format!("arn:aws:sts::{account}:assumed-role/standin/standin");
        let credentials = self.issue(account, arn, None);
        self.defaults.insert(account.to_owned(), credentials.clone());
        credentials
    }

    /// Issues new credentials.
    pub(crate) fn issue(&mut self, account: &str, arn: String, expires: Option<SystemTime>) -> Credentials {
        let credentials = Credentials::random();
        let principal = Principal {
            account: account.to_owned(),
            arn,
            session_token: Some(credentials.session_token.clone()),
            secret_key: Some(credentials.secret_key.clone()),
            expires,
        };
        self.keys.insert(credentials.access_key.clone(), principal);
        credentials
    }

    /// Ends every session of an account's roles, as when they are deleted and created again.
    pub(crate) fn end_sessions(&mut self, account: &str) {
        self.keys.retain(|_, principal| principal.account != account || principal.expires.is_none());
    }

    pub(crate) fn principal(
        &self,
        access_key: &str,
        token: Option<&str>,
        now: SystemTime,
    ) -> Result<Principal, Refusal> {
        if access_key.is_empty() {
            return Err(Refusal::Unsigned);
        }
        let Some(principal) = self.keys.get(access_key) else {
            let account = self.open.as_ref().ok_or(Refusal::Unknown)?;
            return Ok(Principal {
                account: account.clone(),
                arn: format!("arn:aws:iam::{account}:user/standin"),
                session_token: None,
                secret_key: None,
                expires: None,
            });
        };
        if principal.session_token.as_deref() != token {
            return Err(Refusal::Unknown);
        }
        if principal.expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::Expired);
        }
        Ok(principal.clone())
    }

    pub(crate) fn add_role(&mut self, role: Role) {
        self.roles.insert(role.arn.clone(), role);
    }

    /// The role, if it may be assumed from this account with this external id.
    pub(crate) fn assumable(&self, arn: &str, account: &str, external_id: Option<&str>) -> Option<&Role> {
        self.roles.get(arn).filter(|role| {
            let id_fits = role.external_id.as_deref().is_none_or(|id| Some(id) == external_id);
            id_fits && role.trusted.iter().any(|trusted| trusted == account)
        })
    }
}
