"""Checks the event bus to which a hub's members forward their events."""

import json

import boto3

from deployment import outputs
from queues import settled
from rules import INTERRUPTION, LIFECYCLE_ACTION, RECOMMENDATION, RESERVATION, STATE_CHANGE, TASK_STATE_CHANGE


def check_bus(checks, name, parameters):
    deployed, events = outputs(name), boto3.client("events")
    bus = events.describe_event_bus(Name=name)
    checks.same("bus", deployed["EventBusArn"], bus["Arn"])
    [statement] = json.loads(bus["Policy"])["Statement"]
    sources, types = ["aws.ec2"], [INTERRUPTION, RESERVATION, RECOMMENDATION, STATE_CHANGE]
    if parameters["FargateSpot"] == "handle" or parameters["RunAgain"] != "never":
        sources, types = [*sources, "aws.ecs"], [*types, TASK_STATE_CHANGE]
    if parameters["LifecycleHooks"]:
        sources, types = [*sources, "aws.autoscaling"], [*types, LIFECYCLE_ACTION]
    checks.same(
        "policy of the bus",
        {
            "Sid": "ForwardedEvents",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "events:PutEvents",
            "Resource": bus["Arn"],
            "Condition": {
                "StringEquals": {
                    "aws:PrincipalOrgID": parameters["OrganizationId"],
                    "events:detail-type": sorted(types),
                },
                "ForAllValues:StringEquals": {"events:source": sources},
                "Null": {"events:source": "false"},
            },
        },
        sort_types(statement),
    )


def sort_types(statement):
    conditions = statement["Condition"]["StringEquals"]
    conditions["events:detail-type"] = sorted(conditions["events:detail-type"])
    return statement


def check_arrival(checks, name, notice):
    """Checks that a notice reaches the queue from the hub's bus and from the default bus."""
    deployed, awslambda = outputs(name), boto3.client("lambda")
    [mapping] = awslambda.list_event_source_mappings(FunctionName=deployed["FunctionName"])["EventSourceMappings"]
    awslambda.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    # Only AWS itself can send events of this source. The emulator accepts them from anyone.
    entry = {"Source": notice["source"], "DetailType": notice["detail-type"], "Detail": json.dumps(notice["detail"])}
    for expected, bus in enumerate([name, "default"], start=1):
        boto3.client("events").put_events(Entries=[entry | {"EventBusName": bus}])
        sqs = boto3.client("sqs")
        waiting = settled(sqs, deployed["QueueUrl"], [expected, 0])
        checks.same(f"messages waiting after an event on {bus}", [expected, 0], waiting)
