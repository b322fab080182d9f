//! What would happen to the demo's fleet: `cargo run --example rehearsal`.
//!
//! Starts a stand-in for AWS with the fleet, starts the function as Lambda does, sends it `events/rehearsal.json`, and
//! prints the report as a table. Settings are taken from the environment: `STRATEGY=evacuate cargo run --example rehearsal`.
//! With `--json` the whole report is printed; with `--instances 1000` the fleet is a large one, under AWS's quotas.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

/// The function is built into this program, which starts itself as the function.
#[path = "../src/main.rs"]
mod function;

use std::{error::Error, process::ExitCode, time::Duration};

use serde_json::Value;
use spot_interruption_handler::config::variables;
use standin::{Answer, ContainerInstance, Function, Instance, Quotas, Standin, Task, TaskDefinition, eks_fleet, fleet};

const USAGE: &str = "usage: rehearsal [--json] [--instances COUNT]";

/// The share of AWS's quotas that the stand-in admits.
const SHARE: f64 = 0.6;

/// The number of ECS clusters and of EKS clusters of a large fleet.
const CLUSTERS: (usize, usize) = (50, 5);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() { Ok(function::main()) } else { rehearse() }
}

#[tokio::main]
async fn rehearse() -> Result<ExitCode, Box<dyn Error>> {
    let (mut as_json, mut instances) = (false, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => as_json = true,
            "--instances" => instances = Some(args.next().and_then(|count| count.parse::<usize>().ok()).ok_or(USAGE)?),
            _ => return Err(USAGE.into()),
        }
    }
    let aws = match instances {
        None => Standin::builder().start().await?,
        // The rehearsal uses 45 % of AWS's quotas. Calls that a busy processor holds back arrive closer together.
        Some(_) => {
            Standin::builder().latency(Duration::from_millis(10)).quotas(Quotas::aws().times(SHARE)).start().await?
        }
    };
    match instances {
        None => fleet(&aws),
        Some(count) => large_fleet(&aws, count),
    }
    let settings = variables().into_iter().filter_map(|name| std::env::var(&name).ok().map(|value| (name, value)));
    let function = Function::new(std::env::current_exe()?).envs(aws.env()).env("EKS_CLUSTERS", "*");
    let function = function.env("REHEARSAL_READS", "all").envs(settings).start().await?;
    function.ready().await?;
    if instances.is_some() {
        // The warm-up has used some of them.
        aws.set_quotas(Quotas::aws().times(SHARE));
    }
    aws.forget_calls();
    let event: Value = serde_json::from_str(include_str!("../events/rehearsal.json"))?;
    match function.invoke(&event).await? {
        Answer::Ok(report) if as_json => println!("{report:#}"),
        Answer::Ok(report) => println!("{}", report["text"].as_str().unwrap_or_default()),
        Answer::Err { error_type, error_message, .. } => return Err(format!("{error_type}: {error_message}").into()),
    }
    if instances.is_some() {
        let throttled: usize = aws.tally().values().map(|tally| tally.throttled).sum();
        println!(
            "{} calls, {throttled} of them throttled by 60 % of AWS's quotas; {} writes",
            aws.calls().len(),
            aws.writes().len()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Nine tenths of the instances in ECS clusters, with four tasks each, and one tenth in EKS clusters, with ten pods each.
fn large_fleet(aws: &Standin, count: usize) {
    let (home, (ecs, eks)) = (aws.home(), CLUSTERS);
    home.task_definition(TaskDefinition::new("app").container(standin::Container::new("app").stop_timeout(30)));
    for n in 0..count - count / 10 {
        let id = format!("i-f{n:016x}");
        let arn = home.container_instance(&format!("ecs-{}", n % ecs), ContainerInstance::new(&id));
        (0..4).for_each(|_| drop(home.task(&arn, Task::of_service("app"))));
        home.instance(Instance::new(id));
    }
    eks_fleet(&home, eks, count / 10 / eks, 10);
}
