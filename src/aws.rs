//! The SDK: clients, HTTP and TLS, timeouts.

mod calls;
mod pace;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::{ecs::locate::Knowledge, interruption::Region};

use self::pace::Paces;

pub use self::calls::{Calls, Deadline};

/// How long one attempt of a call may take, 5 s: ECS and EC2 answer reads and writes within a second; an attempt
/// that takes this long is lost, and there must be time for others.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long a connection may take to be made, 2 s: within a Region it takes milliseconds.
const CONNECT: Duration = Duration::from_secs(2);

/// The way to AWS, kept for as long as the process lives.
#[derive(Debug)]
pub struct Aws {
    sdk: SdkConfig,
    regions: Mutex<HashMap<Region, Arc<Regional>>>,
}

/// The clients of one Region, and what was learned about its clusters.
#[derive(Debug)]
pub struct Regional {
    pub(crate) ecs: aws_sdk_ecs::Client,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) knowledge: Knowledge,
    paces: Arc<Paces>,
}

/// The token for the next page, if there is one: an empty one is none.
pub(crate) fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
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
        Self { sdk, regions: Mutex::default() }
    }

    /// The Region that the function itself runs in.
    #[must_use]
    pub fn home(&self) -> Option<Region> {
        self.sdk.region().and_then(|region| region.to_string().try_into().ok())
    }

    /// The clients for a Region.
    #[must_use]
    pub fn region(&self, region: &Region) -> Arc<Regional> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(regions.entry(region.clone()).or_insert_with(|| Arc::new(Regional::new(&self.sdk, region))))
    }
}

impl Regional {
    fn new(sdk: &SdkConfig, region: &Region) -> Self {
        let region = aws_config::Region::new(region.as_str().to_owned());
        let sdk = sdk.to_builder().region(region).build();
        Self {
            ecs: aws_sdk_ecs::Client::new(&sdk),
            ec2: aws_sdk_ec2::Client::new(&sdk),
            knowledge: Knowledge::default(),
            paces: Arc::default(),
        }
    }

    /// Calls that are tried again until the deadline.
    #[must_use]
    pub fn calls_until(&self, deadline: Deadline) -> Calls {
        Calls::until(deadline, Arc::clone(&self.paces))
    }
}
