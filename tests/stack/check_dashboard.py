"""Checks the dashboard, the alarms and the saved queries in template.yaml.

    python tests/stack/check_dashboard.py

CloudWatch accepts a widget of a metric that does not exist, and shows it empty. It accepts a query of a field that does
not exist, and finds nothing.
"""

import re
from itertools import combinations

from dashboard_body import Stack
from local import ACCOUNT, REGION, ROOT, Checks
from metrics import METRICS, NAMESPACE, OUTCOMES, PROPERTIES, REPORT, SUMMARY, TASK_METRICS, known

ALARMS = ["DeadLetterAlarm", "FailureAlarm", "LateAlarm"]
# These keep their state from one rehearsal to the next.
REHEARSAL_ALARMS = ["NotCoveredAlarm", "RehearsalPermissionAlarm"]
SCHEDULE = {"RehearsalSchedule": "rate(1 day)"}
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:on-call"

# CloudWatch's grid.
COLUMNS = 24

FIELDS = PROPERTIES | SUMMARY | REPORT | METRICS.keys() | TASK_METRICS.keys()

# The words of the query language. Any other word in a query must be a field.
WORDS = {"filter", "stats", "sort", "limit", "display", "by", "as", "and", "or", "not", "in", "like", "asc", "desc"}
FUNCTIONS = {"count", "count_distinct", "pct", "min", "max", "ispresent"}

SEARCH = re.compile(r"SEARCH\('\{([\w/]+(?:,\w+)*)\} MetricName=\"(\w+)\"', '(\w+)'\)")
LABEL = re.compile(r"\$\{PROP\('Dim\.(\w+)'\)\}")


def main():
    checks = Checks()
    checks.heading("metrics and fields that the function logs")
    check_metrics(checks, *((ROOT / "src" / of / "metrics.rs").read_text() for of in ("report", "rehearsal")))
    check_summary(checks, (ROOT / "src/report.rs").read_text())
    for delivery in "direct", "queue":
        checks.heading(f"dashboard, Delivery={delivery}")
        check_dashboard(checks, Stack({"Delivery": delivery}), METRICS, ALARMS)
    for name, parameters in [
        ("FargateSpot", {"FargateSpot": "handle"}),
        ("RunAgain", {"RunAgain": "tagged", "PassRoles": "/ecs-tasks/"}),
    ]:
        checks.heading(f"dashboard, {name}")
        check_dashboard(checks, Stack(parameters), METRICS | TASK_METRICS, ALARMS)
    checks.heading("dashboard, RehearsalSchedule")
    check_dashboard(checks, Stack(SCHEDULE), METRICS, ALARMS + REHEARSAL_ALARMS)
    for name, parameters, alarms, topics in [
        ("a dashboard and no topic", {}, ALARMS, None),
        ("a topic and no dashboard", {"Dashboard": "false", "AlarmTopicArn": TOPIC}, ALARMS, [TOPIC]),
        ("neither", {"Dashboard": "false"}, [], None),
        ("a schedule", SCHEDULE, sorted(ALARMS + REHEARSAL_ALARMS), None),
        ("a schedule and neither", SCHEDULE | {"Dashboard": "false"}, [], None),
    ]:
        checks.heading(f"alarms: {name}")
        created = Stack(parameters).of_type("AWS::CloudWatch::Alarm")
        checks.same("alarms", alarms, sorted(created))
        for alarm in created.items():
            check_alarm(checks, *alarm, topics)
    checks.heading("saved queries")
    for name, query in Stack({}).of_type("AWS::Logs::QueryDefinition").items():
        checks.same(f"{name}: folder", "spot-interruption-handler", query["Name"].partition("/")[0])
        checks.same(f"{name}: log group", ["LogGroup"], query["LogGroupNames"])
        checks.same(f"{name}: unknown words", [], unknown_words(query["QueryString"]))
    checks.done()


def check_metrics(checks, source, of_rehearsals):
    written = re.findall(r'"(\w+)", "(?:Count|Seconds)"', source + of_rehearsals)
    checks.same("metrics", sorted(METRICS | TASK_METRICS), sorted(written))
    members = set(re.findall(r'^        "(\w+)": ', source, re.MULTILINE))
    checks.same("properties that it does not log", [], sorted(PROPERTIES - members))


