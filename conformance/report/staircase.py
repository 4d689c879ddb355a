"""The staircase of a scale rule: the scale as a step function of the largest magnitude, and where a case stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from conformance.report.pictures import WIDTH, document, path, text
from conformance.report.scene import Scene
from mxemu.block import value_bits
from mxemu.errors import MxemuError
from mxemu.formats import BlockFormat, FloatFormat
from mxemu.profile import Profile
from mxemu.scalar import decode
from mxemu.scale import amax, scale_code
from mxemu.value import Value, decimal_text

_LEFT, _RIGHT, _TOP, _STEP = 130, 40, 46, 26
_NEAR = 64
"""Distance to a step, in ulp, that is told: a picture is too coarse to show it."""
_MOST_STEPS = 9
"""Codes that fit; what lies further out stands at the edge."""


def staircase(
    scene: Scene, block: BlockFormat, profile: Profile, found: Profile | None = None
) -> str | None:
    """The scale around the largest magnitude of a case, under what it was compared with and under what was found.

    Parameters
    ----------
    scene : Scene
        Of a scale.
    block : BlockFormat
    profile : Profile
        What results are compared with.
    found : Profile, optional
        The convention that explains them.

    Returns
    -------
    str or None
        SVG; None where the largest magnitude is zero, Inf or NaN, so that no rule decides.
    """
    value, carrier = scene.given.value, scene.given.format
    if not isinstance(carrier, FloatFormat) or value is None or scene.ref.code is None:
        return None
    if not value.is_finite or not value.significand:
        return None
    window = _Window(value.magnitude(), carrier, block)
    try:
        curves = [("ref", "expected", window.steps(profile))]
        if found is not None and found != profile:
            curves.append(("dut", "the convention that was found", window.steps(found)))
    except MxemuError:
        return None
    return _Chart(scene, window, curves).svg()


Steps = list[tuple[int, int]]


class _Window:
    """Largest magnitudes from the binade below that of the case to the one above it; less where scales are dense."""

    def __init__(self, value: Value, carrier: FloatFormat, block: BlockFormat) -> None:
        self.carrier, self.block = carrier, block
        wide = block.scale.mantissa_bits == 0
        self.first = value.leading - int(wide)
        self.octaves = 3 if wide else 1
        ends = (Value(0, 1, self.first), Value(0, 1, self.first + self.octaves))
        low, high = (value_bits(end, carrier) for end in ends)
        self.low, self.high = max(low, 1), min(high - 1, carrier.max_code)

    def steps(self, profile: Profile) -> Steps:
        """Input bits at which the scale code changes, with the code from there on; the first is the low end."""

        def code_of(bits: int) -> int:
            return scale_code(amax([decode(bits, self.carrier)], profile), self.block, profile)

        ends = (self.low, code_of(self.low)), (self.high, code_of(self.high))
        return [ends[0], *_changes(code_of, *ends)]

    def x(self, bits: int) -> float:
        """Where a magnitude stands: binades of equal width, linear within each."""
        value = decode(bits, self.carrier)
        part = value.significand / (1 << (value.significand.bit_length() - 1)) - 1
        place = (value.leading - self.first + part) / self.octaves
        return _LEFT + min(max(place, 0), 1) * (WIDTH - _LEFT - _RIGHT)


def _changes(
    code_of: Callable[[int], int], low: tuple[int, int], high: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Where a monotone function changes between two points, by halving."""
    if low[1] == high[1]:
        return
    if high[0] - low[0] == 1:
        yield high
        return
    bits = (low[0] + high[0]) // 2
    middle = (bits, code_of(bits))
    yield from _changes(code_of, low, middle)
    yield from _changes(code_of, middle, high)


