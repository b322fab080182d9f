//! The sample events, each on a fleet of its own.

use std::fs;

use serde_json::Value;
use standin::fleet;

use crate::{function, standin};

#[tokio::test]
async fn each_sample_event_ends_as_expected() {
    let expected: Value = serde_json::from_slice(&fs::read("tests/expected.json").unwrap()).unwrap();
    let mut seen = 0;
    for file in fs::read_dir("events").unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let aws = standin().await;
        fleet(&aws);
        let function = function(&aws, &[]).await;
        let answer = function.invoke(fs::read(file.path()).unwrap()).await.unwrap();
        let (answer, expected) = (answer.json(), &expected[&name]);
        assert_eq!(answer["outcome"], expected["outcome"], "{name}: {answer}");
        assert_eq!(answer["errorType"], expected["errorType"], "{name}: {answer}");
        match answer["outcome"].as_str() {
            Some("deregistered" | "draining" | "reactivated") => {}
            _ => assert_eq!(aws.writes().len(), 0, "{name}"),
        }
        if answer["errorType"] == "InvalidEvent" || answer["outcome"] == "ignored" {
            assert_eq!(aws.calls().len(), 0, "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, expected.as_object().unwrap().len());
}