def check_summary(checks, source):
    fields = {name.removeprefix("fields.") for name in SUMMARY if name.startswith("fields.")} - {"message"}
    written = set(re.findall(r"^ +%?(\w+)(?: = .+)?,$", source, re.MULTILINE))
    checks.same("summary fields that it does not log", [], sorted(fields - written))


def check_dashboard(checks, stack, expected, expected_alarms):
    widgets = stack.dashboard()["widgets"]
    checks.same("widgets without a title", [], [widget for widget in widgets if not title(widget)])
    checks.same("widgets off the grid", [], [title(widget) for widget in widgets if off_grid(widget)])
    pairs = [f"{title(one)} and {title(two)}" for one, two in combinations(widgets, 2) if overlap(one, two)]
    checks.same("widgets that overlap", [], pairs)
    area = sum(widget["width"] * widget["height"] for widget in widgets)
    bottom = max(widget["y"] + widget["height"] for widget in widgets)
    checks.same("empty cells of the grid", 0, COLUMNS * bottom - area)

    metrics = [metric for widget in widgets for metric in metrics_of(widget)]
    checks.same("metrics that do not exist", [], sorted({str(metric) for metric in metrics if not known(*metric)}))
    shown = {name for namespace, name, _ in metrics if namespace == NAMESPACE}
    checks.same("metrics", sorted(expected), sorted(shown))
    outcomes = {entry[3] for widget in widgets for entry in entries(widget) if entry[2:3] == ["Outcome"]}
    checks.same("outcomes that do not exist", [], sorted(outcomes - OUTCOMES))
    queries = [widget["properties"]["query"] for widget in widgets if widget["type"] == "log"]
    checks.same("unknown words of queries", [], [word for query in queries for word in unknown_words(query)])
    alarms = [arn for widget in widgets for arn in widget["properties"].get("alarms", [])]
    checks.same("alarms", sorted(f"{name}.Arn" for name in expected_alarms), sorted(alarms))


def title(widget):
    properties = widget["properties"]
    return properties.get("title") or properties.get("markdown", "").partition("\n")[0].lstrip("# ")


def off_grid(widget):
    x, y, width, height = (widget[name] for name in ("x", "y", "width", "height"))
    return min(x, y) < 0 or min(width, height) < 1 or x + width > COLUMNS


def overlap(one, two):
    def meet(start, length):
        return one[start] < two[start] + two[length] and two[start] < one[start] + one[length]

    return meet("x", "width") and meet("y", "height")


def entries(widget):
    return widget["properties"].get("metrics", [])


def metrics_of(widget):
    """The namespace, name and dimension names of each metric of a widget."""
    for entry in entries(widget):
        *names, options = entry if isinstance(entry[-1], dict) else [*entry, {}]
        if names:
            yield names[0], names[1], names[2::2]
            continue
        if not (found := SEARCH.fullmatch(options["expression"])):
            raise ValueError(f"unknown form of search: {options['expression']}")
        namespace, *dimensions = found[1].split(",")
        if set(LABEL.findall(options["label"])) != set(dimensions):
            raise ValueError(f"the label does not distinguish the series: {options['label']}")
        yield namespace, found[2], dimensions


def check_alarm(checks, name, alarm, topics):
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions", [])}
    checks.same(f"{name}: metric exists", True, known(alarm["Namespace"], alarm["MetricName"], dimensions))
    checks.same(f"{name}: outcome exists", True, dimensions.get("Outcome", "failed") in OUTCOMES)
    without_data = "ignore" if name in REHEARSAL_ALARMS else "notBreaching"
    checks.same(f"{name}: state without data", without_data, alarm["TreatMissingData"])
    checks.same(f"{name}: topics", [topics, topics], [alarm.get(to) for to in ("AlarmActions", "OKActions")])
    checks.same(f"{name}: says what to do", True, "Troubleshooting" in alarm["AlarmDescription"])


def unknown_words(query):
    """The words of a query that are neither of the language, nor fields, nor names that the query defines."""
    query = re.sub(r"^SOURCE '[^']+' \| ", "", query)
    query = re.sub(r"#.*|'[^']*'|\"[^\"]*\"", "", query)
    given = set(re.findall(r"\bas (\w+)", query))
    functions = set(re.findall(r"\b(\w+)\(", query))
    words = set(re.findall(r"@?[A-Za-z_][\w.]*", query)) - functions
    return sorted((words - FIELDS - WORDS - given) | (functions - FUNCTIONS))


if __name__ == "__main__":
    main()
