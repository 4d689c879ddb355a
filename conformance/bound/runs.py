"""Where scales multiply the sums of runs: intervals of the runs first, then of the sum of these."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from conformance.bound.freedom import Freedom
from conformance.bound.sums import (
    Ends,
    ends_of,
    in_accumulator,
    leaves_range,
    placed,
    shapes,
    small_steps,
    weights_of,
)
from conformance.bound.terms import (
    Factor,
    Terms,
    carried,
    gather,
    leading,
    rounded,
    rounded_ends,
    scale_of,
)
from mxemu.accumulation import Parts
from mxemu.formats import BlockFormat
from mxemu.products import Operand, block_size
from mxemu.value import Value

_ONE = Value(0, 1, 0)


def ends_of_runs(
    a: Operand, b: Operand, lanes: Sequence[Factor], c: Value | None, freedom: Freedom
) -> Ends:
    """The ends of a dot product whose runs are added up without scales.

    Parameters
    ----------
    a, b : Operand
        Whose formats are records.
    lanes : sequence of Factor
        The products of all lanes.
    c : Value, optional
    freedom : Freedom
        That has `Freedom.runs`.
    """
    assert freedom.runs is not None
    block = block_size(a, b)
    length = freedom.parts.length or block
    found = []
    for start in range(0, len(lanes), length):
        run = [one._replace(scale=_ONE, scale_exponent=0) for one in lanes[start : start + length]]
        ends = ends_of(gather(run, by_scale=False), freedom.runs, length, block)
        scales = [_scale(one, start // block, freedom) for one in (a, b)]
        scaled = None if ends is None else _scaled(*ends, scales, freedom.parts)
        if scaled is None:
            return None
        found.append(scaled)
    found += [(one.value.fraction(),) * 2 for one in carried(c, freedom.record)]
    return _summed(found, len(range(0, len(lanes), length)), freedom)


def _scale(operand: Operand, block: int, freedom: Freedom) -> Value:
    """The scale of a block; 1 where there is none."""
    fmt = operand.format
    if not isinstance(fmt, BlockFormat):
        return _ONE
    return scale_of(operand.scales[block], fmt.scale, freedom.record)


def _scaled(lo: Fraction, hi: Fraction, scales: Sequence[Value], node: Parts) -> Ends:
    """The ends of a run after its scales, with all roundings on the way; None where one leaves the range."""
    if not all(one.is_finite for one in scales):
        return None
    first, second = (one.fraction() for one in scales)
    if node.apart is not None:
        ends = rounded_ends(lo, hi, first, node.apart)
        return None if ends is None else rounded_ends(*ends, second, node.scaled)
    factor: Fraction | None = first * second
    for one in node.scale or ():
        factor = None if factor is None else rounded(factor, one)
    # A product of scales that vanished makes NaN of Inf; that is left to those who look at each result.
    if factor is None or (not factor and first * second):
        return None
    return rounded_ends(lo, hi, factor, node.scaled)


def _summed(boxes: list[tuple[Fraction, Fraction]], runs: int, freedom: Freedom) -> Ends:
    """The ends of the sum of numbers that lie between ends of their own."""
    if all(lo == hi for lo, hi in boxes):
        numbers = sorted((lo for lo, _ in boxes if lo), key=abs, reverse=True)
        return ends_of(Terms(numbers, [leading(one) for one in numbers]), freedom, runs, runs)
    sizes = sorted((max(abs(lo), abs(hi)) for lo, hi in boxes), reverse=True)
    sizes = [one for one in sizes if one]
    found = [_moved(sizes, depths, freedom) for depths in shapes(freedom, len(sizes), runs, runs)]
    known = [one for one in found if one is not None]
    if not known:
        return None
    lo, hi = (sum((box[end] for box in boxes), Fraction(0)) for end in (0, 1))
    return in_accumulator(lo - min(known), hi + min(known), freedom)


def _moved(sizes: list[Fraction], depths: list[int], freedom: Freedom) -> Fraction | None:
    """How far additions move a sum of numbers that have at most some sizes, largest first; None out of range."""
    # What is added to nothing is still rounded.
    extra = len(dict.fromkeys((*freedom.terms, *freedom.rounds)))
    weights = weights_of([depth + extra for depth in sorted(depths, reverse=True)], freedom)
    largest = 1 + weights[0]
    small = small_steps(len(sizes), freedom, None) * largest
    beyond = leaves_range(freedom, sum(sizes, Fraction(0)) * largest + small)
    return None if beyond else placed(sizes, weights) + small
