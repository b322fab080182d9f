"""The SQS queues of a stack."""

import json
import time

import boto3


def check_queue(checks, name, url, rule_arns, times, aws=boto3):
    queue = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    checks.same(f"{name}'s times in s", times, {key: int(queue[key]) for key in times})
    allow, deny = json.loads(queue["Policy"])["Statement"]
    writer = [allow["Principal"], allow["Action"], sorted(allow["Condition"]["ArnEquals"]["aws:SourceArn"])]
    expected = [{"Service": "events.amazonaws.com"}, "sqs:SendMessage", rule_arns]
    checks.same(f"who may write to the {name}", expected, writer)
    refused = [deny["Effect"], deny["Condition"]["Bool"]["aws:SecureTransport"]]
    checks.same(f"the {name} refuses plain HTTP", ["Deny", "false"], refused)


def settled(sqs, url, expected):
    """How many messages wait and how many are in flight, as soon as it is what is expected, else after 30 s."""
    keys = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    deadline = time.monotonic() + 30
    while True:
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=keys)["Attributes"]
        found = [int(queue[key]) for key in keys]
        if found == expected or time.monotonic() > deadline:
            return found
        time.sleep(0.2)
