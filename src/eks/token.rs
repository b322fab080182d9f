//! The bearer token that Amazon EKS accepts: a presigned URL of `GetCallerIdentity`, which the cluster calls to learn
//! whose token it is. No call is made here.

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    error::BoxError,
    identifier::{ClusterName, Region},
    lock::lock,
};

/// The age at which a token is replaced, 14 min: a cluster accepts it for 15 minutes.
const MAX_AGE: Duration = Duration::from_mins(14);

/// How long before the credentials expire a token is replaced, 10 s.
const RENEW_BEFORE: Duration = Duration::from_secs(10);

/// `X-Amz-Expires`, 60 s: clusters accept up to 900 s and ignore it.
const EXPIRES: Duration = Duration::from_mins(1);

/// The most bytes of a token that a cluster accepts.
const MAX_BYTES: usize = 4_096;

/// The header that ties a token to a cluster.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";

/// Signs tokens with the credentials of an account's scope.
#[derive(Debug)]
pub(crate) struct Signer {
    credentials: Option<SharedCredentialsProvider>,
    region: Region,
}

/// A bearer token. It is a credential, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Signer {
    pub(crate) fn new(sdk: &SdkConfig, region: &Region) -> Self {
        Self { credentials: sdk.credentials_provider(), region: region.clone() }
    }

    /// Makes a token for a cluster, and returns when it has to be replaced.
    async fn sign(&self, cluster: &ClusterName) -> Result<(Token, SystemTime), BoxError> {
        let provider = self.credentials.as_ref().ok_or("no credentials are configured")?;
        let credentials = provider.provide_credentials().await?;
        let now = SystemTime::now();
        let token = presign(&credentials, &self.region, &sts_url(&self.region).await?, cluster, now)?;
        let renewal = now + MAX_AGE;
        Ok((token, credentials.expiry().map_or(renewal, |expiry| renewal.min(expiry - RENEW_BEFORE))))
    }
}

/// The URL of AWS STS in a Region: clusters accept no global and no custom one.
async fn sts_url(region: &Region) -> Result<String, BoxError> {
    let params = Params::builder().region(region.as_str()).use_global_endpoint(false).build()?;
    Ok(DefaultResolver::new().resolve_endpoint(&params).await?.url().to_owned())
}

fn presign(
    credentials: &Credentials,
    region: &Region,
    sts_url: &str,
    cluster: &ClusterName,
    now: SystemTime,
) -> Result<Token, BoxError> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES);
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name("sts")
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let url = format!("{sts_url}/?Action=GetCallerIdentity&Version=2011-06-15");
    let header = [(CLUSTER_HEADER, cluster.as_str())].into_iter();
    let (instructions, _) =
        sign(SignableRequest::new("GET", &url, header, SignableBody::Bytes(&[]))?, &params)?.into_parts();
    let mut request = http::Request::get(&url).body(())?;
    instructions.apply_to_request_http1x(&mut request);
    let token = format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(request.uri().to_string()));
    if token.len() > MAX_BYTES {
        return Err(TooLong(token.len()).into());
    }
    Ok(Token(token))
}

/// A token that no cluster accepts.
#[derive(Debug, thiserror::Error)]
#[error("the token has {0} bytes, of which clusters accept {MAX_BYTES}: the role's session has too many tags")]
pub(super) struct TooLong(usize);

impl Token {
    /// The value of the `Authorization` header.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The token for a cluster, for as long as the cluster accepts it.
#[derive(Debug, Default)]
pub(crate) struct CachedToken(Mutex<Option<(Token, SystemTime)>>);

impl CachedToken {
    pub(crate) async fn get(&self, signer: &Signer, cluster: &ClusterName) -> Result<Token, BoxError> {
        if let Some((token, _)) = lock(&self.0).as_ref().filter(|(_, renewal)| SystemTime::now() < *renewal) {
            return Ok(token.clone());
        }
        let (token, renewal) = signer.sign(cluster).await?;
        *lock(&self.0) = Some((token.clone(), renewal));
        Ok(token)
    }

