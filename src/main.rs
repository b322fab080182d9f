//! The cold start: what is done once, before the first event.

use std::{process::ExitCode, time::Duration};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use spot_interruption_handler::{
    aws::{Aws, Deadline},
    config::Config,
    ecs::locate::warm_up,
    handle, log,
};

/// How long the warm-up may take, 2 s: an initialisation is cut off after 10 s, and a notice may be waiting.
const WARM_UP: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log::init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the function can't start");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let (config, aws) = (&Config::from_env()?, &Aws::from_env().await);
    if let Some(home) = aws.home() {
        let home = aws.region(&home);
        warm_up(&home, config, &home.calls_until(Deadline::after(WARM_UP))).await;
    }
    lambda_runtime::run(service_fn(move |event: LambdaEvent<_>| handle(aws, config, event))).await
}
