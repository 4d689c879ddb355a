"""One value: where it lies among those of a format, which code it becomes, and under which other choices."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from mxemu.explain.conversion import Point, convert, further, point, suited
from mxemu.explain.text import Number, read_number
from mxemu.formats import ElementFormat, FloatFormat, IntFormat
from mxemu.formats import carrier as find_carrier
from mxemu.formats import element as find_element
from mxemu.profile import OCP, IntMinimum, Profile, Rounding, ScaleCast, alternatives
from mxemu.scalar import Status, decode
from mxemu.value import ZERO, Value, from_fraction


class Place(NamedTuple):
    """Where a finite number lies among the values of a format.

    Attributes
    ----------
    below, above : Point or None
        The closest values; both the same when the number is one. None beyond the ends.
    tie : Value or None
        Half-way between them, or between the largest value and `beyond`.
    part : Fraction or None
        How far the number is on the way from below to above, 0 to 1.
    beyond : Value or None
        For a number outside the range: the value that would come next if the format went on.
    """

    below: Point | None
    above: Point | None
    tie: Value | None
    part: Fraction | None
    beyond: Value | None


class Error(NamedTuple):
    """Result minus number, and the same divided by the number (None for zero)."""

    absolute: Fraction
    relative: Fraction | None


class Outcome(NamedTuple):
    """The result of one conversion. Under STOCHASTIC there can be a second one; `probability` is that of the second."""

    code: int
    value: Value
    status: Status
    second: Point | None = None
    probability: Fraction | None = None


class ValueExplanation(NamedTuple):
    """How a number becomes a code.

    Attributes
    ----------
    format : FloatFormat or IntFormat
    profile : Profile
    carrier : FloatFormat or None
        The format that the number was rounded to first.
    number : Number
    place : Place or None
        None for Inf and NaN, and for what a scale format has no place for.
    result : Outcome
    error : Error or None
    row_field, column_field : str
        Profile fields that matter here; ``""`` for none.
    grid : tuple of tuple of Outcome
        The result under every value of the first field, and in each row of the second.
    """

    format: ElementFormat
    profile: Profile
    carrier: FloatFormat | None
    number: Number
    place: Place | None
    result: Outcome
    error: Error | None
    row_field: str
    column_field: str
    grid: tuple[tuple[Outcome, ...], ...]


def explain_value(
    number: str | Value,
    fmt: ElementFormat | str,
    profile: Profile = OCP,
    carrier: FloatFormat | str | None = None,
) -> ValueExplanation:
    """How a number becomes a code, and what other choices would make of it.

    Parameters
    ----------
    number : str or Value
        A text is taken exactly: 0.1 is one tenth.
    fmt : FloatFormat, IntFormat or str
    profile : Profile
    carrier : FloatFormat or str, optional
        Format that the number is rounded to first, TIES_TO_EVEN.

    Returns
    -------
    ValueExplanation

    Raises
    ------
    BadValue
        When the text is not a number.

    Examples
    --------
    >>> found = explain_value("0.3", "E4M3")
    >>> hex(found.result.code), str(found.place.below.value), found.place.part
    ('0x2a', '0.28125', Fraction(3, 5))
    """
    fmt = find_element(fmt)
    profile = suited(profile, fmt)
    carrier = None if carrier is None else find_carrier(carrier)
    read = read_number(number, carrier, profile)
    result = _outcome(read.value, fmt, profile)
    row_field, column_field = _axes(read.value, fmt)
    return ValueExplanation(
        format=fmt,
        profile=profile,
        carrier=carrier,
        number=read,
        place=place_of(read.value, read.exact, fmt),
        result=result,
        error=error_of(result.value, read.exact),
        row_field=row_field,
        column_field=column_field,
        grid=_grid(read.value, fmt, profile, row_field, column_field),
    )


def _axes(value: Value, fmt: ElementFormat) -> tuple[str, str]:
    """The profile fields that can change the result of a conversion."""
    if isinstance(fmt, FloatFormat) and not (fmt.subnormals and fmt.signed):
        return _scale_axes(value, fmt)
    if value.is_nan:
        return ("nan_code" if fmt.has_nan else "nan_without_code"), ""
    column = "int_minimum" if isinstance(fmt, IntFormat) else "overflow"
    if value.is_inf:
        return column, ""
    return ("zero_sign", "") if value.is_zero else ("rounding", column)


def _scale_axes(value: Value, fmt: FloatFormat) -> tuple[str, str]:
    if value.is_nan:
        return "", ""
    if value.is_zero:
        return "scale_zero", ""
    if value.sign:
        return "scale_negative", ""
    if value.is_inf:
        return "scale_overflow", ""
    return ("rounding", "overflow") if fmt.subnormals else ("scale_cast", "scale_overflow")


def _grid(
    value: Value, fmt: ElementFormat, profile: Profile, row_field: str, column_field: str
) -> tuple[tuple[Outcome, ...], ...]:
    """The outcome under every value of one or two fields."""

    def profiles(base: Profile, field: str) -> list[Profile]:
        return (
            [base.replace(**{field: choice}) for choice in alternatives(field)] if field else [base]
        )

    if not row_field:
        return ()
    return tuple(
        tuple(_outcome(value, fmt, column) for column in profiles(row, column_field))
        for row in profiles(profile, row_field)
    )


def _outcome(value: Value, fmt: ElementFormat, profile: Profile) -> Outcome:
    code, status = convert(value, fmt, profile)
    result = decode(code, fmt)
    if profile.rounding is not Rounding.STOCHASTIC:
        return Outcome(code, result, status)
    words = 1 << profile.random_bits
    second = convert(value, fmt, profile, words - 1).code
    if second == code:
        return Outcome(code, result, status)
    first_word = _bisect(lambda word: convert(value, fmt, profile, word).code != code, words - 1)
    return Outcome(
        code,
        result,
        status,
        point(second, fmt),
        Fraction(words - first_word, words),
    )


def _bisect(holds: Callable[[int], bool], top: int) -> int:
    """The smallest number at which a condition holds that goes on holding up to `top`."""
    low, high = 0, top
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def error_of(result: Value, exact: Fraction | None) -> Error | None:
    """The error of a result; None where the number or the result is Inf or NaN."""
    if exact is None or not result.is_finite:
        return None
    absolute = result.fraction() - exact
    return Error(absolute, Fraction(absolute, exact) if exact else None)


_DOWN = OCP.replace(
    rounding=Rounding.TOWARD_NEGATIVE,
    int_minimum=IntMinimum.ALLOW,
    scale_cast=ScaleCast.TOWARD_ZERO,
)


_UP = _DOWN.replace(rounding=Rounding.TOWARD_POSITIVE, scale_cast=ScaleCast.TOWARD_POSITIVE)


def place_of(value: Value, exact: Fraction | None, fmt: ElementFormat) -> Place | None:
    """Where a finite number lies among the values of a format."""
    if exact is None or (value.sign and not fmt.signed):
        return None
    exact = exact if value.significand else Fraction(0)
    below, above = (point(convert(value, fmt, towards).code, fmt) for towards in (_DOWN, _UP))
    if below.value.fraction() > exact:
        return _outside(None, above, fmt)
    if above.value.fraction() < exact:
        return _outside(below, None, fmt)
    gap = above.value.fraction() - below.value.fraction()
    if not gap:
        return Place(below, above, None, None, None)
    tie = from_fraction(below.value.fraction() + Fraction(gap, 2))
    return Place(below, above, tie, Fraction(exact - below.value.fraction(), gap), None)


def _outside(below: Point | None, above: Point | None, fmt: ElementFormat) -> Place:
    """Beyond the largest or below the smallest value."""
    last = (below or above or Point(0, ZERO)).value
    if isinstance(fmt, FloatFormat) and not fmt.subnormals and below is None:
        return Place(below, above, None, None, None)
    tie = Value(last.sign, 2 * last.significand + 1, last.exponent - 1)
    return Place(below, above, tie, None, further(last))
