"""Sends Spot interruption notices to the built function, whose EKS nodes are in a real kube-apiserver.

    tests/kubernetes/build.sh folder && sam build
    python tests/kubernetes/judge.py folder .aws-sam/build/Function/bootstrap

No controller and no kubelet runs: budgets change only as set here, and a pod that has to stop stays terminating.
"""

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

from bench import Bench, ago, event, result
from cloud import CLUSTER, ROLE, SESSION, UNKNOWN, Cloud, serve
from local import Checks, end_with_the_script, scratch
from objects import BINDINGS, NAMESPACE, PODS, access, create_budget, create_pods, set_room
from server import GROUP, kubernetes

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
        bench = Bench(checks, cloud, address, admin, audit, folder, command)
        bench.until_allowed(True)
        check_api(bench)
        with bench.started() as invoke:
            check_drain(bench, invoke)
            check_budgets(bench, invoke)
            check_opening(bench, invoke)
            check_moving(bench, invoke)
            check_pages(bench, invoke)
            check_coming_back(bench, invoke)
        check_settings(bench)
        check_refusals(bench)
        check_all(bench)
    checks.done()


def check_api(bench):
    """The function's requests with another object's uid, which the function itself sends only in a race."""
    checks, member = bench.checks, bench.member
    checks.heading("a uid of another object")
    _, node = bench.node(1)
    create_pods(bench.admin, node, {"name": "successor"})
    options = {"gracePeriodSeconds": 9, "preconditions": {"uid": OTHER_UID}}
    eviction = {"metadata": {"name": "successor", "namespace": NAMESPACE}, "deleteOptions": options}
    checks.same("eviction", 409, member.send("POST", f"{PODS}/successor/eviction", eviction).status)
    options |= {"kind": "DeleteOptions", "apiVersion": "v1"}
    checks.same("deletion", 409, member.send("DELETE", f"{PODS}/successor", options).status)
    checks.same("grace of the pod", None, bench.grace("successor"))
    patch = {"metadata": {"uid": OTHER_UID}, "spec": {"unschedulable": True}}
    answer = member.send("PATCH", f"/api/v1/nodes/{node}", patch, "application/merge-patch+json")
    checks.same("patch", 422, answer.status)
    checks.same("on the node", (False, None, None), bench.read(node))


def check_drain(bench, invoke):
    checks = bench.checks
    checks.heading("a node without budgets")
    instance, node = bench.node(2, labels={"team": "shop"}, annotations={"team/owner": "shop"})
    create_pods(
        bench.admin,
        node,
        {"name": "web", "grace": 20},
        {"name": "slow", "grace": 300},
        {"name": "starting", "phase": "Pending"},
        {"name": "agent", "owner": "DaemonSet"},
        {"name": "static", "mirror": True},
        {"name": "finished", "phase": "Succeeded"},
        {"name": "stopping", "grace": 50},
    )
    bench.admin.done("DELETE", f"{PODS}/stopping")
    sent = ago(1)
    answer, _ = invoke(event(instance, sent))
    checks.same("node", (CLUSTER, node, "drained", {"podsEvicted": 3}), result(answer))
    checks.same("on the node", (True, "true", f"{sent:%Y-%m-%dT%H:%M:%SZ}"), bench.read(node))
    metadata = bench.admin.get(f"/api/v1/nodes/{node}")["metadata"]
    kept = metadata["labels"]["team"], metadata["annotations"]["team/owner"]
    checks.same("kept on the node", ("shop", "shop"), kept)
    names = "web", "starting", "agent", "static", "finished", "stopping"
    checks.same("grace of pods", (20, 30, None, None, None, 50), tuple(map(bench.grace, names)))
    checks.same("grace that does not fit", True, bench.grace("slow") in range(90, 120))
    checks.same("ends before the instance", True, bench.fits("slow", sent))
    checks.same("requests", ["evict 201"], bench.requests("web"))
    untouched = {name: bench.requests(name) for name in ("agent", "static", "finished", "stopping")}
    checks.same("pods without requests", {name: [] for name in untouched}, untouched)
    answer, _ = invoke(event(instance, sent))
    checks.same("the same notice again", (CLUSTER, node, "drained", {}), result(answer))


