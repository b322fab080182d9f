"""Sends Spot interruption notices to the built function, whose EKS nodes are in a real kube-apiserver.

    tests/kubernetes/build.sh folder && sam build
    python tests/kubernetes/judge.py folder .aws-sam/build/Function/bootstrap

No controller and no kubelet runs: budgets change only as told here, and a pod that has to stop stays terminating.
"""

import json
import os
import sys
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

from cloud import CLUSTER, ROLE, SESSION, UNKNOWN, Cloud, serve
from function import function
from local import ACCOUNT, REGION, Checks, end_with_the_script, environment, scratch
from objects import BINDINGS, NAMESPACE, PODS, access, create_budget, create_node, create_pods, set_room
from server import MEMBER, Client, kubernetes

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
MARK = "spot-interruption-handler/drained"
OTHER_UID = "00000000-0000-0000-0000-000000000000"


def main():
    end_with_the_script()
    binaries, command = Path(sys.argv[1]).resolve(), sys.argv[2:]
    checks, cloud = Checks(), Cloud()
    with scratch() as folder, serve(cloud) as address, kubernetes(folder, binaries, address) as (admin, audit):
        cloud.endpoint, cloud.ca = admin.url, admin.ca
        admin.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        for path, document in access():
            admin.create(path, document)
        judge = Judge(checks, cloud, address, admin, audit, folder, command)
        judge.until_allowed(True)
        check_api(judge)
        with judge.started() as invoke:
            check_drain(judge, invoke)
            check_budgets(judge, invoke)
            check_opening(judge, invoke)
            check_moving(judge, invoke)
            check_pages(judge, invoke)
            check_coming_back(judge, invoke)
        check_settings(judge)
        check_refusals(judge)
        check_all(judge)
    checks.done()


class Judge:
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
        """Whether a pod is told to stop, and its grace period ends before its instance does."""
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


def check_api(judge):
    """The function's requests with another pod's uid, which the function itself sends only in a race."""
    checks, member = judge.checks, judge.member
    checks.heading("a uid of another pod")
    _, node = judge.node(1)
    create_pods(judge.admin, node, {"name": "successor"})
    options = {"gracePeriodSeconds": 9, "preconditions": {"uid": OTHER_UID}}
    eviction = {"metadata": {"name": "successor", "namespace": NAMESPACE}, "deleteOptions": options}
    checks.same("eviction", 409, member.send("POST", f"{PODS}/successor/eviction", eviction).status)
    options |= {"kind": "DeleteOptions", "apiVersion": "v1"}
    checks.same("deletion", 409, member.send("DELETE", f"{PODS}/successor", options).status)
    checks.same("grace of the pod", None, judge.grace("successor"))


def check_drain(judge, invoke):
    checks = judge.checks
    checks.heading("a node without budgets")
    instance, node = judge.node(2, labels={"team": "shop", EXCLUDED: "false"}, annotations={"team/owner": "shop"})
    create_pods(
        judge.admin,
        node,
        {"name": "web", "grace": 20},
        {"name": "slow", "grace": 300},
        {"name": "starting", "phase": "Pending"},
        {"name": "agent", "owner": "DaemonSet"},
        {"name": "static", "mirror": True},
        {"name": "finished", "phase": "Succeeded"},
        {"name": "stopping", "grace": 50},
    )
    judge.admin.done("DELETE", f"{PODS}/stopping")
    sent = ago(1)
    answer, _ = invoke(event(instance, sent))
    checks.same("node", (CLUSTER, node, "drained", {"podsEvicted": 3}), result(answer))
    checks.same("on the node", (True, "true", f"{sent:%Y-%m-%dT%H:%M:%SZ}"), judge.read(node))
    metadata = judge.admin.get(f"/api/v1/nodes/{node}")["metadata"]
    kept = metadata["labels"]["team"], metadata["annotations"]["team/owner"]
    checks.same("kept on the node", ("shop", "shop"), kept)
    names = "web", "starting", "agent", "static", "finished", "stopping"
    checks.same("grace of pods", (20, 30, None, None, None, 50), tuple(map(judge.grace, names)))
    checks.same("grace that does not fit", True, judge.grace("slow") in range(90, 120))
    checks.same("ends before the instance", True, judge.fits("slow", sent))
    checks.same("requests", ["evict 201"], judge.requests("web"))
    untouched = {name: judge.requests(name) for name in ("agent", "static", "finished", "stopping")}
    checks.same("pods without requests", {name: [] for name in untouched}, untouched)
    answer, _ = invoke(event(instance, sent))
    checks.same("the same notice again", (CLUSTER, node, "drained", {}), result(answer))


