"""The chart of a run as SVG text, legible on light and on dark ground."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from bench.marks import Run
from bench.tables import ordered, threaded

_WIDTH = 860
_LEFT, _RIGHT = 150, 130  # room for the names on the left, for figures and labels on the right
_BAR, _GAP = 15, 12  # height of a bar with its share of space; space between groups
_TOP, _PANEL, _BETWEEN = 64, 300, 96
_AXIS = 60  # room for the speeds left of the curves
_LINE_HEIGHT = 16
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.group { font-weight: 600 }
.figure, .tick { fill: #57606a }
.grid { stroke: #d0d7de }
.own { fill: #0969da }
.peer { fill: #afb8c1 }
.line { fill: none; stroke-width: 2 }
.encode { stroke: #0969da }
.quantize { stroke: #bc4c00 }
.thin { stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.figure, .tick { fill: #9198a1 }
.grid { stroke: #3d444d }
.own { fill: #4493f8 }
.peer { fill: #656c76 }
.encode { stroke: #4493f8 }
.quantize { stroke: #f0883e }
}
"""


def chart(run: Run) -> str:
    """Two panels: speeds of conversion beside the peers, and speed over the size of the array.

    Returns
    -------
    str
        An SVG document. The same run always gives the same text.
    """
    groups = [
        contest
        for contest in run["contests"]
        if (contest["work"], contest["threads"], contest["out"]) == ("encode", 1, False)
    ]
    below = _TOP + sum(_BAR * len(group["speeds"]) + _GAP for group in groups) + _BETWEEN
    height = below + _PANEL + 60
    body = [*_bars(groups), *_curves(run["scaling"], below)]
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>Speed of mxemu's array engine and of its peers</title>",
        f"<style>{_STYLE}</style>",
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _bars(groups: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One group of bars for each element format."""
    longest = max(speed[1] for group in groups for speed in group["speeds"].values())
    yield _text(10, 26, "binary32 to code: millions of elements in a second", "title")
    yield _text(10, 45, "one thread, new arrays, Gaussian numbers; longer is faster", "tick")
    y = _TOP
    for group in groups:
        yield _text(10, y + 12, group["name"], "group")
        for name in ordered(group["speeds"]):
            speed = group["speeds"][name][1]
            width = (_WIDTH - _LEFT - 70) * speed / longest
            label = "float32 copy" if name == "copy" else name
            own = "own" if name == "mxemu" else "peer"
            yield _text(_LEFT - 6, y + 12, label, end=True)
            yield f'<rect class="{own}" x="{_LEFT}" y="{y + 1}" width="{width:.1f}" height="{_BAR - 3}"/>'
            yield _text(_LEFT + width + 5, y + 12, f"{speed:.0f}", "figure")
            y += _BAR
        y += _GAP


@dataclass(frozen=True)
class _Field:
    """Where the curves are drawn: from 2^low to 2^high elements, and from 0 to the highest speed."""

    low: int
    high: int
    highest: float
    top: int

    def at(self, elements: int, speed: float) -> tuple[float, float]:
        """The point of a speed, in pixels from the upper left corner."""
        across = (_WIDTH - _AXIS - _RIGHT) / max(self.high - self.low, 1)
        power = elements.bit_length() - 1
        return _AXIS + (power - self.low) * across, self.top + _PANEL * (1 - speed / self.highest)


def _curves(points: Sequence[dict[str, Any]], top: int) -> Iterator[str]:
    """One curve for each work and number of threads, over the number of elements."""
    powers = [point["elements"].bit_length() - 1 for point in points]
    highest = _ceiling(max(point["speeds"][1] for point in points))
    field = _Field(min(powers), max(powers), highest, top)
    yield _text(10, top - 38, "Speed over the size of the array", "title")
    yield _text(10, top - 19, "E4M3 with out=: millions of elements in a second", "tick")
    yield from _axes(field)
    ends = []
    for work, threads in dict.fromkeys((point["work"], point["threads"]) for point in points):
        own = [
            field.at(point["elements"], point["speeds"][1])
            for point in points
            if (point["work"], point["threads"]) == (work, threads)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in own)
        thin = " thin" if threads == 1 else ""
        yield f'<polyline class="line {work}{thin}" points="{path}"/>'
        ends.append((own[-1][1], f"{work}, {threaded(threads)}"))
    yield from _labels(ends)


def _axes(field: _Field) -> Iterator[str]:
    """Horizontal lines with their speeds, and sizes below."""
    for step in range(5):
        speed = field.highest * step / 4
        left, y = field.at(1 << field.low, speed)
        right, _ = field.at(1 << field.high, speed)
        yield f'<line class="grid" x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}"/>'
        yield _text(left - 6, y + 4, f"{speed:.0f}", "tick", end=True)
    for power in range(field.low, field.high + 1, 2):
        x, y = field.at(1 << power, 0)
        yield _text(x - 9, y + 18, f"2^{power}", "tick")
    yield _text(_AXIS, field.top + _PANEL + 38, "elements", "tick")


def _labels(ends: Sequence[tuple[float, str]]) -> Iterator[str]:
    """Names at the right ends of curves, moved down where they would overlap."""
    lowest = 0.0
    for y, label in sorted(ends):
        lowest = max(y, lowest + _LINE_HEIGHT)
        yield _text(_WIDTH - _RIGHT + 6, lowest + 4, label)


def _ceiling(speed: float) -> float:
    """A round number that is not below a speed, with four even parts."""
    step = 400.0
    while step < speed:
        step += 400.0 if step < 4000 else 4000.0
    return step


def _text(x: float, y: float, text: str, kind: str = "", end: bool = False) -> str:
    kind = f' class="{kind}"' if kind else ""
    anchor = ' text-anchor="end"' if end else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind}{anchor}>{escape(text)}</text>'
