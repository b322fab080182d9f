//! Malformed and ignored events, and their explanations.

use serde_json::{Value, json};
use standin::Answer;

use crate::{ID, failed, function, handled, notice, standin};

const TIME: &str = "a time, such as 2026-11-02T08:00:00Z";

#[tokio::test]
async fn malformed_event_names_field_value_and_expectation() {
    let aws = standin().await;
    let function = function(&aws, &[]).await;
    for (pointer, value, message) in [
        ("/time", json!("soon"), format!(r#"time: found "soon", expected {TIME}"#)),
        ("/time", json!("2026-11-02 08:00:00"), format!(r#"time: found "2026-11-02 08:00:00", expected {TIME}"#)),
        ("/time", json!(1_700_000_000), format!("time: found the number 1700000000, expected {TIME}")),
        ("/time", json!(null), format!("time: found nothing, expected {TIME}")),
        ("/account", json!(123_456_789_012_u64), "account: found the number 123456789012, expected an AWS account id (a string of 12 digits)".into()),
        ("/region", json!(["us-east-2"]), "region: found a list, expected an AWS Region (such as us-east-1)".into()),
        ("/detail", json!(notice(ID, "stop").to_string()), "detail: found a string, expected an object".into()),
        ("/detail", json!([ID]), "detail: found a list, expected an object".into()),
        ("/detail/instance-id", json!(null), "detail.instance-id: found nothing, expected an EC2 instance id (i- and 8 or 17 hexadecimal digits)".into()),
        ("/detail/instance-action", json!("Terminate"), r#"detail.instance-action: found "Terminate", expected terminate, stop or hibernate"#.into()),
        ("/detail-type", json!(7), "detail-type: found the number 7, expected the detail-type of an EventBridge event, such as EC2 Spot Instance Interruption Warning".into()),
    ] {
        let mut event = notice(ID, "terminate");
        *event.pointer_mut(pointer).unwrap() = value;
        assert_eq!(failed(&function, event).await, ("InvalidEvent".into(), format!("the event is malformed: {message}")));
    }
    for (payload, message) in [
        ("[]", "found a list, expected an EventBridge event"),
        ("\"text\"", "found a string, expected an EventBridge event"),
        ("{}", "source: found nothing, expected the source of an EventBridge event, such as aws.ec2"),
        (
            "{\"key1\": \"value1\"}",
            "source: found nothing, expected the source of an EventBridge event, such as aws.ec2",
        ),
        ("{\"source\":", "found no JSON: EOF while parsing a value at line 1 column 10"),
    ] {
        let Answer::Err { error_message, .. } = function.invoke(payload).await.unwrap() else { panic!("{payload}") };
        assert_eq!(error_message, format!("the event is malformed: {message}"));
    }
}

#[tokio::test]
async fn wrapped_event_is_explained() {
    let aws = standin().await;
    let function = function(&aws, &[]).await;
    let event = notice(ID, "terminate");
    let text = event.to_string();
    let message = |body: Value| json!({ "Records": [{ "messageId": "1", "body": body, "eventSource": "aws:sqs" }] });
    for (payload, path, advice) in [
        (
            json!({ "Records": [{ "EventSource": "aws:sns", "Sns": { "Message": text } }] }),
            "Records[0].Sns.Message",
            "rule target",
        ),
        (json!({ "Type": "Notification", "TopicArn": "arn", "Message": text }), "Message", "raw message delivery"),
        (
            json!({ "version": "2.0", "requestContext": { "http": {} }, "headers": {}, "body": text }),
            "body",
            "HTTP request",
        ),
        (json!({ "httpMethod": "POST", "path": "/", "body": text }), "body", "HTTP request"),
        (
            json!({ "requestContext": { "condition": "RetriesExhausted" }, "requestPayload": event }),
            "requestPayload",
            "requestPayload",
        ),
        (json!({ "awslogs": { "data": "H4sIAAAAAAAA" } }), "", "CloudWatch Logs"),
        (
            json!({ "Source": "aws.ec2", "DetailType": "EC2 Spot Instance Interruption Warning", "Detail": "{}" }),
            "",
            "PutEvents",
        ),
        (json!({ "Entries": [{ "Source": "aws.ec2", "Detail": "{}" }] }), "", "PutEvents"),
        (event["detail"].clone(), "", "detail"),
        (json!({ "Records": [{ "body": text }] }), "Records[0].body", "messageId"),
        (json!({ "Records": [{ "eventSource": "aws:kinesis", "kinesis": { "data": "e30=" } }] }), "", "SQS messages"),
        (json!({ "Messages": [{ "MessageId": "1", "Body": text }] }), "Messages[0].Body", "Body"),
        (json!([event]), "[0]", "one by one"),
        (json!([{ "messageId": "1", "body": text }]), "[0].body", "one by one"),
        (json!({ "event": { "payload": [event] } }), "event.payload[0]", "send it by itself"),
        (json!(text), "a string", "send it by itself"),
    ] {
        let (error_type, said) = failed(&function, payload.clone()).await;
        assert_eq!(error_type, "InvalidEvent");
        assert!(said.contains(path) && said.contains(advice), "{payload}: {said}");
        assert_eq!(said.contains("it is wrapped"), !path.is_empty(), "{payload}: {said}");
        let answer = handled(&function, message(json!(payload.to_string()))).await;
        assert_eq!(answer["batchItemFailures"][0]["itemIdentifier"], "1");
        let line = function.logs().into_iter().rfind(|line| line.contains("ERROR") && line.contains("fields")).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["fields"]["error"], &line["fields"]["messageId"]), (&json!(said), &json!("1")));
    }
    assert!(!function.logs().join("").contains(ID), "no event is logged");
    assert_eq!(aws.calls().len(), 0);
}

#[tokio::test]
async fn malformed_message_is_logged_with_its_id() {
    let aws = standin().await;
    let function = function(&aws, &[]).await;
    let mut own = notice(ID, "terminate");
    own["source"] = json!("my.test");
    let records = json!([
        { "messageId": "no-json", "body": "hello" },
        { "messageId": "no-text", "body": own },
        { "messageId": "no-body" },
        { "messageId": "no-id", "body": notice("web-1", "terminate").to_string() },
        { "messageId": "ignored", "body": own.to_string() },
    ]);
    handled(&function, json!({ "Records": records })).await;
    let lines: Vec<Value> = function.logs().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let fields = |id: &str| lines.iter().map(|line| &line["fields"]).find(|fields| fields["messageId"] == id).unwrap();
    for (id, said) in [
        ("no-json", "body: found no JSON"),
        ("no-text", "body: found an object, expected a string"),
        ("no-body", "body: found nothing, expected a string"),
        ("no-id", "detail.instance-id"),
    ] {
        assert!(fields(id)["error"].as_str().unwrap().contains(said), "{}", fields(id));
    }
    assert!(fields("ignored")["reason"].as_str().unwrap().contains("my.test"));
}

#[tokio::test]
async fn ignored_event_is_explained() {
    let aws = standin().await;
    let function = function(&aws, &[("ACCOUNTS", "123456789012")]).await;
    let state_change = "EC2 Instance State-change Notification";
    for (field, value, detail_type, said) in [
        (
            "/source",
            "my.test",
            "EC2 Spot Instance Interruption Warning",
            &["\"my.test\"", "\"aws.ec2\"", "Rebalance"][..],
        ),
        (
            "/detail-type",
            "EC2 Spot Instance Interruption",
            "",
            &["\"EC2 Spot Instance Interruption\"", "Interruption Warning\"", state_change],
        ),
        ("/detail/state", "stopping", state_change, &["\"stopping\"", "running and terminated"]),
        ("/detail/state", "terminated", state_change, &["CLEAN_UP_TERMINATED is false"]),
        ("/account", "210987654321", "EC2 Spot Instance Interruption Warning", &["ACCOUNTS"]),
        ("/source", "my.test", "EC2 Instance Rebalance Recommendation", &["my.test"]),
        ("/region", "us-east-2", "EC2 Instance Rebalance Recommendation", &["REBALANCE_RECOMMENDATION is ignore"]),
    ] {
        let mut event = notice(ID, "terminate");
        event["detail"]["state"] = json!("running");
        event["detail-type"] = json!(detail_type);
        *event.pointer_mut(field).unwrap() = json!(value);
        let answer = handled(&function, event).await;
        assert_eq!(answer["outcome"], "ignored");
        let line = function.logs().into_iter().rfind(|line| line.contains("WARN")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["fields"]["reason"], answer["reason"]);
        for part in said {
            assert!(answer["reason"].as_str().unwrap().contains(part), "{part}: {answer}");
        }
    }
    let mut long = notice(ID, "terminate");
    long["source"] = json!("x".repeat(10_000));
    assert!(handled(&function, long).await["reason"].as_str().unwrap().len() < 500);
}
