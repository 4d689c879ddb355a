"""The intervals of many results, in binary64 with every step rounded outwards; `conformance.bound` has the proof."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

import mxemu
from conformance.arrays import Array
from conformance.bound.freedom import Freedom, any_order
from conformance.bound.sums import FRACTION, depths_of, growth, limits
from conformance.bound.terms import FAR, centre
from mxemu.accumulation import (
    Accumulation,
    Fuse,
    OperandSubnormals,
    ScaleAt,
    accumulator_of,
)
from mxemu.errors import BadFormat, BadShape
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat
from mxemu.formats import carrier as find_carrier
from mxemu.formats import find as find_format
from mxemu.scalar import decode
from mxemu.value import Value

_WIDEST = 16
"""Operands of arrays have codes of at most this width: their values are looked up."""


class Bounds(NamedTuple):
    """The intervals of many results, in binary64.

    Attributes
    ----------
    lo, hi : ndarray of float64
        Ends, which belong to them; -Inf and Inf where sums can leave the range, NaN where only NaN is right.
    nan : ndarray of bool
        Where NaN is possible.
    """

    lo: Array
    hi: Array
    nan: Array

    def holds(self, results: Array) -> Array:
        """Which results, as numbers, are among those that are possible."""
        wide = np.asarray(results, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            inside = (wide >= self.lo) & (wide <= self.hi)
        return np.asarray(np.where(np.isnan(wide), self.nan, inside))


def bounds(
    a: Any,
    b: Any,
    *,
    c: Any | None = None,
    freedom: Freedom | None = None,
    out: FloatFormat | str = BINARY32,
    matrix: bool = False,
) -> Bounds:
    """The intervals of dot products of rows, or with ``matrix`` of each row of a with each row of b.

    Parameters
    ----------
    a, b : Blocks, or (codes, element format)
        Shapes (n, K), or (m, K) and (n, K); the last axis is blocked.
    c : ndarray of float, optional
        Shape of the results.
    freedom : Freedom, optional
        Any order of binary32 additions unless given.
    out : FloatFormat or str
    matrix : bool

    Returns
    -------
    Bounds
        Of shape (n,) or (m, n). They hold the intervals of `bound`, and are wider by a few units in the last place of
        binary64 before they are moved onto numbers of ``out``.

    Raises
    ------
    BadShape, BadFormat
        BadFormat where codes have more than 16 bits, scales multiply the sums of runs, or there is a tensor scale:
        `bound` does these, one result at a time.
    """
    freedom, out = freedom or any_order(), find_carrier(out)
    if freedom.runs is not None:
        raise BadFormat(
            f"{freedom.name}: scales multiply the sums of runs; expected one result at a time"
        )
    if any(getattr(one, "tensor_scale", None) is not None for one in (a, b)):
        raise BadFormat("blocks with a tensor scale; expected one result at a time")
    record = freedom.record
    left, right = _Side(a, record), _Side(b, record)
    if left.codes.shape[-1] != right.codes.shape[-1]:
        raise BadShape(
            f"K = {left.codes.shape[-1]} and {right.codes.shape[-1]}; expected one length"
        )
    if not matrix:
        exact = mxemu.dot(a, b, c=c, accumulation=centre(record), out="binary64")
        return _of_rows(left, right, np.asarray(exact), c, freedom, out)
    exact = mxemu.matmul(a, b, c=c, accumulation=centre(record), out="binary64")
    rows = []
    for row in range(len(left.codes)):
        own = None if c is None else np.broadcast_to(c, exact.shape)[row]
        rows.append(_of_rows(left.row(row), right, exact[row], own, freedom, out))
    return Bounds(*(np.stack(part) for part in zip(*rows, strict=True)))


def summary(found: Bounds, actual: Array | None = None) -> dict[str, Any]:
    """How wide intervals are, and which results lie outside of them, as plain numbers.

    ``zero_inside`` counts the intervals that hold 0, and ``median_width`` is relative to the larger end.
    """
    finite = np.isfinite(found.lo) & np.isfinite(found.hi)
    larger = np.maximum(np.abs(found.lo), np.abs(found.hi))
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(larger > 0, (found.hi - found.lo) / larger, 0.0)[finite]
    record: dict[str, Any] = {
        "results": int(found.lo.size),
        "without_bound": int((~finite & found.nan).sum()),
        "median_width": float(np.median(relative)) if relative.size else None,
        "zero_inside": int(found.holds(np.zeros(found.lo.shape)).sum()),
    }
    if actual is None:
        return record
    outside = np.argwhere(~found.holds(actual))
    record |= {"outside": len(outside), "first_outside": None, "first": None}
    if len(outside):
        place = tuple(int(one) for one in outside[0])
        ends = f"[{float(found.lo[place])!r}, {float(found.hi[place])!r}]"
        record |= {"first_outside": [*place], "first": f"{float(actual[place])!r} in {ends}"}
    return record


class _Side:
    """Rows of one operand as numbers in binary64, and the exponents that alignment takes them to have."""

    def __init__(self, given: Any, record: Accumulation | None) -> None:
        if isinstance(given, tuple):
            codes, name = given
            fmt = find_format(name) if isinstance(name, str) else name
            scales = None
        else:
            fmt, scales = given.block_format, given.scales
            codes = given.codes.reshape(*given.codes.shape[:-2], -1)
        if codes.ndim != 2:
            raise BadShape(f"operand of shape {codes.shape}; expected rows of K elements")
        self.k = fmt.k if isinstance(fmt, BlockFormat) else codes.shape[1]
        element = fmt.element if isinstance(fmt, BlockFormat) else fmt
        self.codes = np.asarray(codes)
        self.numbers, self.exponents = (table[self.codes] for table in _tables(element))
        self.scales = np.zeros_like(self.exponents)
        if record is not None and record.operand_subnormals is not OperandSubnormals.KEEP:
            self._flush(element)
        early = record is not None and record.scale_at is ScaleAt.OPERAND
        if isinstance(fmt, BlockFormat) and early:
            self._scale(np.asarray(scales), fmt, record)
        if record is not None and record.operand_format is not None:
            self._convert(record.operand_format)
        if isinstance(fmt, BlockFormat) and not early:
            self.scales = self._scale(np.asarray(scales), fmt, record)

    def _flush(self, fmt: ElementFormat) -> None:
        """Elements without a hidden bit are zeros."""
        if isinstance(fmt, FloatFormat):
            least = np.ldexp(1.0, fmt.emin)
            self.numbers = np.where(np.abs(self.numbers) < least, 0.0, self.numbers)

    def _scale(self, codes: Array, fmt: BlockFormat, record: Accumulation | None) -> Array:
        """Multiply by the scales, whose exponents are returned."""
        values, exponents = (table[codes] for table in _tables(fmt.scale))
        if record is not None and record.scale_zero_code:
            values = np.where(codes == 0, 0.0, values)
        if record is not None and record.scale_unsigned:
            values = np.abs(values)
        with np.errstate(invalid="ignore"):
            self.numbers = self.numbers * np.repeat(values, fmt.k, axis=-1)
        return np.repeat(exponents, fmt.k, axis=-1)

    def _convert(self, fmt: FloatFormat) -> None:
        """Numbers in the format that operands are converted to, ties to even; they are exact in binary64 before."""
        wide, largest = self.numbers, _float(fmt.max)
        finite = np.where(np.isfinite(wide), wide, 0.0)
        exponent = np.maximum(np.frexp(finite)[1] - 1, fmt.emin) - fmt.mantissa_bits
        found = np.ldexp(np.rint(np.ldexp(finite, -exponent)), exponent)
        found = np.where(np.abs(found) > largest, np.copysign(np.inf, found), found)
        self.numbers = np.where(np.isfinite(wide), found, wide)
        self.exponents = np.maximum(np.frexp(self.numbers)[1] - 1, fmt.emin).astype(np.int64)

    def row(self, index: int) -> _Side:
        """One row."""
        other = copy(self)
        for name in ("codes", "numbers", "exponents", "scales"):
            setattr(other, name, getattr(self, name)[index : index + 1])
        return other


@lru_cache(maxsize=64)
def _tables(fmt: ElementFormat) -> tuple[Array, Array]:
    """Value and exponent of every code; both are exact."""
    if fmt.width > _WIDEST:
        raise BadFormat(f"{fmt} has {fmt.width} bits; expected at most {_WIDEST}")
    values = [decode(code, fmt) for code in range(1 << fmt.width)]
    numbers = np.array([_float(value) for value in values])
    exponents = [value.exponent + fmt.mantissa_bits if value.is_finite else 0 for value in values]
    return numbers, np.array(exponents, dtype=np.int64)


def _float(value: Value) -> float:
    if value.is_nan:
        return float("nan")
    if value.is_inf:
        return float("-inf") if value.sign else float("inf")
    found = float(np.ldexp(float(value.significand), value.exponent))
    return -found if value.sign else found


def _of_rows(
    left: _Side, right: _Side, exact: Array, c: Any | None, freedom: Freedom, out: FloatFormat
) -> Bounds:
    """The intervals of rows."""
    rows = _Rows(*_terms(left, right, exact, c, freedom), freedom)
    shapes = _row_shapes(freedom, rows, left.codes.shape[1], min(left.k, right.k))
    found = [rows.radius(depths) for depths in shapes]
    down, up = (np.minimum.reduce([one[side] for one in found]) for side in (0, 1))
    everything = ~(np.isfinite(down) & np.isfinite(up))
    lo, hi = around(exact, down, up)
    lo, hi = np.where(everything, -np.inf, lo), np.where(everything, np.inf, hi)
    if freedom.rounds:
        # Where nothing is rounded the sum is a number of the accumulator, which binary64 holds.
        still = (down == 0) & (up == 0)
        lo, hi = np.where(still, exact, lo), np.where(still, exact, hi)
    zero = ~rows.used.any(axis=1)
    lo[zero] = hi[zero] = 0.0
    if freedom.accumulator is not None:
        lo, hi = onto(lo, freedom.accumulator, up=True), onto(hi, freedom.accumulator, up=False)
    lo, hi = clipped(onto(lo, out, up=False), onto(hi, out, up=True), out)
    special = ~np.isfinite(exact)
    lo, hi = np.where(special, exact, lo), np.where(special, exact, hi)
    return Bounds(lo, hi, np.isnan(exact) | (everything & ~zero))


def _terms(
    left: _Side, right: _Side, exact: Array, c: Any | None, freedom: Freedom
) -> tuple[Array, Array]:
    """The terms of each row, C last, and the exponents that alignment takes them to have."""
    with np.errstate(invalid="ignore"):
        terms = left.numbers * right.numbers
    scales = left.scales + right.scales
    above = left.exponents + right.exponents + scales
    above = np.maximum(above, scales) if freedom.by_scale else above
    if c is None:
        return terms, above
    carried = np.broadcast_to(np.asarray(c, dtype=np.float64), exact.shape)[:, None]
    carried = np.where(np.abs(carried) < _least_carried(freedom.record), 0.0, carried)
    return np.hstack([terms, carried]), np.hstack([above, np.frexp(carried)[1] - 1])


def around(exact: Array, down: Array, up: Array) -> tuple[Array, Array]:
    """Ends that hold s - down and s + up, where ``exact`` is s rounded to binary64.

    Rounding s moves it by half an ulp of ``exact`` at most, and rounding the difference moves that by half an ulp of
    the end. One step outwards is an ulp or, at a power of two, half of one on its lower side, so each takes one of its
    own: an end below a power of two has the smaller ulp, an end far from ``exact`` the larger one.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        lo = np.nextafter(np.nextafter(exact, -np.inf) - down, -np.inf)
        hi = np.nextafter(np.nextafter(exact, np.inf) + up, np.inf)
    return lo, hi


