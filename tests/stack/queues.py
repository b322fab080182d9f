"""Checks the SQS queues of a stack."""

import json
import time

import boto3


def check_queue(checks, name, url, rule_arns, times, aws=boto3):
    queue = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    checks.same(f"{name}: times in s", times, {key: int(queue[key]) for key in times})
    allow, deny = json.loads(queue["Policy"])["Statement"]
    writer = [allow["Principal"], allow["Action"], sorted(allow["Condition"]["ArnEquals"]["aws:SourceArn"])]
    expected = [{"Service": "events.amazonaws.com"}, "sqs:SendMessage", rule_arns]
    checks.same(f"{name}: allowed senders", expected, writer)
    denied = [deny["Effect"], deny["Condition"]["Bool"]["aws:SecureTransport"]]
    checks.same(f"{name}: plain HTTP", ["Deny", "false"], denied)


def settled(sqs, url, expected):
    """The numbers of waiting and in-flight messages, once they are as expected or after 30 s."""
    keys = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    deadline = time.monotonic() + 30
    while True:
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=keys)["Attributes"]
        found = [int(queue[key]) for key in keys]
        if found == expected or time.monotonic() > deadline:
            return found
        time.sleep(0.2)
