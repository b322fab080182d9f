//! The cold start: what is done once, before the first event.

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use spot_interruption_handler::{config::Config, handle, log, scope::Scopes, warm_up};

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
    let (config, scopes) = (&Config::from_env()?, &Scopes::from_env().await);
    warm_up(scopes, config).await;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<_>| handle(scopes, config, event))).await
}
