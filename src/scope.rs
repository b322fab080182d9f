//! Scopes: an account and Region each, with what it takes to act there. This is the only file that knows every service.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_config::{ConfigLoader, SdkConfig, identity::IdentityCache};
use aws_credential_types::provider::SharedCredentialsProvider;

pub use crate::eks::connection::Connect;
use crate::{
    auto_scaling::AutoScaling,
    aws::{
        self,
        assumed_role::AssumedRole,
        calls::{CallCounts, Calls},
        deadline::Deadline,
        query::{Client, Service},
        token_bucket::{Share, TokenBuckets},
    },
    config::MemberRole,
    ec2::Ec2,
    ecs::Ecs,
    eks::Eks,
    error::Error,
    function::Function,
    iam::Iam,
    identifier::{AccountId, QueueArn, Region},
    load_balancing::LoadBalancing,
    lock::lock,
    queue::Queue,
};

/// The most scopes that are cached, 100: clients and caches take some 200 kB each. The least recently used scope is
/// dropped.
const MAX_SCOPES: usize = 100;

/// All scopes, cached for the life of the process.
#[derive(Debug)]
pub struct Scopes {
    sdk: SdkConfig,
    connect: Connect,
    cache: Mutex<ScopeCache>,
}

/// One account and Region: its clients and caches.
#[derive(Debug)]
pub struct Scope {
    pub(crate) ec2: Ec2,
    pub(crate) ecs: Ecs,
    pub(crate) eks: Eks,
    pub(crate) auto_scaling: AutoScaling,
    pub(crate) load_balancing: LoadBalancing,
    /// For rehearsals only.
    pub(crate) iam: Option<Iam>,
    buckets: Arc<TokenBuckets>,
    role: Option<AssumedRole>,
}

/// An account, if it is not the function's own, and a Region.
type Key = (Option<AccountId>, Region);

#[derive(Debug, Default)]
struct ScopeCache {
    scopes: HashMap<Key, (Arc<Scope>, u64)>,
    roles: HashMap<AccountId, AssumedRole>,
    /// Counts the uses, to find the least recently used scope.
    uses: u64,
}

impl Scopes {
    /// Reads credentials, endpoints and the home Region as every AWS SDK does.
    pub async fn from_env() -> Self {
        Self { sdk: aws::from_env().await, connect: Connect::default(), cache: Mutex::default() }
    }

    /// Like [`Scopes::from_env`], but what the loader sets takes precedence: a transport, credentials, a Region.
    /// Kubernetes API servers are reached by `connect`.
    pub async fn load(loader: ConfigLoader, connect: Connect) -> Self {
        Self { sdk: aws::load(loader).await, connect, cache: Mutex::default() }
    }

    /// The scope of the function's own account and Region, if the Region is known.
    pub(crate) fn home(&self) -> Option<Arc<Scope>> {
        Some(self.cached(None, &self.home_region()?, None))
    }

    fn cached(&self, account: Option<&AccountId>, region: &Region, role: Option<AssumedRole>) -> Arc<Scope> {
        let make = || Scope::new(&self.sdk, region, &self.connect, role, Share::All);
        lock(&self.cache).get((account.cloned(), region.clone()), make)
    }

    /// Returns the scope of an account and Region. The function's own account uses its own credentials, any other the
    /// member role, which is not assumed yet; an error if none is configured.
    pub(crate) async fn get(
        &self,
        function: &Function,
        role: Option<&MemberRole>,
        account: &AccountId,
        region: &Region,
    ) -> Result<Arc<Scope>, Error> {
        let role = self.assumed_role(function, role, account).await?;
        Ok(self.cached(role.is_some().then_some(account), region, role))
    }

    /// Makes a scope that shares neither caches nor token buckets with any other, and uses half of each quota.
    /// Fails as [`Scopes::get`] does.
    pub(crate) async fn rehearsal(
        &self,
        function: &Function,
        role: Option<&MemberRole>,
        account: &AccountId,
        region: &Region,
    ) -> Result<Scope, Error> {
        let role = self.assumed_role(function, role, account).await?;
        Ok(Scope::new(&self.sdk, region, &self.connect, role, Share::Half))
    }

