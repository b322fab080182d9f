"""Draws the dashboard in template.yaml as SVG, over a made-up day.

    python tests/stack/dashboard.py docs/dashboard.svg
    python tests/stack/dashboard.py --check docs/dashboard.svg

With `--check` the script writes nothing and fails if the file differs from the drawing.
"""

import sys
from pathlib import Path

from check_dashboard import SEARCH
from dashboard_body import Stack
from made_up import BIN_MIN, DAY_MIN, CloudWatch, statistic
from svg import Picture

# In pixels.
COLUMN, ROW, GAP, TOP = 41, 41, 8, 62
MADE_UP = "All data is made up: a stand-in fleet, two reclaim waves, and an account that lacks a permission."


def main():
    *check, path = sys.argv[1:]
    drawn = draw()
    if not check:
        Path(path).write_text(drawn)
    elif Path(path).read_text() == drawn:
        print(f"{path} shows the dashboard in template.yaml")
    else:
        sys.exit(f"{path} is out of date. Draw it again: python {sys.argv[0]} {path}")


def draw():
    stack, cloudwatch = Stack({}), CloudWatch()
    widgets, alarms = stack.dashboard()["widgets"], stack.of_type("AWS::CloudWatch::Alarm")
    rows = max(widget["y"] + widget["height"] for widget in widgets)
    picture = Picture(24 * COLUMN + GAP, rows * ROW + TOP + GAP, "The dashboard, with made-up data")
    picture.text(GAP + 4, 26, "The dashboard of a stack, over a day", "title")
    picture.text(GAP + 4, 48, MADE_UP)
    picture.text(24 * COLUMN - 4, 26, "MADE-UP STAND-IN DATA", "label right")
    picture.text(24 * COLUMN - 4, 48, "drawn from template.yaml", "mute right")
    for widget in widgets:
        x, y = GAP + widget["x"] * COLUMN, TOP + widget["y"] * ROW
        panel = picture.panel(x, y, widget["width"] * COLUMN - GAP, widget["height"] * ROW - GAP)
        properties = widget["properties"]
        if widget["type"] == "text":
            panel.markdown(properties["markdown"])
            continue
        panel.title(properties["title"])
        match widget["type"], properties.get("view"):
            case "metric", "singleValue":
                panel.numbers(numbers(cloudwatch, properties))
            case "metric", _:
                graph(panel, cloudwatch, properties)
            case "alarm", _:
                names = [arn.removesuffix(".Arn") for arn in properties["alarms"]]
                panel.states([(name, breaches(cloudwatch, alarms[name])) for name in names])
            case "log", "bar":
                _, rows_of_query = cloudwatch.query(properties["query"])
                panel.bars([(" ".join(key), count) for key, count, _ in rows_of_query][:10])
            case "log", "table":
                by, rows_of_query = cloudwatch.query(properties["query"])
                cells = [[*key, str(count), str(instances)] for key, count, instances in rows_of_query]
                panel.table([*by, "failures", "instances"], cells)
    return picture.done()


def numbers(cloudwatch, properties):
    for namespace, name, *dimensions, options in properties["metrics"]:
        bins = cloudwatch.series(namespace, name, dict(zip(dimensions[::2], dimensions[1::2], strict=True)))
        value = statistic(options["stat"], [value for values in bins.values() for value in values])
        shown = f"{value:.1f} s" if name.startswith("Seconds") else f"{value:g}"
        yield shown, options["label"], options.get("color")


def graph(panel, cloudwatch, properties):
    series = list(series_of(cloudwatch, properties))
    panel.graph(
        series,
        bins=DAY_MIN // BIN_MIN,
        stacked=properties.get("stacked", False),
        top=properties["yAxis"]["left"].get("max"),
        unit=properties["yAxis"]["left"]["label"],
        limits=properties.get("annotations", {}).get("horizontal", []),
    )


def series_of(cloudwatch, properties):
    """The label, the color or None, and the values by bin of each series of a graph."""
    for *metric, options in properties["metrics"]:
        stat = options.get("stat", properties.get("stat"))
        if metric:
            namespace, name, *dimensions = metric
            found = [(options["label"], dict(zip(dimensions[::2], dimensions[1::2], strict=True)))]
        else:
            schema, name, stat = SEARCH.fullmatch(options["expression"]).groups()
            namespace, *keys = schema.split(",")
            found = [
                (" ".join(values), dict(zip(keys, values, strict=True))) for values in cloudwatch.search(name, keys)
            ]
        for label, dimensions in found:
            bins = cloudwatch.series(namespace, name, dimensions)
            yield label, options.get("color"), {at: statistic(stat, bins[at]) for at in sorted(bins)}


def breaches(cloudwatch, alarm):
    """Whether an alarm is in the ALARM state at the end of the day."""
    dimensions = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", [])}
    last = cloudwatch.series(alarm["Namespace"], alarm["MetricName"], dimensions).get(DAY_MIN // BIN_MIN - 1)
    if not last:
        return False
    value = statistic(alarm["Statistic"], last)
    below = alarm["ComparisonOperator"] == "LessThanThreshold"
    return value < alarm["Threshold"] if below else value >= alarm["Threshold"]


if __name__ == "__main__":
    main()
