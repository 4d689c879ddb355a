"""The interval of one result, in exact integers and fractions; `conformance.bound` has the proof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from conformance.bound.freedom import Freedom, any_order
from mxemu import walk
from mxemu.accumulation import (
    Accumulation,
    Fuse,
    Node,
    Parts,
    Round,
    ScaleAt,
)
from mxemu.errors import BadFormat, BadShape
from mxemu.formats import BINARY32, BlockFormat, FloatFormat
from mxemu.formats import carrier as find_carrier
from mxemu.formats import find as find_format
from mxemu.products import Operand, dot
from mxemu.scalar import decode
from mxemu.value import Value

FRACTION = 96
"""Fraction bits of the table of G; each entry is rounded up."""

FAR = 1 << 14
"""Beyond every exponent in use."""


class Interval(NamedTuple):
    """Where results lie.

    Attributes
    ----------
    lo, hi : Fraction or None
        Both ends belong to it; None where there is no end, since sums can leave the range.
    nan : bool
        Whether NaN is possible; then it is the only result if ``total`` is NaN.
    total : Value
        The exact sum, which may be NaN or Inf.
    magnitude : Fraction
        The sum of the magnitudes of all terms.
    """

    lo: Fraction | None
    hi: Fraction | None
    nan: bool
    total: Value
    magnitude: Fraction

    def holds(self, value: Value) -> bool:
        """Whether a result is one of those."""
        if value.is_nan:
            return self.nan
        if not self.total.is_finite:
            return value.is_inf and self.total.is_inf and value.sign == self.total.sign
        if value.is_inf:
            return (self.lo if value.sign else self.hi) is None
        number = value.fraction()
        return (self.lo is None or self.lo <= number) and (self.hi is None or number <= self.hi)


_EVERYTHING = (None, None, True)


@dataclass(frozen=True)
class _Terms:
    """The terms of one result that are not zero, largest first, and what cutting has to know."""

    numbers: list[Fraction]
    exponents: list[int]
    unscaled: list[Fraction]
    factors: list[Fraction]

    @property
    def count(self) -> int:
        return len(self.numbers)


def bound(
    a: Operand,
    b: Operand,
    c: Value | None = None,
    freedom: Freedom | None = None,
    out: FloatFormat | str = BINARY32,
) -> Interval:
    """The interval in which every conforming dot product lies, in exact arithmetic.

    Parameters
    ----------
    a, b : Operand
    c : Value, optional
    freedom : Freedom, optional
        Any order of binary32 additions unless given.
    out : FloatFormat or str
        Of the result.

    Returns
    -------
    Interval

    Examples
    --------
    >>> ones = Operand([0x38] * 32, "MXFP8_E4M3", [127])
    >>> bound(ones, ones)[:3]  # no sum of ones is rounded in binary32
    (Fraction(32, 1), Fraction(32, 1), False)
    >>> bound(ones, ones, freedom=any_order("E8M3"))[:3]
    (Fraction(0, 1), Fraction(96, 1), False)
    """
    freedom, out = freedom or any_order(), find_carrier(out)
    exact = dot(a, b, c)
    carried = [] if c is None or not c.is_finite else [_Factor(c, Value(0, 1, 0), c.exponent, -FAR)]
    found = _gather([*_products(a, b), *carried], by_scale=freedom.by_scale)
    magnitude = sum(map(abs, found.numbers), Fraction(0))
    if not exact.value.is_finite:
        wide = exact.value.is_inf and _ends(found, freedom, out, len(a.codes))[2]
        return Interval(None, None, exact.value.is_nan or wide, exact.value, magnitude)
    return Interval(*_ends(found, freedom, out, len(a.codes)), exact.value, magnitude)


class _Factor(NamedTuple):
    """A product of two elements, the scale that it has, and the exponents that alignment takes both to have."""

    value: Value
    scale: Value
    exponent: int
    scale_exponent: int


def _products(a: Operand, b: Operand) -> Iterator[_Factor]:
    """The products that are finite and not zero."""
    for x, y in zip(_elements(a), _elements(b), strict=True):
        if all(one.is_finite for one in (x.value, x.scale, y.value, y.scale)):
            value, scale = _times(x.value, y.value), _times(x.scale, y.scale)
            if value.significand and scale.significand:
                exponents = x.exponent + y.exponent, x.scale_exponent + y.scale_exponent
                yield _Factor(value, scale, *exponents)


def _elements(operand: Operand) -> Iterator[_Factor]:
    """Each element of an operand with its scale."""
    if operand.tensor_scale is not None:
        raise BadFormat("a tensor scale; no bound is known for that")
    fmt = find_format(operand.format) if isinstance(operand.format, str) else operand.format
    element = fmt.element if isinstance(fmt, BlockFormat) else fmt
    bits = fmt.scale.mantissa_bits if isinstance(fmt, BlockFormat) else 0
    for lane, code in enumerate(operand.codes):
        value, scale = decode(code, element), Value(0, 1, 0)
        if isinstance(fmt, BlockFormat):
            scale = decode(operand.scales[lane // fmt.k], fmt.scale)
        yield _Factor(value, scale, value.exponent + element.mantissa_bits, scale.exponent + bits)


def _times(x: Value, y: Value) -> Value:
    return Value(x.sign ^ y.sign, x.significand * y.significand, x.exponent + y.exponent)


def _gather(factors: Iterable[_Factor], *, by_scale: bool) -> _Terms:
    """Terms as fractions, largest first."""
    rows = []
    for one in factors:
        if one.value.significand:
            bare, factor = one.value.fraction(), one.scale.fraction()
            top = max(_leading(bare * factor), one.exponent + one.scale_exponent)
            top = max(top, one.scale_exponent) if by_scale else top
            rows.append((bare * factor, top, bare, factor))
    rows.sort(key=lambda row: -abs(row[0]))
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], [], []]
    return _Terms(*columns)


def _leading(number: Fraction) -> int:
    """floor(log2) of a magnitude; the denominator is a power of two."""
    top, bottom = abs(number.numerator), number.denominator
    found = top.bit_length() - bottom.bit_length()
    return found if Fraction(2) ** found <= abs(number) else found - 1


def _lowest(number: Fraction) -> int:
    """The exponent of the last bit that is set."""
    top = abs(number.numerator)
    return (top & -top).bit_length() - number.denominator.bit_length()


def growth(unit: int, longest: int) -> list[int]:
    """G(0) ... G(longest) for u = 2^-unit as multiples of 2^-96, each rounded up."""
    found, one = [0], 1 << FRACTION
    for _ in range(longest):
        last = found[-1]
        found.append(last + -(-(one + last) >> unit))
    return found


def _ends(
    terms: _Terms, freedom: Freedom, out: FloatFormat, length: int
) -> tuple[Fraction | None, Fraction | None, bool]:
    """Both ends of the interval, and whether NaN is possible."""
    if not terms.count:
        return Fraction(0), Fraction(0), False
    total = sum(terms.numbers, Fraction(0))
    found = [_radius(terms, freedom, depths) for depths in _shapes(freedom, terms.count, length)]
    known = [one for one in found if one is not None]
    if not known:
        return _EVERYTHING
    down, up = min(one[0] for one in known), min(one[1] for one in known)
    lo, hi = total - down, total + up
    if freedom.accumulator is not None:
        lo = _onto(lo, freedom.accumulator, up=True)
        hi = _onto(hi, freedom.accumulator, up=False)
    lo, hi = _onto(lo, out, up=False), _onto(hi, out, up=True)
    largest = out.max.fraction()
    return (
        max(lo, -largest) if hi < -largest else None if lo < -largest else lo,
        (min(hi, largest) if lo > largest else None if hi > largest else hi),
        False,
    )


def _onto(number: Fraction, fmt: FloatFormat, *, up: bool) -> Fraction:
    """The closest multiple of a format's ulp that is not below, or not above; the range is not looked at."""
    if not number:
        return number
    ulp = Fraction(2) ** (max(_leading(number), fmt.emin) - fmt.mantissa_bits)
    steps = number / ulp
    return ulp * (
        -(-steps.numerator // steps.denominator) if up else steps.numerator // steps.denominator
    )


def _shapes(freedom: Freedom, count: int, length: int) -> list[list[int]]:
    """Roundings on the way of each term, deepest first: of any tree, and of the given one."""
    kinds = max(1, len(freedom.rounds)) if freedom.rounds else 0
    chain = [kinds * (count + 1 - max(place, 2)) for place in range(1, count + 1)]
    found = [chain if count > 1 else [0]]
    if freedom.node is not None and length:
        own = depths_of(freedom.node, length)
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


def depths_of(node: Node, length: int, k: int = 32) -> list[int]:
    """Roundings between each of ``length`` terms, or C, and the result; deepest first."""
    found = walk.reduce(node, [(0,)] * length, (0,), _Depths(k))
    return sorted(found, reverse=True)


def _radius(terms: _Terms, freedom: Freedom, depths: list[int]) -> tuple[Fraction, Fraction] | None:
    """How far results lie below and above the exact sum; None if sums can leave the range."""
    bare = freedom.record is not None and freedom.record.scale_at is ScaleAt.PART
    extra = freedom.late + sum(
        not all(
            _fits(number, one.format)
            for number in (*terms.numbers, *(terms.unscaled if bare else ()))
        )
        for one in dict.fromkeys((*freedom.terms, *freedom.rounds))
    )
    deep = [depth + extra for depth in sorted(depths, reverse=True)]
    table = growth(freedom.unit, deep[0]) if freedom.unit else [0] * (deep[0] + 1)
    weights = [Fraction(table[depth], 1 << FRACTION) for depth in deep]
    losses = [Fraction(depth, 1 << freedom.unit) if freedom.unit else Fraction(0) for depth in deep]
    magnitude = sum(map(abs, terms.numbers), Fraction(0))
    if not bare and _is_exact(terms, freedom, magnitude):
        return Fraction(0), Fraction(0)
    largest = 1 + weights[0]
    small = _small(terms, freedom, bare) * largest
    cut = _cut(terms, freedom, magnitude, largest, small)
    if cut is None or _leaves_range(terms, freedom, magnitude * largest + small + cut[2], bare):
        return None
    down, up = (
        _weighted(terms.numbers, weights, losses, sign, freedom.shrinks) + small + cut[sign]
        for sign in (0, 1)
    )
    return down, up


def _is_exact(terms: _Terms, freedom: Freedom, magnitude: Fraction) -> bool:
    """Whether every sum of some of the terms is a number of every format, and a multiple of what sums are cut to."""
    lowest = min(map(_lowest, terms.numbers))
    for one in (*freedom.rounds, *freedom.terms):
        room = magnitude <= Fraction(2) ** (lowest + one.format.mantissa_bits + 1)
        normal = (
            lowest >= one.format.emin
            if one.flush
            else lowest >= one.format.emin - one.format.mantissa_bits
        )
        if not (room and normal and magnitude <= one.format.max.fraction()):
            return False
    steps = [step for step in freedom.steps if step.cuts]
    floors = [step.floor for step in steps if step.floor is not None]
    emins = [one.format.emin for one in freedom.rounds]
    top = max([*terms.exponents, *floors, *emins, _leading(magnitude)])
    whole = all(magnitude < limit for limit in limits(freedom))
    return whole and (not steps or _quantum(steps, top) <= lowest)


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
    lost = min(sum(shrinking, Fraction(0)), _placed(shrinking, losses))
    if shrinks:
        return lost
    return min(lost + _placed(growing, weights), _placed(list(map(abs, numbers)), weights))


def _placed(magnitudes: list[Fraction], weights: list[Fraction]) -> Fraction:
    """The largest magnitude at the largest weight, and so on."""
    return sum((one * two for one, two in zip(magnitudes, weights, strict=False)), Fraction(0))


def _fits(number: Fraction, fmt: FloatFormat) -> bool:
    """Whether a number is one of a format, its range apart."""
    leading, lowest = _leading(number), _lowest(number)
    near = lowest >= fmt.emin - fmt.mantissa_bits and leading <= fmt.emax
    return near and leading - lowest <= fmt.mantissa_bits


def _small(terms: _Terms, freedom: Freedom, bare: bool) -> Fraction:
    """What roundings near zero add together."""
    rounds = (*freedom.rounds, *freedom.terms)
    each = Fraction(0)
    lowest = min(map(_lowest, terms.numbers))
    for one in rounds:
        unit = one.format.emin - one.format.mantissa_bits
        if one.flush:
            each = max(each, Fraction(2) ** one.format.emin)
        elif lowest < unit:
            each = max(each, Fraction(2) ** unit)
        if bare and (one.flush or min(map(_lowest, terms.unscaled)) < unit):
            ratios = [
                abs(number / own) for number, own in zip(terms.numbers, terms.unscaled, strict=True)
            ]
            each = max(each, Fraction(2) ** (one.format.emin if one.flush else unit) * max(ratios))
    return each * terms.count * (2 * len(freedom.rounds) + len(freedom.terms) + freedom.late)


def _cut(
    terms: _Terms, freedom: Freedom, magnitude: Fraction, largest: Fraction, small: Fraction
) -> tuple[Fraction, Fraction, Fraction] | None:
    """What alignment loses below, above and in magnitude; None if that has no end."""
    steps = [step for step in freedom.steps if step.cuts]
    if not steps:
        return Fraction(0), Fraction(0), Fraction(0)
    emins = [one.format.emin for one in freedom.rounds]
    floors = [step.floor for step in steps if step.floor is not None]
    top = max([*terms.exponents, *floors, *emins, _leading(magnitude * largest)])
    for _ in range(64):
        lost = _lost(terms, freedom, Fraction(2) ** _quantum(steps, top), largest)
        reached = magnitude * largest + small + lost[2]
        if freedom.shrinks or _leading(reached) <= top:
            return lost
        top = _leading(reached)
    return None


def _quantum(steps: Sequence[Fuse], top: int) -> int:
    """The exponent of the coarsest unit that anything is cut to."""
    found = [step.quantum for step in steps if step.quantum is not None]
    for step in steps:
        given = (step.fraction_bits, step.carried_bits, step.carried_reach)
        found += [top - bits for bits in given if bits is not None]
    return max(found)


def _lost(
    terms: _Terms, freedom: Freedom, quantum: Fraction, largest: Fraction
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
        any((x < 0) == up for x in terms.numbers) or not freedom.shrinks for up in (False, True)
    ]
    down, up = ((own + sums * any_) * largest for own, any_ in zip(each, mixed, strict=True))
    return down, up, down + up


def _leaves_range(terms: _Terms, freedom: Freedom, reached: Fraction, bare: bool) -> bool:
    """Whether a sum can be beyond what its format or register holds."""
    rounds = (*freedom.rounds, *freedom.terms)
    tops = [one.format.max.fraction() for one in rounds]
    tops += limits(freedom)
    if bare:
        if not all(_fits(factor, one.format) for one in freedom.terms for factor in terms.factors):
            return True  # the product of the scales may vanish, or overflow
        ratio = reached / sum(map(abs, terms.numbers), Fraction(0))
        reached = max(reached, ratio * sum(map(abs, terms.unscaled), Fraction(0)))
    return bool(tops) and reached > min(tops)


def hull(
    a: Operand,
    b: Operand,
    c: Value | None,
    accumulations: Iterable[Accumulation | str],
    out: FloatFormat | str = BINARY32,
) -> Interval:
    """The smallest interval around the results of some accumulations: no end can be moved inwards.

    Raises
    ------
    BadShape
        When there are none.
    """
    exact = dot(a, b, c)
    results = [decode(dot(a, b, c, one, out).bits, find_carrier(out)) for one in accumulations]
    if not results:
        raise BadShape("no accumulations; expected one or more")
    nan = any(one.is_nan for one in results)
    magnitude = bound(a, b, c).magnitude
    finite = [one.fraction() for one in results if one.is_finite]
    ends = [any(one.is_inf and one.sign == sign for one in results) for sign in (1, 0)]
    lo = None if ends[0] or not finite else min(finite)
    hi = None if ends[1] or not finite else max(finite)
    return Interval(lo, hi, nan, exact.value, magnitude)


def limits(freedom: Freedom) -> list[Fraction]:
    """Magnitudes that a sum must stay below for reasons other than its format; powers of two."""
    found = [
        Fraction(2) ** (step.quantum + step.width - 2)
        for step in freedom.steps
        if step.quantum is not None and step.width is not None
    ]
    limit = None if freedom.record is None else freedom.record.product_limit
    return found if limit is None else [*found, Fraction(2) ** (limit - 1)]
