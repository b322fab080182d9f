"""Reads the templates of the hub and of its members together, without deploying them, for every setting of both.

    python tests/stack/templates.py
"""

import json
from itertools import product

from intrinsics import Template
from local import ACCOUNT, REGION, Checks
from settings import ALL_SET, DEFAULTS

ORGANIZATION = {"OrganizationId": "o-exampleorgid", "MemberRoleName": "spot-interruption-handler-member"}
HUB = {
    "HubBusArn": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/spot-interruption-handler",
    "FunctionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/spot-interruption-handler-Role-1",
}
MEMBER, MEMBER_REGION = "210987654321", "us-east-1"
# Those that both templates have.
SETTINGS = {
    "Strategy": ["deregister", "drain", "evacuate"],
    "DryRun": ["true", "false"],
    "RebalanceRecommendation": ["ignore", "drain"],
    "ReactivateResumed": ["true", "false"],
    "CleanUpTerminated": ["true", "false"],
}


def main():
    checks = Checks()
    checks.heading("parameters that are deployed")
    declared = Template("template.yaml", {}).body["Parameters"]
    checks.same("at their defaults", {name: str(of["Default"]) for name, of in declared.items()}, DEFAULTS)
    same = [name for name in declared if ALL_SET.get(name, DEFAULTS.get(name)) == DEFAULTS.get(name)]
    checks.same("set to no other value", [], same)
    checks.heading("for every setting of both")
    check_pairs(checks)
    checks.heading("every Region: only with OrganizationId or MemberRoleName")
    check_regions(checks)
    checks.heading("policies beside the account's own")
    check_policies(checks)
    checks.heading("where a member's stack makes what")
    check_places(checks)
    checks.heading("parameters that are refused, and that are not")
    check_refusals(checks)
    checks.done()


def check_pairs(checks):
    """Which settings make a difference between what the function may at home, or hears, and what it is in a member."""
    every = [dict(zip(SETTINGS, values)) for values in product(*SETTINGS.values())]
    pairs = [(" ".join(values.values()), *pair(values)) for values in every]
    checks.same("settings", 48, len(pairs))
    differ = {
        "the roles' statements": lambda hub, member: may(hub) != may(member),
        "the rules on the hub's bus and the member's": lambda hub, member: patterns(hub, "Hub") != patterns(member),
        "the rules on the hub's bus and the default bus": lambda hub, _: patterns(hub, "Hub") != patterns(hub),
    }
    for name, differs in differ.items():
        checks.same(f"differences: {name}", [], [values for values, hub, member in pairs if differs(hub, member)])


def pair(settings):
    hub = Template("template.yaml", settings | ORGANIZATION)
    member = Template("member.yaml", settings | HUB, MEMBER, MEMBER_REGION)
    return hub.resources(), member.resources()


def may(resources):
    """What a role may do with EC2 and ECS, whatever the account and the Region."""
    text = json.dumps(without_region(of_services(statements(resources))), sort_keys=True)
    return text.replace(ACCOUNT, "account").replace(MEMBER, "account")


