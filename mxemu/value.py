"""Exact numbers: a sign, an integer significand and a power of two, or Inf or NaN."""

from __future__ import annotations

import re
from enum import Enum
from fractions import Fraction
from typing import NamedTuple

from mxemu.errors import BadValue

# Bits kept of a number that is no multiple of a power of two, such as 1/3. The last one is a sticky bit, so
# that rounding to any format in use (binary64 has 53 bits) gives what the exact number would.
_KEPT_BITS = 256


class Kind(Enum):
    """What a value is: a finite number, an infinity or not a number."""

    FINITE = "finite"
    INF = "Inf"
    NAN = "NaN"


class Value(NamedTuple):
    """The number (-1)^sign * significand * 2^exponent, exactly.

    Attributes
    ----------
    sign : int
        0 or 1; kept for zero, Inf and NaN too.
    significand : int
        At least 0. Not normalised: 2 * 2^3 and 1 * 2^4 are the same number.
    exponent : int
        Power of two that the significand counts.
    kind : Kind
        Inf and NaN have significand 0 and exponent 0.
    """

    sign: int
    significand: int
    exponent: int
    kind: Kind = Kind.FINITE

    @property
    def is_finite(self) -> bool:
        return self.kind is Kind.FINITE

    @property
    def is_inf(self) -> bool:
        return self.kind is Kind.INF

    @property
    def is_nan(self) -> bool:
        return self.kind is Kind.NAN

    @property
    def is_zero(self) -> bool:
        return self.significand == 0 and self.kind is Kind.FINITE

    @property
    def leading(self) -> int:
        """Exponent of the leading bit: floor(log2 |value|), without a logarithm. Zero has none."""
        return self.significand.bit_length() - 1 + self.exponent

    def magnitude(self) -> Value:
        """The same value with sign 0."""
        return self._replace(sign=0)

    def scaled(self, exponent: int) -> Value:
        """The value times 2^exponent; Inf and NaN stay as they are."""
        if self.kind is not Kind.FINITE:
            return self
        return self._replace(exponent=self.exponent + exponent)

    def fraction(self) -> Fraction:
        """The value as a Fraction (the sign of zero is lost).

        Raises
        ------
        BadValue
            For Inf and NaN.
        """
        if self.kind is not Kind.FINITE:
            raise BadValue(f"{self} has no exact fraction")
        magnitude = Fraction(self.significand) * Fraction(2) ** self.exponent
        return -magnitude if self.sign else magnitude

    def __str__(self) -> str:
        sign = "-" if self.sign else ""
        if self.kind is not Kind.FINITE:
            return f"{sign}{self.kind.value}"
        if not self.significand:
            return sign + "0"
        return sign + text(abs(self.fraction()))


ZERO = Value(0, 0, 0)
INF = Value(0, 0, 0, Kind.INF)
NAN = Value(0, 0, 0, Kind.NAN)


def compare_magnitudes(a: Value, b: Value) -> int:
    """Compare |a| with |b|, both finite: -1, 0 or 1."""
    shift = a.exponent - b.exponent
    left = a.significand << max(shift, 0)
    right = b.significand << max(-shift, 0)
    return (left > right) - (left < right)


def quotient(a: Value, b: Value) -> Value:
    """The value a / b for finite a and finite b != 0, exact or with a sticky last bit.

    Notes
    -----
    A quotient that is no multiple of a power of two keeps 256 bits, the last one set to say that
    more follow. Rounding it to fewer than 255 bits gives what the exact quotient would.
    """
    shift = max(0, _KEPT_BITS + b.significand.bit_length() - a.significand.bit_length())
    kept, rest = divmod(a.significand << shift, b.significand)
    return Value(a.sign ^ b.sign, kept | (rest != 0), a.exponent - b.exponent - shift)


def divide(value: Value, scale: Value | None) -> Value:
    """V / X: an exact shift for a power of two, else a quotient with a sticky last bit; X None is 1."""
    if value.kind is not Kind.FINITE or scale is None:
        return value
    if scale.significand == 1:
        return Value(value.sign, value.significand, value.exponent - scale.exponent)
    return quotient(value, scale) if value.significand else value


def from_fraction(number: Fraction | int, *, negative_zero: bool = False) -> Value:
    """The value of a rational number; 1/3 and its like keep 256 bits and a sticky last bit.

    Examples
    --------
    >>> from_fraction(Fraction(-3, 8))
    Value(sign=1, significand=3, exponent=-3, kind=<Kind.FINITE: 'finite'>)
    """
    number = Fraction(number)
    sign = int(number < 0 or (number == 0 and negative_zero))
    denominator = number.denominator
    if denominator & (denominator - 1) == 0:
        return Value(sign, abs(number.numerator), 1 - denominator.bit_length())
    exact = quotient(Value(0, abs(number.numerator), 0), Value(0, denominator, 0))
    return exact._replace(sign=sign)


# No format in use comes near these; beyond them a number would only cost memory, and Python would refuse to print it.
_MOST_CHARACTERS = 1200
_MOST_EXPONENT = 2000

_HEX = re.compile(r"0x([0-9a-f]*)\.?([0-9a-f]*)p([+-]?\d+)")
_SPECIAL = {"inf": INF, "infinity": INF, "nan": NAN}


