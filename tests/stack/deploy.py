"""Deploys the built stack and stacks of its members to a local AWS emulator, and checks them.

The checks compare the deployed resources with the parameters, send every sample event through the deployed function,
directly and from the queue, and handle dead letters again as docs/troubleshooting.md describes.

The emulator drops the encryption of the queues, the function's VPC and the account in its permissions, so these are not
compared. It drops the queue's redrive policy too, which is read from the deployed template instead.

    sam build && python tests/stack/deploy.py target/debug/examples/standin --port 0

The emulator (ministack, extended by emulator.py) has no ECS container instances, so the function's ECS and EC2 endpoints
point at the stand-in, whose command is the argument. The stand-in's first line of output is JSON with its `url`.
"""

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import boto3

from deployment import deploy, outputs, point_at, resources, template
from hub import check_arrival, check_bus
from local import (
    Checks,
    end_with_the_script,
    environment,
    expectations,
    free_port,
    listens,
    running,
    samples,
    scratch,
    start_standin,
    until,
)
from member import check_members
from queues import check_queue, settled
from redrive import check_move, check_redrive
from rules import check_rules, deployed_rules, expected_patterns, is_continued
from settings import ALL_SET, DEFAULTS


def main():
    end_with_the_script()
    checks = Checks()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        endpoint = start_emulator(stack, folder)
        standin = start_standin(stack, folder, sys.argv[1:])
        os.environ.clear()
        os.environ.update(environment(endpoint))

        # This stack comes first: the stand-in keeps its state, and only direct invocations return answers.
        checks.heading("Delivery=direct: the rules' patterns and the function's answers")
        direct = {"Delivery": "direct"}
        deploy("direct", direct)
        check_stack(checks, "direct", DEFAULTS | direct, ["AttributesPolicy", "DeregisterPolicy", "DrainPolicy"])
        point_at("direct", standin)
        check_events(checks, "direct")
        checks.heading("dead letters: handled again one by one")
        check_redrive(checks, "direct", standin)

        checks.heading("every parameter at its default: the rules send to the queue, the function receives from it")
        deploy("defaults", {})
        policies = ["AttributesPolicy", "DeregisterPolicy", "DrainPolicy", "NoticeQueueConsumerPolicy"]
        check_stack(checks, "defaults", DEFAULTS, policies)
        point_at("defaults", standin)
        check_queued_events(checks, "defaults")
        checks.heading("dead letters: moved back to the queue")
        check_move(checks, "defaults", standin)

        checks.heading("every parameter set to another value: a dry run that may change nothing, a direct hub")
        deploy("all-set", ALL_SET)
        policies = ["AssumeMemberRolePolicy", "ContinuationQueueConsumerPolicy", "OutcomeBusPolicy"]
        policies += ["ReadEksClustersPolicy", "ReadInterruptedTasksPolicy", "ReadLifecycleHooksPolicy"]
        policies += ["ReadServicesPolicy", "RehearsalPolicy"]
        check_stack(checks, "all-set", ALL_SET, policies)

        checks.heading("Strategy=drain, ReactivateResumed=false: no permission to deregister or write attributes")
        drain = {"Strategy": "drain", "ReactivateResumed": "false"}
        deploy("drain", drain)
        check_stack(checks, "drain", DEFAULTS | drain, ["DrainPolicy", "NoticeQueueConsumerPolicy"])

        checks.heading("Strategy=drain, CleanUpTerminated=true, RebalanceRecommendation=drain: all events on two rules")
        all_events = {"Strategy": "drain", "CleanUpTerminated": "true", "RebalanceRecommendation": "drain"}
        deploy("all-events", all_events)
        policies = ["AttributesPolicy", "DeregisterPolicy", "DrainPolicy", "NoticeQueueConsumerPolicy"]
        check_stack(checks, "all-events", DEFAULTS | all_events, policies)

        checks.heading("Strategy=evacuate: the whole notice, many concurrent batches; ReplaceInstances=detach")
        evacuate = {"Strategy": "evacuate", "ReplaceInstances": "detach"}
        deploy("evacuate", evacuate)
        policies = ["AttributesPolicy", "DeregisterPolicy", "DetachInstancesPolicy", "DrainPolicy", "EvacuatePolicy"]
        policies += ["NoticeQueueConsumerPolicy", "ReadAutoScalingGroupsPolicy"]
        check_stack(checks, "evacuate", DEFAULTS | evacuate, policies)

        checks.heading("EksClusters: the same, since draining a node may take the whole notice")
        eks = {"EksClusters": "*"}
        deploy("eks", eks)
        policies = ["AttributesPolicy", "DeregisterPolicy", "DrainPolicy", "NoticeQueueConsumerPolicy"]
        check_stack(checks, "eks", DEFAULTS | eks, [*policies, "ReadEksClustersPolicy"])

        checks.heading("FargateSpot, RunAgain, LifecycleHooks: three more rules, and a queue for two of them")
        tasks = {"FargateSpot": "handle", "RunAgain": "tagged", "PassRoles": "/ecs-tasks/", "LifecycleHooks": "drain-*"}
        deploy("tasks", tasks)
        policies = ["AttributesPolicy", "CompleteLifecycleActionsPolicy", "ContinuationQueueConsumerPolicy"]
        policies += ["DeregisterPolicy", "DeregisterTargetsPolicy", "DrainPolicy", "NoticeQueueConsumerPolicy"]
        policies += ["ReadInterruptedTasksPolicy", "ReadLifecycleHooksPolicy", "ReadServicesPolicy", "RunTasksPolicy"]
        check_stack(checks, "tasks", DEFAULTS | tasks, policies)

        checks.heading("OrganizationId, MemberRoleName: a hub with four rules on two buses and one queue")
        hub = {"OrganizationId": "o-exampleorgid", "MemberRoleName": "spot-interruption-handler-member"}
        hub |= {"RebalanceRecommendation": "drain", "CleanUpTerminated": "true"}
        deploy("hub", hub)
        policies = ["AssumeMemberRolePolicy", "AttributesPolicy", "DeregisterPolicy", "DrainPolicy"]
        check_stack(checks, "hub", DEFAULTS | hub, [*policies, "NoticeQueueConsumerPolicy"])
        check_arrival(checks, "hub", json.loads(samples()["terminate.json"]))
        check_members(checks, outputs("hub"))
    checks.done()


