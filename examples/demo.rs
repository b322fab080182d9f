//! The main job, with nothing installed but Rust: `cargo run --example demo`.
//!
//! Starts a stand-in for AWS with a small fleet, starts the function as Lambda does, sends it every file in `events/`
//! as if it were given now, and shows what was asked of AWS and what became of each instance. Settings are taken from
//! the environment: `STRATEGY=drain cargo run --example demo`. With `evacuate`, it takes minutes: the example `evacuation`
//! is for that.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use chrono::DateTime;
use serde_json::Value;
use standin::{Answer, Call, Environment, Function, Standin, fleet};

const SETTINGS: [&str; 10] = [
    "STRATEGY",
    "STANDALONE_TASKS",
    "DRY_RUN",
    "CLUSTERS",
    "EXCLUDE_CLUSTERS",
    "CLUSTER_TAG",
    "MANAGED_DRAINING",
    "REACTIVATE_RESUMED",
    "CLEAN_UP_TERMINATED",
    "REBALANCE_RECOMMENDATION",
];

/// The one that comes when its two minutes are long over.
const LATE: &str = "late.json";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let aws = Standin::builder().start().await?;
    fleet(&aws);
    let settings = SETTINGS.iter().filter_map(|name| Some((*name, std::env::var(name).ok()?)));
    let function = Function::new(build()?).envs(aws.env()).envs(settings).start().await?;
    println!("cold start {} ms\n{}", function.ready().await?.as_millis(), asked(&aws));

    let mut files: Vec<_> =
        fs::read_dir(root().join("events"))?.map(|file| Ok(file?.path())).collect::<Result<_, std::io::Error>>()?;
    files.sort();
    for file in files {
        show(&aws, &function, &file).await?;
    }
    println!("The fleet, in the end:");
    for found in aws.home().container_instances() {
        println!("  {:<20} {:<10} {}", found.ec2_instance_id, found.status, found.cluster);
    }
    Ok(())
}

async fn show(aws: &Standin, function: &Environment, file: &Path) -> Result<(), Box<dyn Error>> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut event: Value = serde_json::from_slice(&fs::read(file)?)?;
    if name != LATE {
        event["time"] = now().into();
    }
    aws.forget_calls();
    let answer = function.invoke(&event).await?;
    println!("{name}: {} {}", event["detail-type"].as_str().unwrap_or_default(), event["detail"]);
    print!("{}", asked(aws));
    match answer {
        Answer::Ok(answer) => {
            println!("  => {}", answer["outcome"].as_str().unwrap_or_default());
            for found in answer["containerInstances"].as_array().into_iter().flatten() {
                let field = |name: &str| found[name].as_str().unwrap_or_default();
                println!("     {}: {} {}", short(field("containerInstanceArn")), field("outcome"), field("reason"));
            }
            println!();
        }
        Answer::Err { error_type, error_message, .. } => println!("  => error {error_type}: {error_message}\n"),
    }
    Ok(())
}

/// What was asked of AWS, a line each.
fn asked(aws: &Standin) -> String {
    let line = |call: &Call| {
        let of = |field: &str| {
            call.params.get(field).map(|value| format!(" {}", short(&value.to_string()))).unwrap_or_default()
        };
        let about: String =
            ["cluster", "filter", "containerInstance", "containerInstances", "Filter.1.Value.1", "InstanceId"]
                .map(of)
                .concat();
        format!("  {}{about} {}\n", call.api, call.error.as_deref().unwrap_or("ok"))
    };
    aws.calls().iter().map(line).collect()
}

/// Leaves the account and the Region out of an ARN: they are the same all over.
fn short(text: &str) -> String {
    text.replace("arn:aws:ecs:us-east-2:123456789012:container-instance/", "")
}

/// Builds the function as it is now, with the features that this example was built with.
fn build() -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["build", "--quiet", "--example", "demo", "--bin", env!("CARGO_PKG_NAME")]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    if !cargo.status()?.success() {
        return Err("the function could not be built".into());
    }
    let examples = std::env::current_exe()?;
    let profile = examples.ancestors().nth(2).ok_or("an example stands in a folder of the target folder")?;
    Ok(profile.join(env!("CARGO_PKG_NAME")))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    DateTime::from_timestamp(since.as_secs().cast_signed(), 0).unwrap_or_default().to_rfc3339()
}
