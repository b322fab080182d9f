"""Handles dead letters again, as docs/troubleshooting.md describes, once their cause is fixed."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import boto3

from deployment import outputs, point_at, template
from function import served
from local import samples
from queues import settled


def check_redrive(checks, name, standin):
    """Checks a dead letter from Lambda's on-failure destination and one from EventBridge."""
    deployed, awslambda, sqs = outputs(name), boto3.client("lambda"), boto3.client("sqs")
    function, url = deployed["FunctionName"], deployed["DeadLetterQueueUrl"]
    with denying() as denial:
        point_at(name, denial)
        awslambda.invoke(FunctionName=function, InvocationType="Event", Payload=samples()["stop.json"])
        settled(sqs, url, [1, 0])
    error = {"ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"}}
    sqs.send_message(QueueUrl=url, MessageBody=samples()["hibernate.json"], MessageAttributes=error)
    checks.same("dead letters", [2, 0], settled(sqs, url, [2, 0]))
    point_at(name, standin)
    for kind in "failed", "undelivered":
        [letter] = sqs.receive_message(QueueUrl=url, VisibilityTimeout=300)["Messages"]
        body = json.loads(letter["Body"])
        found = body.get("responsePayload", {}).get("errorType")
        checks.same(f"{kind}: error type", "AccessDenied" if kind == "failed" else None, found)
        event = json.dumps(body.get("requestPayload", body))
        answer = json.loads(awslambda.invoke(FunctionName=function, Payload=event)["Payload"].read())
        checks.same(f"{kind}: outcome of the second attempt", "draining", answer.get("outcome"))
        sqs.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])
    checks.same("remaining dead letters", [0, 0], settled(sqs, url, [0, 0]))


def check_move(checks, name, standin):
    """Checks two messages that reached their maximum receive count, one of which is malformed."""
    deployed, sqs = outputs(name), boto3.client("sqs")
    queue, letters = deployed["QueueUrl"], deployed["DeadLetterQueueUrl"]
    policy = template(name)["Resources"]["NoticeQueue"]["Properties"]["RedrivePolicy"]
    policy |= {"deadLetterTargetArn": deployed["DeadLetterQueueArn"]}
    # The emulator drops the redrive policy. The test waits for one second instead of 60.
    attributes = {"RedrivePolicy": json.dumps(policy), "VisibilityTimeout": "1"}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=attributes)
    sqs.purge_queue(QueueUrl=queue)
    with denying() as denial:
        point_at(name, denial)
        for event in "stop.json", "malformed-action.json":
            sqs.send_message(QueueUrl=queue, MessageBody=samples()[event])
        checks.same("dead letters", [2, 0], settled(sqs, letters, [2, 0]))
    point_at(name, standin)
    seen = sqs.receive_message(QueueUrl=letters, MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
    of_lambda = [letter for letter in seen if "requestPayload" in json.loads(letter["Body"])]
    checks.same("dead letters, those of the on-failure destination", [2, []], [len(seen), of_lambda])
    sqs.start_message_move_task(SourceArn=deployed["DeadLetterQueueArn"], DestinationArn=deployed["QueueArn"])
    checks.same("dead letters after the move", [1, 0], settled(sqs, letters, [1, 0]))
    checks.same("messages in the queue", [0, 0], settled(sqs, queue, [0, 0]))
    [letter] = sqs.receive_message(QueueUrl=letters, VisibilityTimeout=300)["Messages"]
    checks.same("the malformed event is back", True, letter["Body"] == samples()["malformed-action.json"])
    sqs.delete_message(QueueUrl=letters, ReceiptHandle=letter["ReceiptHandle"])


@contextmanager
def denying():
    """An endpoint that denies every AWS API call."""

    class Denial(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"__type": "AccessDeniedException", "message": "User is not authorized to perform this"}'
            self.send_response(400)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with served(Denial) as address:
        yield f"http://{address}"
