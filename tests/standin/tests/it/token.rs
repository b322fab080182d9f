//! Bearer tokens of EKS, as the control plane checks them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use standin::token::{Presigned, TokenError, verify};
use standin::{ACCOUNT, Credentials, EksCluster, REGION, Role, Standin};

use crate::client::Client;
use crate::kube::{CLUSTER, Claim, Kube, minutes, token_of};

/// Presigned by botocore 1.43 for the cluster `web` at 2026-11-24T08:00:00Z.
const GOLDEN: &str = "https://sts.us-east-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
    &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAIOSFODNN7EXAMPLE%2F20261124%2Fus-east-2%2Fsts%2Faws4_request\
    &X-Amz-Date=20261124T080000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
    &X-Amz-Security-Token=a%2Fsession%2Btoken%3D%3D\
    &X-Amz-Signature=27cb6932fef394051122db0aaa35c492a77aa2d7ffc26c59de787f27dfe8ac01";

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// 2026-11-24T08:00:00Z.
const SIGNED: Duration = Duration::from_hours(498_752);

fn golden(url: &str, cluster: &str, later: Duration) -> Result<Presigned, TokenError> {
    verify(&token_of(url), cluster, REGION, UNIX_EPOCH + SIGNED + later, |_| Some(SECRET.to_owned()))
}

fn credentials() -> Credentials {
    Credentials { access_key: "ASIAKEY".to_owned(), secret_key: SECRET.to_owned(), session_token: "t".to_owned() }
}

fn refused(claim: &Claim<'_>) -> Option<TokenError> {
    refused_url(&claim.url())
}

fn refused_url(url: &str) -> Option<TokenError> {
    verify(&token_of(url), CLUSTER, REGION, SystemTime::now(), |_| Some(SECRET.to_owned())).err()
}

#[test]
fn token_of_botocore_is_accepted_for_its_cluster_for_15_minutes() {
    let presigned = golden(GOLDEN, "web", minutes(15)).unwrap();
    assert_eq!(presigned.access_key(), "ASIAIOSFODNN7EXAMPLE");
    assert_eq!(presigned.session_token(), Some("a/session+token=="));
    assert_eq!(presigned.host(), "sts.us-east-2.amazonaws.com");
    let refused = |url: &str, cluster, later| golden(url, cluster, later).unwrap_err();
    assert_eq!(refused(GOLDEN, "web", Duration::from_secs(901)), TokenError::Expired);
    assert_eq!(refused(GOLDEN, "api", minutes(1)), TokenError::Signature);
    assert_eq!(
        refused(&GOLDEN.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), "web", minutes(1)),
        TokenError::Signature
    );
}

#[test]
fn tokens_are_refused_for_their_form() {
    let (credentials, now) = (credentials(), SystemTime::now());
    let claim = || Claim::new(&credentials, CLUSTER);
    let good = claim().url();
    assert_eq!(refused_url(&good), None);
    let parse = |token: &str| Presigned::parse(token, REGION, now).unwrap_err();
    assert_eq!(parse(&token_of(&good).replace("v1", "v2")), TokenError::Prefix);
    assert_eq!(parse(&format!("{}=", token_of(&good))), TokenError::Encoding);
    assert_eq!(parse(&token_of(&"x".repeat(3_064))), TokenError::TooLarge);
    assert_eq!(parse(&token_of(&"x".repeat(3_063))), TokenError::Encoding);
    let changed = |from: &str, to: &str| refused_url(&good.replace(from, to)).unwrap();
    assert_eq!(changed("https:", "http:"), TokenError::Scheme);
    assert_eq!(changed(".com/?", ".com/x?"), TokenError::Path);
    assert_eq!(changed(".com/?", ".com?"), TokenError::Path);
    assert_eq!(changed("=GetCallerIdentity", "=AssumeRole"), TokenError::Action);
    assert_eq!(changed("%3Bx-k8s-aws-id", ""), TokenError::ClusterHeader);
    assert_eq!(changed("Expires=60", "Expires=901"), TokenError::Expires);
    assert_eq!(changed("Expires=60", "Expires=-1"), TokenError::Expires);
    assert_eq!(changed("&X-Amz-Expires=60", ""), TokenError::Expires);
    assert_eq!(changed("&X-Amz-Date=2", "&X-Amz-Date=x"), TokenError::Date);
    assert_eq!(changed("&X-Amz-Date", "&Host=a&X-Amz-Date"), TokenError::Key("Host".to_owned()));
    let twice = "&x-amz-expires=60";
    assert_eq!(refused(&Claim { more: twice, ..claim() }), Some(TokenError::Duplicate("x-amz-expires".to_owned())));
    assert_eq!(refused(&Claim { expires: "900", ..claim() }), None);
    assert_eq!(refused(&Claim { at: now - minutes(16), ..claim() }), Some(TokenError::Expired));
    assert_eq!(refused(&Claim { at: now + minutes(6), ..claim() }), Some(TokenError::Signature));
    assert_eq!(refused(&Claim { cluster: "api", ..claim() }), Some(TokenError::Signature));
}

