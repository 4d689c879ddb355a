"""Which results are computed how: by what the numbers of their rows span."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mxemu.array.gemm.cascade import Cascade, Pairs
from mxemu.array.gemm.drive import SLAB, Product
from mxemu.array.gemm.sides import WINDOW, Side
from mxemu.array.gemm.sums import SplitSums, Sums, fits
from mxemu.array.gemm.words import Words
from mxemu.array.inputs import Array

# Bits of the significands.
_SINGLE, _DOUBLE = 24, 53
# The fewest positions whose sum is made at once.
_SHORT_RUN = 32
# Exponents between which scaled elements may lie so that their products are normal in binary32, and sums below Inf.
_LOW, _HIGH = -63, 58

# Above the error of a computed logarithm.
_MARGIN = 1e-4
# One of so many results may be computed on its own, and one of so many in a row or column.
_SPARSE, _FEW = 2048, 8
# How often an area is divided.
_DEEPEST = 3


class Region(NamedTuple):
    """Some rows of A, some rows of B, and how their products are computed; what comes later replaces what is there."""

    rows: Array
    columns: Array
    product: Product | Pairs


def blockwise(a: Side, b: Side, k: int) -> list[Region] | None:
    """Each block exactly, rounded to binary32 and added in order; None if blocks are too long for it."""
    if k > SLAB:
        return None
    double = Sums(a, b, np.float64, np.float32, k)
    if fits(a, b, k, _SINGLE):
        single = Sums(a, b, np.float32, np.float32, k)
        return _divided(_within_single(a), _within_single(b), single, double)
    if fits(a, b, k, _DOUBLE):
        return [Region(np.arange(a.count), np.arange(b.count), double)]
    return _long_blocks(a, b, k, double)


def _long_blocks(a: Side, b: Side, k: int, double: Product) -> list[Region] | None:
    """Blocks that may be too long for float64: those of rows with short ones, and the others in two halves."""
    bit = _split_bit(a, b, k)
    if bit is None:
        return None
    halves = SplitSums(a, b, k, bit)
    spans = [_longest_blocks(one) for one in (a, b)]
    return [
        Region(area.rows, area.columns, double if area.easy else halves)
        for area in _areas(spans[0], spans[1], _DOUBLE - (k - 1).bit_length())
    ]


def whole(a: Side, b: Side, k: int, *, scaled: bool) -> list[Region] | None:
    """All products exactly and one rounding; None if blocks are too long, or wide results still have to be scaled."""
    found = [one.survey(np.arange(one.count)) for one in (a, b)]
    # Any sum of products of two rows is at most the product of the roots of their sums of squares.
    sizes = [np.maximum(each.size - each.low, 0) + _MARGIN for each in found]
    length = _run(a.codes.shape[1], WINDOW)
    easy: Product = Sums(a, b, np.float64, np.float64, length, late_c=True)
    if all(one.k % 2 == 0 or one.k >= one.codes.shape[1] for one in (a, b)):
        easy = Words(a, b, (found[0].peak + _MARGIN, found[1].peak + _MARGIN), length, easy)
    everything = Region(np.arange(a.count), np.arange(b.count), easy)
    hard = _hard_pairs(sizes[0], sizes[1], _DOUBLE)
    if hard is not None and not len(hard[0]):
        return [everything]
    cascade = None if scaled else _cascade(a, b, k)
    if cascade is None:
        return None
    if hard is not None:
        return [everything, Region(*hard, Pairs(a, b, cascade.singly))]
    return [
        Region(area.rows, area.columns, easy if area.easy else cascade)
        for area in _areas(sizes[0], sizes[1], _DOUBLE)
    ]


def _hard_pairs(a: Array, b: Array, limit: float) -> tuple[Array, Array] | None:
    """The rows and columns whose numbers together are beyond a limit; None if they are many, or most of a row."""
    order = np.argsort(b)
    counts = len(b) - np.searchsorted(b[order], limit - a, side="right")
    most = np.count_nonzero(a > limit - b.max())
    together = int(counts.max()) * _FEW > len(b) or most * _FEW > len(a)
    if together or int(counts.sum()) > len(a) * len(b) // _SPARSE:
        return None
    rows = np.repeat(np.arange(len(a)), counts)
    columns = [order[len(b) - count :] for count in counts if count]
    return rows, np.concatenate([order[:0], *columns])


def _run(count: int, longest: int) -> int:
    """A power of two up to a longest one whose multiples cover a count without much more."""
    while longest > _SHORT_RUN and -count % longest > count // 8:
        longest //= 2
    return longest


def _cascade(a: Side, b: Side, k: int) -> Cascade | None:
    """The product for sums of any length, in parts of blocks that are exact."""
    without_scales = min(a.k, b.k) >= a.codes.shape[1]
    length = min(k, _SHORT_RUN) if without_scales else k
    while length <= SLAB:
        if fits(a, b, length, _DOUBLE):
            return Cascade(a, b, length)
        bit = _split_bit(a, b, length)
        if bit is not None:
            return Cascade(a, b, length, bit)
        if length % 2:
            break
        length //= 2
    return None


def _split_bit(a: Side, b: Side, count: int) -> int | None:
    """Where to split A's magnitudes so that sums with both halves are exact in float64; None if there is no place."""
    bit = (a.element.largest.bit_length() + 1) // 2
    half = 1 << max(bit, a.element.largest.bit_length() - bit)
    others = b.element.largest * a.scale.odd * b.scale.odd
    return bit if half * others * count <= 1 << _DOUBLE else None