class _Chart:
    """Axes, curves and the two scales of the case."""

    def __init__(self, scene: Scene, window: _Window, curves: list[tuple[str, str, Steps]]) -> None:
        assert scene.ref.code is not None
        self.scene, self.window, self.curves = scene, window, curves
        codes = {code for _, _, steps in curves for _, code in steps} | {scene.ref.code}
        dut = scene.dut.code
        if dut is not None and min(codes) - 3 <= dut <= max(codes) + 3:
            codes.add(dut)
        low = max(min(codes), scene.ref.code - _MOST_STEPS)
        high = min(max(codes), scene.ref.code + _MOST_STEPS)
        self.codes = range(low, high + 1)
        # A lane of its own for what came, if it is off the chart.
        self.above = int(dut is not None and dut > high)
        self.below = int(dut is not None and dut < low)
        self.bottom = _TOP + _STEP * (len(self.codes) + self.above + self.below)

    def y(self, code: int) -> float:
        """The height of a code; beyond the ends, the lane there."""
        inside = min(max(code, self.codes[0] - self.below), self.codes[-1] + self.above)
        return self.bottom - _STEP * (inside - self.codes[0] + self.below) - _STEP / 2

    def svg(self) -> str:
        body = [*self._axes(), *self._curves(), *self._marks(), *self._legend()]
        words = f"Scale staircase: {self.scene.ref.side.text()}; {self.scene.dut.side.text()}"
        return document(words, self.bottom + 46 + 20 * len(self.curves), body)

    def _axes(self) -> Iterator[str]:
        scale = self.window.block.scale
        yield text(8, _TOP - 16, "scale", "s")
        for code in self.codes:
            yield path("grid", f"M{_LEFT} {self.y(code):g}H{WIDTH - _RIGHT}")
            words = f"0x{code:02X} = {decode(code, scale)}"
            yield text(_LEFT - 8, self.y(code) + 4, words, "c e")
        for octave in range(self.window.octaves + 1):
            x = _LEFT + octave * (WIDTH - _LEFT - _RIGHT) / self.window.octaves
            yield path("grid", f"M{x:g} {_TOP - 4}V{self.bottom + 6}")
            yield text(x, self.bottom + 20, f"2^{self.window.first + octave}", "m s")
        yield text(8, self.bottom + 20, "largest |V|", "s")

    def _curves(self) -> Iterator[str]:
        for kind, _, steps in reversed(self.curves):
            ends = [*(bits for bits, _ in steps), self.window.high]
            parts: list[str] = []
            for (bits, code), following in zip(steps, ends[1:], strict=True):
                start = "M" if not parts else "L"
                parts.append(f"{start}{self.window.x(bits):g} {self.y(code):g}")
                parts.append(f"L{self.window.x(following):g} {self.y(code):g}")
            yield path(f"stair {kind}", "".join(parts))

    def _marks(self) -> Iterator[str]:
        assert self.scene.given.code is not None
        x = self.window.x(self.scene.given.code & self.window.carrier.magnitude_mask)
        yield path("lead in", f"M{x:g} {_TOP - 4}V{self.bottom + 6}")
        ref, dut = self.scene.ref.code, self.scene.dut.code
        assert ref is not None
        yield f'<circle class="ref" cx="{x:g}" cy="{self.y(ref):g}" r="5.5"/>'
        if dut is not None:
            y = self.y(dut)
            yield f'<rect class="dut" x="{x - 6:g}" y="{y - 6:g}" width="12" height="12"/>'
        side = -12 if x > WIDTH / 2 else 12
        where = "e" if x > WIDTH / 2 else ""
        yield text(x, _TOP - 16, f"in {self._largest()}", "b m" if 200 < x < 640 else f"b {where}")
        yield text(x + side, self.y(ref) - 7, self._label("ref"), f"ref {where}".strip())
        if dut is not None:
            yield text(x + side, self.y(dut) - 7, self._label("dut"), f"dut {where}".strip())

    def _short(self, bits: int) -> str:
        """A magnitude, exactly if that is short."""
        value = decode(bits, self.window.carrier)
        exact = str(value)
        return exact if len(exact) <= 10 else decimal_text(value.fraction(), 9)

    def _largest(self) -> str:
        """The largest magnitude, and how many ulp it is from a step of the expected curve."""
        value, code = self.scene.given.value, self.scene.given.code
        assert value is not None
        assert code is not None
        words = decimal_text(value.magnitude().fraction(), 9)
        bits = code & self.window.carrier.magnitude_mask
        gaps = [bits - step for step, _ in self.curves[0][2][1:]]
        gap = min(gaps, key=abs, default=_NEAR + 1)
        if gap == 0:
            return f"{words}, on a step"
        side = "below" if gap < 0 else "above"
        return f"{words}, {abs(gap)} ulp {side} a step" if abs(gap) <= _NEAR else words

    def _label(self, role: str) -> str:
        one = self.scene.ref if role == "ref" else self.scene.dut
        outside = one.code is not None and one.code not in self.codes
        return f"{role} {one.side.hex}{f' = {one.side.value}, off the chart' if outside else ''}"

    def _legend(self) -> Iterator[str]:
        for row, (kind, words, steps) in enumerate(self.curves):
            y = self.bottom + 44 + 20 * row
            yield path(f"stair {kind}", f"M{_LEFT} {y - 4:g}h34")
            jumps = [bits for (bits, _), _ in pairwise([*steps[1:], (0, 0)])]
            shown = ", ".join(self._short(bits) for bits in jumps[:4])
            more = " ..." if len(jumps) > 4 else ""
            at = f": steps at {shown}{more}" if jumps else ""
            yield text(_LEFT + 42, y, f"{words}{at}", "s")
