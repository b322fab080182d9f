//! Events about instances and tasks.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::region::Region;
use crate::resources::LifecycleAction;
use crate::timestamp::{iso8601, iso8601_ms};
use crate::{arn, autoscaling};

/// The interruption notice for an instance, as a rule delivers it.
///
/// `action` is `terminate`, `stop` or `hibernate`. As in AWS's own events, the time is cut to the second.
#[must_use]
pub fn notice(region: &Region, instance: &str, action: &str, time: SystemTime) -> Value {
    // The ARN has the Availability Zone in place of the Region, and no account.
    let arn = format!("arn:aws:ec2:{}a:instance/{instance}", region.name());
    let detail = json!({"instance-id": instance, "instance-action": action});
    event(region, "EC2 Spot Instance Interruption Warning", &arn, &detail, time)
}

/// The event for an instance's change of state: `pending`, `running`, `stopping`, `stopped`, `shutting-down` or
/// `terminated`.
#[must_use]
pub fn state_change(region: &Region, instance: &str, state: &str, time: SystemTime) -> Value {
    let detail = json!({"instance-id": instance, "state": state});
    event(region, "EC2 Instance State-change Notification", &arn_of(region, instance), &detail, time)
}

/// The event for a rebalance recommendation.
#[must_use]
pub fn rebalance_recommendation(region: &Region, instance: &str, time: SystemTime) -> Value {
    let detail = json!({"instance-id": instance});
    event(region, "EC2 Instance Rebalance Recommendation", &arn_of(region, instance), &detail, time)
}

/// The event for a task's state as it is now, `ECS Task State Change`; `None` where ECS knows no such task.
#[must_use]
pub fn task_state_change(region: &Region, task: &str) -> Option<Value> {
    let detail = region.task_detail(task)?;
    let mut event = event(region, "ECS Task State Change", task, &detail, SystemTime::now());
    event["source"] = json!("aws.ecs");
    Some(event)
}

/// The event of an instance's wait in a lifecycle hook.
pub(crate) fn lifecycle_action(region: &Region, action: &LifecycleAction) -> Value {
    let hook = &action.hook;
    let (kind, origin, destination) = if hook.launching {
        ("EC2 Instance-launch Lifecycle Action", "EC2", "AutoScalingGroup")
    } else {
        ("EC2 Instance-terminate Lifecycle Action", "AutoScalingGroup", "EC2")
    };
    let mut detail = json!({
        "LifecycleActionToken": action.token,
        "AutoScalingGroupName": action.group,
        "LifecycleHookName": hook.name,
        "EC2InstanceId": action.instance,
        "LifecycleTransition": hook.transition(),
        "Origin": origin,
        "Destination": destination,
    });
    if let Some(metadata) = &hook.metadata {
        detail["NotificationMetadata"] = json!(metadata);
    }
    let arn = autoscaling::arn(region.name(), region.account(), &action.group);
    let mut event = event(region, kind, &arn, &detail, SystemTime::now());
    event["source"] = json!("aws.autoscaling");
    event
}

/// The message that Auto Scaling sends to a queue or a topic when a lifecycle hook with that target is created. It is
/// no event of a bus, and calls for nothing.
#[must_use]
pub fn test_notification(region: &Region, group: &str) -> Value {
    json!({
        "AccountId": region.account(),
        "RequestId": arn::uuid(),
        "AutoScalingGroupARN": autoscaling::arn(region.name(), region.account(), group),
        "AutoScalingGroupName": group,
        "Service": "AWS Auto Scaling",
        "Event": "autoscaling:TEST_NOTIFICATION",
        "Time": iso8601_ms(SystemTime::now()),
    })
}

/// The event with which an SQS queue invokes a function: a message for each event, whose id is its index.
#[must_use]
pub fn sqs_batch(events: &[Value]) -> Value {
    let record = |(at, event): (usize, &Value)| json!({"messageId": at.to_string(), "body": event.to_string()});
    json!({"Records": events.iter().enumerate().map(record).collect::<Vec<_>>()})
}

pub(crate) fn arn_of(region: &Region, instance: &str) -> String {
    arn::arn("ec2", region.name(), region.account(), &format!("instance/{instance}"))
}

pub(crate) fn event(region: &Region, detail_type: &str, arn: &str, detail: &Value, time: SystemTime) -> Value {
    json!({
        "version": "0",
        "id": arn::uuid(),
        "detail-type": detail_type,
        "source": "aws.ec2",
        "account": region.account(),
        "time": iso8601(time),
        "region": region.name(),
        "resources": [arn],
        "detail": detail,
    })
}