def _within_single(one: Side) -> Array:
    """Rows whose scaled elements are far from both ends of binary32."""
    low, high = (bound.copy() for bound in one.reach)
    wide = np.flatnonzero((low < _LOW) | (high > _HIGH))
    if len(wide):
        exact = one.survey(wide)
        low[wide], high[wide] = exact.low, exact.high
    return (low >= _LOW) & (high <= _HIGH)


def _longest_blocks(one: Side) -> Array:
    """Bits of the longest block of each row, with those of the significand of a scale."""
    found = one.survey(np.arange(one.count)).longest
    return found + one.scale.odd.bit_length() - (one.scale.odd == 1)


class Area(NamedTuple):
    """Some results, and whether their rows span so little that the easy way is exact."""

    rows: Array
    columns: Array
    easy: bool


def _areas(a: Array, b: Array, limit: float) -> Iterator[Area]:
    """Areas that cover all results, easy where a number of the row and one of the column stay within a limit."""
    yield from _divide(a, b, limit, Area(np.arange(len(a)), np.arange(len(b)), easy=False), 0)


def _divide(a: Array, b: Array, limit: float, area: Area, depth: int) -> Iterator[Area]:
    """The largest easy part of an area, and its other parts divided in the same way."""
    rows, columns = area.rows, area.columns
    if not (len(rows) and len(columns)):
        return
    own = np.sort(a[rows])
    partners = np.searchsorted(np.sort(b[columns]), limit - own, side="right")
    most = int(np.argmax(np.arange(1, len(own) + 1) * partners))
    if not partners[most] or depth > _DEEPEST:
        yield area
        return
    first, second = a[rows] <= own[most], b[columns] <= limit - own[most]
    yield Area(rows[first], columns[second], easy=True)
    for others in ((rows[~first], columns), (rows[first], columns[~second])):
        yield from _divide(a, b, limit, Area(others[0], others[1], easy=False), depth + 1)


def _divided(a: Array, b: Array, easy: Product, hard: Product) -> list[Region]:
    """All results, by one product where both masks are set and by another elsewhere."""
    parts = (
        (np.flatnonzero(a), np.flatnonzero(b), easy),
        (np.flatnonzero(a), np.flatnonzero(~b), hard),
        (np.flatnonzero(~a), np.arange(len(b)), hard),
    )
    return [Region(*part) for part in parts if len(part[0]) and len(part[1])]
