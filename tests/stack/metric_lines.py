"""Validates the metrics lines of the built function against CloudWatch's embedded metric format.

CloudWatch's JSON schema of the format is tests/emf.schema.json. Limits that are only documented in prose are checked here.

    sam build
    python tests/stack/metric_lines.py .aws-sam/build/Function/bootstrap target/debug/examples/standin --port 0

The function starts as Lambda starts it and receives each sample event, alone and in a batch. The arguments after the
function are the command of the stand-in for AWS.
"""

import json
import os
import sys
from contextlib import ExitStack
from datetime import datetime, timezone

from jsonschema import Draft7Validator

from function import function
from local import (
    ROOT,
    Checks,
    end_with_the_script,
    environment,
    expectations,
    samples,
    scratch,
    start_standin,
)
from metrics import known

SCHEMA = Draft7Validator(json.loads((ROOT / "tests/emf.schema.json").read_text()))
LATE = "late.json"


def main():
    end_with_the_script()
    checks = Checks()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        standin = start_standin(stack, folder, sys.argv[2:])
        os.environ.clear()
        os.environ.update(environment(standin))
        invoke = stack.enter_context(function(folder, sys.argv[1:2]))
        check_events(checks, invoke)
        check_batch(checks, invoke)
    checks.done()


def events():
    """The sample events with the current time, and the outcomes expected of each."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    events = {name: json.loads(text) for name, text in samples().items()}
    sent = {name: event if name == LATE else event | {"time": now} for name, event in events.items()}
    outcomes = {name: [expected.get("outcome", "failed")] for name, expected in expectations().items()}
    sent["another account"] = sent["terminate.json"] | {"account": "210987654321"}
    outcomes["another account"] = ["failed"]
    # A rehearsal has metrics of its own.
    outcomes["rehearsal.json"] = []
    # An ordinary launch is frequent and has no outcome.
    sent["an ordinary launch"] = sent["resumed.json"] | {"detail": sent["no-cluster.json"]["detail"]}
    sent["an ordinary launch"]["detail"] |= {"state": "running"}
    outcomes["an ordinary launch"] = []
    return {name: (event, outcomes[name]) for name, event in sent.items()}


def check_events(checks, invoke):
    checks.heading("each event alone: outcome on its metrics line")
    written = {}
    for name, (event, outcomes) in events().items():
        _, lines = invoke(event)
        written[name] = metric_lines(lines)
        checks.same(name, outcomes, [line["Outcome"] for line in written[name] if "Outcome" in line])
    lines = [line for of_event in written.values() for line in of_event]
    checks.heading("metrics lines of these events")
    checks.same("violations of the format", [], [violation for line in lines for violation in violations(line)])
    checks.same("distinct outcomes", 7, len({line["Outcome"] for line in lines if "Outcome" in line}))
    rehearsals = [line for line in written["rehearsal.json"] if "Rehearsals" in line or "Findings" in line]
    checks.same("lines of a rehearsal, and of its kinds of findings", 13, len(rehearsals))

    def seconds_to_spare(name):
        [line] = written[name]
        return line.get("SecondsToSpare")

    checks.same("SecondsToSpare: in time", True, 100 < seconds_to_spare("terminate.json") <= 120)
    checks.same("SecondsToSpare: late", 0, seconds_to_spare(LATE))
    checks.same("SecondsToSpare: hibernation", None, seconds_to_spare("hibernate.json"))
    checks.same("SecondsToSpare: failed", None, seconds_to_spare("another account"))
    checks.same("cold starts", 1, sum(line.get("ColdStarts", 0) for line in lines))
    [line] = written["terminate.json"]
    unit, missing = json.loads(json.dumps(line)), {name: line[name] for name in line if name != "Outcomes"}
    unit["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Unit"] = "Notices"
    found = [len(list(violations(of))) for of in (unit, missing)]
    checks.same("violations by a wrong unit, by a missing value", [1, 1], found)


def check_batch(checks, invoke):
    checks.heading("the same events in a batch from a queue")
    sent = events()
    # Its instance is deregistered by now, which makes the event an ordinary launch.
    del sent["state-change.json"]
    records = [
        {"messageId": name, "body": json.dumps(event), "eventSource": "aws:sqs", "awsRegion": "us-east-2"}
        for name, (event, _) in sent.items()
    ]
    answer, lines = invoke({"Records": records})
    lines = [line for line in metric_lines(lines) if "Outcome" in line]
    checks.same("lines", sum(len(outcomes) for _, outcomes in sent.values()), len(lines))
    checks.same("violations of the format", [], [violation for line in lines for violation in violations(line)])
    failed = sum(line["Outcome"] == "failed" for line in lines)
    checks.same("failed", len(answer["batchItemFailures"]), failed)


def metric_lines(lines):
    return [line for line in map(json.loads, lines) if "_aws" in line]


def violations(line):
    """Violations of the format, and metrics that nothing reads."""
    yield from (error.message for error in SCHEMA.iter_errors(line))
    if len(json.dumps(line)) > 1_000_000:
        yield "more than 1 MB"
    for directive in line["_aws"]["CloudWatchMetrics"]:
        namespace, dimensions, metrics = (directive[name] for name in ("Namespace", "Dimensions", "Metrics"))
        if len(metrics) > 100:
            yield "more than 100 metrics"
        yield from (f"not a string: {name}" for by in dimensions for name in by if not isinstance(line.get(name), str))
        for metric in metrics:
            name = metric["Name"]
            if type(line.get(name)) not in (int, float):
                yield f"not a number: {name}"
            if metric.get("StorageResolution", 60) not in (1, 60):
                yield f"invalid resolution: {name}"
            yield from (f"nothing reads {name} by {by}" for by in dimensions if not known(namespace, name, by))


if __name__ == "__main__":
    main()
