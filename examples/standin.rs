//! The stand-in for AWS as a server, with the demo's fleet: `cargo run --example standin [-- --port 4570]`.
//!
//! The first line on standard output is JSON: the `url`, and the `env` that points an AWS client at it. Each call is
//! printed as it is made. All credentials are accepted. The state lasts until the program ends.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{error::Error, time::Duration};

use serde_json::{Map, json};
use standin::{ACCOUNT, Standin, fleet};

const USAGE: &str = "usage: standin [--port PORT]";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let port = match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 4570,
        ["--port", port] => port.parse().map_err(|_| USAGE)?,
        _ => return Err(USAGE.into()),
    };
    let aws = Standin::builder().port(port).unknown_keys_are(ACCOUNT).start().await?;
    fleet(&aws);
    let env: Map<_, _> = aws.env().into_iter().map(|(name, value)| (name, json!(value))).collect();
    println!("{}", json!({ "url": aws.url(), "env": env }));
    for (name, value) in aws.env() {
        eprintln!("export {name}={value}");
    }
    let mut shown = 0;
    loop {
        let calls = aws.calls();
        for call in calls.iter().skip(shown) {
            println!("{:<28} {} {}", call.api, call.error.as_deref().unwrap_or("ok"), call.params);
        }
        shown = calls.len();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
