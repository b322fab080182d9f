//! Cold start, first notice, memory and size of the release build: `cargo bench -p standin --bench cold_start`.
//!
//! All measurements are made in one run, beside a function that does nothing, against the stand-in over TLS with 10 ms
//! a call and the system's root certificates. A cgroup's CPU quota limits the handler phase to 7.2 % of a core, the
//! share of a function with 128 MB; this needs Linux and root, and is skipped elsewhere.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the terminal that may give up")]
#![expect(clippy::cast_precision_loss, reason = "figures of three digits")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use standin::{Cluster, ContainerInstance, CpuShare, Environment, Function, Instance, Standin, build_release};

const RUNS: usize = 21;
const LATENCY: Duration = Duration::from_millis(10);

/// The template's `MemorySize`, in MB.
const MEMORY_MB: u64 = 128;

/// The instance that is interrupted.
const ID: &str = "i-1234567890abcdef0";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let nothing = build_release(&["-p", "standin", "--example", "nothing"]).unwrap().join("examples/nothing");
    let handler = build_release(&["-p", "spot-interruption-handler"]).unwrap().join("spot-interruption-handler");
    println!("size, stripped");
    for (name, program) in [("does nothing", &nothing), ("handler", &handler)] {
        println!("  {name:<44} {:6.2} MB", fs::metadata(program).unwrap().len() as f64 / 1e6);
    }

    let plain = Standin::builder().start().await.unwrap();
    let tls = Standin::builder().tls(true).start().await.unwrap();
    let far = Standin::builder().tls(true).latency(LATENCY).start().await.unwrap();
    let roots = Roots::with_the_systems(&tls, "near");
    let far_roots = Roots::with_the_systems(&far, "far");
    println!("\ncold start: process start to the first request for an event, median of {RUNS}");
    println!("  {:<44} {:>8} {:>8} {:>8}", "", "wall ms", "CPU ms", "peak MB");
    for (name, program, aws, roots) in [
        ("does nothing", &nothing, &plain, None),
        ("handler, clusters read over HTTP, 0 ms a call", &handler, &plain, None),
        ("handler, over TLS, 0 ms a call", &handler, &tls, Some(&roots)),
        ("handler, over TLS, 10 ms a call", &handler, &far, Some(&far_roots)),
    ] {
        fill(aws, 2);
        let mut samples = Vec::new();
        for _ in 0..RUNS {
            let function = start(program, aws, roots, None).await;
            let wall = function.ready().await.unwrap();
            samples.push([wall.as_secs_f64() * 1e3, cpu_ms(&function), peak_mb(&function)]);
        }
        println!("  {name:<44} {}", row(&samples));
    }

    println!("\nfirst notice after a cold start, over TLS, 10 ms a call, median and worst of {RUNS}");
    println!("  {:<44} {:>8} {:>8} {:>8} {:>8} {:>6}", "", "wall ms", "worst", "CPU ms", "peak MB", "calls");
    for (name, clusters) in [("2 clusters: scanned", 2), ("20 clusters: by user data", 20)] {
        for (name, share) in [
            (format!("{name}, a whole core"), None),
            (format!("{name}, 7.2 % in 100 ms"), CpuShare::of_memory_within(MEMORY_MB, 100_000)),
            (format!("{name}, 7.2 % in 20 ms"), CpuShare::of_memory_within(MEMORY_MB, 20_000)),
        ] {
            let mut samples = Vec::new();
            let mut calls = 0;
            for _ in 0..RUNS {
                fill(&far, clusters);
                let function = start(&handler, &far, Some(&far_roots), share).await;
                function.ready().await.unwrap();
                let before = cpu_ms(&function);
                far.forget_calls();
                let started = Instant::now();
                let answer = function.invoke(notice()).await.unwrap();
                let wall = started.elapsed().as_secs_f64() * 1e3;
                assert_eq!(answer.json()["outcome"], "deregistered", "{:?}", function.logs());
                calls = far.calls().len();
                samples.push([wall, cpu_ms(&function) - before, peak_mb(&function)]);
            }
            let worst = samples.iter().map(|sample| sample[0]).fold(0.0, f64::max);
            let [wall, cpu, peak] = medians(&samples);
            println!("  {name:<44} {wall:8.1} {worst:8.1} {cpu:8.1} {peak:8.1} {calls:6}");
        }
    }
}

/// Clusters with an instance each, of which one is to be interrupted.
fn fill(aws: &Standin, clusters: usize) {
    let home = aws.home();
    for found in home.container_instances() {
        home.forget_container_instance(&found.arn);
    }
    for n in 1..clusters {
        home.cluster(Cluster::new(format!("other-{n}")));
        home.container_instance(&format!("other-{n}"), ContainerInstance::new(format!("i-{n:017x}")));
    }
    home.instance(Instance::new(ID).asg("web").user_data("#!/bin/sh\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config\n"));
    home.container_instance("web", ContainerInstance::new(ID).running_tasks(3));
}

fn notice() -> Value {
    json!({
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2026-11-24T08:00:00Z",
        "region": "us-east-2",
        "detail": { "instance-id": ID, "instance-action": "terminate" },
    })
}

async fn start(program: &Path, aws: &Standin, roots: Option<&Roots>, share: Option<CpuShare>) -> Environment {
    let function = Function::new(program).envs(aws.env());
    let function = share.into_iter().fold(function, Function::cpu_share);
    let function = match roots {
        Some(roots) => function.env("SSL_CERT_FILE", roots.0.to_str().unwrap()),
        None => function,
    };
    function.start().await.unwrap()
}

/// The stand-in's certificate among the system's: as many as a client on Lambda has to read.
struct Roots(PathBuf);

impl Roots {
    fn with_the_systems(aws: &Standin, name: &str) -> Self {
        let own = aws.env().into_iter().find(|(name, _)| name == "SSL_CERT_FILE").unwrap().1;
        let system = fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
        let path = std::env::temp_dir().join(format!("roots-{name}-{}.pem", std::process::id()));
        fs::write(&path, [system, fs::read(own).unwrap()].concat()).unwrap();
        Self(path)
    }
}

impl Drop for Roots {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn cpu_ms(function: &Environment) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", function.pid().unwrap())).unwrap();
    let ns = |task: PathBuf| {
        let stat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default()
    };
    tasks.map(|task| ns(task.unwrap().path())).sum::<f64>() / 1e6
}

fn medians<const N: usize>(samples: &[[f64; N]]) -> [f64; N] {
    std::array::from_fn(|column| {
        let mut values: Vec<_> = samples.iter().map(|sample| sample[column]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

fn row(samples: &[[f64; 3]]) -> String {
    medians(samples).map(|median| format!("{median:8.1}")).join(" ")
}

/// The most memory that the process has had resident, in MB.
fn peak_mb(function: &Environment) -> f64 {
    function.peak_memory_kb().unwrap() as f64 / 1e3
}
