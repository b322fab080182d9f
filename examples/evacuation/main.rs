//! One instance's two minutes under each strategy, and a Kubernetes node's, side by side: `cargo run --example evacuation`.
//!
//! Time is paused, so that it takes no time. The function, the SDK and the stand-in for AWS are the real ones; only the
//! sockets between them are missing.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

#[path = "../../tests/support/in_process.rs"]
mod in_process;
mod nodes;
mod timeline;

use std::{error::Error, sync::Arc, time::Duration};

use standin::{Fate, Moment, Quotas, Standin, evacuation_fleet as fleet, sqs_batch};

use in_process::Process;

const STRATEGIES: [&str; 3] = ["deregister", "drain", "evacuate"];

/// How long a call to AWS takes.
const LATENCY: Duration = Duration::from_millis(10);

const ID: &str = "i-1234567890abcdef0";

/// The events under one strategy.
struct StrategyRun {
    strategy: &'static str,
    history: Vec<Moment>,
    fates: Vec<Fate>,
    calls: usize,
    registered: usize,
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut runs = Vec::new();
    for strategy in STRATEGIES {
        runs.push(run(strategy).await?);
    }
    println!("{}", timeline::moments(&runs));
    println!("{}", timeline::fates(&runs));
    println!("{}", timeline::totals(&runs));
    println!("evacuate, by the number of such instances in one batch, with AWS's request quotas");
    for instances in [1, 10, 100] {
        println!("{}", batch(instances).await?);
    }
    println!("\n{}", nodes::table().await?);
    Ok(())
}

/// Evacuates many instances in one invocation, as a batch from a queue.
async fn batch(instances: usize) -> Result<String, Box<dyn Error>> {
    let aws = Arc::new(Standin::builder().latency(LATENCY).quotas(Quotas::aws()).start().await?);
    let home = aws.home();
    let ids: Vec<_> = (0..instances).map(|n| format!("i-{n:017x}")).collect();
    fleet::instances(&home, fleet::CLUSTER, &ids);
    let process = Process::start(&aws, &[("STRATEGY", "evacuate")]).await;
    aws.forget_calls();
    let notices: Vec<_> = ids.iter().map(|id| home.interrupt(id, "terminate")).collect();
    process.invoke(&sqs_batch(&notices)).await?;
    let calls = aws.calls().len();
    tokio::time::sleep(Duration::from_mins(2)).await;
    Ok(timeline::batch(instances, calls, &home.fates()))
}

async fn run(strategy: &'static str) -> Result<StrategyRun, Box<dyn Error>> {
    let aws = Arc::new(Standin::builder().latency(LATENCY).start().await?);
    let home = aws.home();
    fleet::instances(&home, fleet::CLUSTER, &[ID.to_owned()]);
    let process = Process::start(&aws, &[("STRATEGY", strategy)]).await;
    aws.forget_calls();
    process.invoke(&home.interrupt(ID, "terminate")).await?;
    let calls = aws.calls().len();
    tokio::time::sleep(Duration::from_mins(2)).await;
    Ok(StrategyRun { strategy, history: home.history(), fates: home.fates(), calls, registered: home.registered(ID) })
}
