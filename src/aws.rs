//! The SDK: clients, HTTP and TLS, timeouts.

mod calls;
mod member;
mod pace;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ecs::{
    primitives::{DateTime, DateTimeFormat},
    types::Failure,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::{
    config::MemberRole,
    ecs::locate::Knowledge,
    error::Error,
    function::Function,
    interruption::{AccountId, Region},
};

use self::{member::Member, pace::Paces};

pub use self::calls::{Calls, Deadline};
pub(crate) use self::calls::{left_until, less_margin};

/// How long one attempt of a call may take, 5 s: ECS and EC2 answer reads and writes within a second; an attempt
/// that takes this long is lost, and there must be time for others.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long a connection may take to be made, 2 s: within a Region it takes milliseconds.
const CONNECT: Duration = Duration::from_secs(2);

/// How many accounts and Regions are kept ready, 100: clients and what was learned, some 200 kB each. Past that the one
/// that was used longest ago is forgotten.
const PLACES: usize = 100;

/// The way to AWS, kept for as long as the process lives.
#[derive(Debug)]
pub struct Aws {
    sdk: SdkConfig,
    places: Mutex<Places>,
}

/// An account, where it is not the function's own, and a Region.
type Place = (Option<AccountId>, Region);

#[derive(Debug, Default)]
struct Places {
    ready: HashMap<Place, (Arc<Regional>, u64)>,
    members: HashMap<AccountId, Member>,
    /// Counts the uses, to tell which was the longest ago.
    uses: u64,
}

/// The clients of one account and Region, and what was learned about its clusters.
#[derive(Debug)]
pub struct Regional {
    pub(crate) ecs: aws_sdk_ecs::Client,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) knowledge: Knowledge,
    paces: Arc<Paces>,
    member: Option<Member>,
}

/// The token for the next page, if there is one: an empty one is none.
pub(crate) fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

/// A time as AWS writes it; nothing for years past 9999.
pub(crate) fn timestamp(time: SystemTime) -> String {
    DateTime::from(time).fmt(DateTimeFormat::DateTime).unwrap_or_default()
}

/// That nothing failed, as an answer of 200 says by itself. What is gone, for one of these reasons, did not fail.
pub(crate) fn none_failed(
    operation: &'static str,
    about: &str,
    failures: &[Failure],
    gone: &[&str],
) -> Result<(), Error> {
    let is_gone = |failure: &Failure| failure.reason().is_some_and(|reason| gone.contains(&reason));
    match failures.iter().find(|failure| !is_gone(failure)) {
        Some(failure) => Err(Error::refused(operation, failure.arn().unwrap_or(about), failure.reason())),
        None => Ok(()),
    }
}

