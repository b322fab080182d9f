//! The entry point: what runs once, before the first event.

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use spot_interruption_handler::{config::Config, function, handle, log, scope::Scopes, warm_up};

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> ExitCode {
    if let Some(exit_code) = function::answer_command_line() {
        return exit_code;
    }
    log::init();
    tracing::info!(version = function::VERSION, "starting");
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
