use std::time::{Duration, SystemTime};

use standin::{Instance, Standin};

use crate::client::{Client, Reply};

const ONE: &str = "i-1234567890abcdef0";
const TWO: &str = "i-0000000000000002a";
const GONE: &str = "i-0ffffffffffffffff";

async fn start() -> (Standin, Client) {
    let aws = Standin::builder().start().await.unwrap();
    let client = Client::new(&aws);
    aws.home()
        .instance(Instance::new(ONE).asg("web-spot").tag("Team", "a & b").user_data("ECS_CLUSTER=web"))
        .instance(Instance::new(TWO).operator("ecs.amazonaws.com").on_demand().zone("us-east-2c").state("stopped"));
    (aws, client)
}

fn assert_error(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.xml("Code")), (status, Some(code)), "{}", reply.body);
    assert!(reply.body.contains("<Response><Errors><Error><Code>"));
    assert!(reply.xml("RequestID").is_some());
}

#[tokio::test]
async fn filter_leaves_out_unknown_instances() {
    let (_aws, client) = start().await;
    let query = format!("DescribeInstances&Filter.1.Name=instance-id&Filter.1.Value.1={ONE}&Filter.1.Value.2={GONE}");
    let reply = client.ec2(&query).await;
    assert_eq!((reply.status, reply.count("instanceId")), (200, 1));
    assert_eq!(reply.xml("instanceId"), Some(ONE));
    assert_eq!(reply.xml("instanceLifecycle"), Some("spot"));
    assert_eq!(reply.xml("availabilityZone"), Some("us-east-2a"));
    assert_eq!(reply.xml("operator"), Some("<managed>false</managed>"));
    assert!(reply.body.contains("<key>aws:autoscaling:groupName</key><value>web-spot</value>"));
    assert!(reply.body.contains("<value>a &amp; b</value>"));
    assert!(reply.headers["content-type"].to_str().unwrap().starts_with("text/xml"));

    let reply = client.ec2(&format!("DescribeInstances&Filter.1.Name=instance-id&Filter.1.Value.1={GONE}")).await;
    assert_eq!((reply.status, reply.xml("reservationSet")), (200, Some("")));
    let reply = client.ec2("DescribeInstances&Filter.1.Name=tag:Team&Filter.1.Value.1=a*").await;
    assert_eq!(reply.xml("instanceId"), Some(ONE));
    assert_error(
        &client.ec2("DescribeInstances&Filter.1.Name=id&Filter.1.Value.1=x").await,
        400,
        "InvalidParameterValue",
    );
}

#[tokio::test]
async fn unknown_instance_id_is_an_error() {
    let (_aws, client) = start().await;
    let by_id = format!("DescribeInstances&InstanceId.1={TWO}");
    assert_eq!(client.ec2(&by_id).await.count("instanceId"), 0, "what a service manages is hidden");
    let reply = client.ec2(&format!("{by_id}&IncludeManagedResources=true")).await;
    assert_eq!(reply.xml("operator"), Some("<managed>true</managed><principal>ecs.amazonaws.com</principal>"));
    assert_eq!(reply.xml("instanceState"), Some("<code>80</code><name>stopped</name>"));
    assert_eq!((reply.count("instanceLifecycle"), reply.count("tagSet")), (0, 0));
    let both = format!("DescribeInstances&InstanceId.1={ONE}&InstanceId.2={GONE}");
    assert_error(&client.ec2(&both).await, 400, "InvalidInstanceID.NotFound");
    assert_error(&client.ec2("DescribeInstances&InstanceId.1=web").await, 400, "InvalidInstanceID.Malformed");
}

#[tokio::test]
async fn start_and_network_interface_are_shown_if_set() {
    let (aws, client) = start().await;
    let (first, last) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_hours(1));
    aws.home().instance(Instance::new("i-0000000a").attached(first).launched(last));
    let reply = client.ec2("DescribeInstances&InstanceId.1=i-0000000a").await;
    assert_eq!(reply.xml("launchTime"), Some("1970-01-01T01:00:00.000Z"));
    assert_eq!((reply.xml("attachTime"), reply.xml("deviceIndex")), (Some("1970-01-01T00:00:00.000Z"), Some("0")));
    let reply = client.ec2(&format!("DescribeInstances&InstanceId.1={ONE}")).await;
    assert_eq!((reply.xml("launchTime"), reply.xml("attachTime")), (Some("2026-01-01T00:00:00.000Z"), None));
}

#[tokio::test]
async fn instances_come_in_pages() {
    let (aws, client) = start().await;
    for n in 0..10 {
        aws.home().instance(Instance::new(format!("i-0000000{n}")));
    }
    let first = client.ec2("DescribeInstances&MaxResults=5&IncludeManagedResources=true").await;
    assert_eq!(first.count("instanceId"), 5);
    let token = first.xml("nextToken").unwrap();
    let second =
        client.ec2(&format!("DescribeInstances&MaxResults=7&NextToken={token}&IncludeManagedResources=true")).await;
    assert_eq!((second.count("instanceId"), second.xml("nextToken")), (7, None));
    assert_error(&client.ec2("DescribeInstances&NextToken=made-up").await, 400, "InvalidNextToken");
    assert_error(&client.ec2("DescribeInstances&MaxResults=4").await, 400, "InvalidParameterValue");
}

#[tokio::test]
async fn user_data_is_base64() {
    let (_aws, client) = start().await;
    let ask = async |id| client.ec2(&format!("DescribeInstanceAttribute&Attribute=userData&InstanceId={id}")).await;
    assert_eq!(ask(ONE).await.xml("userData"), Some("<value>RUNTX0NMVVNURVI9d2Vi</value>"));
    assert_eq!(ask(TWO).await.xml("userData"), Some(""));
    assert_error(&ask(GONE).await, 400, "InvalidInstanceID.NotFound");
}

#[tokio::test]
async fn tags_by_instance() {
    let (_aws, client) = start().await;
    let reply = client.ec2(&format!("DescribeTags&Filter.1.Name=resource-id&Filter.1.Value.1={ONE}")).await;
    assert_eq!((reply.count("item"), reply.xml("resourceType")), (2, Some("instance")));
}

#[tokio::test]
async fn unknown_access_key_is_rejected() {
    let (_aws, mut client) = start().await;
    client.credentials.access_key = "AKIASTRANGER".to_owned();
    assert_error(&client.ec2("DescribeInstances").await, 401, "AuthFailure");
}
