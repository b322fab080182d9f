//! Reports on outcomes: metrics, and events on a bus.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use standin::{ContainerInstance, Environment, Fault, Instance};

use crate::{ID, failed, function, handled, notice, notice_of, register, standin};

const BUS: &str = "arn:aws:events:us-east-2:123456789012:event-bus/outcomes";

/// The lines of metrics.
fn metrics(function: &Environment) -> Vec<Value> {
    let lines = function.logs().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    lines.filter(|line| line.get("_aws").is_some()).collect()
}

/// The dimensions of a metric.
fn dimensions(line: &Value, metric: &str) -> Option<Value> {
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap().iter();
    let mut of = directives.filter(|d| d["Metrics"].as_array().unwrap().iter().any(|m| m["Name"] == metric));
    let directive = of.next()?;
    assert_eq!((&directive["Namespace"], of.next()), (&json!("SpotInterruptionHandler"), None));
    Some(directive["Dimensions"].clone())
}

/// Checks what `CloudWatch` requires of every line.
fn assert_valid(line: &Value) {
    assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000, "{line}");
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric} is not there: {line}");
        }
        for dimension in directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap()) {
            assert!(
                line[dimension.as_str().unwrap()].as_str().is_some_and(|value| !value.is_empty()),
                "{dimension}: {line}"
            );
            assert_ne!(dimension, "InstanceId");
        }
    }
}

#[tokio::test]
async fn each_outcome_has_a_line_of_metrics() {
    let aws = standin().await;
    register(&aws.home(), "web");
    aws.home().instance(Instance::new(ID).instance_type("m7g.large").zone("us-east-2b"));
    let function = function(&aws, &[]).await;
    handled(&function, notice_of(ID, "terminate", Duration::from_secs(10))).await;
    let [line] = &metrics(&function)[..] else { panic!("{:?}", function.logs()) };
    assert_valid(line);
    assert_eq!(dimensions(line, "Outcomes"), Some(json!([[], ["Outcome"]])));
    assert_eq!(dimensions(line, "Interruptions"), Some(json!([[], ["Account", "Region"], ["Cluster"]])));
    assert_eq!(dimensions(line, "Calls"), Some(json!([[]])));
    let part = |names: &[&str]| names.iter().map(|name| line[*name].clone()).collect::<Value>();
    assert_eq!(part(&["Outcomes", "Interruptions", "Calls", "Throttles", "ColdStarts"]), json!([1, 1, 4, 0, 1]));
    assert_eq!(
        part(&["Outcome", "Event", "InstanceId", "InstanceType", "AvailabilityZone", "Cluster", "Account", "Region"]),
        json!(["deregistered", "terminate", ID, "m7g.large", "us-east-2b", "web", "123456789012", "us-east-2"])
    );
    let (to_act, to_spare) = (line["SecondsToAct"].as_f64().unwrap(), line["SecondsToSpare"].as_f64().unwrap());
    assert!((10.0..13.0).contains(&to_act) && (to_act + to_spare - 120.0).abs() < 0.01, "{to_act} {to_spare}");
    assert_eq!(line["level"], "INFO");
}

#[tokio::test]
async fn notice_from_the_future_counts_as_present() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    for (time, action) in [("2099-11-02T08:00:00Z", "stop"), ("9999-12-31T23:59:59+00:00", "terminate")] {
        let mut sample = notice(ID, action);
        sample["time"] = json!(time);
        let left = handled(&function, sample).await["secondsLeft"].as_u64().unwrap();
        assert!((110..=120).contains(&left), "{left}");
    }
    for line in metrics(&function) {
        let (to_act, to_spare) = (line["SecondsToAct"].as_f64().unwrap(), line["SecondsToSpare"].as_f64().unwrap());
        assert!((0.0..10.0).contains(&to_act) && (110.0..=120.0).contains(&to_spare), "{line}");
    }
}

