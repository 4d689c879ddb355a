"""Results that an Inf or a NaN decides, whatever the finite products are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mxemu.array.gemm.drive import Result
from mxemu.array.gemm.sides import Side
from mxemu.array.inputs import Array

# Bits of results at listed rows and columns, by a slower way.
Fallback = Callable[[Array, Array], Array]

# Positions and rows at a time.
_LONG, _MANY = 1024, 256
_INF = np.uint32(0x7F800000)


def patch(a: Side, b: Side, result: Result, fallback: Fallback) -> None:
    """Write all results that meet an Inf or a NaN; the others were computed with these taken as zero.

    Notes
    -----
    An Inf decides alone only where no finite sum went beyond the largest number: in other cases the order matters.
    """
    c = result.c
    wild = None if c is None else ~np.isfinite(c)
    has_c = wild is not None and bool(wild.any())
    if not (a.flags.any() or b.flags.any() or has_c):
        return
    kinds = _Kinds((a.count, b.count))
    first, second = np.flatnonzero(a.flags), np.flatnonzero(b.flags)
    kinds.add(a, b, first, np.arange(b.count))
    kinds.add(a, b, np.flatnonzero(a.flags == 0), second)
    if c is not None and has_c:
        kinds.add_c(c)
    kinds.write(result, fallback)


class _Kinds:
    """How many terms of each result are Inf, the sum of their signs, and whether one is NaN."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.infs = np.zeros(shape, np.float32)
        self.signs = np.zeros(shape, np.float32)
        self.nans = np.zeros(shape, np.bool_)

    def add(self, a: Side, b: Side, rows: Array, columns: Array) -> None:
        """The products of some rows and some columns."""
        for start in range(0, a.codes.shape[1], _LONG):
            for first in range(0, len(rows), _MANY):
                own = rows[first : first + _MANY]
                left = _signs(a, own, start)
                for second in range(0, len(columns), _MANY):
                    other = columns[second : second + _MANY]
                    self._add(np.ix_(own, other), left, _signs(b, other, start))

    def _add(self, where: tuple[Array, ...], a: _Signs, b: _Signs) -> None:
        """Sums of ones and signs, exact in float32."""
        (sign, inf, nan), (other, other_inf, other_nan) = a, b
        zero, other_zero = (np.float32(1) - np.abs(each) for each in (sign, other))
        self.infs[where] += np.abs(inf) @ np.abs(other).T + np.abs(sign) @ np.abs(other_inf).T
        self.signs[where] += inf @ other.T + sign @ other_inf.T
        invalid = np.abs(inf) @ other_zero.T + zero @ np.abs(other_inf).T
        self.nans[where] |= (invalid > 0) | nan[:, None] | other_nan[None, :]

    def add_c(self, c: Array) -> None:
        infinite = np.isinf(c)
        self.infs += infinite
        self.signs += np.where(infinite, np.sign(c), np.float32(0))
        self.nans |= np.isnan(c)

    def write(self, result: Result, fallback: Fallback) -> None:
        infinite = (self.infs > 0) & ~self.nans
        self.nans |= infinite & (np.abs(self.signs) != self.infs)
        infinite &= ~self.nans
        wanted = np.where(self.signs > 0, _INF, _INF | np.uint32(1 << 31))
        finite = (result.bits & _INF) != _INF
        sure = infinite & (finite | (result.bits == wanted))
        doubtful = infinite & ~sure
        result.bits[self.nans] = np.uint32(result.form[0])
        result.bits[sure] = wanted[sure]
        rows, columns = np.nonzero(doubtful)
        if len(rows):
            result.bits[rows, columns] = fallback(rows, columns)


# Signs of numbers (0 of zero), of infinite ones alone, and whether a row has a NaN.
_Signs = tuple[Array, Array, Array]


def _signs(side: Side, rows: Array, start: int) -> _Signs:
    """Of some rows, from a position on; NaN counts as zero."""
    codes = side.codes[rows, start : start + _LONG]
    blocks = np.arange(start, start + codes.shape[1]) // side.k
    with np.errstate(invalid="ignore"):
        numbers = side.element.numbers[codes] * side.scale.numbers[side.scales[rows][:, blocks]]
    nan = np.isnan(numbers)
    signs = np.where(nan, 0.0, np.sign(numbers)).astype(np.float32)
    return signs, np.where(np.isinf(numbers), signs, np.float32(0)), nan.any(axis=1)
