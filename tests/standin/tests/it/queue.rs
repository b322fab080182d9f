//! `ChangeMessageVisibility` of SQS.

use serde_json::{Value, json};
use standin::{ACCOUNT, Queue, Standin};

use crate::client::{Client, Reply};
use crate::paused::{pass, seconds};

struct Notices {
    aws: Standin,
    client: Client,
    queue: Queue,
}

impl Notices {
    async fn start(max_receives: u32) -> Self {
        let aws = Standin::builder().start().await.unwrap();
        let (client, queue) = (Client::new(&aws), Queue::new(&aws.home(), "notices", seconds(360), max_receives));
        queue.send("a");
        Self { aws, client, queue }
    }

    /// Receives what is visible, as receipt handles.
    fn receive(&self) -> Vec<Value> {
        let event = self.queue.receive_event(10);
        event["Records"].as_array().unwrap().iter().map(|record| record["receiptHandle"].clone()).collect()
    }

    async fn change(&self, handle: &Value, timeout: Value) -> Reply {
        let url = format!("https://sqs.us-east-2.amazonaws.com/{ACCOUNT}/notices");
        let params = json!({"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": timeout});
        self.client.sqs_here(&self.aws, "ChangeMessageVisibility", params).await
    }
}

#[tokio::test(start_paused = true)]
async fn message_is_hidden_as_long_as_was_asked_for() {
    for timeout in [0_u32, 30, 600] {
        let notices = Notices::start(9).await;
        let handle = notices.receive().remove(0);
        pass(10.0).await;
        let reply = notices.change(&handle, json!(timeout)).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "{}"));
        if timeout > 0 {
            pass(f64::from(timeout) - 0.001).await;
            assert!(notices.receive().is_empty(), "{timeout}");
            pass(0.001).await;
        }
        assert_eq!(notices.receive().len(), 1, "{timeout}");
        // The next time it is hidden as long as the queue says.
        pass(359.0).await;
        assert!(notices.receive().is_empty());
        pass(1.0).await;
        assert_eq!(notices.receive().len(), 1);
        assert_eq!(notices.aws.calls()[0].service, "sqs");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_checked() {
    let notices = Notices::start(9).await;
    let handle = notices.receive().remove(0);
    let code = async |handle: &Value, timeout: Value| {
        let reply = notices.change(handle, timeout).await;
        assert!((400..=404).contains(&reply.status));
        reply.json()["__type"].as_str().unwrap().rsplit('#').next().unwrap().to_owned()
    };
    assert_eq!(code(&json!("unknown"), json!(1)).await, "ReceiptHandleIsInvalid");
    assert_eq!(code(&Value::Null, json!(1)).await, "MissingParameter");
    for timeout in [json!(-1), json!(43_201), json!("1"), Value::Null] {
        assert_eq!(code(&handle, timeout).await, "InvalidParameterValue");
    }
    pass(360.0).await;
    assert_eq!(code(&handle, json!(1)).await, "MessageNotInflight");
    let next = notices.receive().remove(0);
    assert_ne!(next, handle);
    assert_eq!(code(&handle, json!(1)).await, "InvalidParameterValue");
    assert_eq!(notices.change(&next, json!(0)).await.status, 200);
    let params =
        json!({"QueueUrl": format!("http://x/{ACCOUNT}/other"), "ReceiptHandle": next, "VisibilityTimeout": 0});
    let other = notices.client.sqs_here(&notices.aws, "ChangeMessageVisibility", params).await;
    assert_eq!(other.json()["__type"], "com.amazonaws.sqs#QueueDoesNotExist");
    assert_eq!(notices.client.sqs_here(&notices.aws, "SendMessage", json!({})).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn visibility_does_not_change_how_often_a_message_is_received() {
    let notices = Notices::start(2).await;
    for _ in 0..2 {
        let handle = notices.receive().remove(0);
        assert_eq!(notices.change(&handle, json!(0)).await.status, 200);
    }
    assert!(notices.receive().is_empty());
    assert_eq!(notices.queue.figures().dead, ["a"]);
}
