"""Deploys the built stack to a local AWS emulator, compares what stands there with what the template promises, and
sends every sample event through the deployed function.

What the emulator forgets (the queue's encryption, the account that may invoke) is not compared.

    sam build && python tests/stack/deploy.py target/debug/examples/standin --port 0

The emulator (ministack) has no ECS container instances, so the function's ECS and EC2 endpoints are pointed at the
stand-in, whose command is given. Its first line of output is JSON with its `url`.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack

import boto3

from local import ROOT, TOOLS, Checks
from local import end_with_the_script, environment, free_port, listens, running, scratch, until

DEFAULTS = {
    "Strategy": "deregister",
    "DryRun": "false",
    "Clusters": "*",
    "ExcludeClusters": "",
    "ClusterTag": "",
    "ManagedDraining": "respect",
    "Architecture": "x86_64",
    "LogRetentionDays": "30",
    "LogLevel": "INFO",
}

# What is built stays the same, so the function of another architecture is deployed but not invoked.
ALL_SET = {
    "Strategy": "drain",
    "DryRun": "true",
    "Clusters": "web-*, api-?",
    "ExcludeClusters": "web-canary",
    "ClusterTag": "ecs:cluster",
    "ManagedDraining": "override",
    "Architecture": "arm64",
    "LogRetentionDays": "365",
    "LogLevel": "DEBUG",
}


def main():
    end_with_the_script()
    checks = Checks()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        endpoint = start_emulator(stack, folder)
        standin = start_standin(stack, folder, sys.argv[1:])
        os.environ.clear()
        os.environ.update(environment(endpoint))

        checks.heading("every parameter at its default")
        deploy("defaults", {})
        check_stack(checks, "defaults", DEFAULTS, ["DeregisterPolicy", "DrainPolicy"])
        checks.heading("sample events: does the deployed rule's pattern match, and what does the function answer")
        check_events(checks, "defaults", standin)

        checks.heading("every parameter set to another value: a dry run may change nothing")
        deploy("all-set", ALL_SET)
        check_stack(checks, "all-set", ALL_SET, [])

        checks.heading("Strategy=drain: nothing may be deregistered")
        drain = {"Strategy": "drain"}
        deploy("drain", drain)
        check_stack(checks, "drain", DEFAULTS | drain, ["DrainPolicy"])
    checks.done()


def start_emulator(stack, folder):
    port = free_port()
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "TMPDIR": str(folder)}
    # Two servers of its own on fixed ports.
    settings |= {"SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0"}
    env = environment("") | settings
    # Functions would be pointed at it instead of the stand-in.
    del env["AWS_ENDPOINT_URL"]
    process = stack.enter_context(running([TOOLS / "ministack"], folder / "ministack.log", env))
    until("ministack", process, lambda: listens(port))
    return f"http://127.0.0.1:{port}"


def start_standin(stack, folder, command):
    log = folder / "standin.log"
    process = stack.enter_context(running(command, log))

    def first_line():
        line, end, _ = log.read_text().partition("\n")
        return line if end else None

    return json.loads(until("the stand-in", process, first_line))["url"]


def deploy(name, parameters):
    """Deploys as a person would, with samconfig.toml."""
    command = [TOOLS / "sam", "deploy", "--stack-name", name, "--no-confirm-changeset", "--no-progressbar"]
    if parameters:
        command += ["--parameter-overrides", *(f'{key}="{value}"' for key, value in parameters.items())]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"sam deploy failed\n{done.stdout}")


def outputs(name):
    stack = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def check_stack(checks, name, parameters, policies):
    deployed = outputs(name)
    function, function_arn = deployed["FunctionName"], deployed["FunctionArn"]
    rule_arn, queue_arn = deployed["RuleArn"], deployed["DeadLetterQueueArn"]
    awslambda, events = boto3.client("lambda"), boto3.client("events")

    config = awslambda.get_function_configuration(FunctionName=function)
    checks.same("runtime", "provided.al2023", config["Runtime"])
    checks.same("architecture", [parameters["Architecture"]], config["Architectures"])
    checks.same("memory in MB, timeout in s", [128, 120], [config["MemorySize"], config["Timeout"]])
    checks.same(
        "environment",
        {
            "STRATEGY": parameters["Strategy"],
            "DRY_RUN": parameters["DryRun"],
            "CLUSTERS": parameters["Clusters"],
            "EXCLUDE_CLUSTERS": parameters["ExcludeClusters"],
            "CLUSTER_TAG": parameters["ClusterTag"],
            "MANAGED_DRAINING": parameters["ManagedDraining"],
        },
        config["Environment"]["Variables"],
    )
    logging = {key: config["LoggingConfig"].get(key) for key in ("LogFormat", "ApplicationLogLevel", "LogGroup")}
    log_group = deployed["LogGroupName"]
    checks.same(
        "logging",
        {"LogFormat": "JSON", "ApplicationLogLevel": parameters["LogLevel"], "LogGroup": log_group},
        logging,
    )
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=log_group)["logGroups"]
    days = int(parameters["LogRetentionDays"])
    checks.same("days that logs are kept", [days], [group["retentionInDays"] for group in groups])

    checks.same("role", deployed["RoleArn"], config["Role"])
    checks.same("policies that allow changes", policies, policies_beside_the_role(name))

    retries = awslambda.get_function_event_invoke_config(FunctionName=function, Qualifier="$LATEST")
    age_and_attempts = [retries["MaximumEventAgeInSeconds"], retries["MaximumRetryAttempts"]]
    checks.same("age and retries of an event", [120, 1], age_and_attempts)
    checks.same("destination on failure", queue_arn, retries["DestinationConfig"]["OnFailure"]["Destination"])

    [target] = events.list_targets_by_rule(Rule=rule_arn.rsplit("/", 1)[-1])["Targets"]
    checks.same("rule's target", function_arn, target["Arn"])
    retries = {"MaximumEventAgeInSeconds": 120, "MaximumRetryAttempts": 185}
    checks.same("rule's retries", retries, {key: int(value) for key, value in target["RetryPolicy"].items()})
    checks.same("rule's dead-letter queue", queue_arn, target["DeadLetterConfig"]["Arn"])

    [permission] = json.loads(awslambda.get_policy(FunctionName=function)["Policy"])["Statement"]
    allowed = [permission["Principal"], permission["Condition"]["ArnLike"]["AWS:SourceArn"]]
    checks.same("who may invoke", ["events.amazonaws.com", rule_arn], allowed)

    sqs, url = boto3.client("sqs"), deployed["DeadLetterQueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    checks.same("queue's retention in days", 14, int(queue["MessageRetentionPeriod"]) // 86_400)
    allow, deny = json.loads(queue["Policy"])["Statement"]
    checks.same("who may write to the queue", rule_arn, allow["Condition"]["ArnEquals"]["aws:SourceArn"])
    refused = [deny["Effect"], deny["Condition"]["Bool"]["aws:SecureTransport"]]
    checks.same("the queue refuses plain HTTP", ["Deny", "false"], refused)


def policies_beside_the_role(stack):
    """Their names only: ministack makes managed policies of them and can't show those."""
    resources = boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return sorted(r["LogicalResourceId"] for r in resources if r["ResourceType"] == "AWS::IAM::Policy")


def check_events(checks, name, standin):
    deployed = outputs(name)
    function = deployed["FunctionName"]
    awslambda, events = boto3.client("lambda"), boto3.client("events")
    variables = awslambda.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    endpoints = {f"AWS_ENDPOINT_URL_{service}": standin for service in ("ECS", "EC2", "STS")}
    awslambda.update_function_configuration(FunctionName=function, Environment={"Variables": variables | endpoints})
    pattern = events.describe_rule(Name=deployed["RuleArn"].rsplit("/", 1)[-1])["EventPattern"]

    expected = json.loads((ROOT / "tests/expected.json").read_text())
    files = {path.name: path.read_text() for path in sorted((ROOT / "events").glob("*.json"))}
    checks.same("files without an expectation, and the reverse", [], sorted(expected.keys() ^ files.keys()))
    for name, event in files.items():
        matches = events.test_event_pattern(EventPattern=pattern, Event=event)["Result"]
        answer = json.loads(awslambda.invoke(FunctionName=function, Payload=event)["Payload"].read())
        found = {"matches": matches} | {key: answer[key] for key in ("outcome", "errorType") if key in answer}
        checks.same(name, expected.get(name), found)


if __name__ == "__main__":
    main()
