"""Figures of the documentation as SVG text, drawn from what the exact core computes, for light and dark ground."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from html import escape
from typing import NamedTuple

from mxemu.accumulation import Accumulation
from mxemu.accumulations import from_mapping
from mxemu.explain.dots import SumStep, explain_dot, sums_of
from mxemu.formats import E4M3
from mxemu.products import Operand
from mxemu.scalar import encode
from mxemu.value import Value, parse

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.bit { font: 12px ui-monospace, monospace; text-anchor: middle }
.small { font-size: 11px; fill: #57606a }
.weight { font-size: 10px; fill: #57606a }
.faint { fill: #8c959f }
.middle { text-anchor: middle }
.lost { fill: #bc4c00 }
.kept { fill: #0969da }
.cell { stroke: #d0d7de; fill: none }
.one { stroke: #0969da; fill: #ddf4ff }
.gone { stroke: #bc4c00; fill: #fff1e5 }
.line { stroke: #57606a; stroke-width: 1.5; fill: none }
.cut { stroke: #bc4c00; stroke-width: 2; stroke-dasharray: 5 3 }
.node { fill: #ddf4ff; stroke: #0969da }
.leaf { fill: #f6f8fa; stroke: #afb8c1 }
.carry { fill: #fff8c5; stroke: #9a6700 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.weight { fill: #9198a1 }
.faint { fill: #656c76 }
.lost { fill: #f0883e }
.kept { fill: #4493f8 }
.cell { stroke: #3d444d }
.one { stroke: #4493f8; fill: #121d2f }
.gone { stroke: #f0883e; fill: #2d1b0d }
.line { stroke: #9198a1 }
.cut { stroke: #f0883e }
.node { fill: #121d2f; stroke: #4493f8 }
.leaf { fill: #161b22; stroke: #656c76 }
.carry { fill: #2e2a1f; stroke: #d29922 }
}
"""
_CELL, _ROW = 21, 27


def figures() -> dict[str, str]:
    """Name of a file to its SVG text."""
    return {
        "alignment-window.svg": alignment_window(),
        "two-windows.svg": two_windows(),
        "accumulation-trees.svg": accumulation_trees(),
    }