def statements(resources):
    """All that the roles may do, by Sid."""
    documents = [r["Properties"]["PolicyDocument"] for r in resources.values() if r["Type"] == "AWS::IAM::Policy"]
    for role in (r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Role"):
        documents += [policy["PolicyDocument"] for policy in role["Policies"]]
    return {s["Sid"]: s for document in documents for s in document["Statement"]}


def of_services(all_statements):
    """Those about EC2 and ECS, which are what both roles have."""

    def service(statement):
        action = statement["Action"]
        return (action if isinstance(action, str) else action[0]).partition(":")[0]

    return {sid: statement for sid, statement in all_statements.items() if service(statement) in ("ec2", "ecs")}


def without_region(of):
    stripped = {}
    for sid, statement in of.items():
        conditions = {key: value for key, value in statement.get("Condition", {}).items() if key != "StringLike"}
        rest = {key: value for key, value in statement.items() if key != "Condition"}
        stripped[sid] = rest | ({"Condition": conditions} if conditions else {})
    return stripped


def patterns(resources, prefix=""):
    rules = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::Events::Rule"}
    own = {name: rule for name, rule in rules.items() if name.startswith("Hub") == bool(prefix)}
    return {name.removeprefix(prefix): rule["EventPattern"] for name, rule in own.items()}


def check_regions(checks):
    every = {"Strategy": "evacuate", "CleanUpTerminated": "true"}
    accounts = {"Accounts": f"{ACCOUNT},{MEMBER}"}
    for name, parameters, expected in [
        ("no organisation", {}, REGION),
        ("OrganizationId", {"OrganizationId": ORGANIZATION["OrganizationId"]}, "*"),
        ("MemberRoleName", {"MemberRoleName": "any"} | accounts, "*"),
        ("Accounts", accounts, REGION),
    ]:
        found = of_services(statements(Template("template.yaml", every | parameters).resources()))
        conditions = [s["Condition"].get("StringLike", {}) for s in found.values()]
        checks.same(f"{name}: Region", [{"aws:RequestedRegion": expected}] * len(found), conditions)


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
    checks.same("none by default", [], sorted({"AssumeMemberRole", "TellOutcomes"} & none.keys()))
    told = statements(Template("template.yaml", {"OutcomeBusArn": bus}).resources())["TellOutcomes"]
    checks.same("OutcomeBusArn", ["events:PutEvents", bus], [told["Action"], told["Resource"]])
    # A role's inline policies may have 10,240 characters without white space.
    widest = {"Strategy": "evacuate", "Delivery": "queue", "OutcomeBusArn": bus, "Accounts": ",".join([ACCOUNT] * 100)}
    everything = statements(Template("template.yaml", ORGANIZATION | widest).resources())
    written = sum(len(json.dumps(statement, separators=(",", ":"))) for statement in everything.values())
    checks.same("with all of it, far from a role's 10,240", True, written < 9_500)


def check_places(checks):
    rules, role = ["ForwardRole", "Rule", "StateChangeRule"], ["Role"]
    queue = ["DeadLetterQueue", "DeadLetterQueuePolicy"]
    for name, account, region, parameters, expected in [
        ("a member, RoleRegion", MEMBER, "us-east-1", {}, queue + rules + role),
        ("a member, another Region", MEMBER, REGION, {}, queue + rules),
        ("a member, no RoleRegion", MEMBER, "us-east-1", {"RoleRegion": ""}, queue + rules),
        ("the hub's account, another Region", ACCOUNT, "us-east-1", {}, queue + rules),
        ("the hub's account and Region", ACCOUNT, REGION, {"RoleRegion": REGION}, ["DeadLetterQueue"]),
    ]:
        made = Template("member.yaml", HUB | parameters, account, region).resources()
        checks.same(name, sorted(expected), sorted(made))


def check_refusals(checks):
    accounts = {"Accounts": f"{ACCOUNT},{MEMBER}"}
    for name, parameters, parameter in [
        ("the defaults", {}, None),
        ("an organisation", {"OrganizationId": "o-exampleorgid"}, None),
        ("an organisation and a role", ORGANIZATION, None),
        ("accounts alone: what else comes to the default bus", accounts, None),
        ("accounts and a role, on a bus of one's own", accounts | {"MemberRoleName": "any"}, None),
        ("all of them", ORGANIZATION | accounts | {"ExternalId": "any:one"}, None),
        ("a role of any account there is", {"MemberRoleName": "any"}, "MemberRoleName"),
        ("an external id for no role", {"ExternalId": "any:one"}, "ExternalId"),
        ("an organisation's name", {"OrganizationId": "example"}, "OrganizationId"),
        ("a role's path", ORGANIZATION | {"MemberRoleName": "path/any"}, "MemberRoleName"),
        ("an external id of one character", ORGANIZATION | {"ExternalId": "1"}, "ExternalId"),
        ("a long external id", ORGANIZATION | {"ExternalId": "x" * 129}, "ExternalId"),
        ("the longest external id", ORGANIZATION | {"ExternalId": "x" * 128}, None),
        ("101 accounts", {"Accounts": ",".join([ACCOUNT] * 101)}, "Accounts"),
        ("100 accounts", {"Accounts": ",".join([ACCOUNT] * 100)}, None),
        ("a list of 701 characters", {"Clusters": "name," * 140 + "x"}, "Clusters"),
        ("a list of 700 characters", {"ExcludeClusters": "name," * 139 + "names"}, None),
        ("accounts with blanks", {"Accounts": f"{ACCOUNT}, {MEMBER}"}, "Accounts"),
        ("an account's name", {"Accounts": "production"}, "Accounts"),
        ("a bus's name", {"OutcomeBusArn": "default"}, "OutcomeBusArn"),
    ]:
        found = Template("template.yaml", parameters).refusals()
        checks.same(name, [parameter] if parameter else [], [text.split()[0] for text in found])


if __name__ == "__main__":
    main()
