//! The SQS queue that delivers events: when a message is delivered again.

use aws_config::SdkConfig;
use serde_json::{Value, json};

use crate::{
    aws::{
        calls::Calls,
        in_region,
        operation::Operation,
        query::{Client, Json, Service},
    },
    error::{BoxError, Error, ErrorClass},
    identifier::{QueueArn, Region},
};

const SERVICE: Service = Service { id: "SQS", name: "sqs", version: "AmazonSQS" };

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    client: Client,
    arn: QueueArn,
}

impl Queue {
    pub(crate) fn new(sdk: &SdkConfig, arn: QueueArn) -> Self {
        let sdk = Region::of_arn(arn.as_str()).map_or_else(|| sdk.clone(), |region| in_region(sdk, &region));
        Self { client: Client::new(&sdk, &SERVICE), arn }
    }

    /// Has a message that was received become visible this many seconds from now, unless it is deleted before: 0 s to
    /// 12 h after it was received. Fails for one that is visible again already.
    pub(crate) async fn change_visibility(
        &self,
        calls: &Calls,
        receipt_handle: &str,
        seconds: u32,
    ) -> Result<(), Error> {
        let parameters = json!({"ReceiptHandle": receipt_handle, "VisibilityTimeout": seconds});
        self.call(calls, Operation::ChangeMessageVisibility, parameters).await
    }

    /// Sends a message that becomes visible this many seconds from now: 0 s to 15 min. It may have been sent even if
    /// the call failed.
    pub(crate) async fn send(&self, calls: &Calls, body: &str, delay_seconds: u32) -> Result<(), Error> {
        let parameters = json!({"MessageBody": body, "DelaySeconds": delay_seconds});
        self.call(calls, Operation::SendMessage, parameters).await
    }

    async fn call(&self, calls: &Calls, operation: Operation, mut parameters: Value) -> Result<(), Error> {
        let invalid = |error: BoxError| Error::call(operation, &self.arn, ErrorClass::Rejected, error.to_string());
        let endpoint = self.client.url().map_err(invalid)?.trim_end_matches('/');
        parameters["QueueUrl"] = format!("{endpoint}/{}", self.arn.path()).into();
        self.client.call_json(calls, operation, &self.arn, Json::V1_0(&parameters)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use standin::{Fault, Standin};

    use super::*;
    use crate::{aws, aws::deadline::Deadline, direct};

    const VISIBILITY: Duration = Duration::from_mins(6);

    fn calls() -> Calls {
        Calls::new(Deadline::after(Duration::from_mins(1)), Arc::default(), None, Arc::default())
    }

    async fn start(region: &str) -> (Arc<Standin>, standin::Queue, Queue) {
        let aws = Arc::new(Standin::builder().start().await.unwrap());
        let real = standin::Queue::new(&aws.region(standin::ACCOUNT, region), "notices", VISIBILITY, 5);
        let sdk = aws::load(direct::loader(&aws)).await;
        let queue = Queue::new(&sdk, real.arn().to_owned().try_into().unwrap());
        (aws, real, queue)
    }

    fn receipt_handles(event: &Value) -> Vec<String> {
        let records = event["Records"].as_array().unwrap().iter();
        records.map(|record| record["receiptHandle"].as_str().unwrap().to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn message_becomes_visible_when_it_should() {
        for region in ["us-east-2", "eu-west-1"] {
            let (aws, real, queue) = start(region).await;
            real.send("a & b");
            let received = receipt_handles(&real.receive_event(10));
            queue.change_visibility(&calls(), &received[0], 30).await.unwrap();
            tokio::time::advance(Duration::from_secs(29)).await;
            assert!(receipt_handles(&real.receive_event(10)).is_empty());
            tokio::time::advance(Duration::from_secs(1)).await;
            let again = real.receive_event(10);
            assert_eq!(again["Records"][0]["attributes"]["ApproximateReceiveCount"], "2");
            assert_eq!(aws.calls()[0].region, region);
            let url = aws.calls()[0].params["QueueUrl"].as_str().unwrap().to_owned();
            assert_eq!(url, format!("http://standin/{}/notices", standin::ACCOUNT));
            // The first receipt no longer counts.
            let error = queue.change_visibility(&calls(), &received[0], 30).await.unwrap_err();
            assert_eq!(error.code(), Some("InvalidParameterValue"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn errors_are_classified() {
        let (aws, real, queue) = start("us-east-2").await;
        real.send("a");
        let handle = receipt_handles(&real.receive_event(10)).remove(0);
        aws.fault(Fault::on_any().times(2).throttle());
        queue.change_visibility(&calls(), &handle, 0).await.unwrap();
        assert_eq!(aws.calls().len(), 3);
        for (handle, seconds, code) in [
            (handle.as_str(), 60, "MessageNotInflight"),
            ("unknown", 60, "ReceiptHandleIsInvalid"),
            (handle.as_str(), 43_201, "InvalidParameterValue"),
        ] {
            let error = queue.change_visibility(&calls(), handle, seconds).await.unwrap_err();
            assert_eq!((error.code(), error.error_type()), (Some(code), "CallRejected"), "{error}");
        }
        let arn = "arn:aws:sqs:us-east-2:123456789012:other".to_owned().try_into().unwrap();
        let other = Queue::new(&aws::load(direct::loader(&aws)).await, arn);
        let error = other.change_visibility(&calls(), &handle, 0).await.unwrap_err();
        assert!(error.to_string().contains("QueueDoesNotExist: The specified queue does not exist."), "{error}");
    }
}