def _document(title: str, width: int, height: int, body: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    lines = [head, f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>", *body, "</svg>"]
    return "\n".join(lines) + "\n"


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{kind}>{escape(words)}</text>'


# The example of the page: one product is large, the others and C are not.
_A, _B, _C = ("1.5", "2", "112", "0.25"), ("0.5", "1.375", "-112", "0.375"), "3"


def _example(accumulation: str) -> SumStep:
    """The one sum of the example under an accumulation."""
    a, b = (
        Operand([encode(parse(text)[0], E4M3).code for text in texts], E4M3) for texts in (_A, _B)
    )
    (step,) = explain_dot(a, b, parse(_C)[0], accumulation).steps
    return step


def alignment_window() -> str:
    """One sum bit by bit: what reaches the quantum is added, the rest is lost."""
    step = _example("nv-hopper-fp8-wgmma")
    grid = _Grid(step, left=205, top=104)
    body = [
        _text(14, 26, "One sum of a matrix unit: the alignment window", "title"),
        _text(
            14, 48, "Four products of E4M3 elements and C, in a unit that keeps 13 fraction bits"
        ),
        *grid.rows(),
        *grid.marks(),
    ]
    return _document("Alignment window of one sum", 820, grid.bottom + 56, body)


def two_windows() -> str:
    """The same terms in a narrow and in a wide window."""
    body, top = [], 30
    for name in ("nv-hopper-fp8-wgmma", "nv-blackwell-f8f6f4"):
        step = _example(name)
        grid = _Grid(step, left=205, top=top + 54)
        bits = step.step.fraction_bits
        body += [
            _text(14, top, f"{name}: {bits} fraction bits", "title"),
            *grid.rows(),
            *grid.marks(),
        ]
        top = grid.bottom + 90
    return _document("The same terms in two alignment windows", 940, top - 24, body)


class _Grid:
    """The terms of one sum, a cell for each bit."""

    def __init__(self, step: SumStep, left: int, top: int) -> None:
        assert step.exponent is not None
        assert step.quantum is not None
        self.step, self.left, self.top = step, left, top
        values = [line.cut.value for line in step.lines if line.cut.value.significand]
        self.high = max(value.leading for value in (*values, step.total))
        self.low = min(step.quantum, *(_lowest(value) for value in values))
        self.quantum, self.exponent = step.quantum, step.exponent

    @property
    def right(self) -> int:
        return self.left + (self.high - self.low + 1) * _CELL + 10

    @property
    def bottom(self) -> int:
        return self.top + (len(self.step.lines) + 1) * _ROW + 10

    def x(self, place: int) -> int:
        """The left edge of the cell of 2^place; below the quantum everything stands 10 further right."""
        return self.left + (self.high - place) * _CELL + (10 if place < self.quantum else 0)

    def rows(self) -> Iterator[str]:
        """The weight of each column, every term, and the sum of what is kept."""
        yield _text(14, self.top - 8, "weight of a bit, as a power of two", "small")
        for place in range(self.high, self.low - 1, -1):
            yield _text(self.x(place) + _CELL / 2, self.top - 8, _minus(place), "weight middle")
        for index, line in enumerate(self.step.lines):
            y = self.top + index * _ROW
            yield from self._row(y, line.name, line.cut.value)
            lost = line.cut.lost
            words = f"loses {_decimal(lost.fraction())}" if lost.significand else "keeps all"
            yield _text(self.right + 14, y + 16, words, "lost" if lost.significand else "kept")
        y = self.top + len(self.step.lines) * _ROW + 10
        edge = self.x(self.quantum) + _CELL
        yield f'<path class="line" d="M{self.left - 24} {y - 6} H{edge}"/>'
        yield from self._row(y, "sum of what is kept", self.step.total)
        exact = sum((line.cut.value.fraction() for line in self.step.lines), Fraction(0))
        yield _text(self.right + 14, y + 16, f"= {_decimal(self.step.total.fraction())}")
        yield _text(self.right + 14, y + 34, f"exactly {_decimal(exact)}", "small")

    def _row(self, y: int, name: str, value: Value) -> Iterator[str]:
        last = name.startswith("sum")
        yield _text(14, y + 16, name if last else f"{name} = {_decimal(value.fraction())}")
        yield _text(self.left - 18, y + 16, "\u2212" if value.sign else "+")
        for place in range(self.high, self.low - 1, -1):
            if last and place < self.quantum:
                continue
            inside = value.significand and _lowest(value) <= place <= value.leading
            kind = "cell" if not inside else "one" if place >= self.quantum else "gone"
            x = self.x(place)
            yield f'<rect class="{kind}" x="{x}" y="{y}" width="{_CELL - 1}" height="{_CELL - 1}"/>'
            if inside or place >= self.quantum:
                bit = value.significand >> (place - value.exponent) & 1 if inside else 0
                yield _text(x + _CELL / 2 - 0.5, y + 15, str(bit), "bit" if inside else "bit faint")

    def marks(self) -> Iterator[str]:
        """The cut, and the two exponents that decide where it is."""
        x, end = self.x(self.quantum) + _CELL + 4, self.bottom + 8
        yield f'<path class="cut" d="M{x} {self.top - 38} V{end + 14}"/>'
        first = self.x(self.exponent)
        bits = self.exponent - self.quantum
        yield f'<path class="line" d="M{first} {end + 4} v8 H{self.x(self.quantum) + _CELL - 1} v-8"/>'
        words = f"e = {self.exponent}: the unit bit, and {bits} fraction bits"
        words += "; the bits above hold products of 2 and more, and carries"
        yield _text(first, end + 30, words, "small")
        yield _text(x + 8, self.top - 26, "lost", "lost")
        yield _text(x - 36, self.top - 26, "kept", "kept")


def _lowest(value: Value) -> int:
    """The exponent of the last bit that is set."""
    return (value.significand & -value.significand).bit_length() - 1 + value.exponent


def _minus(number: int) -> str:
    """An integer with a proper minus sign."""
    return f"\u2212{-number}" if number < 0 else str(number)


def _decimal(number: Fraction) -> str:
    """A dyadic number in full."""
    places = number.denominator.bit_length() - 1
    digits = str(abs(number.numerator) * 5**places).rjust(places + 1, "0")
    sign = "\u2212" if number < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


class _Panel(NamedTuple):
    """One tree: its heading, what it stands for, and the accumulation."""

    kind: str
    words: str
    record: Accumulation


def _record(**node: object) -> Accumulation:
    return from_mapping({"node": node})


_STEP = {"out": "binary32"}
_ONE = {"kind": "chain", "step": _STEP}
_PANELS = (
    _Panel("sum", "everything at once", _record(kind="sum", step=_STEP)),
    _Panel("chain", "groups of 4", _record(kind="chain", step=_STEP, length=4)),
    _Panel("chain", "one at a time", _record(**_ONE)),
    _Panel("tree", "halves to halves", _record(kind="tree", step=_STEP)),
    _Panel(
        "parts",
        "runs of 4 in a chain, their results in a chain",
        _record(kind="parts", length=4, inner={**_ONE, "length": 2}, outer=_ONE),
    ),
    _Panel(
        "lanes",
        "even and odd terms apart",
        _record(kind="lanes", count=2, inner={**_ONE, "length": 2}, outer=_ONE),
    ),
    _Panel(
        "late",
        "C in a sum of its own",
        _record(kind="late", inner={**_ONE, "length": 4}, step=_STEP),
    ),
    _Panel(
        "nested",
        "any tree, written out; here with C as a leaf",
        _record(kind="nested", step=_STEP, tree=[[[0, 1], [2, 3], -1], [4, 5, 6, 7]]),
    ),
)
_COUNT, _STEP_X, _STEP_Y, _WIDTH = 8, 44, 40, 880


def accumulation_trees() -> str:
    """Which terms meet in which sum, for each kind of node."""
    body: list[str] = [_text(14, 26, "Eight products and C: which meet in which sum", "title")]
    x, y, tallest = 14, 52, 0
    for panel in _PANELS:
        if x + 420 > _WIDTH:
            x, y, tallest = 14, y + tallest + 36, 0
        drawn, height = _tree(panel, x, y)
        body += drawn
        x, tallest = x + 440, max(tallest, height)
    return _document("Trees of accumulation", _WIDTH, y + tallest + 16, body)


def _tree(panel: _Panel, left: int, top: int) -> tuple[list[str], int]:
    """One tree: leaves in a row, every sum below what it adds."""
    spots: dict[str, tuple[float, float]] = {
        name: (left + 22 + index * _STEP_X, top + 44)
        for index, name in enumerate(["C", *(f"p{index}" for index in range(_COUNT))])
    }
    boxes = [_box(spot, name, "carry" if name == "C" else "leaf") for name, spot in spots.items()]
    lines = []
    for number, planned in enumerate(sums_of(panel.record, _COUNT), 1):
        inputs = [name for name in (*planned.terms, planned.carried) if name in spots]
        if len(inputs) == 1:
            spots[f"s{number}"] = spots[inputs[0]]
            continue
        own = [spots[name][0] for name in planned.terms]
        lowest = max(spots[name][1] for name in inputs)
        spot = spots[f"s{number}"] = (sum(own) / len(own), lowest + _STEP_Y)
        lines += [_edge(spots[name], spot, straight=name == "C") for name in inputs]
        boxes.append(_box(spot, "+", "node"))
    height = max(y for _, y in spots.values()) - top + 16
    heads = [
        _text(left, top + 14, panel.kind, "title"),
        _text(left + 66, top + 14, panel.words, "small"),
    ]
    return [*heads, *lines, *boxes], int(height)


def _edge(start: tuple[float, float], end: tuple[float, float], *, straight: bool) -> str:
    """From the lower edge of one box to the upper edge of another, or down and then to its side."""
    (x, y), (to_x, to_y) = start, end
    if straight:
        return f'<path class="line" d="M{x:g} {y + 11:g} V{to_y:g} H{to_x - 15:g}"/>'
    middle = (y + to_y) / 2
    curve = f"C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y - 11:g}"
    return f'<path class="line" d="M{x:g} {y + 11:g} {curve}"/>'


def _box(spot: tuple[float, float], name: str, kind: str) -> str:
    x, y = spot
    box = f'<rect class="{kind}" x="{x - 15:g}" y="{y - 11:g}" width="30" height="22" rx="5"/>'
    return box + _text(x, y + 4, name, "bit")
