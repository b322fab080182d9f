"""Compares template.yaml with member.yaml for every setting that both have, and reads kubernetes/access.yaml.

    python tests/stack/templates.py

Nothing is deployed: intrinsics.py evaluates the templates.
"""

import json
from fnmatch import fnmatchcase
from itertools import product

import yaml

from intrinsics import Template
from local import ACCOUNT, REGION, ROOT, Checks
from settings import ALL_SET, DEFAULTS

ORGANIZATION = {"OrganizationId": "o-exampleorgid", "MemberRoleName": "spot-interruption-handler-member"}
HUB = {
    "HubBusArn": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/spot-interruption-handler",
    "FunctionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/spot-interruption-handler-FunctionRole-1",
}
MEMBER, MEMBER_REGION = "210987654321", "us-east-1"
RUN_AGAIN = {"RunAgain": "tagged", "PassRoles": "/ecs-tasks/"}
HOOKS = {"LifecycleHooks": "drain-*"}
# The parameters that both templates have, with all their values.
SETTINGS = {
    "Strategy": ["deregister", "drain", "evacuate"],
    "ReplaceInstances": ["leave", "detach"],
    "DryRun": ["true", "false"],
    "RebalanceRecommendation": ["ignore", "drain"],
    "ReactivateResumed": ["true", "false"],
    "CleanUpTerminated": ["true", "false"],
    "EksClusters": ["", "web-*"],
    "RehearsalReads": ["few", "all"],
    "FargateSpot": ["ignore", "handle"],
    "RunAgain": ["never", "tagged", "all"],
    "LifecycleHooks": ["", "drain-*"],
}
GROUP = "spot-interruption-handler"
NETWORK = {"SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1", "SecurityGroupIds": "sg-0123456789abcdef0"}


def main():
    checks = Checks()
    checks.heading("parameters that deploy.py sets")
    declared = Template("template.yaml", {}).body["Parameters"]
    checks.same("defaults", {name: str(of["Default"]) for name, of in declared.items()}, DEFAULTS)
    same = [name for name in declared if ALL_SET.get(name, DEFAULTS.get(name)) == DEFAULTS.get(name)]
    checks.same("parameters never set to another value", [], same)
    checks.heading("for every setting of both")
    check_pairs(checks)
    checks.heading("all Regions only with OrganizationId or MemberRoleName")
    check_regions(checks)
    checks.heading("permissions outside EC2, ECS, EKS and Auto Scaling")
    check_policies(checks)
    checks.heading("Auto Scaling only with ReplaceInstances, and user data of instances that EC2 can interrupt")
    check_replacement(checks)
    checks.heading("interrupted tasks and lifecycle hooks: permissions")
    check_permissions(checks)
    checks.heading("interrupted tasks and lifecycle hooks: resources")
    check_resources(checks)
    checks.heading("work that may outlast an invocation")
    check_continuation(checks)
    checks.heading("a VPC only with SubnetIds")
    check_network(checks)
    checks.heading("times of a function that uses the whole notice")
    check_times(checks)
    checks.heading("Kubernetes: kubernetes/access.yaml")
    check_access(checks)
    checks.heading("resources of a member's stack, by account and Region")
    check_members(checks)
    checks.heading("parameters that CloudFormation rejects or accepts")
    check_rejections(checks)
    checks.done()


def check_pairs(checks):
    """Finds the settings for which permissions or rules differ between hub and member."""
    every = [dict(zip(SETTINGS, values, strict=True)) for values in product(*SETTINGS.values())]
    pairs = [(" ".join(values.values()), *pair(values)) for values in every]
    checks.same("settings", 4608, len(pairs))
    differ = {
        "statements of the roles": lambda hub, member: permissions(hub) != permissions(member),
        "rules on the hub's bus and the member's": lambda hub, member: patterns(hub, "Hub") != patterns(member),
        "rules on the hub's bus and the default bus": lambda hub, _: patterns(hub, "Hub") != patterns(hub),
    }
    for name, differs in differ.items():
        checks.same(f"differences: {name}", [], [values for values, hub, member in pairs if differs(hub, member)])


def pair(settings):
    if settings["RunAgain"] != "never":
        settings = settings | {"PassRoles": RUN_AGAIN["PassRoles"]}
    hub = Template("template.yaml", settings | ORGANIZATION)
    member = Template("member.yaml", settings | HUB, MEMBER, MEMBER_REGION)
    return hub.resources(), member.resources()


