"""The objects of a cluster: nodes, pods and PodDisruptionBudgets, made by the administrator, who plays the controllers."""

from concurrent.futures import ThreadPoolExecutor

import yaml

from local import REGION, ROOT

NAMESPACE = "shop"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
# Kubernetes 1.20 has no policy/v1.
BUDGETS = f"/apis/policy/v1beta1/namespaces/{NAMESPACE}/poddisruptionbudgets"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


def access():
    """The documents of kubernetes/access.yaml, by their path in the API."""
    for document in yaml.safe_load_all((ROOT / "kubernetes/access.yaml").read_text()):
        yield f"/apis/{document['apiVersion']}/{document['kind'].lower()}s", document


def create_node(admin, name, instance, **metadata):
    provider = f"aws:///{REGION}a/{instance}"
    admin.create("/api/v1/nodes", {"metadata": {"name": name, **metadata}, "spec": {"providerID": provider}})


def create_pods(admin, node, *pods):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pod: create_pod(admin, node, **pod), pods))


def create_pod(admin, node, name, phase="Running", grace=30, owner=None, mirror=False, **labels):
    metadata = {"name": name, "labels": labels}
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": owner, "name": "owner", "uid": "1", "controller": True}
        ]
    if mirror:
        metadata["annotations"] = {"kubernetes.io/config.mirror": "1"}
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": grace,
        "containers": [{"name": "main", "image": "made-up"}],
    }
    admin.create(PODS, {"metadata": metadata, "spec": spec})
    if phase != "Pending":
        ready = {"type": "Ready", "status": "True" if phase == "Running" else "False"}
        admin.merge(f"{PODS}/{name}/status", {"status": {"phase": phase, "conditions": [ready]}})


def create_budget(admin, name, **labels):
    """A budget that has no room until `open_budget`."""
    spec = {"minAvailable": 1, "selector": {"matchLabels": labels}}
    admin.create(BUDGETS, {"metadata": {"name": name}, "spec": spec})
    set_room(admin, name, 0)


def set_room(admin, name, room):
    generation = admin.get(f"{BUDGETS}/{name}")["metadata"]["generation"]
    counts = {"disruptionsAllowed": room, "currentHealthy": 1 + room, "desiredHealthy": 1, "expectedPods": 1 + room}
    admin.merge(f"{BUDGETS}/{name}/status", {"status": {"observedGeneration": generation, **counts}})
