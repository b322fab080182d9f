//! This test binary runs itself as the function.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use standin::{Answer, Function, FunctionError};

/// Not a test, but the function that the tests start. Each event determines its behaviour.
#[test]
fn process() {
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else {
        return;
    };
    let call = |method: &str, path: &str, body: &str| {
        let mut stream = TcpStream::connect(&api).unwrap();
        let length = body.len();
        let head = format!("{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
        let mut lines = Vec::new();
        let mut reader = BufReader::new(stream);
        for line in reader.by_ref().lines() {
            let line = line.unwrap();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut body = String::new();
        reader.read_to_string(&mut body).unwrap();
        (lines, body)
    };
    match std::env::var("START").as_deref() {
        Ok("exit") => std::process::exit(3),
        Ok("hang") => std::thread::sleep(Duration::from_mins(1)),
        Ok("error") => {
            call("POST", "init/error", r#"{"errorType":"Config","errorMessage":"STRATEGY: no such value"}"#);
            std::process::exit(1);
        }
        _ => {}
    }
    loop {
        let (head, event) = call("GET", "invocation/next", "");
        let header = |name: &str| {
            let line = head.iter().find(|line| line.to_lowercase().starts_with(name)).unwrap();
            line.split_once(": ").unwrap().1.to_owned()
        };
        let id = header("lambda-runtime-aws-request-id");
        let arn = header("lambda-runtime-invoked-function-arn");
        let deadline: u128 = header("lambda-runtime-deadline-ms").parse().unwrap();
        assert!(deadline > 1_700_000_000_000);
        eprintln!("event {event}");
        match event.trim_matches('"') {
            "exit" => std::process::exit(4),
            "hang" => std::thread::sleep(Duration::from_mins(1)),
            "error" => {
                let body = r#"{"errorType":"InvalidEvent","errorMessage":"detail.instance-id"}"#;
                call("POST", &format!("invocation/{id}/error"), body);
            }
            _ => {
                let stray = std::env::vars().any(|(name, _)| name == "CARGO_PKG_NAME");
                let answer = json!({"arn": arn, "event": event, "stray": stray, "set": std::env::var("SET").ok()});
                call("POST", &format!("invocation/{id}/response"), &answer.to_string());
            }
        }
    }
}

fn function() -> Function {
    ["--exact", "--nocapture", "function::process"]
        .into_iter()
        .fold(Function::new(std::env::current_exe().unwrap()), Function::arg)
}

#[tokio::test]
async fn answers_errors_and_logs_are_returned() {
    let function = function().env("SET", "yes").env("AWS_REGION", "eu-west-1").start().await.unwrap();
    let ready = function.ready().await.unwrap();
    assert_eq!(function.first_request_after(), Some(ready));
    let answer = function.invoke(json!({"a": 1})).await.unwrap();
    assert!(answer.is_ok());
    let expected = json!({
        "arn": "arn:aws:lambda:eu-west-1:123456789012:function:spot-interruption-handler",
        "event": r#"{"a":1}"#,
        "stray": false,
        "set": "yes",
    });
    assert_eq!(answer.json(), &expected);
    assert!(function.logs().contains(&r#"event {"a":1}"#.to_owned()));
    let error = function.invoke(r#""error""#).await.unwrap();
    assert_eq!(error.error_type(), Some("InvalidEvent"));
    assert!(matches!(error, Answer::Err { error_message, .. } if error_message == "detail.instance-id"));
    assert!(function.invoke(b"{}").await.unwrap().is_ok());
}

#[tokio::test]
async fn exit_is_distinguished_from_an_answer() {
    let function = function().start().await.unwrap();
    let error = function.invoke("exit").await.unwrap_err();
    assert!(matches!(&error, FunctionError::Exited { status, .. } if status == "exit status: 4"), "{error}");
    assert!(error.to_string().contains("Runtime.ExitError"));
    assert!(error.log().contains(&"event exit".to_owned()));
    assert!(function.invoke("{}").await.is_err());
}

#[tokio::test]
async fn process_is_killed_at_its_timeout() {
    let function = function().timeout(Duration::from_millis(300)).start().await.unwrap();
    let error = function.invoke("hang").await.unwrap_err();
    assert!(error.to_string().contains("Sandbox.Timedout: task timed out after 0.30 seconds"), "{error}");
    assert!(function.invoke("{}").await.is_err());
    assert!(function.exit_status().is_some());
}

#[tokio::test]
async fn start_can_fail() {
    let exits = function().env("START", "exit").start().await.unwrap().ready().await.unwrap_err();
    assert!(matches!(&exits, FunctionError::Exited { status, .. } if status == "exit status: 3"), "{exits}");
    let reports = function().env("START", "error").start().await.unwrap().ready().await.unwrap_err();
    assert!(
        matches!(&reports, FunctionError::Init { answer, .. } if answer.error_type() == Some("Config")),
        "{reports}"
    );
    let limited = function().env("START", "hang").init_timeout(Duration::from_millis(200));
    let hangs = limited.start().await.unwrap().ready().await.unwrap_err();
    assert!(matches!(hangs, FunctionError::InitTimedOut { .. }), "{hangs}");
    assert!(Function::new("/nonexistent").start().await.is_err());
}

#[tokio::test]
async fn process_can_be_killed() {
    let function = function().start().await.unwrap();
    function.ready().await.unwrap();
    assert!(function.pid().is_some());
    let (answer, ()) = tokio::join!(function.invoke("hang"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        function.kill();
    });
    assert!(matches!(answer.unwrap_err(), FunctionError::Exited { .. }));
}