    /// The role for an account; `None` for the function's own.
    async fn assumed_role(
        &self,
        function: &Function,
        role: Option<&MemberRole>,
        account: &AccountId,
    ) -> Result<Option<AssumedRole>, Error> {
        if function.is_own_account(account) {
            return Ok(None);
        }
        let role = role.ok_or_else(|| Error::ForeignAccount(account.clone()))?;
        let cached = lock(&self.cache).roles.get(account).cloned();
        if let Some(role) = cached {
            return Ok(Some(role));
        }
        let role = AssumedRole::new(&self.sdk, function, role, account).await;
        // Another event of the same account may have been faster.
        Ok(Some(lock(&self.cache).roles.entry(account.clone()).or_insert(role).clone()))
    }

    /// The function's Region, if it is known.
    pub(crate) fn home_region(&self) -> Option<Region> {
        self.sdk.region()?.to_string().try_into().ok()
    }

    /// A client for a service in a Region, with the function's own credentials.
    pub(crate) fn client(&self, region: &Region, service: &'static Service) -> Client {
        Client::new(&aws::in_region(&self.sdk, region), service)
    }

    /// A queue, with the function's own credentials.
    pub(crate) fn queue(&self, arn: QueueArn) -> Queue {
        Queue::new(&self.sdk, arn)
    }
}

impl ScopeCache {
    fn get(&mut self, key: Key, make: impl FnOnce() -> Scope) -> Arc<Scope> {
        self.uses += 1;
        let (scope, used) = self.scopes.entry(key).or_insert_with(|| (Arc::new(make()), 0));
        *used = self.uses;
        let scope = Arc::clone(scope);
        if self.scopes.len() > MAX_SCOPES {
            let oldest = self.scopes.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            if let Some(key) = oldest {
                self.scopes.remove(&key);
            }
            let scopes = &self.scopes;
            self.roles.retain(|account, _| scopes.keys().any(|(of, _)| of.as_ref() == Some(account)));
        }
        scope
    }
}

impl Scope {
    fn new(sdk: &SdkConfig, region: &Region, connect: &Connect, role: Option<AssumedRole>, share: Share) -> Self {
        let mut sdk = aws::in_region(sdk, region);
        if let Some(role) = &role {
            sdk = sdk
                .to_builder()
                .credentials_provider(SharedCredentialsProvider::new(role.clone()))
                // The role caches its session itself, and drops one that AWS no longer accepts.
                .identity_cache(IdentityCache::no_cache())
                .build();
        }
        Self {
            ec2: Ec2::new(&sdk),
            ecs: Ecs::new(&sdk),
            eks: Eks::new(&sdk, region, connect, share),
            auto_scaling: AutoScaling::new(&sdk),
            load_balancing: LoadBalancing::new(&sdk),
            iam: (share == Share::Half).then(|| Iam::new(&sdk, region)),
            buckets: Arc::new(TokenBuckets::new(share)),
            role,
        }
    }

    /// Ensures that calls can be made: in another account, the role has to be assumed.
    pub(crate) async fn assume_role(&self, calls: &Calls) -> Result<(), Error> {
        match &self.role {
            Some(role) => role.assume(calls).await,
            None => Ok(()),
        }
    }

    /// Calls that are retried until the deadline.
    pub(crate) fn calls(&self, deadline: Deadline, counts: &Arc<CallCounts>) -> Calls {
        let session = self.role.as_ref().map(|role| role.session().clone());
        Calls::new(deadline, Arc::clone(&self.buckets), session, Arc::clone(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn least_recently_used_scope_is_dropped() {
        let scopes = Scopes::from_env().await;
        let id = |text: String| AccountId::try_from(text).unwrap();
        let region = Region::try_from("us-east-1".to_owned()).unwrap();
        let function = Function { partition: "aws".into(), account: Some(id("123456789012".into())), name: "f".into() };
        let role = MemberRole { name: "member".into(), external_id: None };
        let home = scopes.cached(None, &region, None);
        for n in 0..2 * MAX_SCOPES {
            scopes.get(&function, Some(&role), &id(format!("{n:012}")), &region).await.unwrap();
            assert!(Arc::ptr_eq(&home, &scopes.cached(None, &region, None)), "the scope in use stays");
        }
        let cache = lock(&scopes.cache);
        assert_eq!((cache.scopes.len(), cache.roles.len()), (MAX_SCOPES, MAX_SCOPES - 1));
    }
}