def check_budgets(bench, invoke):
    checks = bench.checks
    checks.heading("budgets without room until the deadline")
    instance, node = bench.node(3)
    create_pods(
        bench.admin, node, {"name": "closed", "grace": 20, "app": "closed"}, {"name": "two", "grace": 20, "app": "two"}
    )
    create_budget(bench.admin, "closed", app="closed")
    create_budget(bench.admin, "two", app="two")
    create_budget(bench.admin, "another", app="two")
    # Time for a first eviction, 10 s before the grace no longer fits in.
    sent = ago(85)
    answer, _ = invoke(event(instance, sent))
    checks.same("node", (CLUSTER, node, "drained", {"podsDeleted": 2}), result(answer))
    checks.same("requests: no room", ["evict 429", "delete 200"], bench.requests("closed"))
    checks.same("requests: two budgets", ["evict 500", "delete 200"], bench.requests("two"))
    for pod in "closed", "two":
        checks.same(f"grace: {pod}", True, bench.grace(pod) in range(10, 21))
        checks.same(f"ends before the instance: {pod}", True, bench.fits(pod, sent))


def check_opening(bench, invoke):
    checks = bench.checks
    checks.heading("a budget that gets room")
    instance, node = bench.node(4)
    create_pods(bench.admin, node, {"name": "patient", "app": "patient"})
    create_budget(bench.admin, "patient", app="patient")
    timer = threading.Timer(4, set_room, (bench.admin, "patient", 1))
    timer.start()
    answer, _ = invoke(event(instance, ago(0)))
    timer.join()
    checks.same("node", (CLUSTER, node, "drained", {"podsEvicted": 1}), result(answer))
    checks.same("requests", ["evict 429", "evict 201"], bench.requests("patient"))
    checks.same("grace", 30, bench.grace("patient"))


def check_moving(bench, invoke):
    """As with a StatefulSet, the successor of a pod has its name."""
    checks, admin = bench.checks, bench.admin
    checks.heading("a pod that moves to another node, and then its budget gets room")
    (instance, node), (_, other) = bench.node(7), bench.node(8)
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
    checks.same("grace on the other node", None, bench.grace("moving"))


def check_pages(bench, invoke):
    checks = bench.checks
    checks.heading("more pods than a page has")
    instance, node = bench.node(5)
    agents = ({"name": f"agent-{number}", "owner": "DaemonSet"} for number in range(500))
    create_pods(bench.admin, node, *agents, {"name": "on-the-second-page"})
    answer, _ = invoke(event(instance, ago(0)))
    checks.same("node", (CLUSTER, node, "drained", {"podsEvicted": 1}), result(answer))
    checks.same("grace", 30, bench.grace("on-the-second-page"))


def check_coming_back(bench, invoke):
    checks = bench.checks
    checks.heading("an instance that is stopped and comes back")
    instance, node = bench.node(6, labels={"team": "shop"})
    sent = ago(60)
    invoke(event(instance, sent, **{"instance-action": "stop"}))
    checks.same("stopped", (True, "true", f"{sent:%Y-%m-%dT%H:%M:%SZ}"), bench.read(node))
    answer, _ = invoke(event(instance, ago(0), "EC2 Instance State-change Notification", state="running"))
    checks.same("node", (CLUSTER, node, "reactivated", {}), result(answer))
    checks.same("on the node", (False, None, None), bench.read(node))
    checks.same("kept on the node", {"team": "shop"}, bench.admin.get(f"/api/v1/nodes/{node}")["metadata"]["labels"])