#[test]
fn hosts_are_those_of_sts_in_the_partition_of_the_cluster() {
    let credentials = credentials();
    let refused = |host: &str, signed_for: &str, cluster_in: &str| {
        let claim = Claim { host: host.to_owned(), region: signed_for, ..Claim::new(&credentials, CLUSTER) };
        verify(&claim.token(), CLUSTER, cluster_in, SystemTime::now(), |_| Some(SECRET.to_owned())).err()
    };
    for (host, signed_for, cluster_in) in [
        ("sts.us-east-2.amazonaws.com", "us-east-2", "us-east-2"),
        ("sts.eu-west-1.amazonaws.com", "eu-west-1", "us-east-2"),
        ("sts-fips.us-east-2.amazonaws.com", "us-east-2", "us-east-2"),
        ("sts.us-east-2.api.aws", "us-east-2", "us-east-2"),
        ("sts.amazonaws.com", "us-east-1", "us-east-2"),
        ("sts.cn-north-1.amazonaws.com.cn", "cn-north-1", "cn-northwest-1"),
        ("sts.us-gov-west-1.amazonaws.com", "us-gov-west-1", "us-gov-east-1"),
    ] {
        assert_eq!(refused(host, signed_for, cluster_in), None, "{host}");
    }
    assert_eq!(refused("sts.eu-west-1.amazonaws.com", "us-east-2", "us-east-2"), Some(TokenError::Signature));
    for (host, cluster_in) in [
        ("sts.us-east-2.amazonaws.com:443", "us-east-2"),
        ("sts.us-east-2.amazonaws.com.evil.org", "us-east-2"),
        ("vpce-1-2.sts.us-east-2.vpce.amazonaws.com", "us-east-2"),
        ("sts.cn-north-1.amazonaws.com.cn", "us-east-2"),
        ("sts.us-east-2.amazonaws.com", "cn-north-1"),
        ("sts.amazonaws.com", "us-gov-west-1"),
        ("user@sts.us-east-2.amazonaws.com", "us-east-2"),
    ] {
        assert_eq!(refused(host, "us-east-2", cluster_in), Some(TokenError::Host(host.to_owned())), "{host}");
    }
}

#[tokio::test]
async fn sessions_of_members_are_accepted_until_they_expire() {
    const MEMBER: &str = "arn:aws:iam::111122223333:role/path/member";
    let aws = Standin::builder().role_lifetime(Duration::from_secs(1)).start().await.unwrap();
    aws.role(Role::new(MEMBER).trusts(ACCOUNT));
    let reply = Client::new(&aws).sts(&format!("AssumeRole&RoleArn={MEMBER}&RoleSessionName=handler")).await;
    let field = |name| reply.xml(name).unwrap().to_owned();
    let member = Credentials {
        access_key: field("AccessKeyId"),
        secret_key: field("SecretAccessKey"),
        session_token: field("SessionToken"),
    };
    let home = aws.home();
    home.eks_cluster(EksCluster::new(CLUSTER).access_entry(MEMBER).authentication_mode("API_AND_CONFIG_MAP"));
    let kube = Kube { token: Claim::new(&member, CLUSTER).token(), home, aws };
    assert_eq!(kube.get("/api/v1/nodes").await.status, 200);
    assert_eq!(kube.aws.calls_to("ListNodes")[0].access_key, member.access_key);
    // In aws-auth, a role has no path.
    kube.home.change_eks_cluster(CLUSTER, |cluster| cluster.authentication_mode("CONFIG_MAP"));
    assert_eq!(kube.get("/api/v1/nodes").await.status, 401);
    kube.home.change_eks_cluster(CLUSTER, |cluster| cluster.access_entry("arn:aws:iam::111122223333:role/mem*"));
    assert_eq!(kube.get("/api/v1/nodes").await.status, 200);
    let stolen = Credentials { session_token: "other".to_owned(), ..member.clone() };
    let kube = Kube { token: Claim::new(&stolen, CLUSTER).token(), ..kube };
    assert_eq!(kube.get("/api/v1/nodes").await.status, 401);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let kube = Kube { token: Claim::new(&member, CLUSTER).token(), ..kube };
    assert_eq!(kube.get("/api/v1/nodes").await.status, 401);
}
