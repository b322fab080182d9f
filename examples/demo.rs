//! The function at work, with nothing installed but Rust: `cargo run --example demo`.
//!
//! Starts a stand-in for AWS with a small fleet, starts the function as Lambda does, sends it every file in `events/`
//! as if it were sent now, and prints the calls to AWS and the outcome of each instance. Settings are taken from the
//! environment: `STRATEGY=drain cargo run --example demo`. `evacuate` takes minutes here; the example `evacuation`
//! shows it at once.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

/// The function is built into this program, which starts itself as the function. So there is one build, and no second
/// cargo.
#[path = "../src/main.rs"]
mod function;

use std::{collections::BTreeMap, env, error::Error, fs, path::Path, process::ExitCode, time::SystemTime};

use chrono::DateTime;
use serde_json::Value;
use standin::{Answer, Call, Environment, Function, Standin, fleet};

const SETTINGS: [&str; 19] = [
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
    "EKS_CLUSTERS",
    "EKS_STRATEGY",
    "POD_DISRUPTION_BUDGETS",
    "REPLACE_INSTANCES",
    "REHEARSAL_READS",
    "FARGATE_SPOT",
    "RUN_AGAIN",
    "RUN_AGAIN_ON",
    "LIFECYCLE_HOOKS",
];

/// The events in the order in which they are shown: the function's purpose, what it leaves alone, EC2's other events,
/// those of ECS and Auto Scaling, and malformed events.
const EVENTS: [(&str, &[&str]); 7] = [
    (
        "Notices that are acted on",
        &[
            "terminate",
            "stop",
            "hibernate",
            "capacity-provider",
            "registered-twice",
            "already-draining",
            "eks-node",
            "reservation",
        ],
    ),
    (
        "Instances that are left alone",
        &["managed-draining", "managed-instances", "batch", "no-cluster", "gone", "unknown-fields"],
    ),
    ("An instance's whole life", &["resumed", "state-change", "stopping", "terminated", "rebalance-recommendation"]),
    (
        "Interrupted tasks, and an instance in a lifecycle hook",
        &["fargate-spot", "fargate-spot-standalone", "task-stopped", "lifecycle-action"],
    ),
    ("A notice that is too late", &[LATE]),
    ("A rehearsal of what would happen to the fleet", &["rehearsal"]),
    (
        "Events that are malformed",
        &[
            "malformed-instance-id",
            "malformed-no-instance-id",
            "malformed-action",
            "malformed-account",
            "malformed-region",
            "malformed-state",
        ],
    ),
];

/// The notice whose two minutes have passed.
const LATE: &str = "late";

/// How many characters of an event's detail are shown. That of a task has thousands.
const LONGEST_DETAIL: usize = 250;

const LEGEND: &str = "\
Each event is shown with its file in events/, its type and its detail. Below it are the calls to AWS that the function
makes, with AWS's answers; \"=>\" marks the outcome of the instance, followed by those of its container instances.
";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() { Ok(function::main()) } else { demo() }
}

#[tokio::main]
async fn demo() -> Result<ExitCode, Box<dyn Error>> {
    let aws = Standin::builder().start().await?;
    fleet(&aws);
    let settings = SETTINGS.iter().filter_map(|name| Some((*name, std::env::var(name).ok()?)));
    let function = Function::new(std::env::current_exe()?).envs(aws.env()).env("EKS_CLUSTERS", "*").envs(settings);
    let function = function.start().await?;
    println!("{LEGEND}\nCold start: {} ms\n{}", function.ready().await?.as_millis(), calls_made(&aws));

    let mut outcomes = BTreeMap::<_, usize>::new();
    for (heading, names) in EVENTS {
        println!("--- {heading}\n");
        for name in names {
            *outcomes.entry(show(&aws, &function, name).await?).or_default() += 1;
        }
    }
    println!("--- The fleet at the end\n");
    for found in aws.home().container_instances() {
        println!("  {:<20} {:<10} {}", found.ec2_instance_id, found.status, found.cluster);
    }
    let sum: Vec<_> = outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    println!("\n{} events: {}.", outcomes.values().sum::<usize>(), sum.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// Sends an event and prints its effect. Returns the outcome in one word.
async fn show(aws: &Standin, function: &Environment, name: &str) -> Result<String, Box<dyn Error>> {
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let file = Path::new(&package).join(format!("events/{name}.json"));
    let mut event: Value = serde_json::from_slice(&fs::read(file)?)?;
    if name != LATE && name != "rehearsal" {
        event["time"] = now().into();
        // A reservation says itself when its instance ends.
        event["detail"].as_object_mut().map(|detail| detail.remove("instance-termination-time"));
    }
    aws.forget_calls();
    let answer = function.invoke(&event).await?;
    let detail: String = event["detail"].to_string().chars().take(LONGEST_DETAIL).collect();
    println!("{name}.json: {} {detail}", event["detail-type"].as_str().unwrap_or_default());
    print!("{}", calls_made(aws));
    match answer {
        Answer::Ok(answer) => {
            let field = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
            if let Some(text) = answer["text"].as_str() {
                println!("{text}");
            }
            println!("  => {}", format!("{} {}", field(&answer, "outcome"), field(&answer, "reason")).trim_end());
            for node in answer["nodes"].as_array().into_iter().flatten() {
                let count = |name: &str| Some(format!(", {name}: {}", node.get(name)?));
                let counts: String = ["podsEvicted", "podsDeleted", "podsLeft", "podsToEvict", "podsBlocked"]
                    .into_iter()
                    .filter_map(count)
                    .collect();
                let line = format!(
                    "{}: {}{counts} {}",
                    field(node, "nodeName"),
                    field(node, "outcome"),
                    field(node, "reason")
                );
                println!("     {}", line.trim_end());
            }
            for found in answer["containerInstances"].as_array().into_iter().flatten() {
                let arn = field(found, "containerInstanceArn");
                let line = format!("{}: {} {}", short(&arn), field(found, "outcome"), field(found, "reason"));
                println!("     {}", line.trim_end());
            }
            println!();
            Ok(field(&answer, "outcome"))
        }
        Answer::Err { error_type, error_message, .. } => {
            println!("  => error {error_type}: {error_message}\n");
            Ok(format!("error {error_type}"))
        }
    }
}

/// The calls to AWS, one line each.
fn calls_made(aws: &Standin) -> String {
    let line = |call: &Call| {
        let of = |field: &str| {
            call.params.get(field).map(|value| format!(" {}", short(&value.to_string()))).unwrap_or_default()
        };
        let about: String =
            ["cluster", "name", "filter", "containerInstance", "containerInstances", "Filter.1.Value.1", "InstanceId"]
                .map(of)
                .concat();
        format!("  {}{about} {}\n", call.api, call.error.as_deref().unwrap_or("ok"))
    };
    aws.calls().iter().map(line).collect()
}

/// Removes the account and the Region from an ARN, since they are the same everywhere.
fn short(text: &str) -> String {
    text.replace("arn:aws:ecs:us-east-2:123456789012:container-instance/", "")
}

fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    DateTime::from_timestamp(since.as_secs().cast_signed(), 0).unwrap_or_default().to_rfc3339()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_sample_event_is_shown_once_and_terminate_first() {
        let shown: Vec<_> = EVENTS.iter().flat_map(|(_, names)| *names).map(|name| format!("{name}.json")).collect();
        let files = fs::read_dir("events").unwrap();
        let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(shown.len(), files.len());
        assert_eq!(shown[0], "terminate.json");
        assert_eq!(shown.into_iter().collect::<BTreeSet<_>>(), files);
    }
}