def check_budgets(judge, invoke):
    checks = judge.checks
    checks.heading("budgets without room until the deadline")
    instance, node = judge.node(3)
    create_pods(
        judge.admin, node, {"name": "closed", "grace": 20, "app": "closed"}, {"name": "two", "grace": 20, "app": "two"}
    )
    create_budget(judge.admin, "closed", app="closed")
    create_budget(judge.admin, "two", app="two")
    create_budget(judge.admin, "another", app="two")
    # Time for a first eviction, 10 s before the grace no longer fits in.
    sent = ago(85)
    answer, _ = invoke(event(instance, sent))
    checks.same("node", (CLUSTER, node, "drained", {"podsDeleted": 2}), result(answer))
    checks.same("requests: no room", ["evict 429", "delete 200"], judge.requests("closed"))
    checks.same("requests: two budgets", ["evict 500", "delete 200"], judge.requests("two"))
    for pod in "closed", "two":
        checks.same(f"grace: {pod}", True, judge.grace(pod) in range(10, 21))
        checks.same(f"ends before the instance: {pod}", True, judge.fits(pod, sent))


def check_opening(judge, invoke):
    checks = judge.checks
    checks.heading("a budget that gets room")
    instance, node = judge.node(4)
    create_pods(judge.admin, node, {"name": "patient", "app": "patient"})
    create_budget(judge.admin, "patient", app="patient")
    timer = threading.Timer(4, set_room, (judge.admin, "patient", 1))
    timer.start()
    answer, _ = invoke(event(instance, ago(0)))
    timer.join()
    checks.same("node", (CLUSTER, node, "drained", {"podsEvicted": 1}), result(answer))
    checks.same("requests", ["evict 429", "evict 201"], judge.requests("patient"))
    checks.same("grace", 30, judge.grace("patient"))


def check_moving(judge, invoke):
    """As with a StatefulSet, the successor of a pod has its name."""
    checks, admin = judge.checks, judge.admin
    checks.heading("a pod that moves to another node, and then its budget gets room")
    (instance, node), (_, other) = judge.node(7), judge.node(8)
    pod = {"name": "moving", "app": "moving"}
    create_pods(admin, node, pod)
    create_budget(admin, "moving", app="moving")

    def move():
        admin.done("DELETE", f"{PODS}/moving", {"gracePeriodSeconds": 0})
        create_pods(admin, other, pod)
        set_room(admin, "moving", 1)

    timer = threading.Timer(3, move)
    timer.start()
    answer, _ = invoke(event(instance, ago(0)))
    timer.join()
    checks.same("node", (CLUSTER, node, "drained"), result(answer)[:3])
    checks.same("grace on the other node", None, judge.grace("moving"))


def check_pages(judge, invoke):
    checks = judge.checks
    checks.heading("more pods than a page has")
    instance, node = judge.node(5)
    agents = ({"name": f"agent-{number}", "owner": "DaemonSet"} for number in range(500))
    create_pods(judge.admin, node, *agents, {"name": "on-the-second-page"})
    answer, _ = invoke(event(instance, ago(0)))
    checks.same("node", (CLUSTER, node, "drained", {"podsEvicted": 1}), result(answer))
    checks.same("grace", 30, judge.grace("on-the-second-page"))


def check_coming_back(judge, invoke):
    checks = judge.checks
    checks.heading("an instance that is stopped and comes back")
    instance, node = judge.node(6, labels={"team": "shop"})
    sent = ago(0)
    invoke(event(instance, sent, **{"instance-action": "stop"}))
    checks.same("stopped", (True, "true", f"{sent:%Y-%m-%dT%H:%M:%SZ}"), judge.read(node))
    answer, _ = invoke(event(instance, ago(0), "EC2 Instance State-change Notification", state="running"))
    checks.same("node", (CLUSTER, node, "reactivated", {}), result(answer))
    checks.same("on the node", (False, None, None), judge.read(node))
    checks.same("kept on the node", {"team": "shop"}, judge.admin.get(f"/api/v1/nodes/{node}")["metadata"]["labels"])


