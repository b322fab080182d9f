//! The role that is assumed in another account.

use std::sync::Arc;

use aws_config::{SdkConfig, sts::AssumeRoleProvider};
use aws_credential_types::provider::{self, ProvideCredentials, error::CredentialsError, future};

use super::{
    calls::Calls,
    coalesce::Coalesced,
    failure::{call_error, not_assumed},
    operation::Operation,
    session::Session,
};
use crate::{
    config::MemberRole,
    error::{Error, ErrorClass},
    function::Function,
    identifier::AccountId,
};

/// The role in another account. All clients for the account share its credentials: the SDK would assume the role once
/// for each client.
#[derive(Clone, Debug)]
pub(crate) struct AssumedRole(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    role: String,
    provider: AssumeRoleProvider,
    session: Session,
    assuming: Coalesced<(), (), ()>,
}

impl AssumedRole {
    pub(crate) async fn new(sdk: &SdkConfig, function: &Function, role: &MemberRole, account: &AccountId) -> Self {
        let MemberRole { name, external_id } = role;
        let role = format!("arn:{}:iam::{account}:role/{name}", function.partition);
        let mut provider = AssumeRoleProvider::builder(&role).session_name(&function.name).configure(sdk);
        if let Some(external_id) = external_id {
            provider = provider.external_id(external_id);
        }
        let (provider, assuming) = (provider.build().await, Coalesced::shared(Operation::AssumeRole));
        Self(Arc::new(Inner { role, provider, session: Session::default(), assuming }))
    }

    pub(crate) fn session(&self) -> &Session {
        &self.0.session
    }

    /// Ensures that the role is assumed.
    ///
    /// The clients would assume it by themselves, but would not distinguish a role that can't be assumed from a call
    /// that fails.
    pub(crate) async fn assume(&self, calls: &Calls) -> Result<(), Error> {
        if self.0.session.is_current().await {
            return Ok(());
        }
        self.0.assuming.get_one(self, calls, &(), Self::assume_once).await
    }

    async fn assume_once(self, calls: Calls, (): ()) -> Result<(), Error> {
        let assume = || async { self.credentials().await.map(drop).map_err(|error| self.refused(&error)) };
        calls.repeat(Operation::AssumeRole, &self.0.role, assume).await
    }

    async fn credentials(&self) -> provider::Result {
        self.0.session.credentials(self.0.provider.provide_credentials()).await
    }

    fn refused(&self, error: &CredentialsError) -> Error {
        match not_assumed(error) {
            Some(error) => call_error(Operation::AssumeRole, &self.0.role, error),
            None => Error::call(Operation::AssumeRole, &self.0.role, ErrorClass::Rejected, error.to_string()),
        }
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
