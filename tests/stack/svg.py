"""Draws panels with text, numbers, graphs, bars and tables as SVG."""

import re
from html import escape

COLORS = 7

STYLE = """
text { fill: #1f2328; font: 12px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif }
.title { font-size: 17px; font-weight: 600 }
.name { font-size: 13px; font-weight: 600 }
.label { fill: #bc4c00; font-size: 14px; font-weight: 600 }
.number { font-size: 21px; font-weight: 600 }
.small { font-size: 10.5px }
.bold { font-weight: 600 }
.italic { font-style: italic }
.right { text-anchor: end }
.middle { text-anchor: middle }
.page { fill: #eaeef2 }
.panel { fill: #ffffff }
.mute { fill: #59636e }
.grid { stroke: #d1d9e0 }
.line { fill: none; stroke-width: 1.5; stroke-linejoin: round }
.ok { fill: #1a7f37 }
.on { fill: #d62728 }
.c0 { fill: #0969da; stroke: #0969da }
.c1 { fill: #bc4c00; stroke: #bc4c00 }
.c2 { fill: #1a7f37; stroke: #1a7f37 }
.c3 { fill: #8250df; stroke: #8250df }
.c4 { fill: #9a6700; stroke: #9a6700 }
.c5 { fill: #bf3989; stroke: #bf3989 }
.c6 { fill: #59636e; stroke: #59636e }
.red { fill: #d62728; stroke: #d62728 }
.bar { stroke: none }
.line.line { fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.page { fill: #010409 }
.panel { fill: #0d1117 }
.mute { fill: #9198a1 }
.label { fill: #f0883e }
.grid { stroke: #3d444d }
.ok { fill: #3fb950 }
.c0 { fill: #4493f8; stroke: #4493f8 }
.c1 { fill: #f0883e; stroke: #f0883e }
.c2 { fill: #3fb950; stroke: #3fb950 }
.c3 { fill: #ab7df8; stroke: #ab7df8 }
.c4 { fill: #d29922; stroke: #d29922 }
.c5 { fill: #db61a2; stroke: #db61a2 }
.c6 { fill: #9198a1; stroke: #9198a1 }
.on { fill: #f85149 }
.red { fill: #f85149; stroke: #f85149 }
.bar { stroke: none }
.line.line { fill: none }
}
"""

# The width of a letter per pixel of font size. It is generous, because fonts differ.
LETTER_WIDTH = 0.58

# Points that are further apart are not connected.
GAP_BINS = 4


def width(text, size=12):
    return len(text) * size * LETTER_WIDTH


