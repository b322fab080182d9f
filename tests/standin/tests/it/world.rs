//! What holds for every service: accounts, quotas, faults, time and the call log.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Request;
use serde_json::json;
use standin::{Bucket, Cluster, ContainerInstance, Fault, Quotas, Standin};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client::{Client, exchange};

#[tokio::test]
async fn accounts_and_regions_are_separate() {
    let aws = Standin::builder().start().await.unwrap();
    aws.home().cluster(Cluster::new("home"));
    let china = aws.region("111122223333", "cn-north-1");
    let arn = china.container_instance("far", ContainerInstance::new("i-1"));
    assert!(arn.starts_with("arn:aws-cn:ecs:cn-north-1:111122223333:container-instance/far/"));
    let list = async |client: &Client| client.ecs("ListClusters", json!({})).await.json()["clusterArns"].clone();
    let client = Client::new(&aws);
    assert_eq!(list(&client).await, json!(["arn:aws:ecs:us-east-2:123456789012:cluster/home"]));
    assert_eq!(list(&client.in_region("us-west-2")).await, json!([]));
    let far = Client::new(&aws).signed_by(aws.credentials_for("111122223333")).in_region("cn-north-1");
    assert_eq!(list(&far).await, json!(["arn:aws-cn:ecs:cn-north-1:111122223333:cluster/far"]));
}

#[tokio::test]
async fn unknown_keys_are_refused_unless_an_account_is_set_for_them() {
    let aws = Standin::builder().start().await.unwrap();
    let mut client = Client::new(&aws);
    client.credentials.session_token = "stolen".to_owned();
    let reply = client.ecs("ListClusters", json!({})).await;
    assert_eq!((reply.status, &reply.json()["__type"]), (400, &json!("UnrecognizedClientException")));
    assert_eq!(aws.calls()[0].error.as_deref(), Some("UnrecognizedClientException"));

    let open = Standin::builder().unknown_keys_are("000000000000").start().await.unwrap();
    let mut client = Client::new(&open);
    client.credentials.access_key = "test".to_owned();
    assert_eq!(client.ecs("ListClusters", json!({})).await.status, 200);
    assert_eq!(open.calls()[0].account, "000000000000");
}

#[tokio::test]
async fn a_quota_throttles_and_refills() {
    let quotas = Quotas::none().set(Bucket::ClusterRead, 3, 5.0).set(Bucket::Ec2Read, 1, 0.0);
    let aws = Standin::builder().quotas(quotas).start().await.unwrap();
    let client = Client::new(&aws);
    let throttled = async || {
        let reply = client.ecs("ListClusters", json!({})).await;
        reply.status == 400 && reply.json() == json!({"__type": "ThrottlingException", "message": "Rate exceeded"})
    };
    let mut calls = 0;
    while !throttled().await {
        calls += 1;
    }
    assert!(calls >= 3, "{calls}");
    tokio::time::sleep(Duration::from_millis(210)).await;
    assert!(!throttled().await);
    assert!(aws.calls().iter().any(standin::Call::is_throttled));

    let filtered = "DescribeInstances&Filter.1.Name=instance-id&Filter.1.Value.1=i-1";
    assert_eq!(client.ec2(filtered).await.status, 200);
    let reply = client.ec2(filtered).await;
    assert_eq!((reply.status, reply.xml("Code")), (503, Some("RequestLimitExceeded")));
    assert_eq!(client.ec2("DescribeInstances").await.status, 200);
}

#[tokio::test]
async fn faults_apply_where_and_as_often_as_set() {
    let aws = Standin::builder().start().await.unwrap();
    aws.home().cluster(Cluster::new("web")).cluster(Cluster::new("api"));
    aws.fault(Fault::on("ListContainerInstances").matching(|params| params["cluster"] == "api").times(2).status(500))
        .fault(Fault::on("ListContainerInstances").matching(|params| params["cluster"] == "api").times(1).cut())
        .fault(Fault::on("ListClusters").in_region("eu-west-1").throttle())
        .fault(Fault::on("DescribeInstances").error(403, "UnauthorizedOperation", "You are not authorized."));
    let client = Client::new(&aws);
    let list = async |cluster: &str| {
        let reply = client.try_ecs("ListContainerInstances", json!({"cluster": cluster})).await;
        reply.map_or(0, |reply| reply.status)
    };
    assert_eq!(list("web").await, 200);
    assert_eq!([list("api").await, list("api").await, list("api").await, list("api").await], [500, 500, 0, 200]);
    assert_eq!(aws.calls()[3].error.as_deref(), Some("ConnectionCut"));
    let denied = client.ec2("DescribeInstances").await;
    assert_eq!((denied.status, denied.xml("Code")), (403, Some("UnauthorizedOperation")));
    assert_eq!(client.ecs("ListClusters", json!({})).await.status, 200);
    let client = client.in_region("eu-west-1");
    assert_eq!(client.ecs("ListClusters", json!({})).await.json()["__type"], "ThrottlingException");
    aws.forget_faults();
    assert_eq!(client.ecs("ListClusters", json!({})).await.status, 200);
}

#[tokio::test]
async fn access_denied_is_spelt_as_ecs_spells_it() {
    let aws = Standin::builder().start().await.unwrap();
    aws.fault(Fault::on_any().error(400, "AccessDeniedException", "User: u is not authorized"));
    let reply = Client::new(&aws).ecs("ListClusters", json!({})).await;
    assert_eq!(reply.json(), json!({"__type": "AccessDeniedException", "Message": "User: u is not authorized"}));
    assert!(reply.headers.contains_key("x-amzn-requestid"));
}

