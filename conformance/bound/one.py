"""The interval of one result; `conformance.bound` has the proof."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import prod
from typing import NamedTuple

from conformance.bound.freedom import Freedom, any_order
from conformance.bound.runs import ends_of_runs
from conformance.bound.sums import Ends, ends_of, onto
from conformance.bound.terms import carried, centre, gather, products, rounded, rounded_ends, times
from mxemu.accumulation import Accumulation
from mxemu.errors import BadFormat, BadShape
from mxemu.formats import BINARY32, FloatFormat
from mxemu.formats import carrier as find_carrier
from mxemu.products import Operand, block_size, dot, find_operand_format
from mxemu.scalar import decode
from mxemu.value import Value, from_fraction


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
    scales = _tensor_scales(a, b, c, freedom)
    a, b = _plain(a), _plain(b)
    total = dot(a, b, c, centre(freedom.record)).value
    lanes = [*products(a, b, freedom.record)]
    every = gather([*lanes, *carried(c, freedom.record)], by_scale=freedom.by_scale)
    ends = (
        ends_of(every, freedom, len(a.codes), block_size(a, b))
        if freedom.runs is None
        else ends_of_runs(a, b, lanes, c, freedom)
    )
    magnitude = every.magnitude
    if scales is not None:
        ends, total = _scaled(ends, scales, freedom), times(total, from_fraction(scales))
        magnitude *= scales
    found = _in_result(ends, out)
    if total.is_finite:
        return Interval(*found, total, magnitude)
    return Interval(None, None, total.is_nan or (total.is_inf and found[2]), total, magnitude)


def _plain(operand: Operand) -> Operand:
    """An operand with its format looked up, and without a scale above its blocks."""
    fmt = operand.format
    found = find_operand_format(fmt) if isinstance(fmt, str) else fmt
    return operand._replace(format=found, tensor_scale=None)


def _tensor_scales(a: Operand, b: Operand, c: Value | None, freedom: Freedom) -> Fraction | None:
    """The product of the scales above all blocks, if there are any."""
    given = [one.tensor_scale for one in (a, b) if one.tensor_scale is not None]
    if not given:
        return None
    if freedom.record is None or freedom.record.tensor_scale is None:
        raise BadFormat(
            f"a tensor scale; {freedom} does not say where it multiplies, so expected blocks without one"
        )
    if c is not None:
        raise BadShape(f"{freedom} does not say how C meets a tensor scale; expected no C")
    return prod((one.fraction() for one in given), start=Fraction(1))


def _scaled(ends: Ends, scales: Fraction, freedom: Freedom) -> Ends:
    """The ends times the scales above all blocks, each product rounded."""
    assert freedom.record is not None
    rounding = freedom.record.tensor_scale
    assert rounding is not None
    factor = rounded(scales, rounding)
    return None if ends is None or factor is None else rounded_ends(*ends, factor, rounding)


def _in_result(ends: Ends, out: FloatFormat) -> tuple[Fraction | None, Fraction | None, bool]:
    """The ends in the format of the result, and whether NaN is possible."""
    if ends is None:
        return None, None, True
    lo, hi = onto(ends[0], out, up=False), onto(ends[1], out, up=True)
    largest = out.max.fraction()
    return (
        max(lo, -largest) if hi < -largest else None if lo < -largest else lo,
        (min(hi, largest) if lo > largest else None if hi > largest else hi),
        False,
    )


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
