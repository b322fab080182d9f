use std::time::Duration;

use serde_json::json;
use standin::{ContainerInstance, Credentials, Role, Standin};

use crate::client::{Client, Reply};

const MEMBER: &str = "arn:aws:iam::111122223333:role/member";

fn credentials(reply: &Reply) -> Credentials {
    let field = |name| reply.xml(name).unwrap().to_owned();
    Credentials {
        access_key: field("AccessKeyId"),
        secret_key: field("SecretAccessKey"),
        session_token: field("SessionToken"),
    }
}

#[tokio::test]
async fn an_assumed_role_works_in_its_own_account_until_it_expires() {
    let aws = Standin::builder().role_lifetime(Duration::from_secs(1)).start().await.unwrap();
    aws.role(Role::new(MEMBER).trusts("123456789012").external_id("x"));
    let theirs = aws.region("111122223333", "eu-central-1");
    let arn = theirs.container_instance("web", ContainerInstance::new("i-1"));
    let client = Client::new(&aws);
    let ask =
        async |more: &str| client.sts(&format!("AssumeRole&RoleArn={MEMBER}&RoleSessionName=handler{more}")).await;

    let denied = ask("").await;
    assert_eq!((denied.status, denied.xml("Code")), (403, Some("AccessDenied")));
    assert!(denied.xml("Message").unwrap().contains("is not authorized to perform: sts:AssumeRole on resource"));
    let reply = ask("&ExternalId=x").await;
    assert!(reply.xml("Expiration").unwrap().ends_with('Z'));

    let member = Client::new(&aws).signed_by(credentials(&reply)).in_region("eu-central-1");
    let list = async || member.ecs("ListContainerInstances", json!({"cluster": "web"})).await;
    assert_eq!(list().await.json()["containerInstanceArns"], json!([arn]));
    let identity = member.sts("GetCallerIdentity").await;
    assert_eq!(identity.xml("Arn"), Some("arn:aws:sts::111122223333:assumed-role/member/handler"));
    assert_eq!(aws.calls_to("ListContainerInstances")[0].account, "111122223333");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(list().await.json()["__type"], "ExpiredTokenException");
}

#[tokio::test]
async fn roles_that_are_unknown_or_trust_others_are_denied() {
    let aws = Standin::builder().start().await.unwrap();
    aws.role(Role::new(MEMBER).trusts("444455556666"));
    let client = Client::new(&aws);
    for arn in [MEMBER, "arn:aws:iam::111122223333:role/nobody"] {
        let reply = client.sts(&format!("AssumeRole&RoleArn={arn}&RoleSessionName=handler")).await;
        assert_eq!(reply.status, 403, "{}", reply.body);
    }
    let bad = client.sts(&format!("AssumeRole&RoleArn={MEMBER}&RoleSessionName=a+b%2F")).await;
    assert_eq!(bad.xml("Code"), Some("ValidationError"));
}
