//! EKS clusters: their descriptions and endpoints.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Request;
use serde_json::json;
use standin::{ACCOUNT, Bucket, EksCluster, Fault, Instance, Quotas, Standin, eks_fleet};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client::{Client, Reply, exchange};
use crate::kube::{CLUSTER, Claim, ID, Kube, NODE};

/// Lists the nodes over a socket; `None` if there is no connection.
async fn list_over_tls(aws: &Standin, described: &Reply) -> Option<Reply> {
    let cluster = &described.json()["cluster"];
    let pem = STANDARD.decode(cluster["certificateAuthority"]["data"].as_str().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let port = cluster["endpoint"].as_str().unwrap().strip_prefix("https://localhost:").unwrap();
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.ok()?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let token = Claim::new(&aws.credentials_for(ACCOUNT), CLUSTER).token();
    let request = Request::get("/api/v1/nodes").header("host", "localhost");
    exchange(stream, request.header("authorization", format!("Bearer {token}")), String::new()).await
}

#[tokio::test]
async fn cluster_is_described_with_its_endpoint() {
    let aws = Standin::builder().start().await.unwrap();
    aws.home().eks_cluster(EksCluster::new(CLUSTER).endpoint_access(false, true));
    let client = Client::new(&aws);
    let cluster = &client.eks(CLUSTER).await.json()["cluster"];
    assert_eq!(cluster["arn"], "arn:aws:eks:us-east-2:123456789012:cluster/web");
    assert_eq!(
        (&cluster["status"], &cluster["endpoint"]),
        (&json!("ACTIVE"), &json!(aws.home().eks_endpoint(CLUSTER)))
    );
    assert_eq!(cluster["accessConfig"]["authenticationMode"], "API");
    let vpc = &cluster["resourcesVpcConfig"];
    assert_eq!((&vpc["endpointPublicAccess"], &vpc["endpointPrivateAccess"]), (&json!(false), &json!(true)));
    let call = &aws.calls()[0];
    assert_eq!((call.service.as_str(), call.api.as_str(), call.is_write()), ("eks", "DescribeCluster", false));
    assert_eq!((&call.params, call.account.as_str()), (&json!({"name": "web"}), ACCOUNT));
}

#[tokio::test]
async fn cluster_has_an_endpoint_only_once_it_has_been_active() {
    let aws = Standin::builder().start().await.unwrap();
    let (home, client) = (aws.home(), Client::new(&aws));
    home.eks_cluster(EksCluster::new(CLUSTER).status("CREATING").no_access_config());
    let cluster = &client.eks(CLUSTER).await.json()["cluster"];
    assert_eq!((cluster.get("endpoint"), &cluster["certificateAuthority"]), (None, &json!({})));
    assert_eq!(cluster.get("accessConfig"), None);
    home.change_eks_cluster(CLUSTER, |cluster| cluster.status("DELETING"));
    assert!(client.eks(CLUSTER).await.json()["cluster"]["endpoint"].is_string());
}

#[tokio::test]
async fn errors_are_those_of_eks() {
    let aws = Standin::builder().quotas(Quotas::none().set(Bucket::EksClusterRead, 3, 0.0)).start().await.unwrap();
    let client = Client::new(&aws);
    let failed = async || {
        let reply = client.eks(CLUSTER).await;
        (reply.status, reply.header("x-amzn-errortype").unwrap().to_owned(), reply.json()["message"].clone())
    };
    let message = json!("No cluster found for name: web.");
    assert_eq!(failed().await, (404, "ResourceNotFoundException".to_owned(), message));
    aws.fault(Fault::on("DescribeCluster").times(1).status(503));
    assert_eq!(failed().await.1, "ServiceUnavailableException");
    aws.fault(Fault::on("DescribeCluster").times(1).error(403, "AccessDeniedException", "no"));
    assert_eq!(failed().await, (403, "AccessDeniedException".to_owned(), json!("no")));
    assert_eq!(failed().await, (429, "ThrottlingException".to_owned(), json!("Rate exceeded")));
    let elsewhere = client.in_region("eu-west-1").eks(CLUSTER).await;
    assert_eq!(elsewhere.status, 404);
}

#[tokio::test]
async fn endpoint_speaks_tls_with_an_authority_of_its_own_and_can_move() {
    let kube = Kube::start().await;
    let client = Client::new(&kube.aws);
    let before = client.eks(CLUSTER).await;
    let reply = list_over_tls(&kube.aws, &before).await.unwrap();
    assert_eq!((reply.status, &reply.json()["items"][0]["metadata"]["name"]), (200, &json!(NODE)));
    kube.home.move_eks_cluster(CLUSTER);
    let after = client.eks(CLUSTER).await;
    assert!(list_over_tls(&kube.aws, &before).await.is_none());
    assert_eq!(list_over_tls(&kube.aws, &after).await.unwrap().status, 200);
    let former = before.json()["cluster"]["endpoint"].as_str().unwrap().to_owned();
    let request = Request::get(format!("{former}/version")).body(hyper::body::Bytes::new()).unwrap();
    assert!(kube.aws.answer(request).await.is_none());
    assert_eq!(kube.get("/version").await.json()["major"], "1");
    drop(kube);
    assert!(TcpStream::connect(former.replace("https://localhost", "127.0.0.1")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn endpoints_refuse_or_never_answer() {
    let kube = Kube::with(EksCluster::new(CLUSTER).unreachable()).await;
    assert!(kube.try_send("GET", "/api/v1/nodes", "", String::new()).await.is_none());
    kube.home.eks_cluster(EksCluster::new(CLUSTER).silent());
    let silent = kube.try_send("GET", "/api/v1/nodes", "", String::new());
    assert!(tokio::time::timeout(Duration::from_secs(30), silent).await.is_err());
    // Its objects are still there.
    kube.home.eks_cluster(EksCluster::new(CLUSTER));
    assert_eq!(kube.get(&format!("/api/v1/nodes/{NODE}")).await.status, 200);
}

#[tokio::test]
async fn instances_have_private_dns_names() {
    let aws = Standin::builder().start().await.unwrap();
    aws.home().instance(Instance::new(ID).private_dns(NODE)).instance(Instance::new("i-0000000000000001a"));
    let client = Client::new(&aws);
    let name = async |id: &str| {
        let reply = client.ec2(&format!("DescribeInstances&InstanceId.1={id}")).await;
        reply.xml("privateDnsName").unwrap().to_owned()
    };
    assert_eq!(name(ID).await, NODE);
    let default = name("i-0000000000000001a").await;
    assert!(default.starts_with("ip-10-") && default.ends_with(".us-east-2.compute.internal"), "{default}");
    let found = client.ec2(&format!("DescribeInstances&Filter.1.Name=private-dns-name&Filter.1.Value.1={NODE}")).await;
    assert_eq!((found.count("instanceId"), found.xml("instanceId")), (1, Some(ID)));
}

#[tokio::test]
async fn fleet_has_clusters_with_nodes_and_pods() {
    let aws = Standin::builder().start().await.unwrap();
    let ids = eks_fleet(&aws.home(), 2, 3, 4);
    assert_eq!(ids.len(), 6);
    let home = aws.home();
    let instance = home.instance_at(&ids[4]).unwrap();
    assert_eq!(instance.tags["aws:eks:cluster-name"], "eks-1");
    let node = &home.private_dns_name(&ids[4]).unwrap();
    assert_eq!(home.node_at("eks-1", node).unwrap().instance_id, ids[4]);
    assert_eq!((home.nodes("eks-1").len(), home.pods("eks-1", node).len()), (3, 4));
}
