//! Several accounts and Regions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use standin::{Builder, ContainerInstance, Environment, Fault, Function, Instance, Region, Role, Standin, sqs_batch};

use crate::{ID, OTHER, failed, handled, notice, standin};

const HOME: &str = "123456789012";
const MEMBERS: [&str; 2] = ["111122223333", "444455556666"];
const ROLE: (&str, &str) = ("MEMBER_ROLE_NAME", "spot-member");

fn role(account: &str) -> Role {
    Role::new(format!("arn:aws:iam::{account}:role/spot-member")).trusts(HOME)
}

/// A stand-in whose member accounts have the role.
async fn organization(builder: Builder) -> Standin {
    let aws = builder.start().await.unwrap();
    for account in MEMBERS {
        aws.role(role(account));
    }
    aws
}

async fn start(aws: &Standin, settings: &[(&str, &str)], timeout: Duration) -> Environment {
    let function = Function::new(env!("CARGO_BIN_EXE_spot-interruption-handler")).timeout(timeout);
    let function = function.envs(aws.env()).env("AWS_LAMBDA_LOG_FORMAT", "JSON").envs(settings.iter().copied());
    let function = function.start().await.unwrap();
    function.ready().await.unwrap();
    aws.forget_calls();
    function
}

async fn function(aws: &Standin, settings: &[(&str, &str)]) -> Environment {
    start(aws, settings, Duration::from_mins(1)).await
}

fn notice_in(scope: &Region, id: &str) -> Value {
    let mut event = notice(id, "terminate");
    event["account"] = scope.account().into();
    event["region"] = scope.name().into();
    event
}

