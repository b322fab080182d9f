//! Latency and calls of a warm process, by the number of clusters and of notices in a batch: `cargo bench -p standin
//! --bench calls`.
//!
//! The release build against the stand-in with 10 ms a call and no quotas.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the terminal that may give up")]
#![expect(clippy::cast_precision_loss, reason = "figures of three digits")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use standin::{Cluster, ContainerInstance, Environment, Function, Instance, Standin, build_release};

const SIZES: [usize; 4] = [1, 10, 100, 1_000];
const LATENCY: Duration = Duration::from_millis(10);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let handler = build_release(&["-p", "spot-interruption-handler"]).unwrap().join("spot-interruption-handler");
    println!("one notice, warm: all clusters have container instances");
    println!("  {:>9} {:<12} {:>8} {:>6}", "clusters", "hint", "wall ms", "calls");
    for clusters in SIZES {
        for hint in ["none", "user data", "group"] {
            let (wall_ms, calls) = single(&handler, clusters, hint).await;
            println!("  {clusters:>9} {hint:<12} {wall_ms:>8.1} {calls:>6}");
        }
    }
    println!("\na batch, warm: 50 clusters, no hints");
    println!(
        "  {:>9} {:<12} {:>8} {:>6} {:>12} {:>8}",
        "notices", "strategy", "wall ms", "calls", "for a notice", "peak MB"
    );
    for notices in SIZES {
        for strategy in ["drain", "deregister"] {
            let (wall_ms, calls, peak_mb) = batch(&handler, notices, strategy).await;
            let each = calls as f64 / notices as f64;
            println!("  {notices:>9} {strategy:<12} {wall_ms:>8.1} {calls:>6} {each:>12.2} {peak_mb:>8.1}");
        }
    }
}

/// A notice that follows one for another instance of the same group.
async fn single(handler: &Path, clusters: usize, hint: &str) -> (f64, usize) {
    let aws = standin(clusters).await;
    let ids = ["i-aaaaaaaaaaaaaaaa1", "i-aaaaaaaaaaaaaaaa2"];
    for id in ids {
        let instance = match hint {
            "user data" => {
                Instance::new(id).user_data("#!/bin/sh\necho ECS_CLUSTER=cluster-0 >> /etc/ecs/ecs.config\n")
            }
            "group" => Instance::new(id).asg("group"),
            _ => Instance::new(id),
        };
        aws.home().instance(instance);
        aws.home().container_instance("cluster-0", ContainerInstance::new(id));
    }
    let function = start(handler, &aws, "deregister").await;
    function.invoke(notice(ids[0])).await.unwrap();
    aws.forget_calls();
    let started = Instant::now();
    let answer = function.invoke(notice(ids[1])).await.unwrap();
    let wall = started.elapsed();
    assert_eq!(answer.json()["outcome"], "deregistered", "{:?}", function.logs());
    (wall.as_secs_f64() * 1e3, aws.calls().len())
}

async fn batch(handler: &Path, notices: usize, strategy: &str) -> (f64, usize, f64) {
    let aws = standin(50).await;
    let ids: Vec<_> = (0..notices).map(|n| format!("i-b{n:016x}")).collect();
    for (n, id) in ids.iter().enumerate() {
        aws.home().instance(Instance::new(id));
        aws.home().container_instance(&format!("cluster-{}", n % 50), ContainerInstance::new(id));
    }
    let function = start(handler, &aws, strategy).await;
    let record = |id: &String| json!({ "messageId": id, "body": notice(id).to_string(), "eventSource": "aws:sqs" });
    let records: Vec<_> = ids.iter().map(record).collect();
    aws.forget_calls();
    let started = Instant::now();
    let answer = function.invoke(json!({ "Records": records })).await.unwrap();
    let wall = started.elapsed();
    assert_eq!(answer.json(), &json!({ "batchItemFailures": [] }), "{:?}", function.logs());
    (wall.as_secs_f64() * 1e3, aws.calls().len(), peak_mb(&function))
}

async fn standin(clusters: usize) -> Standin {
    let aws = Standin::builder().latency(LATENCY).start().await.unwrap();
    for n in 0..clusters {
        aws.home().cluster(Cluster::new(format!("cluster-{n}")));
        aws.home().container_instance(&format!("cluster-{n}"), ContainerInstance::new(format!("i-c{n:016x}")));
    }
    aws
}

async fn start(handler: &Path, aws: &Standin, strategy: &str) -> Environment {
    let function = Function::new(handler).envs(aws.env()).env("STRATEGY", strategy).timeout(Duration::from_mins(2));
    let function = function.start().await.unwrap();
    function.ready().await.unwrap();
    function
}

fn notice(id: &str) -> Value {
    json!({
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "123456789012",
        // A notice that is in time whenever this runs.
        "time": "2100-01-01T00:00:00Z",
        "region": "us-east-2",
        "detail": { "instance-id": id, "instance-action": "terminate" },
    })
}

/// The most memory that the process has had resident, in MB.
fn peak_mb(function: &Environment) -> f64 {
    function.peak_memory_kb().unwrap() as f64 / 1e3
}
