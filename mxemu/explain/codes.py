"""One code: what it means, its neighbours, and the reals that become it."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from mxemu.explain.conversion import Point, suited
from mxemu.explain.line import Interval, Line
from mxemu.explain.text import bit_fields
from mxemu.formats import ElementFormat, IntFormat
from mxemu.formats import element as find_element
from mxemu.profile import OCP, Profile, Rounding, ScaleSpecial
from mxemu.scalar import check_code, decode
from mxemu.value import INF, NAN, ZERO, Value, from_fraction


class CodeExplanation(NamedTuple):
    """What a code means, and what becomes it.

    Attributes
    ----------
    format : FloatFormat or IntFormat
    profile : Profile
    code : int
    fields : str
        The code in binary, its fields parted by ``_``.
    value : Value
    kind : str
        ``zero``, ``subnormal``, ``normal``, ``integer``, ``power of two``, ``Inf`` or ``NaN``.
    marks : tuple of str
        ``min`` or ``max`` of its kind.
    exponent_field : int or None
        The stored field; None for integers, Inf and NaN.
    exponent : int or None
        The power of two that the significand counts.
    significand : Fraction or None
        With the hidden bit, 0 to 2. For an integer the integer itself.
    ulp : Value or None
        Distance to the next code above in magnitude.
    below, above : Point or None
        Neighbours in value.
    intervals : tuple of Interval
        The reals that become this code. Two only for a NaN that stands for overflow of both signs.
    ties : tuple of Point
        The reals half-way to the neighbours, with the code that each becomes; none unless the rounding looks at ties.
    specials : tuple of str
        Inputs that are no reals and become this code: ``+Inf``, ``-Inf``, ``NaN``, ``-NaN``, ``-0``.
    """

    format: ElementFormat
    profile: Profile
    code: int
    fields: str
    value: Value
    kind: str
    marks: tuple[str, ...]
    exponent_field: int | None
    exponent: int | None
    significand: Fraction | None
    ulp: Value | None
    below: Point | None
    above: Point | None
    intervals: tuple[Interval, ...]
    ties: tuple[Point, ...]
    specials: tuple[str, ...]


def explain_code(code: int, fmt: ElementFormat | str, profile: Profile = OCP) -> CodeExplanation:
    """What a code means, its neighbours, and the reals that become it.

    Parameters
    ----------
    code : int
        0 to 2^width - 1.
    fmt : FloatFormat, IntFormat or str
    profile : Profile
        Decides what is rounded to the code. For a carrier ``overflow`` is OVERFLOW whatever the profile says.

    Returns
    -------
    CodeExplanation

    Raises
    ------
    BadCode
        When the code does not fit the format.

    Examples
    --------
    >>> found = explain_code(0x5D, "E4M3")
    >>> str(found.value), found.fields, [str(tie.value) for tie in found.ties]
    ('26', '0_1011_101', ['25', '27'])
    """
    fmt = find_element(fmt)
    check_code(code, fmt)
    profile = suited(profile, fmt)
    line, value = Line(fmt, profile), decode(code, fmt)
    place = line.place(code)
    neighbours = _neighbours(place, line)
    field, exponent, significand = _parts(code, fmt)
    return CodeExplanation(
        format=fmt,
        profile=profile,
        code=code,
        fields=bit_fields(code, fmt),
        value=value,
        kind=_kind(code, fmt),
        marks=_marks(code, fmt),
        exponent_field=field,
        exponent=exponent,
        significand=significand,
        ulp=Value(0, 1, value.exponent) if value.is_finite else None,
        below=neighbours[0],
        above=neighbours[1],
        intervals=_intervals(code, place, line),
        ties=_ties(value, neighbours, line),
        specials=_specials(code, line),
    )


def _neighbours(place: int | None, line: Line) -> tuple[Point | None, Point | None]:
    if place is None:
        return None, None
    return line.neighbour(place, -1), line.neighbour(place, 1)


def _parts(code: int, fmt: ElementFormat) -> tuple[int | None, int | None, Fraction | None]:
    """Exponent field, exponent and significand of a finite code."""
    value = decode(code, fmt)
    if not value.is_finite:
        return None, None, None
    if isinstance(fmt, IntFormat):
        return None, -fmt.fraction_bits, value.scaled(fmt.fraction_bits).fraction()
    significand = Fraction(value.significand, 1 << fmt.mantissa_bits)
    field = (code & fmt.magnitude_mask) >> fmt.mantissa_bits
    return field, value.exponent + fmt.mantissa_bits, significand


def _kind(code: int, fmt: ElementFormat) -> str:
    value = decode(code, fmt)
    if not value.is_finite:
        return value.kind.value
    if value.is_zero:
        return "zero"
    if isinstance(fmt, IntFormat):
        return "integer"
    if not fmt.subnormals and not fmt.mantissa_bits:
        return "power of two"
    smallest_normal = 1 << fmt.mantissa_bits
    return (
        "subnormal" if fmt.subnormals and code & fmt.magnitude_mask < smallest_normal else "normal"
    )


def _marks(code: int, fmt: ElementFormat) -> tuple[str, ...]:
    """Whether a code has the smallest or largest magnitude of its kind."""
    if isinstance(fmt, IntFormat):
        return ("min",) if code == fmt.min_code else ("max",) if code == fmt.max_code else ()
    smallest_normal = 1 << fmt.mantissa_bits if fmt.subnormals else 0
    ends = (
        ("min", 1),
        ("max", smallest_normal - 1),
        ("min", smallest_normal),
        ("max", fmt.max_code),
    )
    return tuple(
        mark
        for mark, magnitude in ends
        if code & fmt.magnitude_mask == magnitude and magnitude >= 0
    )


def _intervals(code: int, place: int | None, line: Line) -> tuple[Interval, ...]:
    """The reals that become a code: around its value, or for Inf and NaN beyond either end."""
    if line.profile.rounding is Rounding.STOCHASTIC:
        return ()
    beyond = [line.low, line.high] if line.low < -1 else [line.high]
    starts = beyond if place is None else [place]
    found = (line.interval(start, code) for start in starts)
    return tuple(interval for interval in found if interval is not None)


def _ties(
    value: Value, neighbours: tuple[Point | None, Point | None], line: Line
) -> tuple[Point, ...]:
    """The reals half-way to the neighbours, and the codes they become."""
    if line.profile.rounding not in (Rounding.TIES_TO_EVEN, Rounding.TIES_TO_AWAY):
        return ()
    halves = [
        from_fraction(Fraction(value.fraction() + other.value.fraction(), 2))
        for other in neighbours
        if other is not None
    ]
    return tuple(Point(line.convert(half), half) for half in halves)


_SPECIALS = {
    "-0": Value(1, 0, 0),
    "+Inf": INF,
    "-Inf": INF._replace(sign=1),
    "NaN": NAN,
    "-NaN": NAN._replace(sign=1),
}


def _specials(code: int, line: Line) -> tuple[str, ...]:
    """The inputs that are no reals, or outside what a scale format is for, and become this code."""
    inputs = dict(_SPECIALS)
    if line.low == -1:
        del inputs["-0"]
        if line.place(code) is None:
            inputs["0"] = ZERO
        if line.profile.scale_negative is not ScaleSpecial.MAGNITUDE:
            inputs["negative numbers"] = Value(1, 1, 0)
    return tuple(name for name, value in inputs.items() if line.convert(value) == code)
