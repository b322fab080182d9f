//! Events as they are on the wire: the payloads that Lambda delivers.

mod envelope;
mod lifecycle_action;
mod rebalance_recommendation;
mod rehearsal;
mod reservation_interruption_warning;
mod spot_interruption_warning;
mod sqs;
mod state_change;
mod task_state_change;
mod wrapped;

use std::time::SystemTime;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub use self::envelope::{Message, RawEvent, Receipt};
use self::envelope::{RECALLED, detail, kind, required, time};
use crate::{
    error::Error,
    identifier::{AccountId, InstanceId, Region, quote},
    interrupted_task::{InterruptedTask, Recalled, TaskDetail},
    interruption::{Interruption, Kind, LifecycleAction, NOTICE},
    rehearsal::request::Request as Rehearsal,
};

/// A payload as Lambda delivers it.
#[derive(Debug)]
pub enum Payload {
    /// A single event.
    Event(RawEvent),
    /// A batch of messages from an SQS queue, with an event each.
    Batch(Vec<Message>),
}

/// The source of EC2's events.
const SOURCE: &str = "aws.ec2";

/// An event, as far as the function reacts to it.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// An event in the life of an instance.
    Interruption(Interruption),
    /// An event in the end of a task.
    Task(InterruptedTask),
    /// An order to say what would happen to the present fleet.
    Rehearsal(Box<Rehearsal>),
    /// An event that the function does not react to.
    Ignored(IgnoredEvent),
}

impl Event {
    /// The time of what the event announces; `None` for rehearsals and ignored events.
    pub(crate) fn time(&self) -> Option<SystemTime> {
        match self {
            Self::Interruption(interruption) => Some(interruption.deadline().unwrap_or(interruption.time + NOTICE)),
            Self::Task(task) => Some(task.deadline()),
            Self::Rehearsal(_) | Self::Ignored(_) => None,
        }
    }
}

/// An event that the function does not react to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredEvent {
    /// The detail type, such as `EC2 Instance State-change Notification`, or the kind of interruption.
    pub event: String,
    /// The reason why the event is ignored.
    pub reason: String,
    /// The account in the event, if there is one.
    pub account: Option<AccountId>,
    /// The Region in the event, if there is one.
    pub region: Option<Region>,
    /// Whether the stack's rules deliver such events, since they can't tell them from others.
    pub is_expected: bool,
}

impl IgnoredEvent {
    /// An event that is ignored because of a setting.
    pub(crate) fn by_setting(event: &Event, reason: &str, is_expected: bool) -> Self {
        let (event, account, region) = match event {
            Event::Interruption(of) => (of.kind.to_string(), Some(&of.account), Some(&of.region)),
            Event::Task(of) => (task_state_change::DETAIL_TYPE.to_owned(), Some(&of.account), Some(&of.region)),
            Event::Rehearsal(_) => (rehearsal::DETAIL_TYPE.to_owned(), None, None),
            Event::Ignored(of) => (of.event.clone(), of.account.as_ref(), of.region.as_ref()),
        };
        Self { event, reason: reason.to_owned(), account: account.cloned(), region: region.cloned(), is_expected }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer) {
            Ok(payload) => match sqs::messages(&payload) {
                Some(messages) => Self::Batch(messages),
                None => Self::Event(RawEvent(Ok(payload))),
            },
            Err(error) => Self::Event(RawEvent(Err(format!("found no JSON: {error}")))),
        })
    }
}

impl TryFrom<&RawEvent> for Event {
    type Error = Error;

    fn try_from(received: &RawEvent) -> Result<Self, Error> {
        let event = received.0.as_ref().map_err(|reason| Error::InvalidEvent(reason.clone()))?;
        if event.get("Event").and_then(Value::as_str) == Some(lifecycle_action::TEST) {
            let reason = "it only tests the notification target of a lifecycle hook".to_owned();
            let event = lifecycle_action::TEST.to_owned();
            return Ok(Self::Ignored(IgnoredEvent { event, reason, account: None, region: None, is_expected: false }));
        }
        let (source, detail_type) = kind(event)?;
        if (source, detail_type) == (rehearsal::SOURCE, rehearsal::DETAIL_TYPE) {
            return Ok(Self::Rehearsal(Box::new(rehearsal::read(event)?)));
        }
        let read = read(event, source, detail_type)?;
        let (account, region) = (required(event, "account"), required(event, "region"));
        Ok(match read {
            Ok(Subject::Instance((instance, kind), announced_end, lifecycle_action)) => {
                let (time, account, region) = (time(event)?, account?, region?);
                Self::Interruption(Interruption {
                    instance,
                    kind,
                    account,
                    region,
                    time,
                    announced_end,
                    lifecycle_action,
                })
            }
            Ok(Subject::Task(detail)) => {
                let (time, account, region) = (time(event)?, account?, region?);
                let recalled = event.get(RECALLED).and_then(|recalled| Recalled::deserialize(recalled).ok());
                Self::Task(InterruptedTask { detail, account, region, time, recalled })
            }
            Err(reason) => {
                let event = detail_type.to_string();
                let (account, region) = (account.ok(), region.ok());
                Self::Ignored(IgnoredEvent { event, reason, account, region, is_expected: false })
            }
        })
    }
}

