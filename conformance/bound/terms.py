"""The terms of one result as exact fractions, as an accumulation sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from mxemu.accumulation import (
    EXACT,
    Accumulation,
    OperandSubnormals,
    Round,
    ScaleAt,
    accumulator_of,
)
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat
from mxemu.products import Operand
from mxemu.profile import OCP
from mxemu.scalar import decode, encode
from mxemu.value import ZERO, Value, from_fraction

FAR = 1 << 14
"""Beyond every exponent in use."""

_ONE = Value(0, 1, 0)


@dataclass(frozen=True)
class Terms:
    """The terms of one result that are not zero, largest first, and the exponents that alignment takes them to have."""

    numbers: list[Fraction]
    exponents: list[int]

    @property
    def count(self) -> int:
        return len(self.numbers)

    @property
    def magnitude(self) -> Fraction:
        return sum(map(abs, self.numbers), Fraction(0))


class Factor(NamedTuple):
    """A product of two elements, the scale that it has, and the exponents that alignment takes both to have."""

    value: Value
    scale: Value
    exponent: int
    scale_exponent: int


def products(a: Operand, b: Operand, record: Accumulation | None) -> Iterator[Factor]:
    """The products of all lanes; one that is not finite, or has such a scale, is a zero."""
    for x, y in zip(_elements(a, record), _elements(b, record), strict=True):
        if all(one.is_finite for one in (x.value, x.scale, y.value, y.scale)):
            exponents = x.exponent + y.exponent, x.scale_exponent + y.scale_exponent
            yield Factor(times(x.value, y.value), times(x.scale, y.scale), *exponents)
        else:
            yield Factor(ZERO, _ONE, 0, 0)


def _elements(operand: Operand, record: Accumulation | None) -> Iterator[Factor]:
    """Each element of an operand with its scale, after what the accumulation does to both."""
    fmt = operand.format
    assert not isinstance(fmt, str)
    element = fmt.element if isinstance(fmt, BlockFormat) else fmt
    for lane, code in enumerate(operand.codes):
        value, scale, scale_exponent = decode(code, element), _ONE, 0
        exponent = value.exponent + element.mantissa_bits
        if isinstance(fmt, BlockFormat):
            scale = scale_of(operand.scales[lane // fmt.k], fmt.scale, record)
            scale_exponent = scale.exponent + fmt.scale.mantissa_bits
        if record is not None and _is_flushed(value, element, record):
            value = ZERO
        if record is not None and record.scale_at is ScaleAt.OPERAND:
            value, scale, scale_exponent = times(value, scale), _ONE, 0
        if record is not None and record.operand_format is not None:
            value = _in_format(value, record.operand_format)
            exponent = max(value.leading, record.operand_format.emin) if value.significand else 0
        yield Factor(value, scale, exponent, scale_exponent)


def scale_of(code: int, fmt: FloatFormat, record: Accumulation | None) -> Value:
    """The value that an accumulation reads from a scale code."""
    value = decode(code, fmt)
    if record is not None and record.scale_zero_code and not code:
        return ZERO
    return value._replace(sign=0) if record is not None and record.scale_unsigned else value


def _is_flushed(value: Value, fmt: ElementFormat, record: Accumulation) -> bool:
    """Whether an element counts as zero because it has no hidden bit."""
    keeps = record.operand_subnormals is OperandSubnormals.KEEP
    hidden = 1 << fmt.mantissa_bits
    tiny = isinstance(fmt, FloatFormat) and value.is_finite and value.significand < hidden
    return not keeps and tiny


def _in_format(value: Value, fmt: FloatFormat) -> Value:
    """An element in the format that operands are converted to."""
    return decode(encode(value, fmt, OCP.replace(overflow="overflow")).code, fmt)


def carried(c: Value | None, record: Accumulation | None) -> list[Factor]:
    """C as a term; none where it is zero, special, or flushed."""
    if c is None or not c.is_finite or not c.significand:
        return []
    flushes = record is not None and record.operand_subnormals is not OperandSubnormals.KEEP
    fmt = None if record is None else accumulator_of(record)
    if flushes and c.leading < (fmt or BINARY32).emin:
        return []
    return [Factor(c, _ONE, c.exponent, -FAR)]


def centre(record: Accumulation | None) -> Accumulation:
    """The exact sum of the operands as an accumulation sees them."""
    if record is None:
        return EXACT
    at = ScaleAt.PRODUCT if record.scale_at is ScaleAt.PART else record.scale_at
    return Accumulation(
        EXACT.name,
        operand_format=record.operand_format,
        operand_subnormals=record.operand_subnormals,
        scale_at=at,
        scale_zero_code=record.scale_zero_code,
        scale_unsigned=record.scale_unsigned,
    )


def gather(factors: Iterable[Factor], *, by_scale: bool) -> Terms:
    """Terms as fractions, largest first."""
    rows = []
    for one in factors:
        if one.value.significand and one.scale.significand:
            number = one.value.fraction() * one.scale.fraction()
            top = max(leading(number), one.exponent + one.scale_exponent)
            rows.append((number, max(top, one.scale_exponent) if by_scale else top))
    rows.sort(key=lambda row: -abs(row[0]))
    return Terms([row[0] for row in rows], [row[1] for row in rows])


def times(x: Value, y: Value) -> Value:
    """The exact product of finite numbers; what is not finite stays so."""
    for one in (x, y):
        if not one.is_finite:
            return one
    return Value(x.sign ^ y.sign, x.significand * y.significand, x.exponent + y.exponent)


def leading(number: Fraction) -> int:
    """floor(log2) of a magnitude; the denominator is a power of two."""
    top, bottom = abs(number.numerator), number.denominator
    found = top.bit_length() - bottom.bit_length()
    return found if Fraction(2) ** found <= abs(number) else found - 1


def lowest(number: Fraction) -> int:
    """The exponent of the last bit that is set."""
    top = abs(number.numerator)
    return (top & -top).bit_length() - number.denominator.bit_length()


def rounded(number: Fraction, one: Round) -> Fraction | None:
    """A number in a format, what is subnormal kept; None beyond the largest."""
    if not number:
        return number
    profile = OCP.replace(rounding=one.rounding, overflow="overflow")
    found = decode(encode(from_fraction(number), one.format, profile).code, one.format)
    beyond = (
        leading(number) > one.format.emax
    )  # where a rounding towards zero stops at the largest number
    return None if beyond or not found.is_finite else found.fraction()


def rounded_ends(
    lo: Fraction, hi: Fraction, factor: Fraction, one: Round | None
) -> tuple[Fraction, Fraction] | None:
    """The ends of all products of an interval with a factor, each rounded; None where one leaves the range.

    Rounding never changes the order of two numbers. Flushed ones become zero, so zero joins an interval near it.
    """
    ends = sorted((lo * factor, hi * factor))
    if one is None:
        return ends[0], ends[1]
    low, high = (rounded(end, one) for end in ends)
    if low is None or high is None:
        return None
    least = Fraction(2) ** one.format.emin
    if one.flush and -least <= high and low <= least:
        return min(low, Fraction(0)), max(high, Fraction(0))
    return low, high