impl Aws {
    /// Reads credentials, endpoints and the home Region as every AWS SDK does.
    pub async fn from_env() -> Self {
        let http = aws_smithy_http_client::Builder::new()
            // `ring`: aws-lc gathers entropy for tens of CPU milliseconds before its first handshake.
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        Self::load(aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http)).await
    }

    /// As [`Aws::from_env`], where what the loader sets comes first: a transport, credentials, a Region.
    pub async fn load(loader: ConfigLoader) -> Self {
        let sdk = loader
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build(),
            )
            // `Calls` tries again, since it knows until when that makes sense; the SDK counts attempts.
            .retry_config(RetryConfig::disabled())
            .load()
            .await;
        Self { sdk, places: Mutex::default() }
    }

    /// The Region that the function itself runs in.
    #[must_use]
    pub fn home(&self) -> Option<Region> {
        self.sdk.region().and_then(|region| region.to_string().try_into().ok())
    }

    /// The function's own account in a Region.
    #[must_use]
    pub fn region(&self, region: &Region) -> Arc<Regional> {
        self.lock().get((None, region.clone()), || Regional::new(&self.sdk, region, None))
    }

    /// An account in a Region: with the function's own credentials if it is its own, else with those of the member role.
    ///
    /// # Errors
    ///
    /// If the account is another one and there is no member role. Whether it can be assumed shows later.
    pub async fn place(
        &self,
        function: &Function,
        role: Option<&MemberRole>,
        account: &AccountId,
        region: &Region,
    ) -> Result<Arc<Regional>, Error> {
        if function.is_at_home_in(account) {
            return Ok(self.region(region));
        }
        let role = role.ok_or_else(|| Error::ForeignAccount(account.clone()))?;
        let known = self.lock().members.get(account).cloned();
        let member = if let Some(member) = known {
            member
        } else {
            let member = Member::new(&self.sdk, function, role, account).await;
            // Another Region's notices may have been faster.
            self.lock().members.entry(account.clone()).or_insert(member).clone()
        };
        let make = || Regional::new(&self.sdk, region, Some(member));
        Ok(self.lock().get((Some(account.clone()), region.clone()), make))
    }

    /// A client for event buses in a Region, with the function's own credentials.
    pub(crate) fn event_buses(&self, region: &str) -> aws_sdk_eventbridge::Client {
        aws_sdk_eventbridge::Client::new(&in_region(&self.sdk, region))
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn get(&mut self, place: Place, make: impl FnOnce() -> Regional) -> Arc<Regional> {
        self.uses += 1;
        let (regional, used) = self.ready.entry(place).or_insert_with(|| (Arc::new(make()), 0));
        *used = self.uses;
        let regional = Arc::clone(regional);
        if self.ready.len() > PLACES {
            self.forget_one();
        }
        regional
    }

    fn forget_one(&mut self) {
        let oldest = self.ready.iter().min_by_key(|(_, (_, used))| *used).map(|(place, _)| place.clone());
        if let Some(place) = oldest {
            self.ready.remove(&place);
        }
        let ready = &self.ready;
        self.members.retain(|account, _| ready.keys().any(|(of, _)| of.as_ref() == Some(account)));
    }
}

fn in_region(sdk: &SdkConfig, region: &str) -> SdkConfig {
    sdk.to_builder().region(aws_config::Region::new(region.to_owned())).build()
}

impl Regional {
    fn new(sdk: &SdkConfig, region: &Region, member: Option<Member>) -> Self {
        let mut sdk = in_region(sdk, region.as_str());
        if let Some(member) = &member {
            sdk = sdk.to_builder().credentials_provider(SharedCredentialsProvider::new(member.clone())).build();
        }
        Self {
            ecs: aws_sdk_ecs::Client::new(&sdk),
            ec2: aws_sdk_ec2::Client::new(&sdk),
            knowledge: Knowledge::default(),
            paces: Arc::default(),
            member,
        }
    }

    /// Makes sure that calls can be made here: in another account, its role has to be assumed.
    ///
    /// # Errors
    ///
    /// If it may not be assumed, or can't be until the deadline.
    pub async fn enter(&self, calls: &Calls) -> Result<(), Error> {
        match &self.member {
            Some(member) => member.assume(calls).await,
            None => Ok(()),
        }
    }

    /// Calls that are tried again until the deadline.
    #[must_use]
    pub fn calls_until(&self, deadline: Deadline) -> Calls {
        Calls::until(deadline, Arc::clone(&self.paces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bounded_number_of_places_is_kept_ready() {
        let aws = Aws::from_env().await;
        let id = |text: String| AccountId::try_from(text).unwrap();
        let region = Region::try_from("us-east-1".to_owned()).unwrap();
        let function = Function { partition: "aws".into(), account: Some(id("123456789012".into())), name: "f".into() };
        let role = MemberRole { name: "member".into(), external_id: None };
        let home = aws.region(&region);
        let mut first = None;
        for n in 0..2 * PLACES {
            let account = id(format!("{n:012}"));
            let place = aws.place(&function, Some(&role), &account, &region).await.unwrap();
            first.get_or_insert(place);
            assert!(Arc::ptr_eq(&home, &aws.region(&region)), "what is used is kept");
        }
        let places = aws.lock();
        assert_eq!((places.ready.len(), places.members.len()), (PLACES, PLACES - 1));
    }
}