def check_settings(bench):
    """Each with a node of another kind of name, and with one pod of each kind."""
    checks = bench.checks
    cases = {
        "EKS_STRATEGY=cordon": ({"EKS_STRATEGY": "cordon"}, "cordoned", {}, True),
        "POD_DISRUPTION_BUDGETS=respect": (
            {"POD_DISRUPTION_BUDGETS": "respect"},
            "cordoned",
            {"podsEvicted": 1, "podsLeft": 1},
            True,
        ),
        "DRY_RUN": ({"DRY_RUN": "true"}, "dry-run", {"podsToEvict": 2, "podsBlocked": 1}, False),
    }
    names = f"i-{10:017x}", "a-name-of-its-own", None
    for number, ((what, (settings, outcome, counts, cordoned)), name) in enumerate(
        zip(cases.items(), names, strict=True)
    ):
        checks.heading(what)
        instance, node = bench.node(10 + number, name)
        free, held = f"free-{number}", f"held-{number}"
        create_pods(bench.admin, node, {"name": free}, {"name": held, "app": held})
        create_budget(bench.admin, held, app=held)
        sent = ago(105)
        with bench.started(**settings) as invoke:
            answer, _ = invoke(event(instance, sent))
        checks.same("node", (CLUSTER, node, outcome, counts), result(answer))
        mark = (True, "true", f"{sent:%Y-%m-%dT%H:%M:%SZ}") if cordoned else (False, None, None)
        checks.same("on the node", mark, bench.read(node))
        checks.same("pod is terminating: free", "podsEvicted" in counts, bench.grace(free) is not None)
        checks.same("grace: held", None, bench.grace(held))


def check_refusals(bench):
    checks = bench.checks
    checks.heading("a role without an access entry")
    instance, node = bench.node(20)
    with bench.started(AWS_ACCESS_KEY_ID=UNKNOWN) as invoke:
        answer, _ = invoke(event(instance, ago(0)))
    message = answer.get("errorMessage", "")
    checks.same("fails", True, "errorType" in answer)
    checks.same("error names the role", True, ROLE in message or SESSION in message)

    checks.heading("a group without a binding of pods' deletion")
    create_pods(bench.admin, node, {"name": "undeletable", "app": "undeletable"})
    create_budget(bench.admin, "undeletable", app="undeletable")
    bench.admin.done("DELETE", f"{BINDINGS}/{GROUP}-until-deadline")
    with bench.started() as invoke:
        answer, _ = invoke(event(instance, ago(100)))
    checks.same("fails", True, "errorType" in answer)
    checks.same("error names the verb", True, "delete" in answer.get("errorMessage", ""))
    checks.same("on the node: unschedulable", True, bench.read(node)[0])
    checks.same("grace", None, bench.grace("undeletable"))

    checks.heading("a group without a binding")
    instance, node = bench.node(21)
    bench.admin.done("DELETE", f"{BINDINGS}/{GROUP}")
    bench.until_allowed(False)
    with bench.started() as invoke:
        answer, _ = invoke(event(instance, ago(0)))
    checks.same("fails", True, "errorType" in answer)
    checks.same("error names the verb", True, "get" in answer.get("errorMessage", ""))
    checks.same("on the node", (False, None, None), bench.read(node))


def check_all(bench):
    checks = bench.checks
    checks.heading("all requests")
    checks.same("refused tokens", ["access entry: False"], sorted(set(bench.cloud.refused)))
    # Kubernetes 1.20 audits no bodies of evictions, and none of forbidden requests.
    allowed = [event for event in bench.audited() if event["responseStatus"]["code"] != 403]
    options = [event.get("requestObject", {}) for event in allowed if event["verb"] == "delete"]
    checks.same("deletions", 2, len(options))
    checks.same("deletions without a uid", 0, sum(not of.get("preconditions", {}).get("uid") for of in options))
    checks.same("deletions without a grace period", 0, sum(of.get("gracePeriodSeconds", 0) < 1 for of in options))


if __name__ == "__main__":
    main()
