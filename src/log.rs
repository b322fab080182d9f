//! Logging, in the format and at the level that Lambda's settings name.

use std::{
    io::Write,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tracing_subscriber::{
    Layer, filter::LevelFilter, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// The level of lines that must never be filtered: the one that Lambda's settings name.
pub(crate) fn level() -> &'static str {
    static LEVEL: OnceLock<String> = OnceLock::new();
    LEVEL.get_or_init(|| Some(setting(LEVEL_SETTING)).filter(|level| !level.is_empty()).unwrap_or("INFO".to_owned()))
}

/// Prints a line as it is, if this process's standard output is Lambda's log. Other programs that use this library have
/// an output of their own.
pub(crate) fn print(line: &str) {
    if IS_ON.load(Relaxed) {
        // A closed standard output is no error.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

static IS_ON: AtomicBool = AtomicBool::new(false);

const LEVEL_SETTING: &str = "AWS_LAMBDA_LOG_LEVEL";

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Logs to standard output in the format and at the level of Lambda's settings (`AWS_LAMBDA_LOG_FORMAT`,
/// `AWS_LAMBDA_LOG_LEVEL`).
///
/// The level applies to this crate alone. Below INFO the SDK and the runtime log answers and events, and with them the
/// secrets in user data.
pub fn init() {
    IS_ON.store(true, Relaxed);
    let level = match setting(LEVEL_SETTING).as_str() {
        "FATAL" => LevelFilter::ERROR,
        // An empty level would parse as ERROR.
        "" => LevelFilter::INFO,
        level => LevelFilter::from_str(level).unwrap_or(LevelFilter::INFO),
    };
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target(env!("CARGO_CRATE_NAME"), level)
        // It logs each error that the function returns, which is logged already.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF);
    let lines = fmt::layer().with_target(false).with_ansi(false);
    let lines = if setting("AWS_LAMBDA_LOG_FORMAT").eq_ignore_ascii_case("json") {
        // Each line keeps its `timestamp`: Lambda takes a line without one for INFO, and a stricter level would drop
        // even errors ("Log-level filtering" in the AWS Lambda Developer Guide).
        lines.json().with_span_list(false).boxed()
    } else {
        lines.without_time().boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