    /// Drops a token that the cluster rejected.
    pub(crate) fn drop(&self, rejected: &Token) {
        lock(&self.0).take_if(|(token, _)| token == rejected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        name.to_owned().try_into().unwrap()
    }

    fn cluster() -> ClusterName {
        "web".to_owned().try_into().unwrap()
    }

    fn signer(expires_after: Option<Duration>) -> Signer {
        let expiry = expires_after.map(|after| SystemTime::now() + after);
        let credentials = Credentials::new("AKID", "secret", Some("session".to_owned()), expiry, "test");
        let credentials = SharedCredentialsProvider::new(credentials);
        Signer { credentials: Some(credentials), region: region("eu-west-1") }
    }

    #[tokio::test]
    async fn token_is_a_presigned_url_that_only_names_what_clusters_accept() {
        for (name, host) in [
            ("eu-west-1", "sts.eu-west-1.amazonaws.com"),
            ("us-east-1", "sts.us-east-1.amazonaws.com"),
            ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        ] {
            let (token, _) = Signer { region: region(name), ..signer(None) }.sign(&cluster()).await.unwrap();
            let bearer = token.bearer();
            let url = URL_SAFE_NO_PAD.decode(bearer.strip_prefix("Bearer k8s-aws-v1.").unwrap()).unwrap();
            let url = String::from_utf8(url).unwrap();
            let query = url.strip_prefix(&format!("https://{host}/?")).unwrap();
            let mut query: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
            query.sort_unstable();
            let keys: Vec<_> = query.iter().map(|(key, _)| *key).collect();
            let expected = [
                "Action",
                "Version",
                "X-Amz-Algorithm",
                "X-Amz-Credential",
                "X-Amz-Date",
                "X-Amz-Expires",
                "X-Amz-Security-Token",
                "X-Amz-Signature",
                "X-Amz-SignedHeaders",
            ];
            assert_eq!(keys, expected);
            assert!(query.contains(&("Action", "GetCallerIdentity")) && query.contains(&("X-Amz-Expires", "60")));
            assert!(query.contains(&("X-Amz-SignedHeaders", "host%3Bx-k8s-aws-id")), "{url}");
            assert!(bearer.len() <= 4_096 && !format!("{token:?}").contains("k8s-aws"));
        }
    }

    #[tokio::test]
    async fn token_is_replaced_before_it_or_its_credentials_expire() {
        let age = |expires_after| async move {
            let (_, renewal) = signer(expires_after).sign(&cluster()).await.unwrap();
            renewal.duration_since(SystemTime::now()).unwrap_or_default().as_secs().div_ceil(60)
        };
        assert_eq!(age(None).await, 14);
        assert_eq!(age(Some(Duration::from_hours(1))).await, 14);
        assert_eq!(age(Some(Duration::from_mins(5))).await, 5);
        assert_eq!(age(Some(Duration::ZERO)).await, 0);
    }

    #[tokio::test]
    async fn token_is_cached_until_it_is_rejected() {
        let (cached, other) = (CachedToken::default(), signer(None));
        let first = cached.get(&signer(None), &cluster()).await.unwrap();
        let other = Signer { region: region("us-east-1"), ..other };
        assert_eq!(cached.get(&other, &cluster()).await.unwrap(), first);
        cached.drop(&first);
        assert_ne!(cached.get(&other, &cluster()).await.unwrap(), first);
    }

    #[test]
    fn token_that_no_cluster_accepts_is_an_error() {
        let session = |bytes| Credentials::new("AKID", "secret", Some("s".repeat(bytes)), None, "test");
        let presign = |bytes| {
            let url = "https://sts.eu-west-1.amazonaws.com";
            presign(&session(bytes), &region("eu-west-1"), url, &cluster(), SystemTime::now())
        };
        assert!(presign(2_000).is_ok());
        let error = presign(4_000).unwrap_err();
        assert!(error.is::<TooLong>() && error.to_string().contains("too many tags"), "{error}");
    }
}