def parse(words: str) -> tuple[Value, Fraction | None]:
    """Read a number: decimal, fraction ``a/b``, hexadecimal ``0x1.8p3``, power ``2^-9``, Inf or NaN.

    Returns
    -------
    value : Value
    exact : Fraction or None
        The number as written; None for Inf and NaN.

    Raises
    ------
    BadValue
        When the text is none of these.

    Examples
    --------
    >>> parse("-0x1.8p3")[1], parse("2^-9")[1], parse("1e-3")[1]
    (Fraction(-12, 1), Fraction(1, 512), Fraction(1, 1000))
    """
    body = words.strip().lower()
    negative = body.startswith("-")
    body = body[1:] if body.startswith(("+", "-")) else body
    if body in _SPECIAL:
        return _SPECIAL[body]._replace(sign=int(negative)), None
    number = _parse_magnitude(body)
    if number is None:
        raise BadValue(
            f"{words!r} is not a number; expected a decimal, a/b, 0x1.8p3, 2^-9, inf or nan",
        )
    number = -number if negative else number
    return from_fraction(number, negative_zero=negative), number


def _parse_magnitude(body: str) -> Fraction | None:
    """A non-negative number as a Fraction, or None when the text is no number."""
    if len(body) > _MOST_CHARACTERS:
        raise BadValue(f"a number of {len(body)} characters; expected at most {_MOST_CHARACTERS}")
    if match := _HEX.fullmatch(body):
        whole, part, exponent = match.groups()
        if whole or part:
            digits = int(whole + part, 16)
            return digits * Fraction(2) ** (_bounded(exponent) - 4 * len(part))
    if match := re.fullmatch(r"(?:(\d+)\s*[*·]\s*)?2(?:\^|\*\*)([+-]?\d+)", body):
        factor, exponent = match.groups()
        return int(factor or 1) * Fraction(2) ** _bounded(exponent)
    if re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|\d+/\d*[1-9]\d*", body):
        if body.partition("e")[2]:
            _bounded(body.partition("e")[2])
        return Fraction(body)
    return None


def _bounded(exponent: str) -> int:
    """An exponent as an integer; one far outside every format would only cost memory."""
    number = int(exponent)
    if abs(number) > _MOST_EXPONENT:
        raise BadValue(f"exponent {exponent} is outside -{_MOST_EXPONENT} to {_MOST_EXPONENT}")
    return number


def text(number: Fraction) -> str:
    """A short exact text: an integer, a decimal, or ``n/d``, else ``n*2^e``.

    Examples
    --------
    >>> text(Fraction(448)), text(Fraction(-13, 8)), text(Fraction(7, 512)), text(Fraction(1, 3))
    ('448', '-1.625', '7*2^-9', '1/3')
    """
    numerator, denominator = number.numerator, number.denominator
    if denominator == 1:
        return str(numerator) if abs(numerator) < 10**9 else _power_text(numerator, 0)
    if denominator & (denominator - 1):
        return f"{numerator}/{denominator}"
    places = denominator.bit_length() - 1
    if places > 7:
        return _power_text(numerator, -places)
    digits = str(abs(numerator) * 5**places).rjust(places + 1, "0")
    return ("-" if numerator < 0 else "") + digits[:-places] + "." + digits[-places:]


def _power_text(numerator: int, exponent: int) -> str:
    """``n*2^e`` with n odd, or ``2^e``."""
    magnitude = abs(numerator)
    zeros = (magnitude & -magnitude).bit_length() - 1
    odd, power = magnitude >> zeros, exponent + zeros
    sign = "-" if numerator < 0 else ""
    return f"{sign}2^{power}" if odd == 1 else f"{sign}{odd}*2^{power}"


def decimal_text(number: Fraction, digits: int = 6) -> str:
    """About ``digits`` significant decimal digits, rounded half up, marked ``~`` when not exact.

    Examples
    --------
    >>> decimal_text(Fraction(1, 3)), decimal_text(Fraction(5, 2)), decimal_text(Fraction(1, 2**20))
    ('~0.333333', '2.5', '~9.53674e-7')
    """
    if number == 0:
        return "0"
    sign, number = ("-" if number < 0 else ""), abs(number)
    power = _decimal_exponent(number)
    scaled = number * Fraction(10) ** (digits - 1 - power)
    rounded = (2 * scaled + 1).__floor__() // 2
    exact = scaled == rounded
    if rounded == 10**digits:
        rounded, power = 1, power + 1
    mark = "" if exact else "~"
    return mark + sign + _place_point(str(rounded).rstrip("0"), power)


def _decimal_exponent(number: Fraction) -> int:
    """floor(log10(number)) by counting digits."""
    power = len(str(number.numerator)) - len(str(number.denominator))
    return power - (Fraction(10) ** power > number)


def _place_point(digits: str, power: int) -> str:
    """Write d.ddd * 10^power plainly when it is short, else with an exponent."""
    if -5 < power < 0:
        return "0." + "0" * (-power - 1) + digits
    if 0 <= power < 16:
        digits = digits.ljust(power + 1, "0")
        whole, part = digits[: power + 1], digits[power + 1 :]
        return whole + ("." + part if part else "")
    return digits[0] + ("." + digits[1:] if digits[1:] else "") + f"e{power}"
