"""Generates a made-up day of metrics lines, and answers metrics and queries from them as CloudWatch would.

The day has scattered interruptions, two waves, throttled calls in the first wave, and an account whose role lacks a
permission. It is always the same.
"""

import re
from collections import defaultdict
from random import Random

from metrics import NAMESPACE

DAY_MIN = 24 * 60
BIN_MIN = 30

HOME = ("123456789012", "us-east-2")
SCOPES = [HOME, HOME, HOME, ("123456789012", "eu-west-1"), ("210987654321", "us-east-2")]
# The start minute, scope, number of instances, instance type and zone of each wave.
WAVES = [(187, HOME, 30, "c6i.xlarge", "b"), (1004, ("123456789012", "eu-west-1"), 14, "r6i.large", "a")]
CLUSTERS = ["web", "web", "web", "workers", "workers", "etl"]
TYPES = ["m6i.large", "m6i.large", "c6i.xlarge", "c6i.xlarge", "r6i.large", "m5.large", "c5.xlarge"]
OUTCOMES = ["deregistered"] * 15 + ["draining"] * 3 + ["not-found"] * 2 + ["skipped"]
CHANGED = {"deregistered", "draining"}


def lines():
    """The day's lines in chronological order."""
    made = []
    random = Random(6)

    def pick(some):
        return some[int(random.random() * len(some))]

    def line(minute, scope, cluster, instance_type, zone, outcome, seconds, calls, **more):
        values = {"minute": minute, "Account": scope[0], "Region": scope[1], "Cluster": cluster, "Outcome": outcome}
        values |= {"InstanceId": f"i-{len(made):017x}", "InstanceType": instance_type}
        values |= {"AvailabilityZone": scope[1] + zone, "Outcomes": 1, "Interruptions": 1}
        values |= {"Calls": calls, "Throttles": 0, "ColdStarts": 0, "waited_ms": 15 + random.random() * 25}
        if outcome in CHANGED:
            values |= {"SecondsToAct": seconds, "SecondsToSpare": max(0, 120 - seconds)}
        made.append(values | more)

    for _ in range(110):
        minute, scope = random.random() * DAY_MIN, pick(SCOPES)
        calls, seconds = 4 + int(random.random() * 2), 0.5 + random.random() ** 4 * 5
        cold = {"ColdStarts": int(random.random() < 0.6)}
        line(minute, scope, pick(CLUSTERS), pick(TYPES), pick("abc"), pick(OUTCOMES), seconds, calls, **cold)
    for minute, scope, count, instance_type, zone in WAVES:
        for at in range(count):
            throttles = int(random.random() * 8 * at / count) if count > 20 else 0
            seconds = 0.6 + at * 0.6 * random.random()
            more = {"Throttles": throttles, "ColdStarts": int(at % 5 == 0), "waited_ms": 20 + at * 14 * random.random()}
            outcome, calls = pick(OUTCOMES[:18]), 5 + throttles
            line(minute + at / 15, scope, pick(CLUSTERS), instance_type, zone, outcome, seconds, calls, **more)
    for minute in 188.5, 189.1:
        line(minute, HOME, "workers", "c6i.xlarge", "b", "failed", 0, 14, ErrorType="Throttled", Throttles=9)
        line(minute + 1, HOME, "workers", "c6i.xlarge", "b", "deregistered", 63.5 + minute / 100, 6)
        made[-1]["InstanceId"] = made[-2]["InstanceId"]
    for attempt in range(2):
        scope = ("210987654321", "us-east-2")
        line(872 + attempt, scope, "etl", "m5.large", "a", "failed", 0, 3, ErrorType="AccessDenied")
    made[-1]["InstanceId"] = made[-2]["InstanceId"]
    return sorted(made, key=lambda one: one["minute"])


def rehearsals():
    """A rehearsal every three hours. Someone deploys a service without room at noon, and a permission is missing until 6."""
    made = []
    for hour in range(0, 24, 3):
        minute = hour * 60 + 5
        made.append({"minute": minute, "Rehearsals": 1, "NotCovered": 2 if hour < 6 else 0})
        found = {
            "permission-missing": int(hour < 6),
            "service-without-room": int(hour >= 12),
            "stop-timeout-not-set": 3,
        }
        made += [{"minute": minute, "Findings": count, "Kind": kind} for kind, count in found.items()]
    return made


class CloudWatch:
    """Answers metrics and queries from the lines."""

    def __init__(self):
        self.lines, self.rehearsals = lines(), rehearsals()

    def series(self, namespace, name, dimensions):
        """The values of a metric, by bin of the day."""
        if namespace != NAMESPACE:
            return self.of_aws(name)
        bins = defaultdict(list)
        for line in self.lines + self.rehearsals:
            if name in line and all(line[key] == value for key, value in dimensions.items()):
                bins[int(line["minute"] / BIN_MIN)].append(line[name])
        return bins

    def of_aws(self, name):
        if name == "ApproximateNumberOfMessagesVisible":
            # The only message is the notice whose second attempt was denied.
            [*_, sent] = [line["minute"] for line in self.lines if line.get("ErrorType") == "AccessDenied"]
            return {at: [int(at * BIN_MIN + BIN_MIN > sent)] for at in range(DAY_MIN // BIN_MIN)}
        per_unit = {"AsyncEventAge": 1, "ApproximateAgeOfOldestMessage": 1000}[name]
        bins = defaultdict(list)
        for line in self.lines:
            bins[int(line["minute"] / BIN_MIN)].append(line["waited_ms"] / per_unit)
        return bins

    def search(self, name, dimensions):
        """The combinations of dimension values, in descending order of their sum."""
        found = defaultdict(int)
        for line in self.lines + self.rehearsals:
            if name in line:
                found[tuple(line[key] for key in dimensions)] += line[name]
        return sorted(found, key=lambda values: (-found[values], values))

    def query(self, text):
        """The rows of a count by fields, in descending order: the fields, the count, and the distinct instances."""
        field, value = re.search(r"filter (\w+) = '?(\w+)'?", text).groups()
        by = re.search(r" by ([\w, ]+?) \|", text)[1].split(", ")
        rows = defaultdict(list)
        for line in self.lines:
            if str(line.get(field)) == value:
                rows[tuple(line[key] for key in by)].append(line["InstanceId"])
        counted = [(key, len(ids), len(set(ids))) for key, ids in rows.items()]
        return by, sorted(counted, key=lambda row: (-row[1], row[0]))


def statistic(name, values):
    """A CloudWatch statistic. Percentiles use the nearest rank."""
    match name:
        case "Sum":
            return sum(values)
        case "Minimum":
            return min(values)
        case "Maximum":
            return max(values)
    return sorted(values)[max(0, -(-len(values) * int(name.removeprefix("p")) // 100) - 1)]
