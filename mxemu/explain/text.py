"""Codes and numbers as they are written: bit fields, hexadecimal digits, and how a number is read."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from mxemu.block import value_bits
from mxemu.formats import ElementFormat, FloatFormat, IntFormat
from mxemu.formats import carrier as find_carrier
from mxemu.profile import OCP, Profile
from mxemu.scalar import carry_in, decode
from mxemu.value import Value, parse


def bit_fields(code: int, fmt: ElementFormat) -> str:
    """A code in binary, its fields parted by ``_``.

    Examples
    --------
    >>> from mxemu.formats import E4M3, INT8
    >>> bit_fields(0x5D, E4M3), bit_fields(0x5D, INT8)
    ('0_1011_101', '0_1_011101')
    """
    if isinstance(fmt, IntFormat):
        fraction = min(fmt.fraction_bits, fmt.width - 1)
        widths = (1, fmt.width - 1 - fraction, fraction)
    else:
        widths = (int(fmt.signed), fmt.exponent_bits, fmt.mantissa_bits)
    bits = f"{code:0{fmt.width}b}"
    ends = [sum(widths[:count]) for count in range(len(widths) + 1)]
    return "_".join(bits[start:end] for start, end in pairwise(ends) if end > start)


def code_text(code: int, fmt: ElementFormat) -> str:
    """A code in hexadecimal, with as many digits as the format needs.

    Examples
    --------
    >>> from mxemu.formats import E2M1, E3M2
    >>> code_text(5, E2M1), code_text(5, E3M2)
    ('0x5', '0x05')
    """
    return f"0x{code:0{(fmt.width + 3) // 4}X}"


_CODES = (
    (re.compile(r"0x([0-9a-f_]+)"), 16),
    (re.compile(r"0b([01_]+)"), 2),
    (re.compile(r"#(\d+)"), 10),
)


def read_code(text: str) -> int | None:
    """The code that a text names as ``0x5D``, ``0b101_1101`` or ``#93``; None if it names none.

    Examples
    --------
    >>> read_code("0x5D"), read_code("0b0_1011_101"), read_code("#93"), read_code("0x1.8p3"), read_code("93")
    (93, 93, 93, None, None)
    """
    body = text.strip().lower()
    for pattern, base in _CODES:
        match = pattern.fullmatch(body)
        digits = match[1].replace("_", "") if match else ""
        if digits:
            return int(digits, base)
    return None


class Number(NamedTuple):
    """A number to convert.

    Attributes
    ----------
    text : str
        As it was given.
    exact : Fraction or None
        What is converted; None for Inf and NaN.
    value : Value
        The same; with a sticky last bit where ``exact`` is no multiple of a power of two.
    given : Fraction or None
        The number before it was rounded to the carrier; the same as ``exact`` without one.
    bits : int or None
        In the carrier format.
    """

    text: str
    exact: Fraction | None
    value: Value
    given: Fraction | None
    bits: int | None = None


def read_number(
    given: str | Value, carrier: FloatFormat | str | None = None, profile: Profile = OCP
) -> Number:
    """A number to explain, rounded to a carrier first if one is given (TIES_TO_EVEN).

    Parameters
    ----------
    given : str or Value
        A text as `value.parse` reads it, or a value.
    carrier : FloatFormat or str, optional
    profile : Profile
        ``input_subnormals`` matters, and only with a carrier.

    Returns
    -------
    Number

    Raises
    ------
    BadValue
        When the text is not a number.

    Examples
    --------
    >>> read_number("0.1").exact, hex(read_number("0.1", "binary32").bits)
    (Fraction(1, 10), '0x3dcccccd')
    """
    if isinstance(given, Value):
        text, value, exact = str(given), given, given.fraction() if given.is_finite else None
    else:
        text = given.strip()
        value, exact = parse(given)
    if carrier is None:
        return Number(text, exact, value, exact)
    carrier = find_carrier(carrier)
    bits = value_bits(value, carrier)
    carried = decode(bits, carrier)
    return Number(
        text,
        carried.fraction() if carried.is_finite else None,
        carry_in(bits, carrier, profile),
        exact,
        bits,
    )