#[tokio::test]
async fn metrics_that_do_not_apply_are_left_out() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    handled(&function, notice(ID, "hibernate")).await;
    handled(&function, notice_of(ID, "terminate", Duration::from_hours(1))).await;
    handled(&function, notice("i-1234abcd", "terminate")).await;
    failed(&function, json!({ "detail": {} })).await;
    let mut other = notice(ID, "terminate");
    other["source"] = json!("my.app");
    handled(&function, other).await;
    let lines = metrics(&function);
    lines.iter().for_each(assert_valid);
    let [hibernated, late, nowhere, invalid, ignored] = &lines[..] else { panic!("{lines:?}") };
    assert!(hibernated["SecondsToAct"].is_number() && hibernated["SecondsToSpare"].is_null());
    assert_eq!((&late["SecondsToSpare"], &late["ColdStarts"]), (&json!(0.0), &json!(0)));
    assert!(nowhere["SecondsToAct"].is_null() && nowhere["Cluster"].is_null());
    assert_eq!(dimensions(nowhere, "Interruptions"), Some(json!([[], ["Account", "Region"]])));
    assert_eq!((&invalid["Outcome"], &invalid["ErrorType"]), (&json!("failed"), &json!("InvalidEvent")));
    assert_eq!((&ignored["Outcome"], dimensions(ignored, "Interruptions")), (&json!("ignored"), None));
}

#[tokio::test]
async fn batch_counts_its_calls_once() {
    let aws = standin().await;
    let (home, mut records) = (aws.home(), Vec::new());
    for n in 0..5 {
        let id = format!("i-{n:017x}");
        home.instance(Instance::new(&id));
        home.container_instance("web", ContainerInstance::new(&id));
        records.push(json!({ "messageId": id, "body": notice(&id, "terminate").to_string() }));
    }
    aws.fault(Fault::on("DeregisterContainerInstance").times(1).throttle());
    let function = function(&aws, &[]).await;
    handled(&function, json!({ "Records": records })).await;
    let lines = metrics(&function);
    assert_eq!(lines.len(), 5);
    let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
    assert_eq!(sum("Calls"), aws.calls().len() as u64);
    assert_eq!((sum("Throttles"), sum("ColdStarts"), sum("Interruptions")), (1, 1, 5));
}

#[tokio::test]
async fn launch_without_metrics_does_not_lose_calls() {
    let aws = standin().await;
    let (home, now) = (aws.home(), std::time::SystemTime::now());
    register(&home, "web");
    home.instance(Instance::new("i-1234abcd").launched(now).attached(now));
    let mut launch = notice("i-1234abcd", "terminate");
    launch["detail-type"] = json!("EC2 Instance State-change Notification");
    launch["detail"] = json!({ "instance-id": "i-1234abcd", "state": "running" });
    let function = function(&aws, &[]).await;
    handled(&function, launch.clone()).await;
    let record = |event: &Value| json!({ "messageId": event["id"], "body": event.to_string() });
    handled(&function, json!({ "Records": [record(&launch), record(&notice(ID, "terminate"))] })).await;
    let [line] = &metrics(&function)[..] else { panic!("{:?}", function.logs()) };
    assert_eq!((line["Calls"].as_u64().unwrap() >= 4, &line["ColdStarts"]), (true, &json!(1)), "{line}");
}

#[tokio::test]
async fn strict_log_level_does_not_drop_metrics() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[("AWS_LAMBDA_LOG_LEVEL", "ERROR")]).await;
    handled(&function, notice(ID, "terminate")).await;
    // Lambda would drop a line below the configured level.
    assert_eq!(metrics(&function)[0]["level"], "ERROR");
}

