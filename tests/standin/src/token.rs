//! The bearer tokens of Amazon EKS, checked as the control plane checks them.
//!
//! A token is a presigned URL of `GetCallerIdentity` in STS. The control plane first checks its form
//! ([`Presigned::parse`]), then calls the URL with the cluster's own name in the header `x-k8s-aws-id`. STS accepts that
//! call if the signature fits ([`Presigned::is_signed_with`]). No code here is AWS's or Kubernetes', so that both sides
//! can't share a mistake.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};

use crate::arn::{hex_of, partition};
use crate::timestamp::compact;

/// What each token starts with.
pub const PREFIX: &str = "k8s-aws-v1.";

/// The longest token, in bytes.
pub const MAX_BYTES: usize = 4_096;

/// How long a token is accepted from the time of its signature, whatever `X-Amz-Expires` says.
pub const LIFETIME: Duration = Duration::from_mins(15);

/// The header that ties a token to its cluster.
pub const CLUSTER_HEADER: &str = "x-k8s-aws-id";

/// How far in the future a signature's time may be for STS.
const SKEW: Duration = Duration::from_mins(5);

/// The query keys that a token may have, in lower case.
const KEYS: [&str; 9] = [
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// The reason to refuse a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It is longer than [`MAX_BYTES`].
    TooLarge,
    /// It does not start with [`PREFIX`].
    Prefix,
    /// It is not base64url without padding, or not an absolute URL.
    Encoding,
    /// Its scheme is not `https`.
    Scheme,
    /// Its host is not one of STS in the cluster's partition.
    Host(String),
    /// Its path is not `/`.
    Path,
    /// A query key is not one of those that are allowed.
    Key(String),
    /// A query key occurs more than once, in upper or lower case.
    Duplicate(String),
    /// `Action` is not `GetCallerIdentity`.
    Action,
    /// The header `x-k8s-aws-id` is not signed.
    ClusterHeader,
    /// `X-Amz-Expires` is not a number between 0 and 900.
    Expires,
    /// `X-Amz-Date` is missing or not a time.
    Date,
    /// It is more than [`LIFETIME`] old.
    Expired,
    /// STS does not accept its credentials.
    Credentials,
    /// STS computes another signature: it was changed, or signed for another cluster, Region or secret key.
    Signature,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the token is too large"),
            Self::Prefix => write!(f, "the token does not start with {PREFIX}"),
            Self::Encoding => f.write_str("the token is not a URL in base64url without padding"),
            Self::Scheme => f.write_str("the scheme is not https"),
            Self::Host(host) => write!(f, "{host} is not an STS endpoint of the cluster's partition"),
            Self::Path => f.write_str("the path is not /"),
            Self::Key(key) => write!(f, "the query key {key} is not allowed"),
            Self::Duplicate(key) => write!(f, "the query key {key} occurs more than once"),
            Self::Action => f.write_str("the action is not GetCallerIdentity"),
            Self::ClusterHeader => write!(f, "the header {CLUSTER_HEADER} is not signed"),
            Self::Expires => f.write_str("X-Amz-Expires is not between 0 and 900"),
            Self::Date => f.write_str("X-Amz-Date is not a time"),
            Self::Expired => f.write_str("the token is more than 15 minutes old"),
            Self::Credentials => f.write_str("STS does not accept the credentials"),
            Self::Signature => f.write_str("STS computes another signature"),
        }
    }
}

impl std::error::Error for TokenError {}

/// The URL in a token, whose form has been checked.
#[derive(Clone, Debug)]
pub struct Presigned {
    host: String,
    /// Keys as they are written, with decoded values.
    query: Vec<(String, String)>,
    /// Values by key in lower case.
    params: BTreeMap<String, String>,
}

