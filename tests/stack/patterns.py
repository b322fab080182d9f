"""Sends sample events, and events that differ from them in one field, through the event patterns of the templates.

    python tests/stack/patterns.py

An emulator judges the patterns. intrinsics.py evaluates the templates, so nothing is deployed.
"""

import json
import os
from contextlib import ExitStack

import boto3

from deploy import start_emulator
from intrinsics import Template
from local import Checks, end_with_the_script, environment, samples, scratch
from templates import HOOKS, HUB, MEMBER, ORGANIZATION, RUN_AGAIN, patterns

FARGATE_SPOT = {"FargateSpot": "handle"}
EVERY = FARGATE_SPOT | RUN_AGAIN | HOOKS
FARGATE_RULE, TASK_RULE, HOOK_RULE = "FargateSpotRule", "InterruptedTaskRule", "LifecycleActionRule"

SPOT_REASON = "Your Spot Task was interrupted."
# The shapes in which ECS reports an interruption of Fargate Spot: with either stop code, or with the reason alone.
SHAPES = {
    "TerminationNotice": {"stopCode": "TerminationNotice"},
    "TerminationNotice alone": {"stopCode": "TerminationNotice", "stoppedReason": None},
    "another reason": {"stoppedReason": "Any other"},
    "no reason": {"stoppedReason": None},
    "no stop code": {"stopCode": None},
    "another stop code": {"stopCode": "UserInitiated"},
}
EVACUATED = "EC2 Spot interruption: i-1234567890abcdef0 is terminated at 2026-11-02T08:00:00Z"


def main():
    end_with_the_script()
    checks = Checks()
    with ExitStack() as stack:
        endpoint = start_emulator(stack, stack.enter_context(scratch()))
        os.environ.clear()
        os.environ.update(environment(endpoint))
        for name, resources, prefix in [
            ("the default bus", Template("template.yaml", EVERY).resources(), ""),
            ("the hub's bus", Template("template.yaml", EVERY | ORGANIZATION).resources(), "Hub"),
            ("a member's default bus", Template("member.yaml", EVERY | HUB, MEMBER).resources(), ""),
        ]:
            checks.heading(name)
            rules = patterns(resources, prefix)
            for what, event, expected in cases():
                checks.same(what, expected, matching(rules, event))
        checks.heading("the parameters off")
        for name in "fargate-spot", "fargate-spot-standalone", "task-stopped", "lifecycle-action":
            checks.same(name, [], matching(patterns(Template("template.yaml", {}).resources()), sample(name)))
    checks.done()


def cases():
    """Events, with the rules that match them."""
    service, standalone, evacuated, hook = (
        sample(name) for name in ("fargate-spot", "fargate-spot-standalone", "task-stopped", "lifecycle-action")
    )
    yield "a service's task on Fargate Spot", service, [FARGATE_RULE]
    yield "a standalone task on Fargate Spot", standalone, [TASK_RULE]
    for name, fields in SHAPES.items():
        yield f"a service's task, {name}", with_detail(service, fields), [FARGATE_RULE]
        yield f"a standalone task, {name}", with_detail(standalone, fields), [TASK_RULE]
    for status in "DEACTIVATING", "STOPPING", "DEPROVISIONING":
        yield f"a service's task, {status}", with_detail(service, {"lastStatus": status}), [FARGATE_RULE]
        # Events of the first two states lead to the end of the task.
        expected = [TASK_RULE] if status == "DEACTIVATING" else []
        yield f"a standalone task, {status}", with_detail(standalone, {"lastStatus": status}), expected
    yield "a service's task, STOPPED", with_detail(service, {"lastStatus": "STOPPED"}), []
    yield "a standalone task, STOPPED", with_detail(standalone, {"lastStatus": "STOPPED"}), [TASK_RULE]
    yield "a service's task that runs", with_detail(service, {"desiredStatus": "RUNNING"}), []
    yield "a standalone task that runs", with_detail(standalone, {"desiredStatus": "RUNNING"}), []
    ended = {"stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited"}
    yield "a service's task that ended", with_detail(service, ended), []
    yield "a standalone task that ended", with_detail(standalone, ended), []
    scaled_in = {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": "Scaling activity initiated by deployment"}
    yield "a service's task that is scaled in", with_detail(service, scaled_in), []
    yield "a service's task on EC2", with_detail(service, {"launchType": "EC2"}), []
    # ECS allows a standalone task any group, but none that begins as a service's.
    yield "a task of a group of your own", with_detail(standalone, {"group": "my-service:front"}), [TASK_RULE]

    yield "a task that an evacuation stopped", evacuated, [TASK_RULE]
    yield "a task that it is stopping", with_detail(evacuated, {"lastStatus": "RUNNING"}), [TASK_RULE]
    yield "a service's task that it stopped", with_detail(evacuated, {"group": "service:import"}), []
    for reason, expected in [
        ("Host EC2 (instance i-1234567890abcdef0) terminated.", [TASK_RULE]),
        ("Host EC2 (instance i-1234567890abcdef0) stopped.", [TASK_RULE]),
        ("Task stopped by user", []),
        (f"see: {EVACUATED}", []),
        (SPOT_REASON.lower(), []),
        (None, []),
    ]:
        fields = {"stoppedReason": reason, "stopCode": None}
        yield f"a task on EC2, {reason}", with_detail(evacuated, fields), expected

    yield "an instance in a lifecycle hook", hook, [HOOK_RULE]
    for kind in "EC2 Instance-launch Lifecycle Action", "EC2 Instance Terminate Successful":
        yield kind, hook | {"detail-type": kind}, []
    yield "an event of another source", hook | {"source": "my.autoscaling"}, []
    yield "a task of another source", service | {"source": "my.ecs"}, []
    yield "another kind of event of ECS", service | {"detail-type": "ECS Container Instance State Change"}, []
    yield "a notice", sample("terminate"), ["SpotInterruptionRule"]


def sample(name):
    return json.loads(samples()[f"{name}.json"])


def with_detail(event, fields):
    """The event with other fields in its detail. `None` takes a field away."""
    detail = event["detail"] | fields
    return event | {"detail": {key: value for key, value in detail.items() if value is not None}}


def matching(rules, event):
    events, text = boto3.client("events"), json.dumps(event)
    found = (name for name, rule in rules.items() if judge(events, rule, text))
    return sorted(found)


def judge(events, pattern, event):
    return events.test_event_pattern(EventPattern=json.dumps(pattern), Event=event)["Result"]


if __name__ == "__main__":
    main()
