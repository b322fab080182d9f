"""What the function tells CloudWatch, for those who read it: the dashboard, the alarms and the saved queries."""

NAMESPACE = "SpotInterruptionHandler"

ALL, BY_OUTCOME = (), ("Outcome",)

# The sets of dimensions that each metric comes with.
METRICS = {
    "Outcomes": {ALL, BY_OUTCOME},
    "SecondsToAct": {ALL, BY_OUTCOME},
    "SecondsToSpare": {ALL, BY_OUTCOME},
    "Interruptions": {ALL, ("Cluster",), ("Account", "Region")},
    "Calls": {ALL},
    "Throttles": {ALL},
    "ColdStarts": {ALL},
}

OUTCOMES = {"deregistered", "draining", "reactivated", "dry-run", "skipped", "not-found", "ignored", "failed"}

# What else is on the line of metrics.
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

# The line that sums a notice up, for people: those of its fields that the queries use.
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

# Lambda's report of an invocation.
REPORT = {"record.status"}

# Those of AWS's own that are looked at.
AWS_METRICS = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName",)),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", ("QueueName",)),
    ("AWS/Lambda", "AsyncEventAge", ("FunctionName",)),
}


def known(namespace, name, dimensions):
    """Whether there is such a metric."""
    dimensions = tuple(sorted(dimensions))
    if namespace == NAMESPACE:
        return dimensions in METRICS.get(name, set())
    return (namespace, name, dimensions) in AWS_METRICS