impl Presigned {
    /// Reads a token and checks its form, at this time, for a cluster in this Region.
    ///
    /// # Errors
    ///
    /// The first rule that the token breaks, in the order in which the control plane checks them.
    pub fn parse(token: &str, region: &str, now: SystemTime) -> Result<Self, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::TooLarge);
        }
        let encoded = token.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Encoding)?;
        let url = String::from_utf8(bytes).map_err(|_| TokenError::Encoding)?;
        let (scheme, rest) = url.split_once("://").ok_or(TokenError::Encoding)?;
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(TokenError::Scheme);
        }
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = location.split_at(location.find('/').unwrap_or(location.len()));
        if !is_sts_host(host, partition(region)) {
            return Err(TokenError::Host(host.to_owned()));
        }
        if path != "/" {
            return Err(TokenError::Path);
        }
        let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let presigned = Self { host: host.to_owned(), params: params(&query)?, query };
        presigned.check_params(now)?;
        Ok(presigned)
    }

    fn check_params(&self, now: SystemTime) -> Result<(), TokenError> {
        if self.param("action") != "GetCallerIdentity" {
            return Err(TokenError::Action);
        }
        if !self.param("x-amz-signedheaders").split(';').any(|name| name.eq_ignore_ascii_case(CLUSTER_HEADER)) {
            return Err(TokenError::ClusterHeader);
        }
        if !self.param("x-amz-expires").parse::<i64>().is_ok_and(|seconds| (0..=900).contains(&seconds)) {
            return Err(TokenError::Expires);
        }
        let date = self.param("x-amz-date");
        if !is_date(date) {
            return Err(TokenError::Date);
        }
        // In this form, the order of texts is that of times.
        if date < compact(now - LIFETIME).as_str() {
            return Err(TokenError::Expired);
        }
        if date > compact(now + SKEW).as_str() {
            return Err(TokenError::Signature);
        }
        Ok(())
    }

    /// The access key id.
    #[must_use]
    pub fn access_key(&self) -> &str {
        self.param("x-amz-credential").split('/').next().unwrap_or_default()
    }

    /// The session token; `None` if the credentials are none of a session.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        self.params.get("x-amz-security-token").map(String::as_str)
    }

    /// The host of STS that the control plane calls.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether STS, called with this cluster in the header, computes the token's signature from the secret key.
    #[must_use]
    pub fn is_signed_with(&self, secret_key: &str, cluster: &str) -> bool {
        let credential = self.param("x-amz-credential");
        let Some((_, scope)) = credential.split_once('/') else { return false };
        let [date, region, "sts", "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else { return false };
        let time = self.param("x-amz-date");
        let is_sound = self.param("x-amz-algorithm") == "AWS4-HMAC-SHA256"
            && self.param("version") == "2011-06-15"
            && time.starts_with(date)
            && region == signing_region(&self.host);
        let request = sha256(self.canonical_request(cluster).as_bytes());
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request}");
        let secret = format!("AWS4{secret_key}");
        let key = [date, region, "sts", "aws4_request"]
            .iter()
            .fold(secret.into_bytes(), |key, part| mac(&key, part.as_bytes()));
        is_sound && hex_of(&mac(&key, to_sign.as_bytes())) == self.param("x-amz-signature")
    }

    fn canonical_request(&self, cluster: &str) -> String {
        let signed = self.query.iter().filter(|(key, _)| !key.eq_ignore_ascii_case("x-amz-signature"));
        let mut query: Vec<_> = signed.map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        query.sort();
        let names = self.param("x-amz-signedheaders");
        let headers: Vec<_> = names.split(';').map(|name| format!("{name}:{}", self.header(name, cluster))).collect();
        format!("GET\n/\n{}\n{}\n\n{names}\n{}", query.join("&"), headers.join("\n"), sha256(b""))
    }

    /// The value of a header as the control plane sends it.
    fn header<'a>(&'a self, name: &str, cluster: &'a str) -> &'a str {
        match name {
            "host" => &self.host,
            CLUSTER_HEADER => cluster,
            "accept" => "application/json",
            _ => "",
        }
    }

    fn param(&self, key: &str) -> &str {
        self.params.get(key).map_or("", String::as_str)
    }
}

/// Checks a token as the control plane and STS do. `secret_key` looks up the secret key of an access key id.
///
/// # Errors
///
/// The first rule that the token breaks.
pub fn verify(
    token: &str,
    cluster: &str,
    region: &str,
    now: SystemTime,
    secret_key: impl FnOnce(&str) -> Option<String>,
) -> Result<Presigned, TokenError> {
    let presigned = Presigned::parse(token, region, now)?;
    let secret_key = secret_key(presigned.access_key()).ok_or(TokenError::Credentials)?;
    if presigned.is_signed_with(&secret_key, cluster) { Ok(presigned) } else { Err(TokenError::Signature) }
}

fn params(query: &[(String, String)]) -> Result<BTreeMap<String, String>, TokenError> {
    let mut params = BTreeMap::new();
    for (key, value) in query {
        let name = key.to_ascii_lowercase();
        if !KEYS.contains(&name.as_str()) {
            return Err(TokenError::Key(key.clone()));
        }
        if params.insert(name, value.clone()).is_some() {
            return Err(TokenError::Duplicate(key.clone()));
        }
    }
    Ok(params)
}

/// Whether a host is STS's in a Region of this partition: regional, FIPS or dual-stack, and in `aws` the global one.
fn is_sts_host(host: &str, of: &str) -> bool {
    if host == "sts.amazonaws.com" {
        return of == "aws";
    }
    let Some(rest) = host.strip_prefix("sts.").or_else(|| host.strip_prefix("sts-fips.")) else { return false };
    let Some((region, suffix)) = rest.split_once('.') else { return false };
    let suffixes = match of {
        "aws-cn" => ["amazonaws.com.cn", "api.amazonwebservices.com.cn"],
        _ => ["amazonaws.com", "api.aws"],
    };
    is_region(region) && partition(region) == of && suffixes.contains(&suffix)
}

/// Whether it has the form of a Region's name, such as `us-gov-west-1`.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let (words, number) = parts.split_at(parts.len() - 1);
    (2..=4).contains(&words.len()) && words.iter().all(is_word) && number[0].parse::<u8>().is_ok()
}

/// The Region that STS at this host expects in the signature.
fn signing_region(host: &str) -> &str {
    if host == "sts.amazonaws.com" { "us-east-1" } else { host.split('.').nth(1).unwrap_or_default() }
}

/// Whether it has the form `20260131T120000Z`.
fn is_date(text: &str) -> bool {
    text.len() == 16
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

/// Percent-encodes all but the unreserved characters, as signatures need it.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    hex_of(digest::digest(&digest::SHA256, bytes).as_ref())
}