#[tokio::test]
async fn fault_probability_is_about_right() {
    let aws = Standin::builder().start().await.unwrap();
    aws.fault(Fault::on_any().probability(0.5).throttle());
    let client = Client::new(&aws);
    for _ in 0..200 {
        client.ecs("ListClusters", json!({})).await;
    }
    let throttled = aws.calls_where(standin::Call::is_throttled).len();
    assert!((60..140).contains(&throttled), "{throttled}");
}

#[tokio::test]
async fn an_answer_can_be_lost_after_its_effect() {
    let aws = Standin::builder().start().await.unwrap();
    let home = aws.home();
    let arn = home.container_instance("web", ContainerInstance::new("i-1"));
    let client = Client::new(&aws);
    let params = json!({"cluster": "web", "containerInstance": arn});
    aws.fault(Fault::on("DeregisterContainerInstance").times(1).cut())
        .fault(Fault::on("DeregisterContainerInstance").times(1).cut().after_effect());
    assert!(client.try_ecs("DeregisterContainerInstance", params.clone()).await.is_none());
    assert_eq!(home.status(&arn).as_deref(), Some("ACTIVE"));
    assert!(client.try_ecs("DeregisterContainerInstance", params.clone()).await.is_none());
    assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(client.ecs("DeregisterContainerInstance", params).await.json()["__type"], "ClientException");
}

#[tokio::test]
async fn items_can_be_made_to_fail() {
    let aws = Standin::builder().start().await.unwrap();
    let home = aws.home();
    let one = home.container_instance("web", ContainerInstance::new("i-1"));
    let two = home.container_instance("web", ContainerInstance::new("i-2"));
    aws.fault(Fault::on("UpdateContainerInstancesState").times(1).failure_of(&one, "MISSING"))
        .fault(Fault::on("UpdateContainerInstancesState").times(1).failure("INACTIVE"));
    let client = Client::new(&aws);
    let params = json!({"cluster": "web", "containerInstances": [one, two], "status": "DRAINING"});
    let answer = client.ecs("UpdateContainerInstancesState", params.clone()).await.json();
    assert_eq!(answer["failures"], json!([{"arn": one, "reason": "MISSING"}]));
    assert_eq!(home.status(&one).as_deref(), Some("ACTIVE"));
    assert_eq!(home.status(&two).as_deref(), Some("DRAINING"));
    let answer = client.ecs("UpdateContainerInstancesState", params).await.json();
    assert_eq!(answer["failures"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn writes_show_late_but_apply_at_once() {
    let aws = Standin::builder().settle(Duration::from_millis(400)).start().await.unwrap();
    let home = aws.home();
    let arn = home.container_instance("web", ContainerInstance::new("i-1"));
    let client = Client::new(&aws);
    let deregister = async || {
        let params = json!({"cluster": "web", "containerInstance": arn});
        client.ecs("DeregisterContainerInstance", params).await.status
    };
    let listed = async || {
        let answer = client.ecs("ListContainerInstances", json!({"cluster": "web"})).await.json();
        answer["containerInstanceArns"].as_array().unwrap().len()
    };
    assert_eq!((deregister().await, listed().await), (200, 1));
    assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
    assert_eq!(deregister().await, 400);
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(listed().await, 0);
}

#[tokio::test]
async fn latency_is_added_and_logged() {
    let aws = Standin::builder().latency(Duration::from_millis(50)).start().await.unwrap();
    let client = Client::new(&aws);
    let start = Instant::now();
    client.ecs("ListClusters", json!({"maxResults": 7})).await;
    assert!(start.elapsed() >= Duration::from_millis(50));
    let call = &aws.calls()[0];
    assert!(call.finished - call.started >= Duration::from_millis(50));
    assert_eq!((call.service.as_str(), call.api.as_str(), call.status), ("ecs", "ListClusters", 200));
    assert_eq!((call.region.as_str(), &call.params), ("us-east-2", &json!({"maxResults": 7})));
    aws.forget_calls();
    assert!(aws.calls().is_empty());
}

#[tokio::test]
async fn unknown_calls_are_rejected() {
    let aws = Standin::builder().start().await.unwrap();
    let client = Client::new(&aws);
    assert_eq!(client.ecs("RunEverything", json!({})).await.json()["__type"], "UnknownOperationException");
    assert_eq!(client.ecs("ListClusters", json!([])).await.json()["__type"], "SerializationException");
    assert_eq!(client.ec2("TerminateInstances&InstanceId.1=i-1").await.xml("Code"), Some("InvalidAction"));
}

#[tokio::test]
async fn tls_is_trusted_by_its_own_file_only_as_long_as_it_runs() {
    let aws = Standin::builder().tls(true).start().await.unwrap();
    let file = aws.env().into_iter().find(|(name, _)| name == "SSL_CERT_FILE").unwrap().1;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&file).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = aws.url().strip_prefix("https://localhost:").unwrap();
    let stream = TcpStream::connect(format!("127.0.0.1:{address}")).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let request = Request::post("/").header("host", "localhost");
    assert_eq!(exchange(stream, request, String::new()).await.unwrap().status, 400);
    drop(aws);
    assert!(fs::metadata(file).is_err());
}