def _least_carried(record: Accumulation | None) -> float:
    """What C has to reach to be no zero."""
    if record is None or record.operand_subnormals is OperandSubnormals.KEEP:
        return 0.0
    return float(np.ldexp(1.0, (accumulator_of(record) or BINARY32).emin))


def clipped(lo: Array, hi: Array, fmt: FloatFormat) -> tuple[Array, Array]:
    """Ends beyond the largest number of a format: Inf, or that number where a result may stop there."""
    largest = _float(fmt.max)
    below, above = np.maximum(lo, -largest), np.minimum(hi, largest)
    return (
        np.where(
            hi < -largest,
            -np.inf,
            np.where(lo < -largest, -np.inf, np.where(lo > largest, above, lo)),
        ),
        np.where(
            lo > largest, np.inf, np.where(hi > largest, np.inf, np.where(hi < -largest, below, hi))
        ),
    )


def onto(values: Array, fmt: FloatFormat, *, up: bool) -> Array:
    """The closest multiples of a format's ulp that are not below, or not above; exact, the range is not looked at."""
    finite = np.where(np.isfinite(values), values, 0.0)
    exponent = np.maximum(np.frexp(finite)[1] - 1, fmt.emin) - fmt.mantissa_bits
    if fmt.mantissa_bits >= 52:
        return values
    steps = np.ldexp(finite, -exponent)
    moved = np.ldexp(np.ceil(steps) if up else np.floor(steps), exponent)
    return np.where(np.isfinite(values), moved, values)