/// Whom an event concerns, and what it says.
enum Subject {
    /// With the time of its end, and the lifecycle action that it waits for, if the event says so.
    Instance((InstanceId, Kind), Option<SystemTime>, Option<LifecycleAction>),
    Task(TaskDetail),
}

/// Reads an event's detail. The inner error is the reason to ignore the event.
fn read(event: &Value, source: &str, detail_type: &str) -> Result<Result<Subject, String>, Error> {
    let plain = |read| Subject::Instance(read, None, None);
    Ok(Ok(match (source, detail_type) {
        (SOURCE, spot_interruption_warning::DETAIL_TYPE) => plain(spot_interruption_warning::read(detail(event)?)?),
        (SOURCE, reservation_interruption_warning::DETAIL_TYPE) => {
            let detail = detail(event)?;
            let end = reservation_interruption_warning::end(detail);
            Subject::Instance(reservation_interruption_warning::read(detail)?, end, None)
        }
        (SOURCE, rebalance_recommendation::DETAIL_TYPE) => plain(rebalance_recommendation::read(detail(event)?)?),
        (SOURCE, state_change::DETAIL_TYPE) => return Ok(state_change::read(detail(event)?)?.map(plain)),
        (lifecycle_action::SOURCE, lifecycle_action::DETAIL_TYPE) => {
            let (instance, action) = lifecycle_action::read(detail(event)?)?;
            Subject::Instance((instance, Kind::LifecycleAction), None, Some(action))
        }
        (task_state_change::SOURCE, task_state_change::DETAIL_TYPE) => {
            return Ok(task_state_change::read(detail(event)?)?.map(Subject::Task));
        }
        (source, detail_type) => {
            return Ok(Err(format!(
                "its source is {} and its detail-type {}: handled are {:?}, {:?}, {:?} and {:?} of {SOURCE:?}, {:?} of {:?}, and {:?} of {:?}",
                quote(source),
                quote(detail_type),
                spot_interruption_warning::DETAIL_TYPE,
                reservation_interruption_warning::DETAIL_TYPE,
                rebalance_recommendation::DETAIL_TYPE,
                state_change::DETAIL_TYPE,
                task_state_change::DETAIL_TYPE,
                task_state_change::SOURCE,
                lifecycle_action::DETAIL_TYPE,
                lifecycle_action::SOURCE,
            )));
        }
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{interrupted_task::Cause, interruption::InstanceAction};

    const RESERVATION: &str = reservation_interruption_warning::DETAIL_TYPE;

    fn read(payload: &[u8]) -> Result<Event, Error> {
        // As lambda_runtime does it.
        let payload: Payload = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(payload))
            .expect("a payload always deserializes");
        match payload {
            Payload::Event(event) => (&event).try_into(),
            Payload::Batch(_) => panic!("a batch"),
        }
    }

    fn invalid(payload: &[u8]) -> String {
        match read(payload) {
            Err(Error::InvalidEvent(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    fn warning() -> Value {
        serde_json::from_str(include_str!("../events/terminate.json")).unwrap()
    }

    #[test]
    fn error_names_the_invalid_field() {
        for (pointer, value, named) in [
            ("/detail/instance-id", json!("web-1"), "instance-id"),
            ("/detail/instance-id", json!(7), "instance-id"),
            ("/detail/instance-action", json!("explode"), "instance-action"),
            ("/detail", json!("text"), "detail"),
            ("/detail", json!(null), "detail"),
            ("/account", json!("12"), "account"),
            ("/account", json!(123_456_789_012_u64), "account"),
            ("/account", json!(null), "account"),
            ("/region", json!("nowhere"), "region"),
            ("/region", json!(null), "region"),
            ("/time", json!("yesterday"), "time"),
            ("/time", json!(null), "time"),
            ("/source", json!(null), "source"),
            ("/detail-type", json!([]), "detail-type"),
        ] {
            let mut event = warning();
            *event.pointer_mut(pointer).unwrap() = value.clone();
            let message = invalid(event.to_string().as_bytes());
            assert!(message.contains(named), "{pointer} {value}: {message}");
        }
    }

    #[test]
    fn error_names_the_missing_field() {
        for (parent, field) in [
            ("", "source"),
            ("", "detail-type"),
            ("", "account"),
            ("", "region"),
            ("", "time"),
            ("", "detail"),
            ("/detail", "instance-id"),
            ("/detail", "instance-action"),
        ] {
            let mut event = warning();
            event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).unwrap();
            let message = invalid(event.to_string().as_bytes());
            assert!(message.contains(field), "{field}: {message}");
        }
    }

    #[test]
    fn payload_that_is_not_an_event_is_invalid() {
        for payload in ["", "not json", "[]", "7", "null", "{}", "{\"source\":", "\u{0}"] {
            invalid(payload.as_bytes());
        }
    }

    #[test]
    fn unknown_fields_are_accepted() {
        let mut event = warning();
        event["replay-name"] = json!("again");
        event["detail"]["instance-type"] = json!({"new": [1, 2]});
        assert!(matches!(read(event.to_string().as_bytes()), Ok(Event::Interruption(_))));
    }

    #[test]
    fn event_of_another_type_is_ignored_whatever_its_shape() {
        let mut event = warning();
        event["detail-type"] = json!("EC2 Spot Instance Request Fulfillment");
        event["detail"] = json!(null);
        event["account"] = json!("none");
        let Ok(Event::Ignored(other)) = read(event.to_string().as_bytes()) else { panic!() };
        assert_eq!(other.event, "EC2 Spot Instance Request Fulfillment");
        assert_eq!((other.account, other.region.unwrap().as_str()), (None, "us-east-2"));

        let mut event = warning();
        event["source"] = json!("my.app");
        assert!(matches!(read(event.to_string().as_bytes()), Ok(Event::Ignored(_))));
    }

    #[test]
    fn each_detail_type_is_read() {
        let state = |state: Value| json!({ "instance-id": "i-1234567890abcdef0", "state": state });
        let id = json!({ "instance-id": "i-1234567890abcdef0" });
        for (detail_type, detail, expected) in [
            (RESERVATION, id.clone(), Ok(Some(Kind::Notice(InstanceAction::Terminate)))),
            (RESERVATION, json!({}), Err("instance-id")),
            (
                RESERVATION,
                json!({ "instance-id": "i-1234567890abcdef0", "instance-action": 1 }),
                Err("instance-action"),
            ),
            ("EC2 Instance Rebalance Recommendation", id.clone(), Ok(Some(Kind::Rebalance))),
            ("EC2 Instance Rebalance Recommendation", json!({}), Err("instance-id")),
            ("EC2 Instance State-change Notification", state(json!("running")), Ok(Some(Kind::Running))),
            ("EC2 Instance State-change Notification", state(json!("terminated")), Ok(Some(Kind::Terminated))),
            ("EC2 Instance State-change Notification", state(json!("stopping")), Ok(None)),
            ("EC2 Instance State-change Notification", state(json!("a new one")), Ok(None)),
            ("EC2 Instance State-change Notification", state(json!(16)), Err("detail.state")),
            ("EC2 Instance State-change Notification", id, Err("state")),
            ("EC2 Instance State-change Notification", json!({ "state": "running" }), Err("instance-id")),
        ] {
            let mut event = warning();
            event["detail-type"] = json!(detail_type);
            event["detail"] = detail.clone();
            match (read(event.to_string().as_bytes()), expected) {
                (Ok(Event::Interruption(found)), Ok(Some(kind))) => assert_eq!(found.kind, kind),
                (Ok(Event::Ignored(_)), Ok(None)) => {}
                (Err(Error::InvalidEvent(message)), Err(named)) => assert!(message.contains(named), "{message}"),
                (found, expected) => panic!("{detail_type} {detail}: {found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn reservation_says_when_its_instance_ends() {
        for (end, expected) in [
            (json!("2026-11-02T08:40:00Z"), "2026-11-02T08:40:00Z"),
            (json!("2026-11-02T08:40:00+00:00"), "2026-11-02T08:40:00Z"),
            (json!("soon"), "2026-11-02T08:02:00Z"),
            (json!(null), "2026-11-02T08:02:00Z"),
        ] {
            for resources in [json!("arn"), json!(["arn"]), json!(null)] {
                let mut event = warning();
                event["detail-type"] = json!(RESERVATION);
                event["resources"] = resources;
                event["detail"]["instance-termination-time"] = end.clone();
                let Ok(Event::Interruption(found)) = read(event.to_string().as_bytes()) else { panic!() };
                assert_eq!(crate::aws::timestamp(found.end()), expected);
            }
        }
    }

    fn sample(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn task_is_read_with_what_interrupted_it() {
        let service = sample(include_str!("../events/fargate-spot.json"));
        let host = "Host EC2 (instance i-1234567890abcdef0) terminated.";
        for (code, reason, expected) in [
            (json!("SpotInterruption"), json!("Your Spot Task was interrupted."), Some(Cause::FargateSpot)),
            (json!("TerminationNotice"), json!(null), Some(Cause::FargateSpot)),
            (json!(null), json!("Your Spot Task was interrupted."), Some(Cause::FargateSpot)),
            (json!("UserInitiated"), json!("EC2 Spot interruption: i-1 is terminated"), Some(Cause::Evacuation)),
            (json!("TerminationNotice"), json!(host), Some(Cause::Host)),
            (json!("UserInitiated"), json!("Task stopped by user"), None),
            (json!("EssentialContainerExited"), json!(7), None),
            (json!(null), json!(null), None),
        ] {
            let mut event = service.clone();
            (event["detail"]["stopCode"], event["detail"]["stoppedReason"]) = (code, reason);
            match (read(event.to_string().as_bytes()), expected) {
                (Ok(Event::Task(task)), Some(cause)) => {
                    assert_eq!(task.detail.cause, cause);
                    assert!(
                        task.detail.service.is_some() && !task.detail.addresses.is_empty() && !task.detail.has_stopped
                    );
                }
                (Ok(Event::Ignored(ignored)), None) => assert!(ignored.reason.contains("not interrupted")),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn task_event_names_the_invalid_field() {
        let event = sample(include_str!("../events/fargate-spot.json"));
        for field in ["taskArn", "clusterArn", "desiredStatus", "lastStatus"] {
            for value in [json!(null), json!(7), json!("")] {
                let mut event = event.clone();
                event["detail"][field] = value;
                let message = invalid(event.to_string().as_bytes());
                assert!(message.contains(field), "{field}: {message}");
            }
        }
        for (pointer, value) in [
            ("/detail/attachments", json!("none")),
            ("/detail/attachments/0/details", json!(null)),
            ("/detail/attachments/0/details/0", json!([])),
            ("/detail/containers", json!({})),
            ("/detail/group", json!(1)),
        ] {
            let mut event = event.clone();
            if let Some(field) = event.pointer_mut(pointer) {
                *field = value;
            }
            assert!(matches!(read(event.to_string().as_bytes()), Ok(Event::Task(_))), "{pointer}");
        }
    }

    #[test]
    fn lifecycle_action_is_read_and_its_test_is_ignored() {
        let event = sample(include_str!("../events/lifecycle-action.json"));
        let Ok(Event::Interruption(action)) = read(event.to_string().as_bytes()) else { panic!() };
        assert_eq!(action.kind, Kind::LifecycleAction);
        assert!(action.lifecycle_action.is_some() && action.deadline().is_none());
        for field in ["EC2InstanceId", "AutoScalingGroupName", "LifecycleHookName"] {
            for value in [json!(null), json!("")] {
                let mut event = event.clone();
                event["detail"][field] = value;
                let message = invalid(event.to_string().as_bytes());
                assert!(message.contains(field), "{field}: {message}");
            }
        }
        let test = json!({"Service": "AWS Auto Scaling", "Event": "autoscaling:TEST_NOTIFICATION", "AccountId": "1"});
        assert!(matches!(read(test.to_string().as_bytes()), Ok(Event::Ignored(_))));
        let mut launch = event;
        launch["detail-type"] = json!("EC2 Instance-launch Lifecycle Action");
        assert!(matches!(read(launch.to_string().as_bytes()), Ok(Event::Ignored(_))));
    }

    proptest! {
        #[test]
        fn no_payload_causes_a_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&payload);
        }

        #[test]
        fn no_field_value_causes_a_panic(
            pointer in prop::sample::select(vec!["/time", "/account", "/region", "/detail", "/detail/instance-id", "/detail/instance-action", "/detail-type", "/resources"]),
            text in ".{0,40}",
            number in any::<f64>(),
        ) {
            for value in [json!(text), json!(number), json!({ text.as_str(): number })] {
                let mut event = warning();
                *event.pointer_mut(pointer).unwrap() = value;
                let _ = read(event.to_string().as_bytes());
            }
        }
    }
}
