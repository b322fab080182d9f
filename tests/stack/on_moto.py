"""Sends a Spot interruption notice to the built function against moto, an AWS emulator by other people.

    sam build && python tests/stack/on_moto.py .aws-sam/build/Function/bootstrap

moto ignores the `filter` of ListContainerInstances: each list names every container instance of the cluster, so that
only the function's own look at `ec2InstanceId` keeps it from the wrong ones.
"""

import json
import os
import queue
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

from local import ACCOUNT, REGION, TOOLS, Checks
from local import end_with_the_script, environment, free_port, listens, running, scratch, until


def main():
    end_with_the_script()
    checks = Checks()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        endpoint = start_emulator(stack, folder)
        os.environ.clear()
        os.environ.update(environment(endpoint))

        ecs = boto3.client("ecs")
        neighbour, interrupted, elsewhere = boto3.resource("ec2").create_instances(
            ImageId="ami-12c6146b", InstanceType="m5.large", MinCount=3, MaxCount=3
        )
        ecs.create_cluster(clusterName="web")
        ecs.create_cluster(clusterName="other")
        kept = [register(ecs, "web", neighbour), register(ecs, "other", elsewhere)]
        gone = register(ecs, "web", interrupted)

        answer = invoke(stack, folder, sys.argv[1:], notice(interrupted.id))
        checks.heading("a notice for one of two container instances of a cluster")
        checks.same("outcome", "deregistered", answer.get("outcome"))
        checks.same("instance", interrupted.id, answer.get("instanceId"))
        acted_on = [found["containerInstanceArn"] for found in answer.get("containerInstances", [])]
        checks.same("acted on", [gone], acted_on)
        left = [ecs.list_container_instances(cluster=name)["containerInstanceArns"] for name in ("web", "other")]
        checks.same("still registered", [[arn] for arn in kept], left)
    checks.done()


def start_emulator(stack, folder):
    port = free_port()
    command = [TOOLS / "moto_server", "--host", "127.0.0.1", "--port", str(port)]
    process = stack.enter_context(running(command, folder / "moto.log"))
    until("moto", process, lambda: listens(port))
    return f"http://127.0.0.1:{port}"


def register(ecs, cluster, instance):
    """Registers as the ECS agent does, which shows the instance's identity document."""
    identity = json.dumps({"instanceId": instance.id, "accountId": ACCOUNT, "region": REGION})
    answer = ecs.register_container_instance(cluster=cluster, instanceIdentityDocument=identity)
    return answer["containerInstance"]["containerInstanceArn"]


def notice(instance):
    return {
        "version": "0",
        "id": "12345678-1234-1234-1234-123456789012",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": ACCOUNT,
        "time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:ec2:{REGION}a:instance/{instance}"],
        "detail": {"instance-id": instance, "instance-action": "terminate"},
    }


def invoke(stack, folder, command, event):
    """Starts the function as Lambda does, hands it one event and gives back its answer."""
    with runtime_api(event) as (address, answers):
        env = os.environ | {
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": "spot-interruption-handler",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        }
        process = stack.enter_context(running(command, folder / "function.log", env))
        return until("the function", process, lambda: None if answers.empty() else answers.get())


@contextmanager
def runtime_api(event):
    """Lambda's Runtime API with a single event."""
    events, answers = queue.Queue(), queue.Queue()
    events.put(event)

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            # Who asks for a second event waits, as with Lambda.
            body = json.dumps(events.get()).encode()
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
            self.send_header("Lambda-Runtime-Deadline-Ms", str(round((time.time() + 60) * 1000)))
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", answers
    finally:
        server.shutdown()


if __name__ == "__main__":
    main()
