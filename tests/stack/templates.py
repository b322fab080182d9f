"""Compares template.yaml with member.yaml for every setting that both have.

    python tests/stack/templates.py

Nothing is deployed: intrinsics.py evaluates the templates.
"""

import json
from fnmatch import fnmatchcase
from itertools import product

from intrinsics import Template
from local import ACCOUNT, REGION, Checks
from settings import ALL_SET, DEFAULTS

ORGANIZATION = {"OrganizationId": "o-exampleorgid", "MemberRoleName": "spot-interruption-handler-member"}
HUB = {
    "HubBusArn": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/spot-interruption-handler",
    "FunctionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/spot-interruption-handler-FunctionRole-1",
}
MEMBER, MEMBER_REGION = "210987654321", "us-east-1"
# The parameters that both templates have, with all their values.
SETTINGS = {
    "Strategy": ["deregister", "drain", "evacuate"],
    "DryRun": ["true", "false"],
    "RebalanceRecommendation": ["ignore", "drain"],
    "ReactivateResumed": ["true", "false"],
    "CleanUpTerminated": ["true", "false"],
}


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
    checks.heading("permissions outside EC2 and ECS")
    check_policies(checks)
    checks.heading("resources of a member's stack, by account and Region")
    check_members(checks)
    checks.heading("parameters that CloudFormation rejects or accepts")
    check_rejections(checks)
    checks.done()


def check_pairs(checks):
    """Finds the settings for which permissions or rules differ between hub and member."""
    every = [dict(zip(SETTINGS, values, strict=True)) for values in product(*SETTINGS.values())]
    pairs = [(" ".join(values.values()), *pair(values)) for values in every]
    checks.same("settings", 48, len(pairs))
    differ = {
        "statements of the roles": lambda hub, member: permissions(hub) != permissions(member),
        "rules on the hub's bus and the member's": lambda hub, member: patterns(hub, "Hub") != patterns(member),
        "rules on the hub's bus and the default bus": lambda hub, _: patterns(hub, "Hub") != patterns(hub),
    }
    for name, differs in differ.items():
        checks.same(f"differences: {name}", [], [values for values, hub, member in pairs if differs(hub, member)])


def pair(settings):
    hub = Template("template.yaml", settings | ORGANIZATION)
    member = Template("member.yaml", settings | HUB, MEMBER, MEMBER_REGION)
    return hub.resources(), member.resources()


def permissions(resources):
    """The EC2 and ECS statements of a stack's roles, as text in which all accounts look the same."""
    text = json.dumps(of_services(statements(resources)), sort_keys=True)
    return text.replace(ACCOUNT, "account").replace(MEMBER, "account")


def statements(resources):
    """All statements of the roles, by Sid."""
    documents = [r["Properties"]["PolicyDocument"] for r in resources.values() if r["Type"] == "AWS::IAM::Policy"]
    for role in (r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Role"):
        documents += [policy["PolicyDocument"] for policy in role["Policies"]]
    return {s["Sid"]: s for document in documents for s in document["Statement"]}


def of_services(all_statements):
    """The statements about EC2 and ECS, which both roles have."""

    def service(statement):
        return actions(statement)[0].partition(":")[0]

    return {sid: statement for sid, statement in all_statements.items() if service(statement) in ("ec2", "ecs")}


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

    allowed = [action for statement in effects["Allow"] for action in actions(statement)]
    return {action: [region for region in candidates if not denied(action, region)] for action in allowed}


def patterns(resources, prefix=""):
    rules = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::Events::Rule"}
    own = {name: rule for name, rule in rules.items() if name.startswith("Hub") == bool(prefix)}
    return {name.removeprefix(prefix): rule["EventPattern"] for name, rule in own.items()}


def check_regions(checks):
    every = {"Strategy": "evacuate", "CleanUpTerminated": "true"}
    accounts = {"Accounts": f"{ACCOUNT},{MEMBER}"}
    for name, parameters, expected in [
        ("no organization", {}, [REGION]),
        ("OrganizationId", {"OrganizationId": ORGANIZATION["OrganizationId"]}, [REGION, MEMBER_REGION]),
        ("MemberRoleName", {"MemberRoleName": "any"} | accounts, [REGION, MEMBER_REGION]),
        ("Accounts", accounts, [REGION]),
    ]:
        found = of_services(statements(Template("template.yaml", every | parameters).resources()))
        allowed = [statement for statement in found.values() if statement["Effect"] == "Allow"]
        keys = {key for statement in allowed for keys in statement.get("Condition", {}).values() for key in keys}
        checks.same(f"{name}: condition keys", ["ec2:InstanceMarketType", "ecs:cluster"], sorted(keys))
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
            {"aws:ResourceOrgID": organization, "aws:ResourceAccount": [ACCOUNT, MEMBER]},
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
    everything = statements(Template("template.yaml", ORGANIZATION | widest).resources())
    written = sum(len(json.dumps(statement, separators=(",", ":"))) for statement in everything.values())
    checks.same("all policies fit into the 10,240 of a role", True, written < 9_500)


def check_members(checks):
    rules, role = ["ForwardingRole", "SpotInterruptionRule", "InstanceStateChangeRule"], ["MemberRole"]
    queue = ["DeadLetterQueue", "DeadLetterQueuePolicy"]
    for name, account, region, parameters, expected in [
        ("a member, RoleRegion", MEMBER, "us-east-1", {}, queue + rules + role),
        ("a member, another Region", MEMBER, REGION, {}, queue + rules),
        ("a member, no RoleRegion", MEMBER, "us-east-1", {"RoleRegion": ""}, queue + rules),
        ("the hub's account, another Region", ACCOUNT, "us-east-1", {}, queue + rules),
        ("the hub's account and Region", ACCOUNT, REGION, {"RoleRegion": REGION}, ["DeadLetterQueue"]),
    ]:
        created = Template("member.yaml", HUB | parameters, account, region).resources()
        checks.same(name, sorted(expected), sorted(created))


def check_rejections(checks):
    accounts = {"Accounts": f"{ACCOUNT},{MEMBER}"}
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
        ("a cluster list of 701 characters", {"Clusters": "name," * 140 + "x"}, "Clusters"),
        ("a cluster list of 700 characters", {"ExcludeClusters": "name," * 139 + "names"}, None),
        ("accounts separated by spaces", {"Accounts": f"{ACCOUNT}, {MEMBER}"}, "Accounts"),
        ("the name of an account", {"Accounts": "production"}, "Accounts"),
        ("the name of a bus", {"OutcomeBusArn": "default"}, "OutcomeBusArn"),
    ]:
        found = Template("template.yaml", parameters).rejections()
        checks.same(name, [parameter] if parameter else [], [text.split()[0] for text in found])


if __name__ == "__main__":
    main()
