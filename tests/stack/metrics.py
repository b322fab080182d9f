"""Lists the metrics and log fields that the dashboard, the alarms and the saved queries may use."""

NAMESPACE = "SpotInterruptionHandler"

ALL, BY_OUTCOME = (), ("Outcome",)

# The dimension sets of each metric.
METRICS = {
    "Outcomes": {ALL, BY_OUTCOME},
    "SecondsToAct": {ALL, BY_OUTCOME},
    "SecondsToSpare": {ALL, BY_OUTCOME},
    "Interruptions": {ALL, ("Cluster",), ("Account", "Region")},
    "Calls": {ALL},
    "Throttles": {ALL},
    "ColdStarts": {ALL},
    "Rehearsals": {ALL},
    "NotCovered": {ALL},
    "Findings": {("Kind",)},
}

# Those that only a stack that handles tasks has. Its dashboard shows them.
TASK_METRICS = {
    "InterruptedTasks": {ALL, ("Cluster",), ("Cluster", "Service")},
    "TasksRunAgain": {ALL, ("Cluster",)},
}

OUTCOMES = {
    "deregistered",
    "drained",
    "draining",
    "cordoned",
    "target-deregistered",
    "run-again",
    "ended",
    "waiting",
    "reactivated",
    "dry-run",
    "skipped",
    "not-found",
    "ignored",
    "failed",
}

# The other fields of a metrics line.
PROPERTIES = {
    "Outcome",
    "ErrorType",
    "Event",
    "InstanceId",
    "InstanceType",
    "AvailabilityZone",
    "Cluster",
    "Account",
    "Region",
}

# The fields of the summary line that the queries use.
SUMMARY = {"@timestamp", "@message", "level"} | {
    f"fields.{name}"
    for name in (
        "message",
        "instanceId",
        "messageId",
        "instanceAction",
        "event",
        "account",
        "region",
        "cluster",
        "outcome",
        "reason",
        "secondsLeft",
        "errorType",
        "error",
        "calls",
    )
}

# The fields of Lambda's report of an invocation that the queries use.
REPORT = {"record.status"}

# The metrics of AWS services that the dashboard and the alarms use.
AWS_METRICS = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName",)),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", ("QueueName",)),
    ("AWS/Lambda", "AsyncEventAge", ("FunctionName",)),
}


def known(namespace, name, dimensions):
    """Whether the metric exists with these dimensions."""
    dimensions = tuple(sorted(dimensions))
    if namespace == NAMESPACE:
        return dimensions in (METRICS | TASK_METRICS).get(name, set())
    return (namespace, name, dimensions) in AWS_METRICS
