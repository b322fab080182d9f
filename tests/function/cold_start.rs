//! The cold start and the log.

use std::{process::Command, time::Duration};

use serde_json::Value;
use spot_interruption_handler::config::variables;
use standin::{Fault, FunctionError};

use crate::{ID, apis, crowd, function, handled, notice, register, standin, start};

#[tokio::test]
async fn invalid_setting_stops_the_function_and_is_named() {
    let aws = standin().await;
    for (name, value, expected) in [
        ("STRATEGY", "evict", "deregister or drain"),
        ("DRY_RUN", "1", "false or true"),
        ("MANAGED_DRAINING", "on", "respect or override"),
        ("CLUSTERS", "web;api", "comma-separated"),
        ("EXCLUDE_CLUSTERS", "web/api", "comma-separated"),
    ] {
        let function = start(&aws, &[(name, value)]).await;
        let error = function.ready().await.unwrap_err();
        assert!(matches!(error, FunctionError::Exited { .. }), "{error}");
        let log = error.log().join("\n");
        for part in [name, value, expected] {
            assert!(log.contains(part), "{part} is not in {log}");
        }
    }
    assert_eq!(aws.calls().len(), 0);
}

#[test]
fn started_by_hand_it_prints_one_line() {
    let answer = |args: &[&str], lambda: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spot-interruption-handler"));
        let output = command.args(args).env_clear().envs(lambda.iter().copied()).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for asked in ["-V", "--version"] {
        let said = format!("spot-interruption-handler {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(answer(&[asked], &[]), (true, said));
    }
    for asked in ["-h", "--help"] {
        let (is_success, said) = answer(&[asked], &[]);
        let parts = ["ECS", "EKS", "Lambda starts it", "cargo run --example demo"].map(str::to_owned);
        for part in parts.into_iter().chain(variables()) {
            assert!(is_success && said.contains(&part), "{asked}: {said}");
        }
    }
    for (args, lambda) in [
        (&[][..], &[][..]),
        (&["event.json"], &[]),
        (&[], &[("AWS_LAMBDA_RUNTIME_API", "")]),
        (&[], &[("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"), ("AWS_LAMBDA_FUNCTION_NAME", "any")]),
    ] {
        let (is_success, said) = answer(args, lambda);
        assert!(!is_success && said.lines().count() == 1 && said.contains("Lambda starts it"), "{args:?} {lambda:?}");
        assert!(said.contains("AWS_LAMBDA_") && said.ends_with("is not set.\n"), "{said}");
    }
}

#[tokio::test]
async fn first_log_line_has_the_version() {
    let aws = standin().await;
    for (level, lines) in [("INFO", 1), ("WARN", 0)] {
        let function = function(&aws, &[("AWS_LAMBDA_LOG_LEVEL", level)]).await;
        let logs = function.logs();
        assert_eq!(logs.len(), lines, "{logs:?}");
        for line in logs {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(
                (&line["level"], &line["fields"]["version"]),
                (&"INFO".into(), &env!("CARGO_PKG_VERSION").into())
            );
        }
    }
}

#[tokio::test]
async fn warm_up_reads_the_clusters_once() {
    let aws = standin().await;
    crowd(&aws.home(), 3);
    let function = start(&aws, &[]).await;
    function.ready().await.unwrap();
    assert_eq!(apis(&aws.calls()), ["ListClusters", "DescribeClusters"]);
}

#[tokio::test]
async fn failed_warm_up_is_no_error() {
    for fault in [
        Fault::on_any().always().throttle(),
        Fault::on_any().always().error(400, "AccessDeniedException", "no"),
        Fault::on_any().always().delay(Duration::from_secs(30)),
        Fault::on_any().always().cut(),
    ] {
        let aws = standin().await;
        let (arn, _) = register(&aws.home(), "web");
        aws.fault(fault);
        let function = start(&aws, &[]).await;
        assert!(function.ready().await.unwrap() < Duration::from_secs(5));
        aws.forget_faults();
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
        assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    }
}

#[tokio::test]
async fn each_notice_is_logged_in_one_line() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    let answer = handled(&function, notice(ID, "terminate")).await;
    let lines: Vec<Value> = function.logs().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let lines: Vec<_> = lines.iter().filter(|line| line["fields"]["message"] == "handled").collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    assert_eq!(line["level"], "INFO");
    let fields = &line["fields"];
    assert_eq!(fields["instanceId"], ID);
    assert_eq!(fields["instanceAction"], "terminate");
    assert_eq!(fields["cluster"], "web");
    assert_eq!(fields["outcome"], "deregistered");
    assert_eq!(fields["secondsLeft"], answer["secondsLeft"]);
    assert_eq!(fields["calls"], aws.calls().len());
    assert!(fields["locateMs"].is_u64() && fields["actMs"].is_u64(), "{line}");
}
