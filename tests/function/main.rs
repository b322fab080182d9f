//! The function as a whole: started as Lambda starts it, with real SDK clients against the stand-in for AWS.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod accounts;
mod act;
mod cold_start;
mod eks;
mod errors;
mod events;
mod frugality;
mod hooks;
mod leave_alone;
mod lifecycle;
mod locate;
mod malformed;
mod other_platforms;
mod outcomes;
mod queue;
mod registrations;
mod rehearsal;
mod tasks;

use std::time::{Duration, SystemTime};

use chrono::DateTime;
use serde_json::{Value, json};
use standin::{Answer, Call, ContainerInstance, Environment, Function, Instance, Region, Standin};

/// The instance that most tests interrupt.
const ID: &str = "i-1234567890abcdef0";

/// Another one, which must never be touched.
const OTHER: &str = "i-0fedcba9876543210";

async fn standin() -> Standin {
    Standin::builder().start().await.unwrap()
}

/// The function's process, after its warm-up. The log holds only calls that were made since.
async fn function(aws: &Standin, settings: &[(&str, &str)]) -> Environment {
    let function = start(aws, settings).await;
    function.ready().await.unwrap();
    aws.forget_calls();
    function
}

/// The function's process, while it starts.
async fn start(aws: &Standin, settings: &[(&str, &str)]) -> Environment {
    Function::new(env!("CARGO_BIN_EXE_spot-interruption-handler"))
        .envs(aws.env())
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .envs(settings.iter().copied())
        .start()
        .await
        .unwrap()
}

/// A notice that is given now.
fn notice(id: &str, action: &str) -> Value {
    notice_of(id, action, Duration::ZERO)
}

/// A notice of this age.
fn notice_of(id: &str, action: &str, age: Duration) -> Value {
    let time = SystemTime::now() - age;
    let time =
        DateTime::from_timestamp(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed(), 0);
    json!({
        "version": "0",
        "id": "12345678-1234-1234-1234-123456789012",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": time.unwrap().to_rfc3339(),
        "region": "us-east-2",
        "resources": [format!("arn:aws:ec2:us-east-2a:instance/{id}")],
        "detail": { "instance-id": id, "instance-action": action },
    })
}

/// Sends a notice and expects success.
async fn handled(function: &Environment, notice: Value) -> Value {
    match function.invoke(notice).await.unwrap() {
        Answer::Ok(answer) => answer,
        Answer::Err { error_type, error_message, .. } => {
            panic!("{error_type}: {error_message}\n{}", function.logs().join("\n"))
        }
    }
}

/// Sends an event and expects an error.
async fn failed(function: &Environment, event: Value) -> (String, String) {
    match function.invoke(event).await.unwrap() {
        Answer::Err { error_type, error_message, .. } => (error_type, error_message),
        Answer::Ok(answer) => panic!("{answer}"),
    }
}

/// Registers two instances in a cluster. Returns the ARN of `ID`'s registration and that of `OTHER`'s.
fn register(home: &Region, cluster: &str) -> (String, String) {
    let other = home.container_instance(cluster, ContainerInstance::new(OTHER).running_tasks(1));
    home.instance(Instance::new(ID)).instance(Instance::new(OTHER));
    (home.container_instance(cluster, ContainerInstance::new(ID).running_tasks(2)), other)
}

/// Creates clusters with an instance each, so that a scan takes more calls than a hint.
fn crowd(home: &Region, clusters: usize) {
    for n in 0..clusters {
        home.container_instance(&format!("crowd-{n}"), ContainerInstance::new(format!("i-{n:017x}")));
    }
}

fn apis(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.api.as_str()).collect()
}

/// The cluster of each call to `ListContainerInstances`.
fn listed(aws: &Standin) -> Vec<String> {
    let lists = aws.calls_to("ListContainerInstances");
    lists.iter().map(|call| call.params["cluster"].as_str().unwrap().to_owned()).collect()
}
