"""Pictures of one case as SVG: bit fields, the number line around a value, the staircase of a scale rule.

Colours and fonts come from the page that a picture stands in, by the classes of its parts, so that they follow light
and dark ground. Nothing is told by colour alone: every mark has a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from itertools import pairwise

from conformance.report.scene import Number, Scene
from mxemu.explain import Line, Place, bit_fields, code_text
from mxemu.explain.values import place_of
from mxemu.formats import ElementFormat, FloatFormat, IntFormat
from mxemu.profile import OCP
from mxemu.value import Value, decimal_text, from_fraction

WIDTH = 760


def document(label: str, height: float, body: Sequence[str]) -> str:
    """An SVG element for a page, with a name for those who do not see it."""
    box = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    return f'<svg {box} role="img" aria-label="{escape(label)}">{"".join(body)}</svg>'


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """One line of text; classes ``m`` and ``e`` centre it and end it there."""
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{kind}>{escape(words)}</text>'


def path(kind: str, steps: str) -> str:
    """One line or shape."""
    return f'<path class="{kind}" d="{steps}"/>'


# Bit fields.

_LEFT, _ROOM = 190, 420


def bits(scene: Scene) -> str | None:
    """The fields of the input, of what came and of what was expected; bits that differ are framed."""
    numbers = [one for one in (scene.given, scene.dut, scene.ref) if one.format is not None]
    if scene.given.code is None:
        numbers = [one for one in numbers if one.role != "in"]
    body: list[str] = []
    y, last = 6.0, None
    for one in numbers:
        if one.code is not None and one.format != last:
            y += 16
            body += _field_names(one, y)
            last = one.format
        body += _bit_row(one, scene, y + 6)
        y += 30
    words = "; ".join(one.side.text() for one in numbers)
    return document(f"Bit fields: {words}", y + 8, body) if body else None


def _cell(fmt: ElementFormat) -> float:
    return min(24.0, _ROOM / fmt.width)


def _fields(number: Number) -> list[str]:
    assert number.code is not None
    assert number.format is not None
    return bit_fields(number.code, number.format).split("_")


def _names(fmt: ElementFormat) -> tuple[str, ...]:
    """What the fields are called, from the left; those of no bits are left out, as `bit_fields` does."""
    if isinstance(fmt, IntFormat):
        fraction = min(fmt.fraction_bits, fmt.width - 1)
        widths = {"sign": 1, "integer": fmt.width - 1 - fraction, "fraction": fraction}
    else:
        widths = {
            "sign": int(fmt.signed),
            "exponent": fmt.exponent_bits,
            "mantissa": fmt.mantissa_bits,
        }
    return tuple(name for name, width in widths.items() if width)


def _field_names(number: Number, y: float) -> Iterator[str]:
    assert number.format is not None
    cell, x = _cell(number.format), float(_LEFT)
    for name, field in zip(_names(number.format), _fields(number), strict=True):
        short = name if len(field) * cell > 6.2 * len(name) else name[0]
        yield text(x + len(field) * cell / 2, y, short, "s m")
        x += len(field) * cell


def _bit_row(number: Number, scene: Scene, y: float) -> Iterator[str]:
    yield text(12, y + 16, number.side.label, "b")
    yield text(_LEFT - 10, y + 16, _short_hex(number.side.hex), "c e")
    if number.code is None or number.format is None:
        words = number.side.value or "no result"
        yield text(_LEFT, y + 16, words, "s")
        return
    cell, place = _cell(number.format), 0
    other = scene.ref if number.role == "dut" else None
    expected = "".join(_fields(other)) if other is not None and other.code is not None else ""
    size = "c m" if cell >= 12 else "t m"
    for kind, field in zip(_names(number.format), _fields(number), strict=True):
        for bit in field:
            x = _LEFT + place * cell
            differs = expected and expected[place] != bit
            frame = " x" if differs else ""
            yield f'<rect class="f-{kind}{frame}" x="{x:g}" y="{y:g}" width="{cell - 1:g}" height="23"/>'
            yield text(x + cell / 2 - 0.5, y + 16, bit, size)
            place += 1
    yield text(_LEFT + number.format.width * cell + 10, y + 16, f"= {_short(number.side.value)}")


def _short_hex(words: str) -> str:
    return words if len(words) <= 18 else words[:15] + "..."


def _short(words: str) -> str:
    """A value that fits beside its bits: without the exact form if there is a decimal one."""
    exact, _, decimal = words.partition(" (")
    found = decimal.removesuffix(")") if decimal and len(words) > 18 else words
    return found if len(found) <= 20 else exact[:17] + "..."


# The number line.


@dataclass(frozen=True)
class _Mark:
    """A number on the line."""

    role: str
    label: str
    exact: Fraction
    place: Place


_AXIS, _MARGIN = 62, 70


def number_line(scene: Scene) -> str | None:
    """The values of the format next to the number, with the codes that became of it.

    The values stand at equal distances, whatever their exponents; a gap is drawn where some are left out.
    """
    if scene.line is None:
        return None
    marks = list(_marks(scene, scene.line))
    roles = {mark.role for mark in marks}
    if "in" not in roles and not {"ref", "dut"} <= roles:
        return None
    drawn = _Ruler(scene.line, marks)
    body = [*drawn.axis(), *(part for mark in marks for part in drawn.mark(mark))]
    elsewhere = list(_elsewhere(scene, marks, drawn.bottom + 14))
    words = "; ".join(mark.label for mark in marks)
    height = drawn.bottom + (24 if elsewhere else 6)
    return document(f"Number line of {scene.line.name}: {words}", height, [*body, *elsewhere])


def _marks(scene: Scene, fmt: ElementFormat) -> Iterator[_Mark]:
    """The input, what was expected and what came, as far as they are real numbers."""
    if scene.at is not None and scene.at.is_finite:
        exact = scene.at.fraction()
        place = place_of(scene.at, exact, fmt)
        if place is not None:
            words = "-0" if scene.at.is_zero and scene.at.sign else decimal_text(exact, 9)
            label = f"in {words}{_on_tie(exact, place)}"
            yield _Mark("in", label, exact, place)
    for one in (scene.ref, scene.dut):
        exact_or_none = one.exact
        if exact_or_none is not None:
            place = place_of(from_fraction(exact_or_none), exact_or_none, fmt)
            if place is not None:
                label = f"{one.role} {one.side.hex} = {_short(one.side.value)}"
                yield _Mark(one.role, label, exact_or_none, place)


def _on_tie(exact: Fraction, place: Place) -> str:
    """Where a number lies beside the tie, which a picture may be too coarse to show."""
    if place.tie is None:
        return ""
    tie = place.tie.fraction()
    if exact == tie:
        return ", on the tie"
    return ", above the tie" if exact > tie else ", below the tie"


def _elsewhere(scene: Scene, marks: Sequence[_Mark], y: float) -> Iterator[str]:
    """What has no place on the line: Inf, NaN, refusals."""
    there = {mark.role for mark in marks}
    found = [one.side.text() for one in (scene.ref, scene.dut) if one.role not in there]
    if found:
        yield text(WIDTH / 2, y, f"not on the line: {'; '.join(found)}", "m")


class _Ruler:
    """The values that are drawn, and where."""

    def __init__(self, fmt: ElementFormat, marks: Sequence[_Mark]) -> None:
        self.fmt = fmt
        self.codes: dict[Fraction, int] = {}
        self.ghosts: set[Fraction] = set()
        self.line = Line(fmt, OCP)
        for mark in marks:
            self._add(mark)
        self.values = sorted({*self.codes, *self.ghosts})
        gap = (WIDTH - 2 * _MARGIN) / max(1, len(self.values) - 1)
        self.step = min(gap, 150.0)
        self.left = (WIDTH - self.step * (len(self.values) - 1)) / 2
        self.ties = {
            mark.place.tie.fraction()
            for mark in marks
            if mark.role == "in" and mark.place.tie is not None
        }
        shown = [role for role in ("ref", "dut") if any(mark.role == role for mark in marks)]
        self.rows = {role: _AXIS + 62 + 22 * row for row, role in enumerate(shown)}
        self.bottom = float(_AXIS + 48 + 22 * len(shown))

    def _add(self, mark: _Mark) -> None:
        """The values on both sides of a number, and for the input one more on each side."""
        for point, step in ((mark.place.below, -1), (mark.place.above, 1)):
            if point is None:
                continue
            self.codes.setdefault(point.value.fraction(), point.code)
            place = self.line.place(point.code)
            beyond = self.line.neighbour(place, step) if place is not None else None
            if mark.role == "in" and beyond is not None:
                self.codes.setdefault(beyond.value.fraction(), beyond.code)
        if mark.place.beyond is not None:
            self.ghosts.add(mark.place.beyond.fraction())

    def x(self, exact: Fraction) -> float:
        """Where a number stands."""
        below = [place for place, value in enumerate(self.values) if value <= exact]
        if not below:
            return self.left - 34
        place = below[-1]
        if self.values[place] == exact:
            return self.left + place * self.step
        if place + 1 == len(self.values):
            return self.left + place * self.step + 34
        low, high = self.values[place], self.values[place + 1]
        part = float((exact - low) / (high - low))
        return self.left + (place + min(max(part, 0.05), 0.95)) * self.step

    def axis(self) -> Iterator[str]:
        """The line, its values and the ties."""
        for low, high in pairwise(self.values):
            kind = "a" if self._are_neighbours(low, high) else "a gap"
            yield path(kind, f"M{self.x(low):g} {_AXIS}H{self.x(high):g}")
        ends = self.x(self.values[0]), self.x(self.values[-1])
        yield path("a gap", f"M{ends[0]:g} {_AXIS}h-44M{ends[1]:g} {_AXIS}h44")
        for value in self.values:
            x, ghost = self.x(value), value not in self.codes
            yield path("a gap" if ghost else "a", f"M{x:g} {_AXIS - 8}v16")
            yield text(x, _AXIS + 24, decimal_text(value, 7), "m s" if ghost else "m")
            yield text(x, _AXIS + 40, "no code" if ghost else self._code(value), "s m")
        for tie in sorted(self.ties):
            if self.values[0] < tie < self.values[-1]:
                yield path("tie", f"M{self.x(tie):g} {_AXIS - 12}v24")
                yield text(self.x(tie), _AXIS + 24, "tie", "s m")

    def _code(self, value: Fraction) -> str:
        """The code of a value; zero has two where there is a negative one."""
        codes = [self.codes[value]]
        if not value and isinstance(self.fmt, FloatFormat) and self.fmt.negative_zero:
            codes = [0, self.fmt.sign_mask]
        return " ".join(code_text(code, self.fmt) for code in codes)

    def _are_neighbours(self, low: Fraction, high: Fraction) -> bool:
        """Whether nothing lies between two values."""
        if low not in self.codes or high not in self.codes:
            return False
        place = self.line.place(self.codes[low])
        following = None if place is None else self.line.neighbour(place, 1)
        return following is not None and following.value.fraction() == high

    def mark(self, mark: _Mark) -> Iterator[str]:
        """The input above the line, results below it."""
        x = self.x(mark.exact)
        where = "m" if 130 < x < WIDTH - 130 else "" if x <= 130 else "e"
        start = x if where == "m" else max(x - 8, 4) if not where else min(x + 8, WIDTH - 4)
        if mark.role == "in":
            yield path("in", f"M{x:g} {_AXIS - 4}l-7 -13h14z")
            yield text(start, _AXIS - 26, mark.label, f"b {where}".strip())
            return
        y = self.rows[mark.role]
        yield path(f"lead {mark.role}", f"M{x:g} {_AXIS + 44}V{y - 13:g}")
        shape = f'<circle class="{mark.role}" cx="{x:g}" cy="{_AXIS}" r="5"/>'
        if mark.role == "dut":
            shape = f'<rect class="dut" x="{x - 6:g}" y="{_AXIS - 6}" width="12" height="12"/>'
        yield shape
        yield text(start, y, mark.label, f"{mark.role} {where}".strip())


# Where the values of the format are too many to mean anything.


def distance(scene: Scene) -> str | None:
    """What came and what was expected on a plain axis, and how far they are apart."""
    ref, dut = scene.ref.exact, scene.dut.exact
    if ref is None or dut is None or ref == dut or scene.ref.format is None:
        return None
    named = [("ref", ref), ("dut", dut)]
    if scene.at is not None and scene.at.is_finite:
        named.append(("in", scene.at.fraction()))
    low, high = min(value for _, value in named), max(value for _, value in named)

    def x(value: Fraction) -> float:
        return 120 + (WIDTH - 240) * float((value - low) / (high - low))

    body = [path("a", f"M60 40H{WIDTH - 60}")]
    for row, (role, value) in enumerate(named):
        kind = "in" if role == "in" else role
        shape = f'<circle class="{kind}" cx="{x(value):g}" cy="40" r="{6 - row}"/>'
        if role == "dut":
            shape = f'<rect class="dut" x="{x(value) - 6:g}" y="34" width="12" height="12"/>'
        body.append(shape)
        y = 22 if role == "in" else 66 + 20 * row
        body.append(text(x(value), y, f"{role} {decimal_text(value, 9)}", f"{kind} m"))
    words = f"dut - ref = {decimal_text(dut - ref, 6)}{_ulps(scene.ref, dut - ref)}"
    return document(words, 122, [*body, text(WIDTH / 2, 112, words, "m")])


def _ulps(ref: Number, difference: Fraction) -> str:
    """A difference in units of the last place of what was expected."""
    value = ref.value
    if value is None or not value.significand or ref.format is None:
        return ""
    ulp = Value(0, 1, value.exponent).fraction()
    return f" ({decimal_text(difference / ulp, 4)} ulp of ref)"
