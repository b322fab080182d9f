"""The event bus that a hub's members send to."""

import json

import boto3

from deployment import outputs
from queues import settled
from rules import KINDS


def check_bus(checks, name, parameters):
    deployed, events = outputs(name), boto3.client("events")
    bus = events.describe_event_bus(Name=name)
    checks.same("bus", deployed["EventBusArn"], bus["Arn"])
    [statement] = json.loads(bus["Policy"])["Statement"]
    checks.same(
        "who may send what to it",
        {
            "Sid": "Notices",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "events:PutEvents",
            "Resource": bus["Arn"],
            "Condition": {
                "StringEquals": {
                    "aws:PrincipalOrgID": parameters["OrganizationId"],
                    "events:detail-type": sorted(KINDS.values()),
                },
                "ForAllValues:StringEquals": {"events:source": "aws.ec2"},
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
    """A notice on the hub's bus gets to the queue, and so does one on the default bus."""
    deployed, awslambda = outputs(name), boto3.client("lambda")
    [mapping] = awslambda.list_event_source_mappings(FunctionName=deployed["FunctionName"])["EventSourceMappings"]
    awslambda.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    # AWS takes no event of this source from anybody else; the emulator does.
    entry = {"Source": notice["source"], "DetailType": notice["detail-type"], "Detail": json.dumps(notice["detail"])}
    for expected, bus in enumerate([name, "default"], start=1):
        boto3.client("events").put_events(Entries=[entry | {"EventBusName": bus}])
        sqs = boto3.client("sqs")
        waiting = settled(sqs, deployed["QueueUrl"], [expected, 0])
        checks.same(f"messages waiting after an event on {bus}", [expected, 0], waiting)
