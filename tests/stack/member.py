"""Compares deployed stacks of member.yaml with their parameters."""

import json

import boto3

from deployment import deploy, outputs, resources, session
from intrinsics import Template
from local import ACCOUNT, REGION
from queues import check_queue
from rules import check_rules, deployed_rules, expected_patterns
from settings import DEFAULTS

DEFAULT_ROLE, DEFAULT_ROLE_REGION = "spot-interruption-handler-member", "us-east-1"


def check_members(checks, hub):
    needed = {"HubBusArn": hub["EventBusArn"], "FunctionRoleArn": hub["RoleArn"]}
    all_set = needed | {
        "MemberRoleName": "any-role",
        "ExternalId": "example:id",
        "RoleRegion": "eu-west-1",
        "Strategy": "evacuate",
        "ReplaceInstances": "detach",
        "FargateSpot": "handle",
        "RunAgain": "tagged",
        "PassRoles": "/ecs-tasks/",
        "LifecycleHooks": "drain-*",
        "RebalanceRecommendation": "drain",
        "ReactivateResumed": "false",
        "CleanUpTerminated": "true",
        "EksClusters": "web-*",
    }
    dry_run = needed | {"DryRun": "true", "ReactivateResumed": "false"}
    for what, parameters, account, region in [
        ("every parameter at its default", needed, "210987654321", "us-east-1"),
        ("another Region of that account", needed, "210987654321", "eu-west-1"),
        ("every parameter set to another value", all_set, "111122223333", "eu-west-1"),
        ("a dry run, of notices only", dry_run, "444455556666", "us-east-1"),
        ("another Region of the hub's account", needed | {"RoleRegion": ""}, ACCOUNT, "eu-west-1"),
    ]:
        checks.heading(f"a member's stack: {what}")
        aws = session(account, region)
        deploy("member", parameters, "member", aws)
        check_member(checks, "member", parameters, aws)
    checks.heading("a member's stack: the hub's own account and Region")
    deploy("member", needed | {"RoleRegion": REGION}, "member")
    created = boto3.client("cloudformation").describe_stack_resources(StackName="member")["StackResources"]
    checks.same("resources", ["DeadLetterQueue"], [resource["LogicalResourceId"] for resource in created])


def check_member(checks, name, parameters, aws):
    deployed, iam = outputs(name, aws), aws.client("iam")
    rules = deployed_rules(name, aws)
    forwarding_role = resources(name, "AWS::IAM::Role", aws)["ForwardingRole"]
    role = iam.get_role(RoleName=forwarding_role)["Role"]
    target = {"Arn": parameters["HubBusArn"], "RoleArn": role["Arn"]}
    target |= {"DeadLetterConfig": {"Arn": deployed["DeadLetterQueueArn"]}}
    check_rules(checks, rules, expected_patterns(DEFAULTS | parameters), lambda _: target)
    checks.same("output RuleArn", rules["SpotInterruptionRule"]["Arn"], deployed["RuleArn"])
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    checks.same("principal of the forwarding role", {"Service": "events.amazonaws.com"}, trust["Principal"])
    policy = iam.get_role_policy(RoleName=forwarding_role, PolicyName="ForwardEvents")["PolicyDocument"]
    [allowed] = policy["Statement"]
    expected = ["events:PutEvents", parameters["HubBusArn"]]
    checks.same("permission of the forwarding role", expected, [allowed["Action"], allowed["Resource"]])
    arns = sorted(rule["Arn"] for rule in rules.values())
    times = {"MessageRetentionPeriod": 14 * 86_400}
    check_queue(checks, "dead-letter queue", deployed["DeadLetterQueueUrl"], arns, times, aws)

    if aws.region_name == parameters.get("RoleRegion", DEFAULT_ROLE_REGION):
        check_role(checks, parameters, deployed, aws)
    else:
        checks.same("member role", None, deployed.get("MemberRoleArn"))


def check_role(checks, parameters, deployed, aws):
    iam, name = aws.client("iam"), parameters.get("MemberRoleName", DEFAULT_ROLE)
    role = iam.get_role(RoleName=name)["Role"]
    checks.same("member role", deployed["MemberRoleArn"], role["Arn"])
    statement = {"Effect": "Allow", "Principal": {"AWS": parameters["FunctionRoleArn"]}, "Action": "sts:AssumeRole"}
    if external_id := parameters.get("ExternalId"):
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    checks.same("trust policy", [statement], role["AssumeRolePolicyDocument"]["Statement"])
    found = {
        policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    }
    account = aws.get_credentials().access_key
    created = Template("member.yaml", parameters, account, aws.region_name).resources()["MemberRole"]["Properties"]
    expected = {policy["PolicyName"]: policy["PolicyDocument"] for policy in created["Policies"]}
    checks.same("policies of the member role", sorted(expected), sorted(found))
    is_same = json.dumps(expected, sort_keys=True) == json.dumps(found, sort_keys=True)
    checks.same("content of these policies", True, is_same)
