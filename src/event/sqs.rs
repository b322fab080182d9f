//! A batch of messages from an SQS queue.

use serde_json::Value;

use super::envelope::{Message, RawEvent, Receipt, kind_of};

/// Reads the messages of a batch; `None` if the payload is not a batch. Each message has an id, and an event that may
/// be malformed.
pub(super) fn messages(payload: &Value) -> Option<Vec<Message>> {
    let records = payload.get("Records")?.as_array()?;
    records.iter().map(message).collect()
}

fn message(record: &Value) -> Option<Message> {
    let id = record.get("messageId")?.as_str()?.to_owned();
    let body = match record.get("body").unwrap_or(&Value::Null) {
        Value::String(body) => serde_json::from_str(body).map_err(|error| format!("body: found no JSON: {error}")),
        other => Err(format!("body: found {}, expected a string with an event", kind_of(other))),
    };
    let text = |field: &str| record.get(field).and_then(Value::as_str).map(str::to_owned);
    let queue = text("eventSourceARN").and_then(|arn| arn.try_into().ok());
    let receipt = queue.zip(text("receiptHandle")).map(|(queue, handle)| Receipt { queue, handle });
    Some(Message { id, event: RawEvent(body), receipt })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::Event;

    #[test]
    fn malformed_message_does_not_affect_the_others() {
        let good = include_str!("../../events/terminate.json");
        let payload = json!({ "Records": [
            { "messageId": "1", "body": good, "eventSource": "aws:sqs" },
            { "messageId": "2", "body": "not json" },
            { "messageId": "3" },
            { "messageId": "4", "body": "{}" },
        ] });
        let messages = messages(&payload).unwrap();
        let read: Vec<_> = messages.into_iter().map(|m| (m.id, Event::try_from(&m.event).is_ok())).collect();
        let expected = [("1", true), ("2", false), ("3", false), ("4", false)];
        assert_eq!(read, expected.map(|(id, is_ok)| (id.to_owned(), is_ok)));
    }

    #[test]
    fn payload_without_message_ids_is_not_a_batch() {
        for payload in [json!({}), json!([]), json!({ "Records": {} }), json!({ "Records": [{ "body": "" }] })] {
            assert!(messages(&payload).is_none(), "{payload}");
        }
    }
}
