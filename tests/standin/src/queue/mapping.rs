//! Lambda's event source mapping: from a queue to a function, in batches.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Message, Queue};
use crate::function::{Answer, Pool};

/// The most messages that `ReceiveMessage` returns.
const RECEIVE: usize = 10;

/// The approximate time that a call to SQS takes.
const CALL: Duration = Duration::from_millis(10);

/// The number of pollers of an idle queue, and the time until one is added while messages wait: 300 a minute.
///
/// Source: "Amazon SQS event source scaling" in the AWS Lambda Developer Guide.
const POLLERS: usize = 5;
const ONE_MORE: Duration = Duration::from_millis(200);

/// The largest payload of a synchronous invocation, 6 MB.
const PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// `AWS::Lambda::EventSourceMapping` with `ReportBatchItemFailures`.
#[derive(Clone, Copy, Debug)]
pub struct EventSourceMapping {
    /// `BatchSize`
    pub batch_size: usize,
    /// `MaximumBatchingWindowInSeconds`: how long a batch is gathered from its first message on.
    pub window: Duration,
    /// `ScalingConfig.MaximumConcurrency`: as many pollers share the messages, and each waits for its invocation.
    pub concurrency: usize,
}

impl EventSourceMapping {
    /// Delivers the queue's messages to the function until it is dropped.
    pub async fn run(self, queue: Queue, pool: Arc<Pool>) {
        let mut pollers = JoinSet::new();
        while pollers.len() < self.concurrency {
            if pollers.len() >= POLLERS {
                sleep(ONE_MORE).await;
                if !queue.has_visible() {
                    continue;
                }
            }
            pollers.spawn(self.poll(queue.clone(), Arc::clone(&pool)));
        }
        while pollers.join_next().await.is_some() {}
    }

    async fn poll(self, queue: Queue, pool: Arc<Pool>) {
        loop {
            let batch = self.gather(&queue).await;
            queue.lock().figures.batches.push(batch.len());
            let records: Vec<_> = batch.iter().map(|message| message.record(&queue)).collect();
            // Failed messages stay hidden until their visibility timeout ends: Lambda leaves them alone.
            if let Ok(Answer::Ok(answer)) = pool.invoke(json!({ "Records": records })).await
                && let Some(failed) = failures(&answer, &batch)
            {
                batch.iter().filter(|message| !failed.contains(message.id.as_str())).for_each(|m| queue.delete(m));
            }
        }
    }

    /// Waits for a message, and then for more, until the batch is full or the window has passed.
    async fn gather(&self, queue: &Queue) -> Vec<Message> {
        let mut batch: Vec<Message> = Vec::new();
        let mut until = None;
        while batch.len() < self.batch_size && until.is_none_or(|until| Instant::now() < until) && !is_full(&batch) {
            sleep(CALL).await;
            batch.extend(queue.receive(RECEIVE.min(self.batch_size - batch.len())));
            if until.is_none() && !batch.is_empty() {
                until = Some(Instant::now() + self.window);
            }
        }
        batch
    }
}

/// Whether a further call's messages may not fit; a message has some 600 bytes around its body.
fn is_full(batch: &[Message]) -> bool {
    batch.iter().map(|message| message.body.len() * 11 / 10 + 600).sum::<usize>() > PAYLOAD_BYTES - 64 * 1024
}

/// The ids of the messages that the function reported as failed; `None` if the answer means that all of them failed.
///
/// See "Success and failure conditions" in the AWS Lambda Developer Guide, "Handling errors for an SQS event source".
fn failures<'a>(answer: &'a Value, batch: &[Message]) -> Option<BTreeSet<&'a str>> {
    let items = match answer.get("batchItemFailures") {
        None if answer.is_null() || answer.as_object().is_some_and(serde_json::Map::is_empty) => {
            return Some(BTreeSet::new());
        }
        Some(Value::Null) => return Some(BTreeSet::new()),
        items => items?.as_array()?,
    };
    let ids: BTreeSet<_> = items.iter().map(|item| item["itemIdentifier"].as_str()).collect::<Option<_>>()?;
    ids.iter().all(|id| batch.iter().any(|message| message.id == *id)).then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::Region;
    use crate::standin::{ACCOUNT, REGION};
    use crate::state::Shared;

    fn queue(visibility: Duration) -> Queue {
        Queue::new(&Region::new(Shared::default(), ACCOUNT.to_owned(), REGION.to_owned()), "notices", visibility, 2)
    }

    #[test]
    fn what_the_answer_says_of_each_message() {
        let queue = queue(Duration::from_mins(1));
        (0..2).for_each(|n| queue.send(&n.to_string()));
        let batch = queue.receive(10);
        let failed = |answer: Value| failures(&answer, &batch).map(|failed| failed.len());
        let of = |id: &Value| json!({"batchItemFailures": [{"itemIdentifier": id}]});
        for answer in [json!(null), json!({}), json!({"batchItemFailures": null}), json!({"batchItemFailures": []})] {
            assert_eq!(failed(answer), Some(0));
        }
        assert_eq!(failed(of(&json!(batch[1].id))), Some(1));
        for answer in [of(&json!("")), of(&json!(null)), of(&json!("other")), json!("text"), json!({"failures": []})] {
            assert_eq!(failed(answer.clone()), None, "{answer}");
        }
    }

    #[test]
    fn a_message_comes_back_until_it_is_deleted_or_dead() {
        let queue = queue(Duration::ZERO);
        queue.send("a");
        queue.send_twice("b");
        let first = queue.receive(10);
        assert_eq!(first.len(), 3);
        assert_eq!(first[1].id, first[2].id);
        queue.delete(&first[1]);
        let again = queue.receive(10);
        assert_eq!(again.len(), 2);
        queue.delete(&first[0]);
        assert_eq!(queue.len(), 2, "it was received again since");
        queue.delete(&again[0]);
        assert_eq!(queue.receive(10).len(), 0);
        assert_eq!(queue.figures().dead, ["b"]);
        assert_eq!(queue.figures().redelivered, 2);
    }

    #[test]
    fn a_message_that_was_received_is_hidden() {
        let queue = queue(Duration::from_mins(1));
        queue.send("a");
        assert_eq!(queue.receive(10).len(), 1);
        assert_eq!(queue.receive(10).len(), 0);
        assert_eq!(queue.len(), 1);
    }
}
