"""Where the sums of some terms lie, in exact integers and fractions; `conformance.bound` has the proof."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from conformance.bound.freedom import Freedom
from conformance.bound.terms import Terms, leading, lowest
from mxemu import walk
from mxemu.accumulation import Fuse, Node, Parts, Round
from mxemu.formats import FloatFormat

FRACTION = 96
"""Fraction bits of the table of G; each entry is rounded up."""

Ends = tuple[Fraction, Fraction] | None
"""Both ends of an interval; None where sums can leave the range, so that Inf and NaN are possible."""


def growth(unit: int, longest: int) -> list[int]:
    """G(0) ... G(longest) for u = 2^-unit as multiples of 2^-96, each rounded up."""
    found, one = [0], 1 << FRACTION
    for _ in range(longest):
        last = found[-1]
        found.append(last + -(-(one + last) >> unit))
    return found


def ends_of(terms: Terms, freedom: Freedom, length: int, k: int) -> Ends:
    """Both ends of the sums of some of ``length`` terms in blocks of k; None where sums can leave the range."""
    if not terms.count:
        return Fraction(0), Fraction(0)
    total = sum(terms.numbers, Fraction(0))
    found = [_radius(terms, freedom, depths) for depths in shapes(freedom, terms.count, length, k)]
    known = [one for one in found if one is not None]
    if not known:
        return None
    down, up = min(one[0] for one in known), min(one[1] for one in known)
    return in_accumulator(total - down, total + up, freedom)


def in_accumulator(lo: Fraction, hi: Fraction, freedom: Freedom) -> tuple[Fraction, Fraction]:
    """The ends moved inwards onto numbers of the one format of all sums, if there is one."""
    if freedom.accumulator is None:
        return lo, hi
    fmt = freedom.accumulator
    return onto(lo, fmt, up=True), onto(hi, fmt, up=False)


def onto(number: Fraction, fmt: FloatFormat, *, up: bool) -> Fraction:
    """The closest multiple of a format's ulp that is not below, or not above; the range is not looked at."""
    if not number:
        return number
    ulp = Fraction(2) ** (max(leading(number), fmt.emin) - fmt.mantissa_bits)
    steps = number / ulp
    return ulp * (
        -(-steps.numerator // steps.denominator) if up else steps.numerator // steps.denominator
    )


def shapes(freedom: Freedom, count: int, length: int, k: int) -> list[list[int]]:
    """Roundings on the way of each term, deepest first: of any tree, and of the given one."""
    kinds = max(1, len(freedom.rounds)) if freedom.rounds else 0
    chain = [kinds * (count + 1 - max(place, 2)) for place in range(1, count + 1)]
    found = [chain if count > 1 else [0]]
    if freedom.node is not None and length:
        own = depths_of(freedom.node, length, k)
        found.append((own + [0] * count)[:count])
    return found


class _Depths:
    """A unit whose terms are the depths of the leaves below, see `mxemu.walk`."""

    nothing: tuple[int, ...] = ()

    def __init__(self, k: int) -> None:
        self.k = k

    def add(self, step: Fuse, terms: list[Any], carried: Any | None) -> tuple[int, ...]:
        everything = [*terms, *([] if carried is None else [carried])]
        return tuple(depth + len(step.out) for one in everything for depth in one)

    def round_term(self, rounding: Round, term: Any) -> Any:
        return term

    def scale_sum(self, node: Parts, total: Any, run: list[Any]) -> Any:
        return total


def depths_of(node: Node, length: int, k: int) -> list[int]:
    """Roundings between each of ``length`` terms, or C, and the result; deepest first."""
    found = walk.reduce(node, [(0,)] * length, (0,), _Depths(k))
    return sorted(found, reverse=True)


def _radius(terms: Terms, freedom: Freedom, depths: list[int]) -> tuple[Fraction, Fraction] | None:
    """How far results lie below and above the exact sum; None if sums can leave the range."""
    if _is_exact(terms, freedom, terms.magnitude):
        return Fraction(0), Fraction(0)
    extra = sum(
        not all(_fits(number, one.format) for number in terms.numbers)
        for one in dict.fromkeys((*freedom.terms, *freedom.rounds))
    )
    deep = [depth + extra for depth in sorted(depths, reverse=True)]
    weights = weights_of(deep, freedom)
    losses = [Fraction(depth, 1 << freedom.unit) if freedom.unit else Fraction(0) for depth in deep]
    largest = 1 + weights[0]
    small = _small(terms, freedom) * largest
    cut = _cut(terms, freedom, terms.magnitude, largest, small)
    if cut is None or leaves_range(freedom, terms.magnitude * largest + small + cut[2]):
        return None
    down, up = (
        _weighted(terms.numbers, weights, losses, sign, freedom.cuts_once) + small + cut[sign]
        for sign in (0, 1)
    )
    return down, up


def weights_of(depths: list[int], freedom: Freedom) -> list[Fraction]:
    """G of some depths, deepest first."""
    table = growth(freedom.unit, depths[0]) if freedom.unit else [0] * (depths[0] + 1)
    return [Fraction(table[depth], 1 << FRACTION) for depth in depths]


def _is_exact(terms: Terms, freedom: Freedom, magnitude: Fraction) -> bool:
    """Whether every sum of some of the terms is a number of every format, and a multiple of what sums are cut to."""
    least = min(map(lowest, terms.numbers))
    for one in (*freedom.rounds, *freedom.terms):
        room = magnitude <= Fraction(2) ** (least + one.format.mantissa_bits + 1)
        normal = (
            least >= one.format.emin
            if one.flush
            else least >= one.format.emin - one.format.mantissa_bits
        )
        if not (room and normal and magnitude <= one.format.max.fraction()):
            return False
    steps = [step for step in freedom.steps if step.cuts]
    floors = [step.floor for step in steps if step.floor is not None]
    emins = [one.format.emin for one in freedom.rounds]
    top = max([*terms.exponents, *floors, *emins, leading(magnitude)])
    whole = all(magnitude < limit for limit in limits(freedom))
    return whole and (not steps or _quantum(steps, top) <= least)


def _weighted(
    numbers: list[Fraction],
    weights: list[Fraction],
    losses: list[Fraction],
    sign: int,
    shrinks: bool,
) -> Fraction:
    """How far roundings move the sum down (0) or up (1)."""
    shrinking = [abs(number) for number in numbers if (number < 0) == bool(sign)]
    growing = [abs(number) for number in numbers if (number < 0) != bool(sign)]
    lost = min(sum(shrinking, Fraction(0)), placed(shrinking, losses))
    if shrinks:
        return lost
    return min(lost + placed(growing, weights), placed(list(map(abs, numbers)), weights))


def placed(magnitudes: list[Fraction], weights: list[Fraction]) -> Fraction:
    """The largest magnitude at the largest weight, and so on."""
    return sum((one * two for one, two in zip(magnitudes, weights, strict=False)), Fraction(0))


def _fits(number: Fraction, fmt: FloatFormat) -> bool:
    """Whether a number is one of a format, its range apart."""
    top, least = leading(number), lowest(number)
    near = least >= fmt.emin - fmt.mantissa_bits and top <= fmt.emax
    return near and top - least <= fmt.mantissa_bits


def _small(terms: Terms, freedom: Freedom) -> Fraction:
    """What roundings near zero add together."""
    least = min(map(lowest, terms.numbers))
    return small_steps(terms.count, freedom, least)


def small_steps(count: int, freedom: Freedom, least: int | None) -> Fraction:
    """The same for terms that are multiples of 2^least, or of nothing that is known."""
    each = Fraction(0)
    for one in (*freedom.rounds, *freedom.terms):
        unit = one.format.emin - one.format.mantissa_bits
        if one.flush:
            each = max(each, Fraction(2) ** one.format.emin)
        elif least is None or least < unit:
            each = max(each, Fraction(2) ** unit)
    return each * count * (2 * len(freedom.rounds) + len(freedom.terms))


def _cut(
    terms: Terms, freedom: Freedom, magnitude: Fraction, largest: Fraction, small: Fraction
) -> tuple[Fraction, Fraction, Fraction] | None:
    """What alignment loses below, above and in magnitude; None if that has no end."""
    steps = [step for step in freedom.steps if step.cuts]
    if not steps:
        return Fraction(0), Fraction(0), Fraction(0)
    emins = [one.format.emin for one in freedom.rounds]
    floors = [step.floor for step in steps if step.floor is not None]
    top = max([*terms.exponents, *floors, *emins, leading(magnitude * largest)])
    for _ in range(64):
        lost = _lost(terms, freedom, Fraction(2) ** _quantum(steps, top), largest)
        reached = magnitude * largest + small + lost[2]
        if freedom.cuts_once or leading(reached) <= top:
            return lost
        top = leading(reached)
    return None


def _quantum(steps: Sequence[Fuse], top: int) -> int:
    """The exponent of the coarsest unit that anything is cut to."""
    found = [step.quantum for step in steps if step.quantum is not None]
    for step in steps:
        given = (step.fraction_bits, step.carried_bits, step.carried_reach)
        found += [top - bits for bits in given if bits is not None]
    return max(found)


def _lost(
    terms: Terms, freedom: Freedom, quantum: Fraction, largest: Fraction
) -> tuple[Fraction, Fraction, Fraction]:
    """What cuts to a quantum lose below, above, and together."""
    # A multiple of the quantum loses nothing, and neither do sums of such.
    loses = [number for number in terms.numbers if (number / quantum).denominator != 1]
    once = freedom.cuts_once
    if once:
        each = [
            sum((min(abs(x), quantum) for x in loses if (x < 0) == up), Fraction(0))
            for up in (False, True)
        ]
    else:
        each = [2 * quantum * len(loses)] * 2
    sums = quantum * (terms.count - 1) * (1 if once else 2) * bool(loses)
    mixed = [
        any((x < 0) == up for x in terms.numbers) or not freedom.cuts_once for up in (False, True)
    ]
    down, up = ((own + sums * any_) * largest for own, any_ in zip(each, mixed, strict=True))
    return down, up, down + up


def leaves_range(freedom: Freedom, reached: Fraction) -> bool:
    """Whether a sum can be beyond what its format or register holds."""
    tops = [one.format.max.fraction() for one in (*freedom.rounds, *freedom.terms)]
    tops += limits(freedom)
    return bool(tops) and reached > min(tops)


def limits(freedom: Freedom) -> list[Fraction]:
    """Magnitudes that a sum must stay below for reasons other than its format; powers of two."""
    found = [
        Fraction(2) ** (step.quantum + step.width - 2)
        for step in freedom.steps
        if step.quantum is not None and step.width is not None
    ]
    limit = None if freedom.record is None else freedom.record.product_limit
    return found if limit is None else [*found, Fraction(2) ** (limit - 1)]
