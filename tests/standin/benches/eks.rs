//! Nodes of Amazon EKS: one notice, and a wave: `cargo bench -p standin --bench eks`.
//!
//! The release build against the stand-in's Kubernetes API servers over TLS, 10 ms a call, with the request quotas that
//! AWS documents. The rows by memory hold each process at the share of a core that it has on Lambda from its first event
//! on, which needs Linux and root; they are left out elsewhere.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the terminal that may give up")]
#![expect(clippy::cast_precision_loss, reason = "figures of three digits")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use standin::{
    CpuShare, EksCluster, EventSourceMapping, Fault, Function, Instance, Node, Pod, Pool, Queue, Quotas, Region,
    Standin, build_release, eks_fleet, notice,
};
use tokio::{task::JoinSet, time::sleep};

const RUNS: usize = 11;
const LATENCY: Duration = Duration::from_millis(10);
const PODS: usize = 30;

/// The wave: nodes, in so many clusters.
const NODES: usize = 200;
const CLUSTERS: usize = 10;

/// `Timeout`, `VisibilityTimeout` and `maxReceiveCount` in `template.yaml`, while nodes are drained.
const TIMEOUT: Duration = Duration::from_mins(2);
const MAX_RECEIVES: u32 = 2;

/// USD for a GB-second of Lambda on `x86_64` in us-east-1: "AWS Lambda pricing".
const PRICE: f64 = 0.000_016_666_7;

#[tokio::main]
async fn main() {
    let handler = build_release(&["-p", "spot-interruption-handler"]).unwrap().join("spot-interruption-handler");
    println!("one notice, {PODS} pods, median and worst of {RUNS}");
    println!("  {:<34} {:>9} {:>9} {:>9} {:>9} {:>7}", "", "cordon ms", "worst", "all ms", "worst", "calls");
    for (name, is_warm, memory_mb) in [
        ("warm", true, None),
        ("warm, 128 MB", true, Some(128)),
        ("cold", false, None),
        ("cold, 128 MB", false, Some(128)),
    ] {
        single(&handler, name, is_warm, memory_mb).await;
    }
    println!("\n{NODES} notices at once, {CLUSTERS} clusters, {PODS} pods each, from a queue");
    println!(
        "  {:<22} {:>10} {:>10} {:>6} {:>8} {:>8} {:>7} {:>10}",
        "", "cordoned s", "evicted s", "left", "calls", "peak MB", "billed s", "USD"
    );
    wave(&handler, "a whole core", None, 0.0).await;
    wave(&handler, "30 % of calls fail", None, 0.3).await;
    for memory_mb in [128, 256, 512, 1_024, 1_769] {
        wave(&handler, &format!("{memory_mb} MB"), Some(memory_mb), 0.0).await;
    }
}

/// A cluster with nodes that run `PODS` pods each.
fn fill(home: &Region, nodes: usize) -> Vec<String> {
    home.eks_cluster(EksCluster::new("prod"));
    let ids: Vec<_> = (0..nodes).map(|n| format!("i-{n:017x}")).collect();
    for id in &ids {
        let instance = Instance::new(id).tag("aws:eks:cluster-name", "prod");
        let name = instance.private_dns_in(home.name());
        home.instance(instance).node("prod", Node::new(&name, id));
        for pod in 0..PODS {
            home.pod("prod", &name, Pod::new("default", format!("{id}-{pod}")).replica_set("app"));
        }
    }
    ids
}

fn function(handler: &Path, aws: &Standin, memory_mb: Option<u64>) -> Function {
    let function = Function::new(handler).envs(aws.env()).env("EKS_CLUSTERS", "*").timeout(TIMEOUT);
    match memory_mb.and_then(CpuShare::of_memory) {
        Some(share) => function.cpu_share(share),
        None => function,
    }
}

