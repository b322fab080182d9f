//! An SQS standard queue, as far as a function behind it can observe, with `ChangeMessageVisibility` over the wire.

mod api;
mod mapping;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

pub(crate) use api::{Queues, call};
pub use mapping::EventSourceMapping;

use crate::region::Region;
use crate::timestamp::epoch_ms;
use crate::{arn, clock};

/// A queue; its clones are the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    arn: String,
    region: String,
    visibility: Duration,
    max_receives: u32,
    state: Arc<Mutex<QueueState>>,
}

#[derive(Debug, Default)]
struct QueueState {
    messages: Vec<Message>,
    figures: QueueFigures,
}

/// A copy of a message; a message that is delivered twice has two.
#[derive(Clone, Debug)]
struct Message {
    copy: String,
    id: String,
    body: String,
    sent: SystemTime,
    received: u32,
    visible: Instant,
}

/// The figures of a [`Queue`] and the mappings on it.
#[derive(Clone, Debug, Default)]
pub struct QueueFigures {
    /// The size of each batch that the function got.
    pub batches: Vec<usize>,
    /// Messages that were delivered again because they had not been deleted.
    pub redelivered: usize,
    /// Bodies of the messages in the dead-letter queue.
    pub dead: Vec<String>,
}

impl Queue {
    /// An empty queue. A message that was received stays hidden for the visibility timeout, and one that was received
    /// `max_receives` times goes to the dead-letter queue instead of being received again. A queue of the same name is
    /// replaced.
    #[must_use]
    pub fn new(region: &Region, name: &str, visibility: Duration, max_receives: u32) -> Self {
        let arn = arn::arn("sqs", region.name(), region.account(), name);
        let key = (region.name().to_owned(), region.account().to_owned(), name.to_owned());
        let queue = Self { arn, region: key.0.clone(), visibility, max_receives, state: Arc::default() };
        region.queues(|queues| queues.insert(key, queue.clone()));
        queue
    }

    /// The queue's ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Receives a batch as Lambda does, and returns the event for it.
    #[must_use]
    pub fn receive_event(&self, max: usize) -> Value {
        json!({"Records": self.receive(max).iter().map(|message| message.record(self)).collect::<Vec<_>>()})
    }

    /// Adds a message.
    pub fn send(&self, body: &str) {
        self.add(body, 1);
    }

    /// Adds a message that is delivered twice, as may happen.
    pub fn send_twice(&self, body: &str) {
        self.add(body, 2);
    }

    /// The number of messages, including those in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has been done so far.
    #[must_use]
    pub fn figures(&self) -> QueueFigures {
        self.lock().figures.clone()
    }

    fn has_visible(&self) -> bool {
        let now = clock::now();
        self.lock().messages.iter().any(|message| message.visible <= now)
    }

    fn add(&self, body: &str, copies: usize) {
        let (id, sent, visible) = (arn::uuid(), SystemTime::now(), clock::now());
        let message =
            || Message { copy: arn::hex(32), id: id.clone(), body: body.to_owned(), sent, received: 0, visible };
        self.lock().messages.extend((0..copies).map(|_| message()));
    }

    /// `ReceiveMessage`.
    fn receive(&self, max: usize) -> Vec<Message> {
        let now = clock::now();
        let mut state = self.lock();
        let (dead, kept) = std::mem::take(&mut state.messages)
            .into_iter()
            .partition(|message| message.visible <= now && message.received >= self.max_receives);
        state.messages = kept;
        state.figures.dead.extend(dead.into_iter().map(|message: Message| message.body));
        let mut received = Vec::new();
        for message in state.messages.iter_mut().filter(|message| message.visible <= now).take(max) {
            message.visible = now + self.visibility;
            message.received += 1;
            received.push(message.clone());
        }
        state.figures.redelivered += received.iter().filter(|message| message.received > 1).count();
        received
    }

    /// `DeleteMessage`: without effect if the message was received again since.
    fn delete(&self, gone: &Message) {
        self.lock().messages.retain(|message| message.copy != gone.copy || message.received != gone.received);
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Message {
    /// Each receipt has a handle of its own.
    fn receipt_handle(&self) -> String {
        format!("{}{}", self.copy, self.received)
    }

    /// As it stands in Lambda's event.
    fn record(&self, queue: &Queue) -> Value {
        json!({
            "messageId": self.id,
            "receiptHandle": self.receipt_handle(),
            "body": self.body,
            "attributes": {
                "ApproximateReceiveCount": self.received.to_string(),
                "SentTimestamp": epoch_ms(self.sent).to_string(),
                "SenderId": "AIDAEXAMPLE",
                "ApproximateFirstReceiveTimestamp": epoch_ms(SystemTime::now()).to_string(),
            },
            "messageAttributes": {},
            // Nobody here reads it.
            "md5OfBody": arn::hex(32),
            "eventSource": "aws:sqs",
            "eventSourceARN": queue.arn,
            "awsRegion": queue.region,
        })
    }
}
