//! A reclaim wave, with nothing installed but Rust: `cargo run --release --example wave`.
//!
//! Starts a stand-in for AWS with the documented request quotas, gives notice to all instances of a fleet within
//! seconds, simulates the delivery from EC2 to the function (Lambda's asynchronous invocations, or a queue), and
//! reports how many notices were handled and lost, and how that compares with what the quotas allow. `--help` lists the
//! options.

mod bound;
mod channel;
mod fleet;
mod measured;
mod notices;
mod options;
mod plot;
mod report;
mod run;
mod template;

use std::{error::Error, fs, process::ExitCode};

use standin::{Quotas, Standin, build_release};

use crate::{measured::Figures, options::Options};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprint!("{error}\n\n{}", options::USAGE);
            return Ok(ExitCode::from(2));
        }
    };
    let function = match &options.function {
        Some(function) => function.clone(),
        None => build_release(&["-p", "spot-interruption-handler"])?.join("spot-interruption-handler"),
    };
    let aws =
        Standin::builder().quotas(Quotas::aws().times(options.quota_factor)).latency(options.latency).start().await?;
    let fleet = fleet::fill(&aws.home(), &options);
    for fault in fleet::faults(options.faults) {
        aws.fault(fault);
    }

    let run = run::run(&aws, &options, &function, &fleet).await;
    let measured = Figures::new(&run);
    report::print(&aws, &options, &run, &measured);
    if let Some(path) = &options.plot {
        fs::write(path, plot::svg(&options, &run, &measured))?;
    }
    Ok(if measured.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