def _row_shapes(freedom: Freedom, rows: _Rows, length: int, k: int) -> list[Array]:
    """Roundings on the way of each term of each row, deepest first."""
    kinds = len(freedom.rounds)
    count, width = rows.used.sum(axis=1)[:, None], rows.terms.shape[1]
    place = np.maximum(np.arange(1, width + 1), 2)[None]
    found = [np.where(count > 1, kinds * np.maximum(count + 1 - place, 0), 0)]
    if freedom.node is not None and length:
        own = np.array((depths_of(freedom.node, length, k) + [0] * width)[:width])
        found.append(np.broadcast_to(own, rows.terms.shape))
    return found


class _Rows:
    """Terms of many results, largest first; what is added up here is rounded up."""

    def __init__(self, terms: Array, exponents: Array, freedom: Freedom) -> None:
        self.freedom = freedom
        terms = np.where(np.isfinite(terms), terms, 0.0)
        order = np.argsort(-np.abs(terms), axis=1, kind="stable")
        self.terms = np.take_along_axis(terms, order, axis=1)
        self.used = self.terms != 0
        self.count = self.used.sum(axis=1)
        tops = np.maximum(exponents, np.frexp(terms)[1] - 1)
        self.top = np.where(terms != 0, tops, -FAR).max(axis=1)
        # A sum of K numbers above zero is off by less than K ulp; this covers what is multiplied with it, too.
        self.slack = 1.0 + (terms.shape[1] + 16) * 2.0**-52
        self.magnitude = np.abs(self.terms).sum(axis=1) * self.slack
        fraction, exponent = np.frexp(self.terms)
        whole = np.ldexp(fraction, 53).astype(np.int64)
        self.trailing = np.where(
            self.used, np.log2(np.maximum(whole & -whole, 1)) + exponent - 53, 1 << 14
        )

    def _fits(self, fmt: FloatFormat) -> Array:
        """Rows all of whose terms are numbers of a format."""
        leading = np.frexp(self.terms)[1] - 1
        narrow = leading - self.trailing <= fmt.mantissa_bits
        near = (self.trailing >= fmt.emin - fmt.mantissa_bits) & (leading <= fmt.emax)
        return np.asarray(np.where(self.used, narrow & near, True).all(axis=1))

    def radius(self, depths: Array) -> tuple[Array, Array]:
        """How far results lie below and above; Inf where sums can leave the range."""
        freedom = self.freedom
        rounds = dict.fromkeys((*freedom.terms, *freedom.rounds))
        extra = sum((~self._fits(one.format)).astype(np.int64) for one in rounds)
        deep = depths + np.broadcast_to(extra, self.count.shape)[:, None]
        table = (
            growth(freedom.unit, int(deep.max())) if freedom.unit else [0] * (int(deep.max()) + 1)
        )
        scale = float(1 << FRACTION)
        weights = np.array(
            [np.nextafter(float(one) / scale, np.inf) if one else 0.0 for one in table]
        )[deep]
        losses = np.ldexp(deep.astype(np.float64), -freedom.unit) * bool(freedom.unit)
        largest = (1.0 + weights[:, 0]) * self.slack
        small = self._small() * largest
        cut = self._cut(largest, small)
        reached = (self.magnitude * largest + small + cut[2]) * self.slack
        down, up = (
            (self._weighted(weights, losses, sign) + small + cut[sign]) * self.slack
            for sign in (0, 1)
        )
        beyond = reached > self._limit()
        exact = self._is_exact()
        down, up = np.where(exact, 0.0, down), np.where(exact, 0.0, up)
        return np.where(beyond, np.inf, down), np.where(beyond, np.inf, up)

    def _is_exact(self) -> Array:
        """As of one result: rows in which no sum is rounded or cut."""
        freedom, lowest = self.freedom, self.trailing.min(axis=1)
        found = np.ones(len(self.count), dtype=bool)
        for one in (*freedom.rounds, *freedom.terms):
            fmt = one.format
            room = np.ldexp(
                1.0, np.clip(lowest + fmt.mantissa_bits + 1, -1000, 1000).astype(np.int64)
            )
            least = fmt.emin - (0 if one.flush else fmt.mantissa_bits)
            found &= (
                (self.magnitude <= room) & (lowest >= least) & (self.magnitude <= _float(fmt.max))
            )
        steps = [step for step in freedom.steps if step.cuts]
        if steps:
            found &= self._quantum(self._top(steps, self.magnitude), steps) <= lowest
        return found & (self.magnitude <= self._limit())

    def _weighted(self, weights: Array, losses: Array, sign: int) -> Array:
        """As `_weighted` of one result."""
        shrinking = self.used & ((self.terms < 0) == bool(sign))
        total = np.where(shrinking, np.abs(self.terms), 0.0).sum(axis=1)
        lost = np.minimum(total * self.slack, self._placed(shrinking, losses))
        if self.freedom.cuts_once:
            return lost
        apart = lost + self._placed(self.used & ~shrinking, weights)
        return np.minimum(apart, self._placed(self.used, weights))

    def _placed(self, chosen: Array, weights: Array) -> Array:
        """Of some terms, the largest magnitude at the largest weight, and so on."""
        place = np.maximum(np.cumsum(chosen, axis=1) - 1, 0)
        own = np.abs(self.terms) * np.take_along_axis(weights, place, axis=1)
        return np.asarray(np.where(chosen, own, 0.0).sum(axis=1) * self.slack)

    def _small(self) -> Array:
        freedom = self.freedom
        each = np.zeros(len(self.count))
        lowest = self.trailing.min(axis=1)
        for one in (*freedom.rounds, *freedom.terms):
            unit = one.format.emin - one.format.mantissa_bits
            lost = 2.0**one.format.emin if one.flush else np.where(lowest < unit, 2.0**unit, 0.0)
            each = np.maximum(each, lost)
        return each * self.count * (2 * len(freedom.rounds) + len(freedom.terms))

    def _cut(self, largest: Array, small: Array) -> tuple[Array, Array, Array]:
        """As `_cut` of one result."""
        steps = [step for step in self.freedom.steps if step.cuts]
        nothing = np.zeros(len(self.count))
        if not steps:
            return nothing, nothing, nothing
        reached = self.magnitude * largest + small
        top = self._top(steps, reached)
        for _ in range(64):
            lost = self._lost(top, steps, largest)
            if self.freedom.cuts_once:
                return lost
            higher = np.maximum(np.frexp((reached + lost[2]) * self.slack)[1] - 1, top)
            if (higher == top).all():
                return lost
            top = higher
        return nothing + np.inf, nothing + np.inf, nothing + np.inf

    def _top(self, steps: Sequence[Fuse], reached: Array) -> Array:
        """The largest exponent that sums up to some magnitude are aligned to."""
        emins = [one.format.emin for one in self.freedom.rounds]
        floors = [step.floor for step in steps if step.floor is not None]
        least = max([*emins, *floors], default=-FAR)
        return np.maximum(np.maximum(self.top, least), np.frexp(reached)[1] - 1)

    def _quantum(self, top: Array, steps: Sequence[Fuse]) -> Array:
        """The exponent of the coarsest unit that anything is cut to."""
        fixed = [step.quantum for step in steps if step.quantum is not None]
        bits = [
            given
            for step in steps
            for given in (step.fraction_bits, step.carried_bits, step.carried_reach)
            if given is not None
        ]
        relative = top - min(bits) if bits else np.full_like(top, -FAR)
        return np.maximum(relative, max(fixed, default=-FAR))

    def _lost(
        self, top: Array, steps: Sequence[Fuse], largest: Array
    ) -> tuple[Array, Array, Array]:
        exponent = self._quantum(top, steps)
        quantum = np.ldexp(1.0, np.maximum(exponent, -1074))[:, None]
        once = self.freedom.cuts_once
        loses = self.used & (self.trailing < exponent[:, None])
        each = np.minimum(np.abs(self.terms), quantum) if once else 2 * quantum
        sums = quantum[:, 0] * np.maximum(self.count - 1, 0) * (1 if once else 2)
        sums = sums * loses.any(axis=1)
        sides = []
        for negative in (False, True):
            own = loses & ((self.terms < 0) == negative) if once else loses
            any_ = (self.used & ((self.terms < 0) == negative)).any(axis=1) | (
                not self.freedom.cuts_once
            )
            sides.append(
                (np.where(own, each, 0.0).sum(axis=1) + sums * any_) * largest * self.slack
            )
        return sides[0], sides[1], (sides[0] + sides[1]) * self.slack

    def _limit(self) -> float:
        """What no sum may be beyond."""
        freedom = self.freedom
        tops = [_float(one.format.max) for one in (*freedom.rounds, *freedom.terms)]
        tops += [float(limit) for limit in limits(freedom)]
        return min(tops, default=np.inf)