class Picture:
    def __init__(self, width, height, title):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>",
            f'<rect class="page" width="{width}" height="{height}" rx="6"/>',
        ]

    def add(self, part):
        self.parts.append(part)

    def text(self, x, y, text, style=""):
        self.add(f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>')

    def panel(self, x, y, width, height):
        self.add(f'<rect class="panel" x="{x}" y="{y}" width="{width}" height="{height}" rx="4"/>')
        return Panel(self, x + 12, y, width - 24, height)

    def done(self):
        return "\n".join([*self.parts, "</svg>", ""])


class Panel:
    """The inside of a rectangle. Text that does not fit raises an error."""

    def __init__(self, picture, x, y, width, height):
        self.picture, self.x, self.y, self.width, self.height = picture, x, y, width, height

    def text(self, x, y, text, style="", size=12, room=None):
        room = self.width - x if room is None else room
        if width(text, size) > room + 1 or not 0 < y <= self.height:
            raise ValueError(f"{text!r} does not fit: {width(text, size):.0f} of {room:.0f} pixels")
        self.picture.text(self.x + x, self.y + y, text, style)

    def title(self, text):
        self.text(0, 22, text, "name", 13)

    def markdown(self, text):
        y = 26
        for block in text.split("\n\n"):
            if block.startswith("### "):
                self.title(block.removeprefix("### "))
                y += 22
                continue
            x, spans = 0, []
            for part in re.split(r"(\*\*.+?\*\*|\*.+?\*)", block):
                style = "bold" if part.startswith("**") else "italic" if part.startswith("*") else ""
                for word in re.findall(r"\s*\S+|\s+", part.strip("*")):
                    if x + width(word.rstrip()) > self.width:
                        self.spans(y, spans)
                        x, y, spans = 0, y + 17, []
                    shown = word if spans else word.lstrip()
                    spans.append((style, shown))
                    x += width(shown)
            self.spans(y, spans)
            y += 25

    def spans(self, y, spans):
        if y > self.height - 6:
            raise ValueError(f"the text is too long: {spans}")
        inner = "".join(f'<tspan class="{style}">{escape(word)}</tspan>' for style, word in spans)
        self.picture.add(f'<text x="{self.x}" y="{self.y + y}" xml:space="preserve">{inner}</text>')

    def numbers(self, numbers):
        numbers = list(numbers)
        each = self.width / len(numbers)
        for at, (value, label, color) in enumerate(numbers):
            self.text(at * each, 62, value, "number on" if color else "number", 21, each)
            self.text(at * each, 86, label, "mute", 12, each)

    def states(self, states):
        each = self.width / len(states)
        for at, (name, on) in enumerate(states):
            x = self.x + at * each
            self.picture.add(f'<circle class="{"on" if on else "ok"}" cx="{x + 6:.1f}" cy="{self.y + 60}" r="6"/>')
            self.text(at * each + 18, 58, name, "", 12, each - 18)
            self.text(at * each + 18, 76, "In alarm" if on else "OK", "bold on" if on else "mute", 12, each - 18)

    def table(self, head, rows):
        room = [max(width(row[at], 10.5) + 5 for row in [head, *rows]) for at in range(len(head))]
        spare = (self.width - sum(room)) / (len(head) - 1)
        for line, row in enumerate([head, *rows]):
            for at, cell in enumerate(row):
                x = sum(room[:at]) + at * spare
                self.text(x, 52 + line * 22, cell, "small" if line else "small mute", 10.5, room[at])
            y = self.y + 59 + line * 22
            self.picture.add(f'<path class="grid" d="M{self.x} {y}h{self.width}"/>')

    def bars(self, bars):
        label = max(width(name) for name, _ in bars) + 10
        most = max(count for _, count in bars)
        step = (self.height - 46) / len(bars)
        for at, (name, count) in enumerate(bars):
            y = 36 + at * step
            self.text(0, y + step / 2 + 4, name, "", 12, label)
            long = (self.width - label - 30) * count / most
            thick = min(step - 6, 18)
            place = f'x="{self.x + label:.1f}" y="{self.y + y + (step - thick) / 2:.1f}"'
            self.picture.add(f'<rect class="c0 bar" {place} width="{long:.1f}" height="{thick:.1f}"/>')
            self.text(label + long + 6, y + step / 2 + 4, str(count), "mute")

    def graph(self, series, bins, stacked, top, unit, limits):
        sums = [sum(values.get(at, 0) for _, _, values in series) for at in range(bins)]
        highest = max(sums) if stacked else max(value for _, _, values in series for value in values.values())
        top = top or nice(highest)
        names = self.legend([(name, color) for name, color, _ in series])
        self.left, self.bottom, self.head = 30, self.height - 28 - names * 16, 48
        self.top, self.bins = top, bins
        self.text(0, 40, unit, "mute small", 10.5)
        for part in range(5):
            y = self.at(0, top * part / 4)[1]
            self.picture.add(f'<path class="grid" d="M{self.x + self.left} {y:.1f}H{self.x + self.width}"/>')
            self.picture.text(self.x + self.left - 5, y + 4, f"{top * part / 4:g}", "mute small right")
        for hour in range(0, 25, 6 if self.width > 240 else 12):
            x = self.at(hour / 24 * bins, 0)[0]
            where = "right" if hour == 24 else "middle" if hour else ""
            self.picture.text(x, self.y + self.bottom + 14, f"{hour:02}:00", f"mute small {where}")
        for limit in limits:
            x, y = self.at(0, limit["value"])
            line = f'd="M{x:.1f} {y:.1f}H{self.x + self.width}"'
            self.picture.add(f'<path class="line red" stroke-dasharray="4 3" {line}/>')
            self.picture.text(self.x + self.width, y - 5, limit["label"], "small right on")
        below = [0] * bins
        for at, (_, color, values) in enumerate(series):
            style = "red" if color else f"c{at % COLORS}"
            self.columns(style, values, below) if stacked else self.polyline(style, values)

    def at(self, x, value):
        across = (self.width - self.left) / self.bins
        up = (self.bottom - self.head) / self.top
        return self.x + self.left + x * across, self.y + self.bottom - value * up

    def columns(self, style, values, below):
        parts = []
        for at, value in values.items():
            (x, y), base = self.at(at, below[at] + value), self.at(at, below[at])[1]
            parts.append(f"M{x:.1f} {base:.1f}V{y:.1f}h{(self.width - self.left) / self.bins:.1f}V{base:.1f}z")
            below[at] += value
        self.picture.add(f'<path class="{style} bar" d="{"".join(parts)}"/>')

    def polyline(self, style, values):
        points = [self.at(at + 0.5, value) for at, value in values.items()]
        path, before = "", None
        for at, (x, y) in zip(values, points, strict=True):
            path += f"{'M' if before is None or at - before > GAP_BINS else 'L'}{x:.1f} {y:.1f}"
            before = at
        self.picture.add(f'<path class="line {style}" d="{path}"/>')
        dots = "".join(f"M{x - 1.5:.1f} {y:.1f}a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0" for x, y in points)
        self.picture.add(f'<path class="{style} bar" d="{dots}"/>')

    def legend(self, names):
        """Draws the legend at the bottom and returns its number of lines."""
        rows, x = [[]], 0
        for at, (name, color) in enumerate(names):
            room = width(name, 10.5) + 26
            if x + room > self.width + 14 and rows[-1]:
                rows.append([])
                x = 0
            rows[-1].append((x, name, "red" if color else f"c{at % COLORS}"))
            x += room
        for line, row in enumerate(reversed(rows)):
            y = self.height - 12 - line * 16
            for x, name, style in row:
                place = f'x="{self.x + x:.1f}" y="{self.y + y - 8}" width="9" height="9"'
                self.picture.add(f'<rect class="{style} bar" {place}/>')
                self.text(x + 13, y, name, "small", 10.5)
        return len(rows)


def nice(value):
    """The smallest round number not below the value that four divides."""
    power = 1
    while True:
        for step in 4, 6, 8, 12, 20:
            if step * power >= value and step * power % 4 == 0:
                return step * power
        power *= 10
