"""Compares a stack's EventBridge rules with the parameters that it was deployed with."""

import json

import boto3

from deployment import resources

INTERRUPTION = "EC2 Spot Instance Interruption Warning"
RESERVATION = "EC2 Capacity Reservation Instance Interruption Warning"
RECOMMENDATION = "EC2 Instance Rebalance Recommendation"
STATE_CHANGE = "EC2 Instance State-change Notification"


def deployed_rules(name, aws=boto3):
    """The deployed rules, by logical ID. The rules of a hub's bus start with Hub."""
    events, rules = aws.client("events"), {}
    for rule, given in resources(name, "AWS::Events::Rule", aws).items():
        # It has a schedule and no pattern.
        if rule == "RehearsalRule":
            continue
        bus = name if rule.startswith("Hub") else "default"
        rules[rule] = events.describe_rule(Name=given, EventBusName=bus)
        [rules[rule]["Target"]] = events.list_targets_by_rule(Rule=given, EventBusName=bus)["Targets"]
    return rules


def expected_patterns(parameters):
    def pattern(*detail_types, **more):
        return {"source": ["aws.ec2"], "detail-type": [*detail_types], **more}

    recommendation = [RECOMMENDATION] if parameters["RebalanceRecommendation"] == "drain" else []
    patterns = {"SpotInterruptionRule": pattern(INTERRUPTION, RESERVATION, *recommendation)}
    states = {"running": parameters["ReactivateResumed"], "terminated": parameters["CleanUpTerminated"]}
    if matched := [state for state, wanted in states.items() if wanted == "true"]:
        patterns["InstanceStateChangeRule"] = pattern(STATE_CHANGE, detail={"state": matched})
    if parameters.get("OrganizationId"):
        patterns |= {f"Hub{rule}": of for rule, of in patterns.items()}
    return patterns


def check_rules(checks, rules, patterns, expected_target):
    """`expected_target` holds the fields that all targets share."""
    checks.same("rules", sorted(patterns), sorted(rules))
    for name, rule in rules.items():
        checks.same(f"{name}: pattern", patterns.get(name), json.loads(rule["EventPattern"]))
        target = {key: rule["Target"].get(key) for key in expected_target}
        checks.same(f"{name}: target", expected_target, target)
        age_s = 3600 if name.endswith("StateChangeRule") else 120
        retries = {"MaximumEventAgeInSeconds": age_s, "MaximumRetryAttempts": 185}
        found = {key: int(value) for key, value in rule["Target"]["RetryPolicy"].items()}
        checks.same(f"{name}: retries", retries, found)
