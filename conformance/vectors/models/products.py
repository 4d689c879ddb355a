"""Dot products: which products there are, how far apart, and what their sum loses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from conformance.arrays import Array, dot_bits, wide_values
from conformance.cases.products import element_of
from conformance.vectors.bins import Coverpoint
from conformance.vectors.verify import changes
from conformance.vectors.models.shared import RESULTS, result_classes, scale_exponents
from conformance.vectors.of_products import Dot
from conformance.vectors.table import Batch
from mxemu.accumulations import find as find_accumulation
from mxemu.formats import BlockFormat, ElementFormat
from mxemu.scalar import decode

ACCUMULATIONS = ("fp32-sequential", "pairwise", "nv-hopper-fp8-wgmma", "bf16-accumulator")


class Sums:
    """What is exact about the products of a batch, as binary64 where that is exact enough to place them."""

    def __init__(self, suite: Dot, batch: Batch) -> None:
        columns = batch.columns
        shape = (len(batch), suite.layout.blocks, suite.layout.k)
        a, b = (
            _numbers(element_of(fmt))[columns[name]].reshape(shape)
            for name, fmt in zip("ab", suite.formats, strict=True)
        )
        exponents = [
            scale_exponents(fmt.scale)[columns[name]].reshape(shape[:2])
            for name, fmt in zip(("sa", "sb"), suite.formats, strict=True)
            if isinstance(fmt, BlockFormat)
        ]
        self.scale_sum: Array = np.sum([np.zeros(shape[:2], np.int64), *exponents], axis=0)
        with np.errstate(all="ignore"):
            self.terms = np.ldexp(a * b, self.scale_sum[:, :, None]).reshape(len(batch), -1)
        self.c = wide_values(columns["c"], suite.carrier)
        self.finite = np.isfinite(self.terms).all(axis=1) & np.isfinite(self.c)

    def leading(self, numbers: Array) -> Array:
        """Exponents of leading bits; a very small one for zero."""
        return np.where(numbers == 0, -5000, np.frexp(numbers)[1] - 1)


@lru_cache(maxsize=16)
def _numbers(element: ElementFormat) -> Array:
    values = [decode(code, element) for code in range(1 << element.width)]
    special = {True: np.nan, False: np.inf}
    return np.array(
        [float(value.fraction()) if value.is_finite else special[value.is_nan] for value in values]
    )


_DEPTHS = tuple(range(0, 33, 4))


def products(suite: Dot) -> list[Coverpoint]:
    """dot and dot-general: lanes, distances, cancellation, C, scales, and what other accumulations make of them."""
    length = suite.layout.length
    wrong = ("wrong-code",)
    lanes = [f"lane {at}" for at in range(length)]
    counts = [str(count) for count in range(length + 1)]
    shifts = _shifts(suite)
    points = [
        Coverpoint("products that are not zero", counts, _count(suite), wrong),
        Coverpoint("one product", lanes, _alone(suite), wrong),
        Coverpoint(
            "distance of products", [f"from {at}" for at in shifts], _spread(suite, shifts), wrong
        ),
        Coverpoint("depth of cancellation", [f"from {at}" for at in _DEPTHS], _depth(suite), wrong),
        Coverpoint(
            "C beside the products",
            [f"2^{8 * at - 72}" for at in range(19)],
            _carried(suite),
            wrong,
        ),
        Coverpoint("result", list(RESULTS), result_classes(suite.carrier, "result"), wrong),
        Coverpoint("order and width matter", list(ACCUMULATIONS), _order(suite), ACCUMULATIONS),
    ]
    if any(isinstance(fmt, BlockFormat) for fmt in suite.formats):
        names = ["below -127", "negative", "about 0", "positive", "above 127"]
        points.append(Coverpoint("sum of scales", names, _scale_sums(suite), wrong))
    return points


def _shifts(suite: Dot) -> list[int]:
    """Distances that the products of one block can have, in steps of four binades."""
    spans = [
        element.max.leading - element.min_positive.leading
        for element in map(element_of, suite.formats)
    ]
    return list(range(0, sum(spans), 4))


def _count(suite: Dot) -> Callable[[Batch], Array]:
    return lambda batch: np.asarray((Sums(suite, batch).terms != 0).sum(axis=1))


def _alone(suite: Dot) -> Callable[[Batch], Array]:
    """The lane of the only product."""

    def place(batch: Batch) -> Array:
        terms = Sums(suite, batch).terms != 0
        return np.where(terms.sum(axis=1) == 1, terms.argmax(axis=1), -1)

    return place


def _spread(suite: Dot, shifts: Sequence[int]) -> Callable[[Batch], Array]:
    """How far the smallest term lies below the largest."""

    def place(batch: Batch) -> Array:
        sums = Sums(suite, batch)
        exponents = sums.leading(np.where(np.isfinite(sums.terms), sums.terms, 0))
        top = exponents.max(axis=1)
        low = np.where(exponents > -5000, exponents, 5000).min(axis=1)
        return np.where((low < 5000) & sums.finite, _bucket(top - low, shifts), -1)

    return place


def _depth(suite: Dot) -> Callable[[Batch], Array]:
    """How many bits below its largest term the sum begins."""

    def place(batch: Batch) -> Array:
        sums = Sums(suite, batch)
        total, exact = _totals(suite, batch, sums)
        terms = np.column_stack([sums.terms, sums.c])
        top = sums.leading(np.where(np.isfinite(terms), terms, 0)).max(axis=1)
        return np.where(exact & (total > -5000), _bucket(top - total, _DEPTHS), -1)

    return place


def _carried(suite: Dot) -> Callable[[Batch], Array]:
    """The leading bit of C beside that of the largest product."""

    def place(batch: Batch) -> Array:
        sums = Sums(suite, batch)
        top = sums.leading(np.where(np.isfinite(sums.terms), sums.terms, 0)).max(axis=1)
        distance = sums.leading(np.where(np.isfinite(sums.c), sums.c, 0)) - top
        both = (sums.c != 0) & (top > -5000) & sums.finite
        return np.where(both, np.clip((distance + 76) // 8, 0, 18), -1)

    return place


def _scale_sums(suite: Dot) -> Callable[[Batch], Array]:
    def place(batch: Batch) -> Array:
        sums = Sums(suite, batch).scale_sum
        low, high = sums.min(axis=1), sums.max(axis=1)
        classes = [
            low < -127,
            (low >= -127) & (high < 0),
            (low <= 0) & (high >= 0),
            (high > 0) & (high <= 127),
            high > 127,
        ]
        return np.column_stack(classes)

    return place


def _bucket(numbers: Array, edges: Sequence[int]) -> Array:
    """The last edge that each number reaches."""
    return np.clip(np.searchsorted(np.array(edges), numbers, side="right") - 1, 0, len(edges) - 1)


def _totals(suite: Dot, batch: Batch, sums: Sums) -> tuple[Array, Array]:
    """The exponent of each exact sum's leading bit, and where there is one; sums of many bits are added exactly."""
    found = np.full(len(batch), -5000)
    usable = sums.finite & (np.abs(sums.terms) < 1e300).all(axis=1)
    for row in np.flatnonzero(usable):
        total = suite.product(batch.columns, int(row), find_accumulation("exact")).value
        if total.is_finite and not total.is_zero:
            found[row] = total.leading
    return found, usable


def _order(suite: Dot) -> Callable[[Batch], Array]:
    """Which other accumulations give another result."""

    def place(batch: Batch) -> Array:
        dots = suite.layout.dots(suite.rows(batch.columns))
        return np.column_stack(
            [
                changes(suite, batch, {"result": dot_bits(dots, find_accumulation(name))})
                for name in ACCUMULATIONS
            ]
        )

    return place
