"""Compares a stack's EventBridge rules with the parameters that it was deployed with."""

import json

import boto3

from deployment import resources

INTERRUPTION = "EC2 Spot Instance Interruption Warning"
RESERVATION = "EC2 Capacity Reservation Instance Interruption Warning"
RECOMMENDATION = "EC2 Instance Rebalance Recommendation"
STATE_CHANGE = "EC2 Instance State-change Notification"
TASK_STATE_CHANGE = "ECS Task State Change"
LIFECYCLE_ACTION = "EC2 Instance-terminate Lifecycle Action"

STOP_CODES = {"stopCode": ["SpotInterruption", "TerminationNotice"]}
SPOT_TASK = {"prefix": "Your Spot Task was interrupted"}
# Rules whose events go to the continuation queue.
CONTINUED = ("InterruptedTaskRule", "LifecycleActionRule")
AGES_S = {"InstanceStateChangeRule": 3600, "InterruptedTaskRule": 3300, "LifecycleActionRule": 7200}


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
    if parameters["FargateSpot"] == "handle":
        patterns["FargateSpotRule"] = {
            "source": ["aws.ecs"],
            "detail-type": [TASK_STATE_CHANGE],
            "detail": {
                "launchType": ["FARGATE"],
                "desiredStatus": ["STOPPED"],
                "lastStatus": [{"anything-but": "STOPPED"}],
                "group": [{"prefix": "service:"}],
                "$or": [STOP_CODES, {"stoppedReason": [SPOT_TASK]}],
            },
        }
    if parameters["RunAgain"] != "never":
        reasons = [SPOT_TASK, {"prefix": "EC2 Spot interruption: "}, {"prefix": "Host EC2"}]
        patterns["InterruptedTaskRule"] = {
            "source": ["aws.ecs"],
            "detail-type": [TASK_STATE_CHANGE],
            "detail": {
                "desiredStatus": ["STOPPED"],
                "lastStatus": [{"anything-but": ["STOPPING", "DEPROVISIONING"]}],
                "group": [{"anything-but": {"prefix": "service:"}}],
                "$or": [STOP_CODES, {"stoppedReason": reasons}],
            },
        }
    if parameters["LifecycleHooks"]:
        patterns["LifecycleActionRule"] = {"source": ["aws.autoscaling"], "detail-type": [LIFECYCLE_ACTION]}
    if parameters.get("OrganizationId"):
        patterns |= {f"Hub{rule}": of for rule, of in patterns.items()}
    return patterns


def is_continued(rule):
    return rule.removeprefix("Hub") in CONTINUED


def check_rules(checks, rules, patterns, target_of):
    """`target_of` returns the fields that a rule's target has."""
    checks.same("rules", sorted(patterns), sorted(rules))
    for name, rule in rules.items():
        checks.same(f"{name}: pattern", patterns.get(name), json.loads(rule["EventPattern"]))
        expected_target = target_of(name)
        target = {key: rule["Target"].get(key) for key in expected_target}
        checks.same(f"{name}: target", expected_target, target)
        age_s = AGES_S.get(name.removeprefix("Hub"), 120)
        retries = {"MaximumEventAgeInSeconds": age_s, "MaximumRetryAttempts": 185}
        found = {key: int(value) for key, value in rule["Target"]["RetryPolicy"].items()}
        checks.same(f"{name}: retries", retries, found)
