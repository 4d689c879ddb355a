"""Fused groups: terms and accumulator cut to one quantum, added exactly, rounded; group after group, for many results.

All numbers are float64: products of two elements with their scales are exact in it, and so is the sum of a group in
units of its quantum, which is below 2^52.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from mxemu.accumulation import (
    Accumulation,
    Chain,
    Fuse,
    Node,
    Parts,
    ProductExponent,
    Round,
    Sum,
)
from mxemu.array.gemm.bits import number_of, word_of
from mxemu.array.gemm.drive import Part, Product, Slab
from mxemu.array.gemm.packs import odd, pack_listed, two_sum
from mxemu.array.gemm.sides import Side
from mxemu.array.gemm.tiles import ROWS, kept, largest, sums
from mxemu.array.inputs import Array
from mxemu.array.jit import kernel
from mxemu.formats import BINARY32
from mxemu.profile import Rounding

# Below every exponent of a term; stands for no floor.
_NO_FLOOR = -900
_LONGEST = 52
_NEVER = 1 << 62
# Fields of float64.
_BIAS, _HIGHEST = 1023, 2000
_HIDDEN, _INF = 1 << 52, 0x7FF << 52
_MAGNITUDE, _MANTISSA = (1 << 63) - 1, _HIDDEN - 1


class Schedule(NamedTuple):
    """Which terms meet, in the order in which that happens.

    Attributes
    ----------
    step : Fuse
    inner : int
        Terms that are added exactly first, 1 for none.
    length : int
        Positions of a group.
    terms : int
        Terms of a dot product.
    order : tuple of int
        A permutation of the terms, repeated; empty for none.
    run : int
        Groups after which the accumulator starts again from nothing and is added to another one; 0 for never.
    outer : Round, optional
        Of the other accumulator.
    """

    step: Fuse
    inner: int
    length: int
    terms: int
    order: tuple[int, ...]
    run: int
    outer: Round | None

    @property
    def positions(self) -> int:
        """Positions in whole groups, and whole permutations."""
        window = len(self.order) or self.length
        return -(-self.terms // window) * window

    def places(self, start: int, stop: int) -> Array:
        """The terms at some positions; -1 for none."""
        window, position = np.array(self.order), np.arange(start, stop)
        term = position // len(window) * len(window) + window[position % len(window)]
        return np.where(term < self.terms, term, -1)


def schedule(record: Accumulation, count: int, k: int) -> Schedule | None:
    """The schedule of an accumulation for ``count`` terms in blocks of k; None if it is not of this sort."""
    match record.node:
        case Chain() as chain if _is_fused(chain):
            return Schedule(chain.step, 1, chain.length, count, chain.order, 0, None)
        case Parts(scale=None) as parts:
            return _promoted(parts, count, k) or _summed(parts, count, k)
    return None


def _promoted(parts: Parts, count: int, k: int) -> Schedule | None:
    """Runs of fused groups whose results are added in another accumulator."""
    inner, outer, run = parts.inner, parts.outer, parts.length or k
    if not (isinstance(inner, Chain) and _is_fused(inner) and _adds(outer)):
        return None
    assert isinstance(outer, Chain)
    window = len(inner.order) or inner.length
    if run % window and count > run:
        return None  # the groups of every run would be filled up
    groups = _NEVER if run % window else run // inner.length
    rounding = outer.step.out[0]
    return Schedule(inner.step, 1, inner.length, count, inner.order, groups, rounding)


def _summed(parts: Parts, count: int, k: int) -> Schedule | None:
    """Groups of exact sums."""
    inner, outer, run = parts.inner, parts.outer, parts.length or k
    if inner != Sum() or not (isinstance(outer, Chain) and _is_fused(outer)) or outer.order:
        return None
    return Schedule(outer.step, run, run * outer.length, count, (), 0, None)


def _is_fused(chain: Chain) -> bool:
    """Whether groups are cut towards zero and rounded once, to a format that binary32 holds."""
    step = chain.step
    return (
        chain.terms is None
        and step.fraction_bits is not None
        and step.align is Rounding.TOWARD_ZERO
        and step.carried_bits in (None, step.fraction_bits)
        and step.carried_reach is None
        and len(step.out) == 1
        and _is_plain(step.out[0])
        and (step.floor is None or abs(step.floor) < -_NO_FLOOR)
    )


def _is_plain(rounding: Round) -> bool:
    fmt = rounding.format
    held = fmt.mantissa_bits <= 23 and fmt.emax <= BINARY32.emax and fmt.emin >= BINARY32.emin
    known = rounding.rounding in (Rounding.TOWARD_ZERO, Rounding.TIES_TO_EVEN)
    return held and known and not rounding.flush and not rounding.stop_at_max


def _adds(node: Node) -> bool:
    """Whether a node adds one term after the other and rounds each sum."""
    return (
        isinstance(node, Chain)
        and node.step == Fuse(node.step.out)
        and (node.length, node.terms) == (1, None)
        and len(node.order) < 2
        and len(node.step.out) == 1
        and _is_plain(node.step.out[0])
    )


def fused_product(a: Side, b: Side, record: Accumulation, k: int) -> Fused | None:
    """The product under an accumulation of fused groups; None if it is none, or not exact in float64."""
    found = schedule(record, a.codes.shape[1], k)
    if found is None:
        return None
    assert found.step.fraction_bits is not None
    ratios = [one.element.spread * one.scale.spread for one in (a, b)]
    if record.product_exponent is ProductExponent.NORMALISED:
        if found.inner > 1 or not (a.scale.powers and b.scale.powers):
            return None
        ratios.append(2.0)  # of a product to its leading bit
    # One term, in units of the quantum; one more for the accumulator.
    term = math.prod(ratios) * found.inner * 2.0**found.step.fraction_bits
    terms = found.length // found.inner + 1
    if max(term, 2.0**found.step.fraction_bits * 2) * terms > 2.0**_LONGEST:
        return None
    if found.inner > 1 and not _exact_inside(a, b, found.inner):
        return None
    return Fused(a, b, found)


def _exact_inside(a: Side, b: Side, count: int) -> bool:
    """Whether runs lie in one block each, and their sums are exact."""
    together = all(one.k % count == 0 or one.k >= one.codes.shape[1] for one in (a, b))
    units = [one.element.largest * one.scale.odd for one in (a, b)]
    return together and math.prod(units) * count <= 1 << 53


class Fused(Product):
    """Fused groups.

    Parameters
    ----------
    a, b : Side
    plan : Schedule
    """

    def __init__(self, a: Side, b: Side, plan: Schedule) -> None:
        super().__init__(a, b, np.float64, np.float64, plan.length)
        self.plan = plan
        self.positions = plan.positions
        own, outer = plan.step.out[0], plan.outer
        self.forms = np.array([form_of(own), form_of(own if outer is None else outer)])
        bits, floor = plan.step.fraction_bits, plan.step.floor
        self.cut = np.array([bits, _NO_FLOOR if floor is None else floor])

    def new_state(self, size: int) -> list[Array]:
        """With an inner accumulator, where runs are added in another one."""
        return super().new_state(size) + (super().new_state(size) if self.plan.run else [])

    def buffers(self, side: Side, panels: int, positions: int) -> list[Array]:
        return [super(Fused, self).buffers(side, panels, positions)[0] for _ in range(2)]

    def pack(self, side: Side, pick: Array, part: Part, buffers: list[Array]) -> None:
        """Numbers, and the powers of two that alignment sees."""
        pairs = (
            (side.element.numbers, side.scale.numbers),
            (side.element.aligned, side.scale.aligned),
        )
        for pair, buffer in zip(pairs, buffers, strict=True):
            if self.plan.order:
                self._pack_listed(side, pick, part, buffer, pair)
            else:
                self.pack_numbers(side, pick, part, buffer, pair)

    def _pack_listed(
        self, side: Side, pick: Array, part: Part, buffer: Array, pair: tuple[Array, Array]
    ) -> None:
        places, width = self.plan.places(part.begin, part.end), self.breadth(side)
        pack_listed(
            side.codes, side.scales, *pair, pick, width, places, places // side.k,
            buffer[part.skip * width :], part.first, part.after, side.flags,
        )  # fmt: skip

    def step(
        self,
        left: list[Array],
        right: list[Array],
        state: list[Array],
        panels: tuple[int, int],
        slab: Slab,
    ) -> None:
        plan, tile = self.plan, ROWS * self.width
        counts = np.array([*panels, tile, slab.stop - slab.start, slab.stretch, plan.length])
        if plan.inner > 1:
            _add_summed(*left, *right, state[0], counts, plan.inner, self.cut, self.forms)
            return
        first_group, last_group = slab.start // plan.length, self.positions // plan.length - 1
        runs = np.array([plan.run, first_group, last_group])
        _add_groups(*left, *right, state[-1], state[0], counts, runs, self.cut, self.forms)


def form_of(rounding: Round) -> tuple[int, int, int, int]:
    """Bits below the leading one, the least exponent, the largest, and whether ties go to even (else truncation)."""
    fmt = rounding.format
    even = rounding.rounding is Rounding.TIES_TO_EVEN
    return fmt.mantissa_bits, fmt.emin, fmt.emax, int(even)


@kernel
def _add_groups(
    a: Array,
    a_seen: Array,
    b: Array,
    b_seen: Array,
    inner: Array,
    outer: Array,
    counts: Array,
    runs: Array,
    cut: Array,
    forms: Array,
) -> None:
    """The groups of a slab for the tiles of some panels of A and all panels of B."""
    high, wide, tile, positions, stretch, length = counts
    run, number, last_group = runs
    width = tile // ROWS
    top, factors, total = np.empty(tile), np.empty(tile), np.empty(tile)
    for begin in range(0, positions, stretch):
        count = min(stretch, positions - begin)
        for i in range(high):
            for j in range(wide):
                place = (i * wide + j) * tile
                own = inner[place : place + tile]
                for group in range(count // length):
                    left = (begin * high + i * count + group * length) * ROWS
                    right = (begin * wide + j * count + group * length) * width
                    if run > 0 and (number + group) % run == 0:
                        own[:] = 0.0
                    largest(a_seen, left, b_seen, right, top, 0, length)
                    align(top, own, factors, total, cut, forms[0])
                    kept(a, left, b, right, factors, 0, total, 0, length)
                    settle(total, factors, own, forms[0])
                    ends = (number + group + 1) % run == 0 or number + group == last_group
                    if run > 0 and ends:
                        promote(own, outer[place : place + tile], forms[1])
        number += count // length


@kernel
def align(top: Array, own: Array, factors: Array, total: Array, cut: Array, form: Array) -> None:
    """For each result the factor that makes quanta to units, from the largest exponent; and what is carried in, cut."""
    seen, carried, made = top.view(np.int64), own.view(np.int64), factors.view(np.int64)
    bits, floor, least = cut[0], cut[1] + _BIAS, form[1] + _BIAS
    for place in range(top.size):
        field = (carried[place] >> 52) & 0x7FF
        high = max(seen[place] >> 52, floor)
        # Zero has no exponent; Inf stays Inf whatever it is cut to.
        high = max(high, min(max(field, least), _HIGHEST) if field > 0 else np.int64(0))
        made[place] = (bits + 2 * _BIAS - high) << 52
        total[place] = cut_off(carried[place], high - bits - field) * factors[place]


@kernel
def cut_off(word: Any, below: Any) -> Any:
    """A float64 without the bits whose exponent is less than ``below`` above that of the leading one."""
    drop = max(below + 52, 0)
    shift = min(drop, 60)
    return number_of(word >> shift << shift if drop <= 52 else np.int64(0))


@kernel
def settle(total: Array, factors: Array, own: Array, form: Array) -> None:
    """The sums in units, rounded, as what is carried on."""
    made = factors.view(np.int64)
    for place in range(total.size):
        quantum = number_of((np.int64(2 * _BIAS) << 52) - made[place])
        own[place] = rounded(total[place] * quantum, form)


@kernel
def promote(own: Array, outer: Array, form: Array) -> None:
    """Add the results of a run to the other accumulator."""
    for place in range(own.size):
        pair = two_sum(outer[place], own[place])
        outer[place] = rounded(odd(pair[0], pair[1]), form)


@kernel
def rounded(number: float, form: Array) -> float:
    """A float64 in the format of a form; beyond it Inf, and zero is positive."""
    word = word_of(number)
    magnitude = word & _MAGNITUDE
    even = form[3]
    drop = 52 - form[0] + max(form[1] + _BIAS - (magnitude >> 52), np.int64(0))
    shift = min(drop, np.int64(60))
    last = ((magnitude & _MANTISSA) | _HIDDEN) >> shift & 1
    half = ((np.int64(1) << (shift - 1)) - 1 + last) * even
    kept = (magnitude + half) >> shift << shift
    # Below the smallest subnormal only ties to even goes up, above half of it.
    up = even != 0 and drop == 53 and magnitude & _MANTISSA != 0
    kept = kept if drop <= 52 else (((form[1] - form[0] + _BIAS) << 52) if up else np.int64(0))
    kept = _INF if kept >= (form[2] + 1 + _BIAS) << 52 else kept
    kept = magnitude if magnitude > _INF else kept
    sign = word & ~_MAGNITUDE if kept > 0 else np.int64(0)
    return number_of(kept | sign)


@kernel
def _add_summed(
    a: Array,
    a_seen: Array,
    b: Array,
    b_seen: Array,
    state: Array,
    counts: Array,
    inner: int,
    cut: Array,
    forms: Array,
) -> None:
    """As `_add_groups`, for groups whose terms are exact sums of ``inner`` products."""
    high, wide, tile, positions, stretch, length = counts
    width, runs = tile // ROWS, length // inner
    tops, found = np.empty(runs * tile), np.empty(runs * tile)
    factors, total = np.empty(tile), np.empty(tile)
    for begin in range(0, positions, stretch):
        count = min(stretch, positions - begin)
        for i in range(high):
            for j in range(wide):
                place = (i * wide + j) * tile
                own = state[place : place + tile]
                for group in range(count // length):
                    left = (begin * high + i * count + group * length) * ROWS
                    right = (begin * wide + j * count + group * length) * width
                    found[:] = 0.0
                    sums(a, left, b, right, found, 0, runs, inner, tile)
                    for run in range(runs):
                        x, y = left + run * inner * ROWS, right + run * inner * width
                        largest(a_seen, x, b_seen, y, tops, run * tile, inner)
                    for run in range(1, runs):
                        raise_to(tops[:tile], tops[run * tile : (run + 1) * tile])
                    align(tops[:tile], own, factors, total, cut, forms[0])
                    for run in range(runs):
                        add_cut(found[run * tile : (run + 1) * tile], factors, total, cut)
                    settle(total, factors, own, forms[0])


@kernel
def raise_to(tops: Array, others: Array) -> None:
    """Put the larger numbers in the place of the first ones."""
    for place in range(tops.size):
        tops[place] = max(tops[place], others[place])


@kernel
def add_cut(terms: Array, factors: Array, total: Array, cut: Array) -> None:
    """Add terms, each cut to whole units."""
    words, made = terms.view(np.int64), factors.view(np.int64)
    for place in range(terms.size):
        high = cut[0] + 2 * _BIAS - (made[place] >> 52)
        field = (words[place] >> 52) & 0x7FF
        total[place] += cut_off(words[place], high - cut[0] - field) * factors[place]
