//! Many accounts and Regions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use standin::{Builder, ContainerInstance, Environment, Fault, Function, Instance, Region, Role, Standin};

use crate::{ID, OTHER, failed, handled, notice, standin};

const HOME: &str = "123456789012";
const MEMBERS: [&str; 2] = ["111122223333", "444455556666"];
const ROLE: (&str, &str) = ("MEMBER_ROLE_NAME", "spot-member");

fn role(account: &str) -> Role {
    Role::new(format!("arn:aws:iam::{account}:role/spot-member")).trusts(HOME)
}

/// A stand-in whose member accounts have the role.
async fn organisation(builder: Builder) -> Standin {
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

fn notice_in(place: &Region, id: &str) -> Value {
    let mut event = notice(id, "terminate");
    event["account"] = place.account().into();
    event["region"] = place.name().into();
    event
}

fn batch(events: &[Value]) -> Value {
    let record = |(at, event): (usize, &Value)| json!({ "messageId": at.to_string(), "body": event.to_string() });
    json!({ "Records": events.iter().enumerate().map(record).collect::<Vec<_>>() })
}

/// How often each role was assumed.
fn assumed(aws: &Standin) -> BTreeMap<String, usize> {
    let mut assumed = BTreeMap::new();
    for call in aws.calls_to("AssumeRole") {
        *assumed.entry(call.params["RoleArn"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assumed
}

#[tokio::test]
async fn fifty_notices_of_three_accounts_and_two_regions_in_one_batch() {
    let aws = organisation(Standin::builder()).await;
    let places: Vec<_> = [HOME, MEMBERS[0], MEMBERS[1]]
        .into_iter()
        .flat_map(|account| ["us-east-2", "eu-west-1"].map(|region| aws.region(account, region)))
        .collect();
    let mut expected = Vec::new();
    for n in 0..50 {
        // The same names and ids everywhere: what is known of one account is nothing in another.
        let (place, id) = (&places[n % 6], format!("i-{:017x}", n / 6));
        place.instance(Instance::new(&id).asg("group"));
        let arn = place.container_instance("web", ContainerInstance::new(&id));
        let other = place.container_instance("web", ContainerInstance::new(OTHER));
        expected.push((notice_in(place, &id), place, arn, other));
    }
    let function = function(&aws, &[ROLE]).await;
    let notices: Vec<_> = expected.iter().map(|(notice, ..)| notice.clone()).collect();
    assert_eq!(handled(&function, batch(&notices)).await["batchItemFailures"], json!([]));
    for (_, place, arn, other) in &expected {
        assert_eq!(place.status(arn).as_deref(), Some("INACTIVE"));
        assert_eq!(place.status(other).as_deref(), Some("ACTIVE"));
    }
    // The stand-in knows the account by the key: no key can reach into another account.
    let keys: BTreeSet<_> = aws.writes().into_iter().map(|call| (call.account, call.access_key)).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    let assumed = assumed(&aws);
    assert_eq!(assumed.len(), 2);
    assert!(assumed.values().all(|times| *times <= 3), "{assumed:?}");
}

#[tokio::test]
async fn the_role_is_assumed_once_and_again_when_it_expires() {
    // It is renewed 10 s before it expires.
    let aws = organisation(Standin::builder().role_lifetime(Duration::from_secs(12))).await;
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
async fn an_external_id_is_given_where_one_is_set() {
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
async fn a_role_that_may_not_be_assumed_costs_its_own_account_alone() {
    let aws = standin().await;
    aws.role(role(MEMBERS[0]));
    let places = [aws.home(), aws.region(MEMBERS[0], "us-east-2"), aws.region(MEMBERS[1], "us-east-2")];
    let arns = places.each_ref().map(|place| place.container_instance("web", ContainerInstance::new(ID)));
    let function = function(&aws, &[ROLE]).await;
    let notices = places.each_ref().map(|place| notice_in(place, ID));
    let answer = handled(&function, batch(&notices)).await;
    assert_eq!(answer["batchItemFailures"], json!([{ "itemIdentifier": "2" }]));
    let statuses = [0, 1, 2].map(|n| places[n].status(&arns[n]).unwrap());
    assert_eq!(statuses, ["INACTIVE", "INACTIVE", "ACTIVE"]);

    let (error_type, message) = failed(&function, notices[2].clone()).await;
    assert_eq!(error_type, "AccessDenied");
    assert!(message.contains("arn:aws:iam::444455556666:role/spot-member"), "{message}");
    assert!(aws.calls_where(|call| call.account == MEMBERS[1]).is_empty());
}

#[tokio::test]
async fn an_outage_of_one_account_leaves_the_others_unharmed() {
    let aws = organisation(Standin::builder()).await;
    let places = [aws.home(), aws.region(MEMBERS[0], "us-east-2"), aws.region(MEMBERS[1], "us-east-2")];
    let arns = places.each_ref().map(|place| place.container_instance("web", ContainerInstance::new(ID)));
    aws.fault(Fault::on_any().in_account(MEMBERS[1]).status(503));
    let function = start(&aws, &[ROLE], Duration::from_secs(8)).await;
    let notices = places.each_ref().map(|place| notice_in(place, ID));
    assert_eq!(handled(&function, batch(&notices)).await["batchItemFailures"], json!([{ "itemIdentifier": "2" }]));
    let statuses = [0, 1, 2].map(|n| places[n].status(&arns[n]).unwrap());
    assert_eq!(statuses, ["INACTIVE", "INACTIVE", "ACTIVE"]);
}

#[tokio::test]
async fn a_throttled_assumption_is_tried_again() {
    let aws = organisation(Standin::builder()).await;
    let member = aws.region(MEMBERS[0], "us-east-2");
    member.container_instance("web", ContainerInstance::new(ID));
    aws.fault(Fault::on("AssumeRole").times(2).throttle());
    let function = function(&aws, &[ROLE]).await;
    assert_eq!(handled(&function, notice_in(&member, ID)).await["outcome"], "deregistered");
    assert_eq!(aws.calls_to("AssumeRole").len(), 3);
}

#[tokio::test]
async fn without_a_member_role_a_foreign_event_is_an_error_that_says_so() {
    let aws = organisation(Standin::builder()).await;
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
async fn only_these_accounts() {
    let aws = organisation(Standin::builder()).await;
    let places = [aws.home(), aws.region(MEMBERS[0], "us-east-2"), aws.region(MEMBERS[1], "us-east-2")];
    for place in &places {
        place.container_instance("web", ContainerInstance::new(ID));
    }
    let accounts = format!("{HOME}, {}", MEMBERS[0]);
    let function = function(&aws, &[ROLE, ("ACCOUNTS", &accounts)]).await;
    for (place, outcome) in places.iter().zip(["deregistered", "deregistered", "ignored"]) {
        assert_eq!(handled(&function, notice_in(place, ID)).await["outcome"], outcome, "{}", place.account());
    }
    assert!(!assumed(&aws).keys().any(|role| role.contains(MEMBERS[1])));
}

#[tokio::test]
async fn other_partitions_have_their_own_roles() {
    let aws = Standin::builder().region("cn-north-1").start().await.unwrap();
    aws.role(Role::new(format!("arn:aws-cn:iam::{}:role/spot-member", MEMBERS[0])).trusts(HOME));
    let member = aws.region(MEMBERS[0], "cn-northwest-1");
    member.container_instance("web", ContainerInstance::new(ID));
    let function = function(&aws, &[ROLE]).await;
    assert_eq!(handled(&function, notice_in(&member, ID)).await["outcome"], "deregistered");
}

#[tokio::test]
async fn a_session_that_aws_no_longer_accepts_is_replaced_within_the_invocation() {
    let aws = organisation(Standin::builder()).await;
    let member = aws.region(MEMBERS[0], "us-east-2");
    let function = function(&aws, &[ROLE]).await;
    for (n, code) in ["", "ExpiredTokenException"].into_iter().enumerate() {
        for at in 0..2 {
            let id = format!("i-{:017x}", 2 * n + at);
            member.instance(Instance::new(&id));
            let arn = member.container_instance("web", ContainerInstance::new(&id));
            // The role is deleted and made again, or a session ends before its time.
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
async fn a_role_that_can_not_be_assumed_again_is_reported_as_such() {
    let aws = organisation(Standin::builder()).await;
    let member = aws.region(MEMBERS[0], "us-east-2");
    let function = function(&aws, &[ROLE]).await;
    member.container_instance("web", ContainerInstance::new(OTHER));
    handled(&function, notice_in(&member, ID)).await;
    aws.end_sessions(MEMBERS[0]);
    aws.fault(Fault::on("AssumeRole").always().error(403, "AccessDenied", "not authorized"));
    let (error_type, _) = failed(&function, notice_in(&member, OTHER)).await;
    assert_eq!(error_type, "AccessDenied");
}