#[tokio::test]
async fn outcomes_are_put_on_the_bus() {
    let aws = standin().await;
    let (arn, _) = register(&aws.home(), "web");
    let function = function(&aws, &[("OUTCOME_BUS", BUS)]).await;
    let answer = handled(&function, notice(ID, "terminate")).await;
    let [event] = &aws.events()[..] else { panic!("{:?}", aws.events()) };
    assert_eq!(event["EventBusName"], BUS);
    assert_eq!(
        (&event["Source"], &event["DetailType"]),
        (&json!("spot-interruption-handler"), &json!("Spot Interruption Handled"))
    );
    assert_eq!(event["Resources"], json!([arn]));
    let time = UNIX_EPOCH + Duration::from_secs_f64(event["Time"].as_f64().unwrap());
    assert!(time.elapsed().unwrap() < Duration::from_mins(1), "{event}");
    let detail: Value = serde_json::from_str(event["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail, answer);

    // Failures are published, too. An invalid event belongs to no instance, and is not.
    aws.fault(Fault::on("DescribeContainerInstances").error(400, "AccessDeniedException", "no"));
    aws.home().container_instance("web", ContainerInstance::new("i-1234abcd"));
    failed(&function, notice("i-1234abcd", "terminate")).await;
    failed(&function, json!({})).await;
    let events = aws.events();
    assert_eq!(events.len(), 2);
    let detail: Value = serde_json::from_str(events[1]["Detail"].as_str().unwrap()).unwrap();
    assert_eq!((&detail["outcome"], &detail["errorType"]), (&json!("failed"), &json!("AccessDenied")));
    assert_eq!(detail["instanceId"], "i-1234abcd");
}

#[tokio::test]
async fn failure_to_publish_does_not_fail_the_invocation() {
    for fault in [
        Fault::on("PutEvents").error(400, "ResourceNotFoundException", "Event bus outcomes does not exist."),
        Fault::on("PutEvents").status(500),
    ] {
        let aws = standin().await;
        let (arn, _) = register(&aws.home(), "web");
        aws.fault(fault);
        let function = function(&aws, &[("OUTCOME_BUS", BUS)]).await;
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
        assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
        assert!(function.logs().iter().any(|line| line.contains("WARN") && line.contains("PutEvents")));
    }
}

#[tokio::test]
async fn rejected_outcome_is_logged() {
    let aws = standin().await;
    register(&aws.home(), "web");
    aws.fault(Fault::on("PutEvents").failure("Try again."));
    let function = function(&aws, &[("OUTCOME_BUS", BUS)]).await;
    handled(&function, notice(ID, "terminate")).await;
    let logs = function.logs();
    let rejected = logs.iter().find(|line| line.contains("EventBridge rejected it")).unwrap();
    assert!(["WARN", "InternalFailure", "Try again."].iter().all(|text| rejected.contains(text)), "{rejected}");
    assert_eq!((aws.events().len(), aws.calls_to("PutEvents").len()), (0, 1));
}

#[tokio::test]
async fn batch_publishes_ten_outcomes_per_call() {
    let aws = standin().await;
    let record =
        |n: u32| json!({ "messageId": n.to_string(), "body": notice(&format!("i-{n:017x}"), "terminate").to_string() });
    let function = function(&aws, &[("OUTCOME_BUS", BUS)]).await;
    handled(&function, json!({ "Records": (0..25).map(record).collect::<Vec<_>>() })).await;
    assert_eq!((aws.events().len(), aws.calls_to("PutEvents").len()), (25, 3));
}

#[tokio::test]
async fn dimension_without_a_value_is_left_out() {
    let aws = standin().await;
    let function = function(&aws, &[("FARGATE_SPOT", "handle")]).await;
    let mut event: Value = serde_json::from_str(include_str!("../../events/fargate-spot.json")).unwrap();
    event["detail"]["group"] = "service:".into();
    function.invoke(&event).await.unwrap();
    let [line] = &metrics(&function)[..] else { panic!("{:?}", function.logs()) };
    assert_valid(line);
    assert_eq!(dimensions(line, "InterruptedTasks"), Some(json!([[], ["Cluster"]])), "{line}");
}
