//! The cold start: what is done once, before the first event.

use std::{env, io::Write, process::ExitCode};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use spot_interruption_handler::{config::Config, handle, log, scope::Scopes, warm_up};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> ExitCode {
    let is_asked =
        env::args_os().skip(1).any(|arg| ["-h", "--help", "-V", "--version"].iter().any(|asks| arg == *asks));
    // Lambda sets it, and gives no arguments.
    if is_asked || env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        let mut out: Box<dyn Write> = if is_asked { Box::new(std::io::stdout()) } else { Box::new(std::io::stderr()) };
        // Whoever closed it does not want to know.
        let _ = writeln!(
            out,
            "spot-interruption-handler {VERSION} takes interrupted EC2 Spot instances out of their Amazon ECS clusters: \
             AWS Lambda starts it, and `cargo run --example demo` shows it."
        );
        return if is_asked { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    log::init();
    tracing::info!(version = VERSION, "starting");
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