def check_settings(judge):
    """Each with a node of another kind of name, and with one pod of each kind."""
    checks = judge.checks
    cases = {
        "EKS_STRATEGY=cordon": ({"EKS_STRATEGY": "cordon"}, "cordoned", {}, True),
        "POD_DISRUPTION_BUDGETS=respect": (
            {"POD_DISRUPTION_BUDGETS": "respect"},
            "cordoned",
            {"podsEvicted": 1, "podsLeft": 1},
            True,
        ),
        "DRY_RUN": ({"DRY_RUN": "true"}, "dry-run", {"podsToEvict": 1, "podsBlocked": 1}, False),
    }
    names = f"i-{10:017x}", "a-name-of-its-own", None
    for number, ((what, (settings, outcome, counts, cordoned)), name) in enumerate(
        zip(cases.items(), names, strict=True)
    ):
        checks.heading(what)
        instance, node = judge.node(10 + number, name)
        free, held = f"free-{number}", f"held-{number}"
        create_pods(judge.admin, node, {"name": free}, {"name": held, "app": held})
        create_budget(judge.admin, held, app=held)
        sent = ago(105)
        with judge.started(**settings) as invoke:
            answer, _ = invoke(event(instance, sent))
        checks.same("node", (CLUSTER, node, outcome, counts), result(answer))
        mark = (True, "true", f"{sent:%Y-%m-%dT%H:%M:%SZ}") if cordoned else (False, None, None)
        checks.same("on the node", mark, judge.read(node))
        checks.same("pod is terminating: free", "podsEvicted" in counts, judge.grace(free) is not None)
        checks.same("grace: held", None, judge.grace(held))


def check_refusals(judge):
    checks = judge.checks
    checks.heading("a role without an access entry")
    instance, node = judge.node(20)
    with judge.started(AWS_ACCESS_KEY_ID=UNKNOWN) as invoke:
        answer, _ = invoke(event(instance, ago(0)))
    message = answer.get("errorMessage", "")
    checks.same("fails", True, "errorType" in answer)
    checks.same("error names the role", True, ROLE in message or SESSION in message)

    checks.heading("a group without a binding of pods' deletion")
    create_pods(judge.admin, node, {"name": "undeletable", "app": "undeletable"})
    create_budget(judge.admin, "undeletable", app="undeletable")
    judge.admin.done("DELETE", f"{BINDINGS}/spot-interruption-handler-deadline")
    with judge.started() as invoke:
        answer, _ = invoke(event(instance, ago(100)))
    checks.same("fails", True, "errorType" in answer)
    checks.same("error names the verb", True, "delete" in answer.get("errorMessage", ""))
    checks.same("on the node: unschedulable", True, judge.read(node)[0])
    checks.same("grace", None, judge.grace("undeletable"))

    checks.heading("a group without a binding")
    instance, node = judge.node(21)
    judge.admin.done("DELETE", f"{BINDINGS}/spot-interruption-handler")
    judge.until_allowed(False)
    with judge.started() as invoke:
        answer, _ = invoke(event(instance, ago(0)))
    checks.same("fails", True, "errorType" in answer)
    checks.same("error names the verb", True, "get" in answer.get("errorMessage", ""))
    checks.same("on the node", (False, None, None), judge.read(node))


def check_all(judge):
    checks = judge.checks
    checks.heading("all requests")
    checks.same("refused tokens", ["access entry: False"], sorted(set(judge.cloud.refused)))
    # Kubernetes 1.20 audits no bodies of evictions, and none of forbidden requests.
    allowed = [event for event in judge.audited() if event["responseStatus"]["code"] != 403]
    options = [event.get("requestObject", {}) for event in allowed if event["verb"] == "delete"]
    checks.same("deletions", 2, len(options))
    checks.same("deletions without a uid", 0, sum(not of.get("preconditions", {}).get("uid") for of in options))
    checks.same("deletions without a grace period", 0, sum(of.get("gracePeriodSeconds", 0) < 1 for of in options))


if __name__ == "__main__":
    main()
