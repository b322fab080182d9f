//! One instance's two minutes under each strategy, side by side: `cargo run --example evacuation`.
//!
//! Time is paused, so that it takes no time. The function, the SDK and the stand-in for AWS are the real ones; only the
//! sockets between them are left out.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod fleet;
mod in_process;
mod timeline;

use std::{error::Error, sync::Arc, time::Duration};

use standin::{Fate, Moment, Standin};

use in_process::Process;

const STRATEGIES: [&str; 3] = ["deregister", "drain", "evacuate"];

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
    Ok(())
}

async fn play(strategy: &'static str) -> Result<Played, Box<dyn Error>> {
    let aws = Arc::new(Standin::builder().latency(Duration::from_millis(10)).start().await?);
    let home = aws.home();
    fleet::instances(&home, &[ID.to_owned()]);
    let process = Process::start(&aws, &[("STRATEGY", strategy)]).await;
    aws.forget_calls();
    process.invoke(&home.interrupt(ID, "terminate")).await?;
    let calls = aws.calls().len();
    tokio::time::sleep(Duration::from_mins(2)).await;
    Ok(Played { strategy, history: home.history(), fates: home.fates(), calls, registered: home.registered(ID) })
}
