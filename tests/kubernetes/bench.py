"""What all cases need: the servers, the function, events, and how to read what came of them."""

import json
import os
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

from cloud import ROLE
from function import function
from local import ACCOUNT, REGION, environment
from objects import PODS, create_node
from server import MEMBER, Client

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
MARK = "spot-interruption-handler/drained"


class Bench:
    """What all cases need: the servers, and how to start the function, notify it, and read what came of it."""

    def __init__(self, checks, cloud, address, admin, audit, folder, command):
        self.checks, self.cloud, self.address, self.admin, self.audit = checks, cloud, address, admin, audit
        self.folder, self.command = folder, command
        self.member = Client(admin.url, admin.ca, MEMBER)

    @contextmanager
    def started(self, **settings):
        """The function with other settings. It is a new process, so nothing is cached."""
        os.environ.clear()
        os.environ.update(environment(f"http://{self.address}") | {"EKS_CLUSTERS": "*"} | settings)
        with function(self.folder, self.command) as invoke:
            yield invoke

    def node(self, number, name=None, **metadata):
        """Creates a node. By default its name is the private DNS name of its instance."""
        instance = f"i-{number:017x}"
        self.cloud.names[instance] = f"ip-10-0-0-{number}.{REGION}.compute.internal"
        name = name or self.cloud.names[instance]
        create_node(self.admin, name, instance, **metadata)
        return instance, name

    def read(self, name):
        """Of a node: unschedulable, the label and the mark."""
        node = self.admin.get(f"/api/v1/nodes/{name}")
        metadata = node["metadata"]
        label, mark = metadata.get("labels", {}).get(EXCLUDED), metadata.get("annotations", {}).get(MARK)
        return node["spec"].get("unschedulable", False), label, mark

    def grace(self, pod):
        """The grace period of a terminating pod, else `None`."""
        return self.admin.get(f"{PODS}/{pod}")["metadata"].get("deletionGracePeriodSeconds")

    def fits(self, pod, sent):
        """Whether a pod is asked to stop, and its grace period ends before its instance does."""
        ends = self.admin.get(f"{PODS}/{pod}")["metadata"].get("deletionTimestamp")
        return ends is not None and datetime.fromisoformat(ends.replace("Z", "+00:00")) <= sent + timedelta(seconds=120)

    def audited(self):
        """The function's requests about single pods, from the audit log."""
        events = map(json.loads, self.audit.read_text().splitlines())
        pods = (event for event in events if event.get("objectRef", {}).get("resource") == "pods")
        return [event for event in pods if event["user"]["username"] == ROLE and event["objectRef"].get("name")]

    def requests(self, pod):
        """The distinct requests about a pod, in order: verb and status."""
        about = [event for event in self.audited() if event["objectRef"]["name"] == pod]
        found = [f"{verb(event)} {event['responseStatus']['code']}" for event in about if event["verb"] != "get"]
        return list(dict.fromkeys(found))

    def until_allowed(self, allowed):
        """Waits until the API server has seen a change of the bindings."""
        for _ in range(100):
            if (self.member.send("GET", "/api/v1/nodes").status == 200) == allowed:
                return
            time.sleep(0.1)
        raise RuntimeError("the API server did not see the bindings")


def verb(event):
    return "evict" if event["objectRef"].get("subresource") == "eviction" else event["verb"]


def event(instance, sent, kind="EC2 Spot Instance Interruption Warning", **detail):
    return {
        "version": "0",
        "id": "12345678-1234-1234-1234-123456789012",
        "detail-type": kind,
        "source": "aws.ec2",
        "account": ACCOUNT,
        "time": sent.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:ec2:{REGION}a:instance/{instance}"],
        "detail": {"instance-id": instance, **(detail or {"instance-action": "terminate"})},
    }


def ago(seconds):
    return datetime.now(timezone.utc).replace(microsecond=0) - timedelta(seconds=seconds)


def result(answer):
    """Of an answer's only node, what does not depend on the wording; or the error."""
    if "errorType" in answer:
        return answer["errorType"]
    [node] = answer["nodes"]
    counts = ("podsEvicted", "podsDeleted", "podsLeft", "podsToEvict", "podsBlocked")
    return (
        node["clusterName"],
        node["nodeName"],
        node["outcome"],
        {name: node[name] for name in counts if node.get(name)},
    )
