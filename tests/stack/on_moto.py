"""Sends a Spot interruption notice to the built function, which calls moto, an independent AWS emulator.

    sam build && python tests/stack/on_moto.py .aws-sam/build/Function/bootstrap

moto ignores the `filter` of ListContainerInstances: each list has every container instance of the cluster. So only the
function's own comparison of `ec2InstanceId` protects the wrong ones.
"""

import json
import os
import sys
from contextlib import ExitStack
from datetime import datetime, timezone

import boto3

from function import function
from local import (
    ACCOUNT,
    REGION,
    TOOLS,
    Checks,
    end_with_the_script,
    environment,
    free_port,
    listens,
    running,
    scratch,
    until,
)


def main():
    end_with_the_script()
    checks = Checks()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        endpoint = start_emulator(stack, folder)
        os.environ.clear()
        os.environ.update(environment(endpoint))

        ecs = boto3.client("ecs")
        neighbor, interrupted, elsewhere = boto3.resource("ec2").create_instances(
            ImageId="ami-12c6146b", InstanceType="m5.large", MinCount=3, MaxCount=3
        )
        ecs.create_cluster(clusterName="web")
        ecs.create_cluster(clusterName="other")
        kept = [register(ecs, "web", neighbor), register(ecs, "other", elsewhere)]
        gone = register(ecs, "web", interrupted)

        invoke = stack.enter_context(function(folder, sys.argv[1:]))
        answer, _ = invoke(notice(interrupted.id))
        checks.heading("a notice for one of several container instances")
        checks.same("outcome", "deregistered", answer.get("outcome"))
        checks.same("instance", interrupted.id, answer.get("instanceId"))
        acted_on = [found["containerInstanceArn"] for found in answer.get("containerInstances", [])]
        checks.same("container instances acted on", [gone], acted_on)
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
    """Registers a container instance as the ECS agent does, with the instance identity document."""
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


if __name__ == "__main__":
    main()