def permissions(resources):
    """A stack's statements about the services of both roles, as text in which all accounts look the same."""
    text = json.dumps(of_services(statements(resources)), sort_keys=True)
    return text.replace(ACCOUNT, "account").replace(MEMBER, "account")


def policies(resources):
    """The documents of the roles' policies."""
    documents = [r["Properties"]["PolicyDocument"] for r in resources.values() if r["Type"] == "AWS::IAM::Policy"]
    for role in (r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Role"):
        documents += [policy["PolicyDocument"] for policy in role["Policies"]]
    return documents


def statements(resources):
    """All statements of the roles, by Sid."""
    found = [statement for document in policies(resources) for statement in document["Statement"]]
    by_sid = {statement["Sid"]: statement for statement in found}
    if len(by_sid) < len(found):
        raise ValueError("two statements have the same Sid")
    return by_sid


def allowed_by(resources):
    """The resource and the condition of each action that the roles allow."""
    allow = [statement for statement in statements(resources).values() if statement["Effect"] == "Allow"]
    return {action: [of["Resource"], of.get("Condition")] for of in allow for action in actions(of)}


def of_services(all_statements):
    """The statements about services that both roles may use."""

    def service(statement):
        return actions(statement)[0].partition(":")[0]

    of_both = ("ec2", "ecs", "eks", "autoscaling", "elasticloadbalancing", "iam")
    return {sid: statement for sid, statement in all_statements.items() if service(statement) in of_both}


def actions(statement):
    return [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]


def allowed_regions(all_statements, candidates):
    """The candidates in which each action is allowed."""
    effects = {"Allow": [], "Deny": []}
    for statement in all_statements.values():
        effects[statement["Effect"]].append(statement)

    def denied(action, region):
        return any(
            # Fails for a Deny with another condition.
            region != statement["Condition"]["StringNotEquals"]["aws:RequestedRegion"]
            for statement in effects["Deny"]
            if statement["Resource"] == "*" and any(fnmatchcase(action, pattern) for pattern in actions(statement))
        )

    # Roles are of no Region.
    allowed = [action for statement in effects["Allow"] for action in actions(statement) if "iam:" not in action]
    return {action: [region for region in candidates if not denied(action, region)] for action in allowed}


def patterns(resources, prefix=""):
    rules = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::Events::Rule"}
    # Rehearsals have a schedule.
    rules = {name: rule for name, rule in rules.items() if "EventPattern" in rule}
    own = {name: rule for name, rule in rules.items() if name.startswith("Hub") == bool(prefix)}
    return {name.removeprefix(prefix): rule["EventPattern"] for name, rule in own.items()}


def check_regions(checks):
    every = {"Strategy": "evacuate", "ReplaceInstances": "detach", "CleanUpTerminated": "true", "EksClusters": "*"}
    every |= {"FargateSpot": "handle"} | RUN_AGAIN | HOOKS
    expected_keys = ["ec2:InstanceMarketType", "ecs:CreateAction", "ecs:cluster", "iam:PassedToService"]
    accounts = {"Accounts": f"{ACCOUNT},{MEMBER}"}
    for name, parameters, expected in [
        ("no organization", {}, [REGION]),
        ("RehearsalReads", {"FargateSpot": "ignore", "RehearsalReads": "all"}, [REGION]),
        ("OrganizationId", {"OrganizationId": ORGANIZATION["OrganizationId"]}, [REGION, MEMBER_REGION]),
        ("MemberRoleName", {"MemberRoleName": "any"} | accounts, [REGION, MEMBER_REGION]),
        ("Accounts", accounts, [REGION]),
    ]:
        found = of_services(statements(Template("template.yaml", every | parameters).resources()))
        allowed = [statement for statement in found.values() if statement["Effect"] == "Allow"]
        keys = {key for statement in allowed for keys in statement.get("Condition", {}).values() for key in keys}
        checks.same(f"{name}: condition keys", expected_keys, sorted(keys))
        regions = allowed_regions(found, [REGION, MEMBER_REGION])
        checks.same(f"{name}: Regions of each action", dict.fromkeys(regions, expected), regions)


def check_policies(checks):
    accounts = {"Accounts": f"{ACCOUNT},{MEMBER}"}
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    organization, role = ORGANIZATION["OrganizationId"], ORGANIZATION["MemberRoleName"]
    for name, parameters, conditions in [
        ("OrganizationId", ORGANIZATION, {"aws:ResourceOrgID": organization}),
        ("Accounts", {"MemberRoleName": role} | accounts, {"aws:ResourceAccount": [ACCOUNT, MEMBER]}),
        (
            "both",
            ORGANIZATION | accounts,
            {"aws:ResourceAccount": [ACCOUNT, MEMBER]},
        ),
    ]:
        found = statements(Template("template.yaml", parameters).resources())["AssumeMemberRole"]
        checks.same(
            f"MemberRoleName with {name}",
            {
                "Sid": "AssumeMemberRole",
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Resource": f"arn:aws:iam::*:role/{role}",
                "Condition": {"StringEquals": conditions},
            },
            found,
        )
    none = statements(Template("template.yaml", {}).resources())
    checks.same("neither by default", [], sorted({"AssumeMemberRole", "PublishOutcomes"} & none.keys()))
    publish = statements(Template("template.yaml", {"OutcomeBusArn": bus}).resources())["PublishOutcomes"]
    checks.same("OutcomeBusArn", ["events:PutEvents", bus], [publish["Action"], publish["Resource"]])
    # IAM limits the inline policies of a role to 10,240 characters without white space.
    widest = {"Strategy": "evacuate", "Delivery": "queue", "OutcomeBusArn": bus, "Accounts": ",".join([ACCOUNT] * 100)}
    widest |= (
        {"EksClusters": "*", "ReplaceInstances": "detach", "FargateSpot": "handle", "RehearsalReads": "all"}
        | RUN_AGAIN
        | HOOKS
        | NETWORK
    )
    longest = Template("template.yaml", {}).body["Parameters"]["PassRoles"]["MaxLength"]
    widest["PassRoles"] = f"arn:aws:iam::{ACCOUNT}:role/".ljust(longest, "x")
    of_member = {name: value for name, value in widest.items() if name in SETTINGS or name == "PassRoles"}
    # The resources' names and ARNs, which are logical IDs here, take 700 more.
    for name, created in [
        ("function", Template("template.yaml", ORGANIZATION | widest).resources()),
        ("member", Template("member.yaml", HUB | of_member, MEMBER, MEMBER_REGION).resources()),
    ]:
        written = sum(len(json.dumps(document, separators=(",", ":"))) for document in policies(created))
        checks.same(f"all policies of the {name} fit into the 10,240 of a role", True, written < 9_700)


def check_replacement(checks):
    detach = {"ReplaceInstances": "detach"}
    group = f"arn:aws:autoscaling:*:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/*"
    read = {"DescribeAutoScalingGroups": "*", "DescribeAutoScalingInstances": "*"}
    for name, parameters, expected in [
        ("neither by default", {}, {}),
        ("detach", detach, read | {"DetachInstances": group}),
        ("detach, in a dry run", detach | {"DryRun": "true"}, {}),
    ]:
        found = statements(Template("template.yaml", parameters).resources())
        allowed = [statement for statement in found.values() if statement["Effect"] == "Allow"]
        resources = {action: statement["Resource"] for statement in allowed for action in actions(statement)}
        prefix = "autoscaling:"
        of_auto_scaling = {action.removeprefix(prefix): r for action, r in resources.items() if prefix in action}
        checks.same(name, expected, of_auto_scaling)
    condition = found["ReadUserData"]["Condition"]["StringEquals"]["ec2:InstanceMarketType"]
    checks.same("user data", ["spot", "capacity-block", "interruptible-capacity-reservation"], condition)


def check_permissions(checks):
    """Finds out what each parameter adds to the role, with and without `DryRun`."""

    def of_account(service, resource):
        return f"arn:aws:{service}:*:{ACCOUNT}:{resource}"

    in_cluster = {"ArnLike": {"ecs:cluster": of_account("ecs", "cluster/*")}}
    group = of_account("autoscaling", "autoScalingGroup:*:autoScalingGroupName/*")
    to_tasks = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    queue = "ContinuationQueue.Arn"
    consume = {
        f"sqs:{action}": [queue, None]
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility")
    }
    read_tasks = consume | {
        "ecs:ListTasks": ["*", in_cluster],
        "ecs:DescribeTasks": [of_account("ecs", "task/*"), in_cluster],
        "ecs:DescribeTaskDefinition": ["*", None],
        "ec2:DescribeNetworkInterfaces": ["*", None],
    }
    run_tasks = {
        "ecs:RunTask": [of_account("ecs", "task-definition/*"), in_cluster],
        "ecs:TagResource": [of_account("ecs", "task/*"), {"StringEquals": {"ecs:CreateAction": "RunTask"}}],
    }
    read_hooks = {f"autoscaling:Describe{what}": ["*", None] for what in ("AutoScalingInstances", "LifecycleHooks")}
    complete = {
        "autoscaling:CompleteLifecycleAction": [group, None],
        "autoscaling:RecordLifecycleActionHeartbeat": [group, None],
        "ecs:ListTasks": ["*", in_cluster],
        "ecs:DescribeTasks": [of_account("ecs", "task/*"), in_cluster],
    }
    services_and_tasks = [of_account("ecs", what) for what in ("service/*", "task/*")]
    path = f"arn:aws:iam::{ACCOUNT}:role/ecs-tasks/*"
    roles = [f"arn:aws:iam::{ACCOUNT}:role/ecs-*", f"arn:aws:iam::{ACCOUNT}:role/jobs/report"]
    for name, parameters, reads, writes in [
        (
            "FargateSpot",
            {"FargateSpot": "handle"},
            {f"ecs:Describe{what}": [services_and_tasks, in_cluster] for what in ("Services", "Tasks")},
            {
                "elasticloadbalancing:DeregisterTargets": [of_account("elasticloadbalancing", "targetgroup/*"), None],
                "elasticloadbalancing:DescribeTargetGroups": ["*", None],
            },
        ),
        ("RunAgain, a path", RUN_AGAIN, read_tasks, run_tasks | {"iam:PassRole": [path, to_tasks]}),
        (
            "RunAgain, roles",
            RUN_AGAIN | {"RunAgain": "all", "PassRoles": ",".join(roles)},
            read_tasks,
            run_tasks | {"iam:PassRole": [roles, to_tasks]},
        ),
        ("RunAgainOn and PassRoles alone", {"RunAgainOn": "FARGATE", "PassRoles": roles[0]}, {}, {}),
        ("LifecycleHooks", HOOKS, consume | read_hooks, complete),
    ]:
        for dry_run, expected in [("true", reads), ("false", reads | writes)]:
            of = {"DryRun": dry_run}
            before, after = (allowed_by(Template("template.yaml", p).resources()) for p in (of, of | parameters))
            added = {action: limits for action, limits in after.items() if limits != before.get(action)}
            checks.same(f"{name}, DryRun={dry_run}", expected, added)
            checks.same(f"{name}, DryRun={dry_run}: taken away", [], sorted(before.keys() - after.keys()))
    for strategy in SETTINGS["Strategy"]:
        allowed = allowed_by(Template("template.yaml", HOOKS | {"Strategy": strategy}).resources())
        drains = "ecs:UpdateContainerInstancesState" in allowed
        checks.same(f"LifecycleHooks, Strategy={strategy}: may drain", True, drains)


def check_resources(checks):
    """Finds out which resources each parameter adds and which it changes, compared with the defaults."""
    continuation = [f"ContinuationQueue{part}" for part in ("", "ConsumerPolicy", "Mapping", "Policy")]
    with_queue = ["DeadLetterQueuePolicy", "Function"]
    direct, hub = {"Delivery": "direct"}, ORGANIZATION
    for name, base, parameters, added, changed in [
        ("RunAgainOn and PassRoles alone", {}, {"RunAgainOn": "FARGATE", "PassRoles": "/ecs-tasks/"}, [], ["Function"]),
        (
            "FargateSpot",
            {},
            {"FargateSpot": "handle"},
            ["DeregisterTargetsPolicy", "FargateSpotRule", "ReadServicesPolicy"],
            ["DeadLetterQueuePolicy", "Function", "FunctionRole", "NoticeQueuePolicy", "SpotInterruptionsDashboard"],
        ),
        (
            "FargateSpot, Delivery=direct",
            direct,
            {"FargateSpot": "handle"},
            ["DeregisterTargetsPolicy", "FargateSpotPermission", "FargateSpotRule", "ReadServicesPolicy"],
            ["DeadLetterQueuePolicy", "Function", "FunctionRole", "SpotInterruptionsDashboard"],
        ),
        (
            "FargateSpot, a direct hub",
            hub | direct,
            {"FargateSpot": "handle"},
            [
                "DeregisterTargetsPolicy",
                "FargateSpotPermission",
                "FargateSpotRule",
                "HubFargateSpotPermission",
                "HubFargateSpotRule",
                "ReadServicesPolicy",
            ],
            ["DeadLetterQueuePolicy", "Function", "HubEventBusPolicy", "SpotInterruptionsDashboard"],
        ),
        (
            "RunAgain",
            {},
            RUN_AGAIN,
            [*continuation, "InterruptedTaskRule", "ReadInterruptedTasksPolicy", "RunTasksPolicy"],
            [*with_queue, "SpotInterruptionsDashboard"],
        ),
        (
            "RunAgain, a direct hub",
            hub | direct,
            RUN_AGAIN,
            [
                *continuation,
                "HubInterruptedTaskRule",
                "InterruptedTaskRule",
                "ReadInterruptedTasksPolicy",
                "RunTasksPolicy",
            ],
            ["DeadLetterQueuePolicy", "Function", "HubEventBusPolicy", "SpotInterruptionsDashboard"],
        ),
        (
            "LifecycleHooks",
            {},
            HOOKS,
            ["CompleteLifecycleActionsPolicy", *continuation, "LifecycleActionRule", "ReadLifecycleHooksPolicy"],
            with_queue,
        ),
        (
            "LifecycleHooks, a hub",
            hub,
            HOOKS,
            [
                "CompleteLifecycleActionsPolicy",
                *continuation,
                "HubLifecycleActionRule",
                "LifecycleActionRule",
                "ReadLifecycleHooksPolicy",
            ],
            [*with_queue, "HubEventBusPolicy"],
        ),
    ]:
        before, after = (Template("template.yaml", p).resources() for p in (base, base | parameters))
        checks.same(f"{name}: taken away", [], sorted(before.keys() - after.keys()))
        checks.same(f"{name}: added", sorted(added), sorted(after.keys() - before.keys()))
        found = [resource for resource in before if before[resource] != after[resource]]
        checks.same(f"{name}: changed", sorted(changed), sorted(found))
        checks.same(f"{name}: rules that may send", rule_senders(after), sorted(senders(after)))


def rule_senders(resources):
    """The rules that target each queue, and all of them for dead letters."""
    rules = {
        name: of["Properties"]["Targets"][0] for name, of in resources.items() if of["Type"] == "AWS::Events::Rule"
    }
    pairs = [(target["Arn"].removesuffix(".Arn"), f"{rule}.Arn") for rule, target in rules.items()]
    pairs = [(queue, rule) for queue, rule in pairs if queue != "Function"]
    return sorted([*pairs, *(("DeadLetterQueue", f"{rule}.Arn") for rule in rules)])


def senders(resources):
    """The rules that each queue's policy admits."""
    for name, of in resources.items():
        if of["Type"] == "AWS::SQS::QueuePolicy":
            allow = of["Properties"]["PolicyDocument"]["Statement"][0]
            yield from (
                (name.removesuffix("Policy"), rule) for rule in allow["Condition"]["ArnEquals"]["aws:SourceArn"]
            )


def check_continuation(checks):
    created = {name: of["Properties"] for name, of in Template("template.yaml", HOOKS).resources().items()}
    expected = {
        "SqsManagedSseEnabled": True,
        "VisibilityTimeout": created["Function"]["Timeout"],
        "MessageRetentionPeriod": 3 * 86_400,
        "RedrivePolicy": {"deadLetterTargetArn": "DeadLetterQueue.Arn", "maxReceiveCount": 1000},
    }
    checks.same("queue", expected, created["ContinuationQueue"])
    expected = {
        "EventSourceArn": "ContinuationQueue.Arn",
        "FunctionName": "Function",
        "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 50},
    }
    checks.same("mapping", expected, created["ContinuationQueueMapping"])
    allow, deny = created["ContinuationQueuePolicy"]["PolicyDocument"]["Statement"]
    checks.same("senders", {"Service": "events.amazonaws.com"}, allow["Principal"])
    checks.same("senders' account", {"aws:SourceAccount": ACCOUNT}, allow["Condition"]["StringEquals"])
    checks.same("plain HTTP", ["Deny", {"Bool": {"aws:SecureTransport": "false"}}], [deny["Effect"], deny["Condition"]])
    tasks = {"FargateSpot": "handle"} | RUN_AGAIN | HOOKS
    for name, resources in [
        ("rules", Template("template.yaml", tasks).resources()),
        ("a member's rules", Template("member.yaml", HUB | tasks, MEMBER).resources()),
    ]:
        found = {
            rule: resources[rule]["Properties"]["Targets"][0]["RetryPolicy"]
            for rule in ("FargateSpotRule", "InterruptedTaskRule", "LifecycleActionRule")
        }
        ages = dict(zip(found, (120, 3300, 7200), strict=True))
        expected = {rule: {"MaximumEventAgeInSeconds": age, "MaximumRetryAttempts": 185} for rule, age in ages.items()}
        checks.same(f"{name}: retries", expected, found)


def check_network(checks):
    for name, parameters, expected in [
        ("neither by default", {}, None),
        ("SubnetIds", NETWORK, {key: ids.split(",") for key, ids in NETWORK.items()}),
    ]:
        created = Template("template.yaml", parameters).resources()
        checks.same(name, expected, created["Function"]["Properties"].get("VpcConfig"))
        # Lambda checks the permissions when the function is created. Only the role's own policies exist by then.
        policies = [policy["PolicyName"] for policy in created["FunctionRole"]["Properties"]["Policies"]]
        checks.same(f"{name}: permissions", expected is not None, "ManageNetworkInterfaces" in policies)
    condition = statements(created)["ManageNetworkInterfaces"]["Condition"]
    checks.same("not for the function's own code", {"Null": {"lambda:SourceFunctionArn": "true"}}, condition)


def check_times(checks):
    eks = {"EksClusters": "*"}
    for parameters, expected in [
        ({}, [60, 60, 2]),
        ({"Strategy": "evacuate"}, [120, 120, 50]),
        ({"EksStrategy": "drain"}, [60, 60, 2]),
        (eks, [120, 120, 50]),
        (eks | {"PodDisruptionBudgets": "respect"}, [120, 120, 50]),
        (eks | {"EksStrategy": "cordon"}, [60, 60, 2]),
        (eks | {"EksStrategy": "cordon", "Strategy": "evacuate"}, [120, 120, 50]),
        ({"FargateSpot": "handle"}, [60, 60, 2]),
        (RUN_AGAIN, [60, 60, 2]),
        (HOOKS, [60, 60, 2]),
        (HOOKS | {"Strategy": "evacuate"}, [120, 120, 50]),
    ]:
        created = {name: of["Properties"] for name, of in Template("template.yaml", parameters).resources().items()}
        concurrency = created["NoticeQueueMapping"]["ScalingConfig"]["MaximumConcurrency"]
        found = [created["Function"]["Timeout"], created["NoticeQueue"]["VisibilityTimeout"], concurrency]
        checks.same(" ".join(f"{key}={value}" for key, value in parameters.items()) or "the defaults", expected, found)
    direct = Template("template.yaml", eks | {"EksStrategy": "cordon", "Delivery": "direct"}).resources()
    checks.same("Delivery=direct", 120, direct["Function"]["Properties"]["Timeout"])


def check_access(checks):
    documents = list(yaml.safe_load_all((ROOT / "kubernetes/access.yaml").read_text()))
    rbac = "rbac.authorization.k8s.io"
    checks.same("API versions", [f"{rbac}/v1"] * len(documents), [document["apiVersion"] for document in documents])
    kinds = ("ClusterRole", "ClusterRoleBinding")
    roles, bindings = ({d["metadata"]["name"]: d for d in documents if d["kind"] == kind} for kind in kinds)
    checks.same("objects", len(documents), len(roles) + len(bindings))
    checks.same("roles and bindings", sorted(roles), sorted(bindings))
    # tests/template.rs compares the rules with the calls that the code makes.
    for name, expected in {
        GROUP: {"nodes": ["get", "list", "patch"], "pods": ["list"], "pods/eviction": ["create"]},
        f"{GROUP}-until-deadline": {"pods": ["delete"]},
        f"{GROUP}-rehearsal": {"poddisruptionbudgets": ["list"]},
    }.items():
        rules = roles[name]["rules"]
        checks.same(f"{name}: rules", expected, {rule["resources"][0]: rule["verbs"] for rule in rules})
        checks.same(f"{name}: each of one resource", [1] * len(rules), [len(rule["resources"]) for rule in rules])
        group = "policy" if name == f"{GROUP}-rehearsal" else ""
        checks.same(f"{name}: API groups", [[group]] * len(rules), [rule["apiGroups"] for rule in rules])
        binding = bindings[name]
        checks.same(f"{name}: role", {"apiGroup": rbac, "kind": "ClusterRole", "name": name}, binding["roleRef"])
        checks.same(f"{name}: group", [{"apiGroup": rbac, "kind": "Group", "name": GROUP}], binding["subjects"])


def check_members(checks):
    rules, role = ["ForwardingRole", "SpotInterruptionRule", "InstanceStateChangeRule"], ["MemberRole"]
    queue = ["DeadLetterQueue", "DeadLetterQueuePolicy"]
    tasks = {"FargateSpot": "handle"} | RUN_AGAIN | HOOKS
    of_tasks = ["FargateSpotRule", "InterruptedTaskRule", "LifecycleActionRule"]
    for name, account, region, parameters, expected in [
        ("a member, RoleRegion", MEMBER, "us-east-1", {}, queue + rules + role),
        ("a member, another Region", MEMBER, REGION, {}, queue + rules),
        ("a member, tasks and hooks", MEMBER, REGION, tasks, queue + rules + of_tasks),
        ("the hub's account and Region, tasks and hooks", ACCOUNT, REGION, tasks, ["DeadLetterQueue"]),
        ("a member, no RoleRegion", MEMBER, "us-east-1", {"RoleRegion": ""}, queue + rules),
        ("the hub's account, another Region", ACCOUNT, "us-east-1", {}, queue + rules),
        ("the hub's account and Region", ACCOUNT, REGION, {"RoleRegion": REGION}, ["DeadLetterQueue"]),
    ]:
        created = Template("member.yaml", HUB | parameters, account, region).resources()
        checks.same(name, sorted(expected), sorted(created))


def check_rejections(checks):
    accounts = {"Accounts": f"{ACCOUNT},{MEMBER}"}
    role = f"arn:aws:iam::{ACCOUNT}:role/"
    for name, parameters, parameter in [
        ("the defaults", {}, None),
        ("an organization", {"OrganizationId": "o-exampleorgid"}, None),
        ("an organization and a role", ORGANIZATION, None),
        ("accounts without a role", accounts, None),
        ("accounts and a role without an organization", accounts | {"MemberRoleName": "any"}, None),
        ("an organization, accounts and a role", ORGANIZATION | accounts | {"ExternalId": "any:one"}, None),
        ("a role in any AWS account", {"MemberRoleName": "any"}, "MemberRoleName"),
        ("an external ID without a role", {"ExternalId": "any:one"}, "ExternalId"),
        ("the name of an organization", {"OrganizationId": "example"}, "OrganizationId"),
        ("a role name with a path", ORGANIZATION | {"MemberRoleName": "path/any"}, "MemberRoleName"),
        ("an external ID of one character", ORGANIZATION | {"ExternalId": "1"}, "ExternalId"),
        ("an external ID of 129 characters", ORGANIZATION | {"ExternalId": "x" * 129}, "ExternalId"),
        ("an external ID of 128 characters", ORGANIZATION | {"ExternalId": "x" * 128}, None),
        ("101 accounts", {"Accounts": ",".join([ACCOUNT] * 101)}, "Accounts"),
        ("100 accounts", {"Accounts": ",".join([ACCOUNT] * 100)}, None),
        ("a cluster list of 351 characters", {"Clusters": "name," * 70 + "x"}, "Clusters"),
        ("a cluster list of 350 characters", {"ExcludeClusters": "name," * 69 + "names"}, None),
        ("EKS clusters", {"EksClusters": "web-?, *"}, None),
        ("an EKS cluster's name of 101 characters", {"EksClusters": "x" * 101}, "EksClusters"),
        ("a list of EKS clusters of 351 characters", {"EksClusters": "name," * 70 + "x"}, "EksClusters"),
        ("hooks", {"LifecycleHooks": "drain-*, go?, a/b_c"}, None),
        ("a list of hooks of 150 characters", {"LifecycleHooks": "name," * 29 + "names"}, None),
        ("a list of hooks of 151 characters", {"LifecycleHooks": "name," * 30 + "x"}, "LifecycleHooks"),
        ("hooks of commas alone", {"LifecycleHooks": ","}, "LifecycleHooks"),
        ("tasks to run again, by a path", RUN_AGAIN, None),
        ("tasks to run again, without roles", {"RunAgain": "tagged"}, "RunAgain"),
        ("all tasks to run again, without roles", {"RunAgain": "all"}, "RunAgain"),
        ("one role", {"PassRoles": role + "report"}, None),
        ("roles below a path", {"PassRoles": role + "ecs-tasks/*"}, None),
        ("roles of any account", {"PassRoles": "arn:aws:iam::*:role/*-task," + role + "report"}, None),
        ("all roles", {"PassRoles": role + "*"}, "PassRoles"),
        ("all roles below any path", {"PassRoles": role + "*/?*"}, "PassRoles"),
        ("all roles by a path", {"PassRoles": "/"}, "PassRoles"),
        ("a path without its end", {"PassRoles": "/ecs-tasks"}, "PassRoles"),
        ("a path with a wildcard", {"PassRoles": "/*/"}, "PassRoles"),
        ("two paths", {"PassRoles": "/one/,/two/"}, "PassRoles"),
        ("a path and a role", {"PassRoles": "/one/," + role + "report"}, "PassRoles"),
        ("the name of a role", {"PassRoles": "report"}, "PassRoles"),
        ("a user", {"PassRoles": f"arn:aws:iam::{ACCOUNT}:user/report"}, "PassRoles"),
        ("roles separated by spaces", {"PassRoles": role + "one, " + role + "two"}, "PassRoles"),
        ("roles of 501 characters", {"PassRoles": role.ljust(501, "x")}, "PassRoles"),
        ("another platform", {"RunAgainOn": "EC2"}, "RunAgainOn"),
        ("the ARN of an EKS cluster", {"EksClusters": f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/web"}, "EksClusters"),
        ("EKS clusters of commas alone", {"EksClusters": ","}, "EksClusters"),
        ("subnets and security groups", NETWORK, None),
        ("subnets without security groups", NETWORK | {"SecurityGroupIds": ""}, "SubnetIds"),
        ("security groups without subnets", NETWORK | {"SubnetIds": ""}, "SecurityGroupIds"),
        ("subnets separated by spaces", NETWORK | {"SubnetIds": "subnet-12345678, subnet-12345679"}, "SubnetIds"),
        ("17 subnets", NETWORK | {"SubnetIds": ",".join(["subnet-12345678"] * 17)}, "SubnetIds"),
        ("6 security groups", NETWORK | {"SecurityGroupIds": ",".join(["sg-12345678"] * 6)}, "SecurityGroupIds"),
        ("127 MB", {"MemorySize": "127"}, "MemorySize"),
        ("10,240 MB", {"MemorySize": "10240"}, None),
        ("10,241 MB", {"MemorySize": "10241"}, "MemorySize"),
        ("accounts separated by spaces", {"Accounts": f"{ACCOUNT}, {MEMBER}"}, "Accounts"),
        ("the name of an account", {"Accounts": "production"}, "Accounts"),
        ("the name of a bus", {"OutcomeBusArn": "default"}, "OutcomeBusArn"),
    ]:
        found = Template("template.yaml", parameters).rejections()
        checks.same(name, [parameter] if parameter else [], [text.split()[0] for text in found])
    declared, of_member = (Template(file, {}).body["Parameters"] for file in ("template.yaml", "member.yaml"))
    limits = {"AllowedPattern", "AllowedValues", "MaxLength", "ConstraintDescription", "Default"}
    for name in [*SETTINGS, "PassRoles"]:
        one, two = ({key: of[name].get(key) for key in limits} for of in (declared, of_member))
        checks.same(f"{name}: limits of both templates", one, two)
    found = Template("member.yaml", HUB | {"RunAgain": "tagged"}).rejections()
    checks.same("a member without roles", ["RunAgain"], [text.split()[0] for text in found])


if __name__ == "__main__":
    main()
