//! Access to AWS: the SDK's configuration, request quotas, retries and coalesced calls. It knows no service's types.

pub(crate) mod assumed_role;
pub(crate) mod calls;
pub(crate) mod coalesce;
pub mod deadline;
pub(crate) mod failure;
pub mod operation;
pub(crate) mod query;
pub(crate) mod session;
pub(crate) mod token_bucket;

use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_types::date_time::{DateTime, Format};

use crate::identifier::Region;

/// The time limit for opening a connection, 2 s: within a Region it takes milliseconds.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);

/// The `User-Agent` header of requests that no SDK client makes.
pub(crate) const USER_AGENT: &str = concat!("spot-interruption-handler/", env!("CARGO_PKG_VERSION"));

/// Reads credentials, endpoints and the home Region as every AWS SDK does.
pub(crate) async fn from_env() -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        // `ring`: aws-lc gathers entropy for tens of CPU milliseconds before its first handshake.
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    load(aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http)).await
}

/// Like [`from_env`], but what the loader sets takes precedence: a transport, credentials, a Region.
pub(crate) async fn load(loader: ConfigLoader) -> SdkConfig {
    loader
        .timeout_config(
            TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(calls::ATTEMPT).build(),
        )
        // `Calls` retries, since it knows the deadline; the SDK would count attempts.
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}

/// The configuration for another Region.
pub(crate) fn in_region(sdk: &SdkConfig, region: &Region) -> SdkConfig {
    sdk.to_builder().region(aws_config::Region::new(region.as_str().to_owned())).build()
}

/// The token of the next page, if there is one. An empty token counts as none.
pub(crate) fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

/// A duration in whole milliseconds.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// A time as AWS writes it; empty for years after 9999.
pub(crate) fn timestamp(time: SystemTime) -> String {
    DateTime::from(time).fmt(Format::DateTime).unwrap_or_default()
}

/// Escapes a segment of a path, or a value of a query or a form.
pub(crate) fn escape(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