/// The number of times that each role was assumed.
fn assumed(aws: &Standin) -> BTreeMap<String, usize> {
    let mut assumed = BTreeMap::new();
    for call in aws.calls_to("AssumeRole") {
        *assumed.entry(call.params["RoleArn"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assumed
}

#[tokio::test]
async fn batch_may_mix_accounts_and_regions() {
    let aws = organization(Standin::builder()).await;
    let scopes: Vec<_> = [HOME, MEMBERS[0], MEMBERS[1]]
        .into_iter()
        .flat_map(|account| ["us-east-2", "eu-west-1"].map(|region| aws.region(account, region)))
        .collect();
    let mut expected = Vec::new();
    for n in 0..50 {
        // The same names and ids everywhere: nothing that is cached for one account may be used in another.
        let (scope, id) = (&scopes[n % 6], format!("i-{:017x}", n / 6));
        scope.instance(Instance::new(&id).asg("group"));
        let arn = scope.container_instance("web", ContainerInstance::new(&id));
        let other = scope.container_instance("web", ContainerInstance::new(OTHER));
        expected.push((notice_in(scope, &id), scope, arn, other));
    }
    let function = function(&aws, &[ROLE]).await;
    let notices: Vec<_> = expected.iter().map(|(notice, ..)| notice.clone()).collect();
    assert_eq!(handled(&function, sqs_batch(&notices)).await["batchItemFailures"], json!([]));
    for (_, scope, arn, other) in &expected {
        assert_eq!(scope.status(arn).as_deref(), Some("INACTIVE"));
        assert_eq!(scope.status(other).as_deref(), Some("ACTIVE"));
    }
    // The stand-in derives the account from the key: no key reaches into another account.
    let keys: BTreeSet<_> = aws.writes().into_iter().map(|call| (call.account, call.access_key)).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    let assumed = assumed(&aws);
    assert_eq!(assumed.len(), 2);
    assert!(assumed.values().all(|times| *times <= 3), "{assumed:?}");
}

#[tokio::test]
async fn role_is_assumed_again_only_when_it_expires() {
    // It is renewed 10 s before it expires.
    let aws = organization(Standin::builder().role_lifetime(Duration::from_secs(12))).await;
    let member = aws.region(MEMBERS[0], "eu-west-1");
    let function = function(&aws, &[ROLE]).await;
    for (id, times) in [(ID, 1), (OTHER, 1), ("i-1234abcd", 2)] {
        member.container_instance("web", ContainerInstance::new(id));
        if times == 2 {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        assert_eq!(handled(&function, notice_in(&member, id)).await["outcome"], "deregistered");
        assert_eq!(aws.calls_to("AssumeRole").len(), times);
    }
    let call = &aws.calls_to("AssumeRole")[0];
    assert_eq!(call.params["RoleSessionName"], "spot-interruption-handler");
    assert_eq!(call.region, "us-east-2", "the Region of the function");
}

#[tokio::test]
async fn external_id_is_sent_if_set() {
    let aws = standin().await;
    aws.role(role(MEMBERS[0]).external_id("a:secret"));
    let member = aws.region(MEMBERS[0], "eu-west-1");
    member.container_instance("web", ContainerInstance::new(ID));
    let without = function(&aws, &[ROLE]).await;
    assert_eq!(failed(&without, notice_in(&member, ID)).await.0, "AccessDenied");
    let with = function(&aws, &[ROLE, ("EXTERNAL_ID", "a:secret")]).await;
    assert_eq!(handled(&with, notice_in(&member, ID)).await["outcome"], "deregistered");
}

#[tokio::test]
async fn denied_role_fails_only_its_own_account() {
    let aws = standin().await;
    aws.role(role(MEMBERS[0]));
    let scopes = [aws.home(), aws.region(MEMBERS[0], "us-east-2"), aws.region(MEMBERS[1], "us-east-2")];
    let arns = scopes.each_ref().map(|scope| scope.container_instance("web", ContainerInstance::new(ID)));
    let function = function(&aws, &[ROLE]).await;
    let notices = scopes.each_ref().map(|scope| notice_in(scope, ID));
    let answer = handled(&function, sqs_batch(&notices)).await;
    assert_eq!(answer["batchItemFailures"], json!([{ "itemIdentifier": "2" }]));
    let statuses = [0, 1, 2].map(|n| scopes[n].status(&arns[n]).unwrap());
    assert_eq!(statuses, ["INACTIVE", "INACTIVE", "ACTIVE"]);

    let (error_type, message) = failed(&function, notices[2].clone()).await;
    assert_eq!(error_type, "AccessDenied");
    assert!(message.contains("arn:aws:iam::444455556666:role/spot-member"), "{message}");
    assert!(aws.calls_where(|call| call.account == MEMBERS[1]).is_empty());
}

#[tokio::test]
async fn outage_of_one_account_does_not_affect_others() {
    let aws = organization(Standin::builder()).await;
    let scopes = [aws.home(), aws.region(MEMBERS[0], "us-east-2"), aws.region(MEMBERS[1], "us-east-2")];
    let arns = scopes.each_ref().map(|scope| scope.container_instance("web", ContainerInstance::new(ID)));
    aws.fault(Fault::on_any().in_account(MEMBERS[1]).status(503));
    let function = start(&aws, &[ROLE], Duration::from_secs(8)).await;
    let notices = scopes.each_ref().map(|scope| notice_in(scope, ID));
    assert_eq!(handled(&function, sqs_batch(&notices)).await["batchItemFailures"], json!([{ "itemIdentifier": "2" }]));
    let statuses = [0, 1, 2].map(|n| scopes[n].status(&arns[n]).unwrap());
    assert_eq!(statuses, ["INACTIVE", "INACTIVE", "ACTIVE"]);
}

#[tokio::test]
async fn throttled_assume_role_is_retried() {
    let aws = organization(Standin::builder()).await;
    let member = aws.region(MEMBERS[0], "us-east-2");
    member.container_instance("web", ContainerInstance::new(ID));
    aws.fault(Fault::on("AssumeRole").times(2).throttle());
    let function = function(&aws, &[ROLE]).await;
    assert_eq!(handled(&function, notice_in(&member, ID)).await["outcome"], "deregistered");
    assert_eq!(aws.calls_to("AssumeRole").len(), 3);
}

#[tokio::test]
async fn foreign_event_without_a_member_role_is_an_error() {
    let aws = organization(Standin::builder()).await;
    let member = aws.region(MEMBERS[0], "us-east-2");
    member.container_instance("web", ContainerInstance::new(ID));
    let arn = aws.home().container_instance("web", ContainerInstance::new(ID));
    let function = function(&aws, &[]).await;
    let (error_type, message) = failed(&function, notice_in(&member, ID)).await;
    assert_eq!(error_type, "ForeignAccount");
    assert!(message.contains("MEMBER_ROLE_NAME") && message.contains(MEMBERS[0]), "{message}");
    assert_eq!((aws.calls().len(), aws.home().status(&arn).as_deref()), (0, Some("ACTIVE")));
}

#[tokio::test]
async fn events_of_other_accounts_are_ignored_if_accounts_is_set() {
    let aws = organization(Standin::builder()).await;
    let scopes = [aws.home(), aws.region(MEMBERS[0], "us-east-2"), aws.region(MEMBERS[1], "us-east-2")];
    for scope in &scopes {
        scope.container_instance("web", ContainerInstance::new(ID));
    }
    let accounts = format!("{HOME}, {}", MEMBERS[0]);
    let function = function(&aws, &[ROLE, ("ACCOUNTS", &accounts)]).await;
    for (scope, outcome) in scopes.iter().zip(["deregistered", "deregistered", "ignored"]) {
        assert_eq!(handled(&function, notice_in(scope, ID)).await["outcome"], outcome, "{}", scope.account());
    }
    assert!(!assumed(&aws).keys().any(|role| role.contains(MEMBERS[1])));
}

#[tokio::test]
async fn role_arn_has_the_partition_of_the_function() {
    let aws = Standin::builder().region("cn-north-1").start().await.unwrap();
    aws.role(Role::new(format!("arn:aws-cn:iam::{}:role/spot-member", MEMBERS[0])).trusts(HOME));
    let member = aws.region(MEMBERS[0], "cn-northwest-1");
    member.container_instance("web", ContainerInstance::new(ID));
    let function = function(&aws, &[ROLE]).await;
    assert_eq!(handled(&function, notice_in(&member, ID)).await["outcome"], "deregistered");
}

#[tokio::test]
async fn rejected_session_is_replaced_within_the_invocation() {
    let aws = organization(Standin::builder()).await;
    let member = aws.region(MEMBERS[0], "us-east-2");
    let function = function(&aws, &[ROLE]).await;
    for (n, code) in ["", "ExpiredTokenException"].into_iter().enumerate() {
        for at in 0..2 {
            let id = format!("i-{:017x}", 2 * n + at);
            member.instance(Instance::new(&id));
            let arn = member.container_instance("web", ContainerInstance::new(&id));
            // The role is deleted and created again, or a session ends early.
            if at == 1 && code.is_empty() {
                aws.end_sessions(MEMBERS[0]);
            } else if at == 1 {
                aws.fault(Fault::on("DeregisterContainerInstance").times(1).error(400, code, "no"));
            }
            assert_eq!(handled(&function, notice_in(&member, &id)).await["outcome"], "deregistered");
            assert_eq!(member.status(&arn).as_deref(), Some("INACTIVE"));
        }
        assert_eq!(aws.calls_to("AssumeRole").len(), n + 2);
    }
}

#[tokio::test]
async fn role_that_can_not_be_assumed_again_is_access_denied() {
    let aws = organization(Standin::builder()).await;
    let member = aws.region(MEMBERS[0], "us-east-2");
    let function = function(&aws, &[ROLE]).await;
    member.container_instance("web", ContainerInstance::new(OTHER));
    handled(&function, notice_in(&member, ID)).await;
    aws.end_sessions(MEMBERS[0]);
    aws.fault(Fault::on("AssumeRole").always().error(403, "AccessDenied", "not authorized"));
    let (error_type, _) = failed(&function, notice_in(&member, OTHER)).await;
    assert_eq!(error_type, "AccessDenied");
}
