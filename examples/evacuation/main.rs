//! One instance's two minutes under each strategy, side by side: `cargo run --example evacuation`.
//!
//! Time is paused, so that it takes no time. The function, the SDK and the stand-in for AWS are the real ones; only the
//! sockets between them are left out.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod fleet;
mod in_process;
mod timeline;

use std::{error::Error, sync::Arc, time::Duration};

use serde_json::json;
use standin::{Fate, Moment, Quotas, Standin};

use in_process::Process;

const STRATEGIES: [&str; 3] = ["deregister", "drain", "evacuate"];

/// How long a call to AWS takes.
const LATENCY: Duration = Duration::from_millis(10);

const ID: &str = "i-1234567890abcdef0";

/// What happened under one strategy.
struct Played {
    strategy: &'static str,
    history: Vec<Moment>,
    fates: Vec<Fate>,
    calls: usize,
    registered: usize,
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut played = Vec::new();
    for strategy in STRATEGIES {
        played.push(play(strategy).await?);
    }
    println!("{}", timeline::moments(&played));
    println!("{}", timeline::fates(&played));
    println!("{}", timeline::totals(&played));
    println!("evacuate, so many instances like this in one batch, with AWS's request quotas");
    for instances in [1, 10, 100] {
        println!("{}", batch(instances).await?);
    }
    Ok(())
}

/// Evacuates many instances in one invocation, as they come from a queue.
async fn batch(instances: usize) -> Result<String, Box<dyn Error>> {
    let aws = Arc::new(Standin::builder().latency(LATENCY).quotas(Quotas::aws()).start().await?);
    let home = aws.home();
    let ids: Vec<_> = (0..instances).map(|n| format!("i-{n:017x}")).collect();
    fleet::instances(&home, fleet::CLUSTER, &ids);
    let process = Process::start(&aws, &[("STRATEGY", "evacuate")]).await;
    aws.forget_calls();
    let message = |id: &String| json!({ "messageId": id, "body": home.interrupt(id, "terminate").to_string() });
    process.invoke(&json!({ "Records": ids.iter().map(message).collect::<Vec<_>>() })).await?;
    let calls = aws.calls().len();
    tokio::time::sleep(Duration::from_mins(2)).await;
    Ok(timeline::batch(instances, calls, &home.fates()))
}

async fn play(strategy: &'static str) -> Result<Played, Box<dyn Error>> {
    let aws = Arc::new(Standin::builder().latency(LATENCY).start().await?);
    let home = aws.home();
    fleet::instances(&home, fleet::CLUSTER, &[ID.to_owned()]);
    let process = Process::start(&aws, &[("STRATEGY", strategy)]).await;
    aws.forget_calls();
    process.invoke(&home.interrupt(ID, "terminate")).await?;
    let calls = aws.calls().len();
    tokio::time::sleep(Duration::from_mins(2)).await;
    Ok(Played { strategy, history: home.history(), fates: home.fates(), calls, registered: home.registered(ID) })
}