async fn single(handler: &Path, name: &str, is_warm: bool, memory_mb: Option<u64>) {
    let (mut cordons, mut drains, mut calls) = (Vec::new(), Vec::new(), 0);
    let aws = Standin::builder().tls(true).latency(LATENCY).start().await.unwrap();
    let ids = fill(&aws.home(), 2 * RUNS);
    let mut warm = None;
    for pair in ids.chunks(2) {
        let function = match warm.take() {
            Some(function) => function,
            None => function(handler, &aws, memory_mb).start().await.unwrap(),
        };
        function.ready().await.unwrap();
        let event = |id: &str| notice(&aws.home(), id, "terminate", SystemTime::now());
        if is_warm {
            assert!(function.invoke(event(&pair[0])).await.unwrap().is_ok());
        }
        aws.forget_calls();
        let started = Instant::now();
        let answer = function.invoke(event(&pair[1])).await.unwrap();
        drains.push(started.elapsed());
        assert_eq!(answer.json()["nodes"][0]["podsEvicted"], PODS, "{:?}", function.logs());
        cordons.push(aws.calls_to("PatchNode")[0].finished - started);
        calls = aws.calls().len();
        warm = is_warm.then_some(function);
    }
    let [cordon, worst_cordon, all, worst] = [&mut cordons, &mut drains]
        .map(|times| {
            times.sort_unstable();
            [times[times.len() / 2], times[times.len() - 1]].map(|time| time.as_secs_f64() * 1e3)
        })
        .concat()[..]
    else {
        return;
    };
    println!("  {name:<34} {cordon:>9.1} {worst_cordon:>9.1} {all:>9.1} {worst:>9.1} {calls:>7}");
}

async fn wave(handler: &Path, name: &str, memory_mb: Option<u64>, failing: f64) {
    if memory_mb.is_some_and(|memory_mb| CpuShare::of_memory(memory_mb).is_none()) {
        return;
    }
    let aws = Standin::builder().quotas(Quotas::aws()).latency(LATENCY).start().await.unwrap();
    let home = aws.home();
    let ids = eks_fleet(&home, CLUSTERS, NODES / CLUSTERS, PODS + 1);
    if failing > 0.0 {
        aws.fault(Fault::on_any().probability(failing).status(500));
    }
    let pool = Arc::new(Pool::new(function(handler, &aws, memory_mb)));
    let queue = Queue::new(&home, "notices", TIMEOUT, MAX_RECEIVES);
    let mapping = EventSourceMapping { batch_size: 1_000, window: Duration::from_secs(1), concurrency: 50 };
    let mut tasks = JoinSet::new();
    tasks.spawn(mapping.run(queue.clone(), Arc::clone(&pool)));
    let started = Instant::now();
    for id in &ids {
        queue.send(&home.interrupt(id, "terminate").to_string());
    }
    while pool.figures().invocations == 0 || pool.figures().in_flight > 0 || !queue.is_empty() {
        sleep(Duration::from_millis(20)).await;
        if started.elapsed() > TIMEOUT {
            break;
        }
    }
    let calls = aws.calls();
    let last = |api: &str| {
        let times = calls.iter().filter(|call| call.api == api && call.is_ok()).map(|call| call.finished);
        times.max().map_or(f64::NAN, |at| (at - started).as_secs_f64())
    };
    let fates = (0..CLUSTERS).flat_map(|n| home.pod_fates(&format!("eks-{n}")));
    let left = fates.filter(|fate| fate.owner.as_deref() != Some("DaemonSet") && fate.sigterm.is_none()).count();
    let figures = pool.figures();
    let billed = figures.billed.as_secs_f64();
    let cost = memory_mb.map_or_else(String::new, |mb| format!("{:.6}", billed * mb as f64 / 1_024.0 * PRICE));
    println!(
        "  {name:<22} {:>10.1} {:>10.1} {left:>6} {:>8} {:>8.1} {billed:>7.1} {cost:>10}",
        last("PatchNode"),
        last("EvictPod"),
        calls.len(),
        figures.peak_memory_kb as f64 / 1e3,
    );
}