def start_emulator(stack, folder, more=None):
    port = free_port()
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "TMPDIR": str(folder)}
    # ministack starts these two servers on fixed ports, and tasks and functions in Docker.
    settings |= {"SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "DOCKER_HOST": "unix:///nonexistent"}
    env = environment("") | settings | (more or {})
    # With this variable, functions would call it instead of the stand-in.
    del env["AWS_ENDPOINT_URL"]
    command = [sys.executable, Path(__file__).with_name("emulator.py")]
    process = stack.enter_context(running(command, folder / "ministack.log", env))
    until("ministack", process, lambda: listens(port))
    return f"http://127.0.0.1:{port}"


def check_stack(checks, name, parameters, policies):
    deployed = outputs(name)
    function, function_arn = deployed["FunctionName"], deployed["FunctionArn"]
    queue_arn, awslambda = deployed["DeadLetterQueueArn"], boto3.client("lambda")
    queued = parameters["Delivery"] == "queue"
    drains_nodes = parameters["EksClusters"] != "" and parameters["EksStrategy"] == "drain"
    is_long_running = parameters["Strategy"] == "evacuate" or drains_nodes
    continues = parameters["RunAgain"] != "never" or parameters["LifecycleHooks"] != ""

    config = awslambda.get_function_configuration(FunctionName=function)
    checks.same("runtime", "provided.al2023", config["Runtime"])
    checks.same("architecture", [parameters["Architecture"]], config["Architectures"])
    timeout = 60 if queued and not is_long_running else 120
    memory = int(parameters["MemorySize"])
    checks.same("memory in MB, timeout in s", [memory, timeout], [config["MemorySize"], config["Timeout"]])
    checks.same(
        "environment",
        {
            "STRATEGY": parameters["Strategy"],
            "DRY_RUN": parameters["DryRun"],
            "CLUSTERS": parameters["Clusters"],
            "EXCLUDE_CLUSTERS": parameters["ExcludeClusters"],
            "CLUSTER_TAG": parameters["ClusterTag"],
            "MANAGED_DRAINING": parameters["ManagedDraining"],
            "STANDALONE_TASKS": parameters["StandaloneTasks"],
            "REPLACE_INSTANCES": parameters["ReplaceInstances"],
            "FARGATE_SPOT": parameters["FargateSpot"],
            "RUN_AGAIN": parameters["RunAgain"],
            "RUN_AGAIN_ON": parameters["RunAgainOn"],
            "LIFECYCLE_HOOKS": parameters["LifecycleHooks"],
            "REBALANCE_RECOMMENDATION": parameters["RebalanceRecommendation"],
            "REACTIVATE_RESUMED": parameters["ReactivateResumed"],
            "CLEAN_UP_TERMINATED": parameters["CleanUpTerminated"],
            "ACCOUNTS": parameters["Accounts"],
            "MEMBER_ROLE_NAME": parameters["MemberRoleName"],
            "EXTERNAL_ID": parameters["ExternalId"],
            "OUTCOME_BUS": parameters["OutcomeBusArn"],
            "EKS_CLUSTERS": parameters["EksClusters"],
            "EKS_STRATEGY": parameters["EksStrategy"],
            "POD_DISRUPTION_BUDGETS": parameters["PodDisruptionBudgets"],
            "REHEARSAL_READS": parameters["RehearsalReads"],
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
    checks.same("log retention in days", [days], [group["retentionInDays"] for group in groups])

    checks.same("role", deployed["RoleArn"], config["Role"])
    # Only names are compared: ministack turns the policies into managed ones and cannot show them. templates.py compares
    # their content.
    checks.same("policies of the role", policies, sorted(resources(name, "AWS::IAM::Policy")))

    retries = awslambda.get_function_event_invoke_config(FunctionName=function, Qualifier="$LATEST")
    age_and_attempts = [retries["MaximumEventAgeInSeconds"], retries["MaximumRetryAttempts"]]
    checks.same("age and retries of an event", [120, 1], age_and_attempts)
    checks.same("destination on failure", queue_arn, retries["DestinationConfig"]["OnFailure"]["Destination"])

    rules = deployed_rules(name)
    noticed = deployed["QueueArn"] if queued else function_arn

    def target_of(rule):
        arn = deployed["ContinuationQueueArn"] if is_continued(rule) else noticed
        return {"Arn": arn, "DeadLetterConfig": {"Arn": queue_arn}}

    check_rules(checks, rules, expected_patterns(parameters), target_of)
    continued_arns = sorted(rule["Arn"] for name, rule in rules.items() if is_continued(name))
    arns = sorted(rule["Arn"] for name, rule in rules.items() if not is_continued(name))
    checks.same("output RuleArn", rules["SpotInterruptionRule"]["Arn"], deployed["RuleArn"])
    permissions = sorted(
        [permission["Principal"], permission["Condition"]["ArnLike"]["AWS:SourceArn"]]
        for permission in permissions_of(awslambda, function)
    )
    of_rehearsals = [of for of in permissions if "RehearsalRule" in of[1]]
    checks.same("permission to rehearse", bool(parameters["RehearsalSchedule"]), len(of_rehearsals) == 1)
    permissions = [of for of in permissions if of not in of_rehearsals]
    checks.same("permissions to invoke", [] if queued else [["events.amazonaws.com", arn] for arn in arns], permissions)

    times = {"MessageRetentionPeriod": 14 * 86_400}
    check_queue(checks, "dead-letter queue", deployed["DeadLetterQueueUrl"], sorted(arns + continued_arns), times)
    mappings = awslambda.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    continuation = [m for m in mappings if m["EventSourceArn"] == deployed.get("ContinuationQueueArn")]
    mappings = [m for m in mappings if m not in continuation]
    if continues:
        check_continuation(checks, name, deployed, continuation, continued_arns, timeout)
    else:
        outputs_of_queue = {"ContinuationQueueArn", "ContinuationQueueUrl"}
        checks.same("outputs of the continuation queue", [], sorted(outputs_of_queue & deployed.keys()))
    if queued:
        concurrency = 50 if is_long_running else 2
        check_delivery(checks, name, deployed, mappings, arns, timeout, concurrency)
    else:
        checks.same("event source mappings", [], mappings)
        checks.same("outputs of the queue", [], sorted({"QueueArn", "QueueUrl"} & deployed.keys()))

    if parameters["OrganizationId"]:
        check_bus(checks, name, parameters)
    else:
        checks.same("buses", [], sorted(resources(name, "AWS::Events::EventBus")))
        checks.same("output EventBusArn", None, deployed.get("EventBusArn"))


def permissions_of(awslambda, function):
    try:
        return json.loads(awslambda.get_policy(FunctionName=function)["Policy"])["Statement"]
    except awslambda.exceptions.ResourceNotFoundException:
        return []


def check_delivery(checks, name, deployed, mappings, rule_arns, timeout, concurrency):
    [mapping] = mappings
    expected = {
        "EventSourceArn": deployed["QueueArn"],
        "FunctionArn": deployed["FunctionArn"],
        "BatchSize": 1000,
        "MaximumBatchingWindowInSeconds": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": concurrency},
    }
    found = {key: mapping.get(key) for key in expected}
    # The emulator returns the number as text.
    found["ScalingConfig"] = {key: int(value) for key, value in mapping["ScalingConfig"].items()}
    checks.same("event source mapping", expected, found)

    # Lambda requires a visibility timeout of at least the function's timeout.
    times = {"VisibilityTimeout": timeout, "MessageRetentionPeriod": 600}
    check_queue(checks, "queue", deployed["QueueUrl"], rule_arns, times)
    redrive = template(name)["Resources"]["NoticeQueue"]["Properties"]["RedrivePolicy"]
    target, receives = redrive["deadLetterTargetArn"], redrive["maxReceiveCount"]
    checks.same("redrive policy", [{"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}, 2], [target, receives])
    is_moved_in_time = receives * timeout < times["MessageRetentionPeriod"]
    checks.same("failed messages are moved before they expire", True, is_moved_in_time)


def check_continuation(checks, name, deployed, mappings, rule_arns, timeout):
    [mapping] = mappings
    expected = {
        "FunctionArn": deployed["FunctionArn"],
        "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    }
    found = {key: mapping.get(key) for key in expected}
    checks.same("continuation: event source mapping", expected, found)
    concurrency = int(mapping["ScalingConfig"]["MaximumConcurrency"])
    checks.same(
        "continuation: window in s, concurrency", [0, 50], [mapping["MaximumBatchingWindowInSeconds"], concurrency]
    )
    times = {"VisibilityTimeout": timeout, "MessageRetentionPeriod": 3 * 86_400}
    check_queue(checks, "continuation queue", deployed["ContinuationQueueUrl"], rule_arns, times)
    redrive = template(name)["Resources"]["ContinuationQueue"]["Properties"]["RedrivePolicy"]
    target, receives = redrive["deadLetterTargetArn"], redrive["maxReceiveCount"]
    checks.same("continuation: redrive policy", [{"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}, 1000], [target, receives])


def check_events(checks, name):
    deployed = outputs(name)
    awslambda, events = boto3.client("lambda"), boto3.client("events")
    patterns = [rule["EventPattern"] for rule in deployed_rules(name).values()]

    expected, files = expectations(), samples()
    checks.same("samples without an expectation, and the reverse", [], sorted(expected.keys() ^ files.keys()))
    for file, event in files.items():
        # TestEventPattern takes complete events only. That of a rehearsal has no account, and comes from a schedule.
        is_complete = "account" in json.loads(event)
        matches = is_complete and any(
            events.test_event_pattern(EventPattern=pattern, Event=event)["Result"] for pattern in patterns
        )
        answer = json.loads(awslambda.invoke(FunctionName=deployed["FunctionName"], Payload=event)["Payload"].read())
        found = {"matches": matches} | {key: answer[key] for key in ("outcome", "errorType") if key in answer}
        checks.same(file, expected.get(file), found)


def check_queued_events(checks, name):
    """Checks that handled messages are deleted and rejected ones stay in flight until the visibility timeout ends."""
    deployed = outputs(name)
    awslambda, sqs, url = boto3.client("lambda"), boto3.client("sqs"), deployed["QueueUrl"]
    [mapping] = awslambda.list_event_source_mappings(FunctionName=deployed["FunctionName"])["EventSourceMappings"]
    files = samples()
    rejected = [file for file, expected in expectations().items() if "errorType" in expected]

    # Only AWS itself can send events of this source. The emulator accepts them from anyone.
    awslambda.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    notice = json.loads(files["terminate.json"])
    entry = {"Source": notice["source"], "DetailType": notice["detail-type"], "Detail": json.dumps(notice["detail"])}
    boto3.client("events").put_events(Entries=[entry])
    checks.same("messages waiting and in flight after an event", [1, 0], settled(sqs, url, [1, 0]))

    for event in files.values():
        sqs.send_message(QueueUrl=url, MessageBody=event)
    checks.same("after every sample event", [len(files) + 1, 0], settled(sqs, url, [len(files) + 1, 0]))
    awslambda.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    checks.same("after the function received them", [0, len(rejected)], settled(sqs, url, [0, len(rejected)]))


if __name__ == "__main__":
    main()
