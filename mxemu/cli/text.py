"""Plain text: numbers that are exact and short, and columns that line up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from mxemu.explain import Interval, code_text
from mxemu.formats import ElementFormat
from mxemu.value import Value, decimal_text

WIDTH = 100
# A number beyond this has digits that nobody reads, and Python refuses to print them.
_GIANT_BITS = 4000


def number_text(number: Fraction) -> str:
    """Exact if that is short: an integer, a decimal, ``n*2^e`` or ``n/d``; else seven digits marked ``~``.

    Examples
    --------
    >>> [number_text(Fraction(n, d)) for n, d in ((957, 2), (1, 512), (3, 65536), (1, 3), (2917882, 9999991))]
    ['478.5', '0.001953125', '3*2^-16', '1/3', '~0.2917885']
    """
    if is_giant(number):
        return about_text(number, 7)
    decimal = decimal_text(number, 12)
    if not decimal.startswith("~") and "e" not in decimal and len(decimal.lstrip("-")) <= 14:
        return decimal
    dyadic = number.denominator & (number.denominator - 1) == 0
    written = dyadic_text(number) if dyadic else str(number)
    return written if len(written) <= (26 if dyadic else 14) else decimal_text(number, 7)


def is_giant(number: Fraction) -> bool:
    """Whether the digits of a number are too many to print."""
    return max(number.numerator.bit_length(), number.denominator.bit_length()) > _GIANT_BITS


def about_text(number: Fraction, digits: int) -> str:
    """Some decimal digits; of a number that has none at hand, the power of two next to it."""
    top, bottom = abs(number.numerator), number.denominator
    shift = max(0, min(top.bit_length(), bottom.bit_length()) - _GIANT_BITS // 4)
    sign = -1 if number < 0 else 1
    short = Fraction(sign * (top >> shift), bottom >> shift)
    if is_giant(short):
        power = top.bit_length() - bottom.bit_length()
        return f"about {'-' if number < 0 else ''}2^{power}"
    return "~" + decimal_text(short, digits).lstrip("~") if shift else decimal_text(short, digits)


def fraction_text(number: Fraction, longest: int) -> str:
    """``n/d`` if that is no longer than so many characters, else nothing."""
    written = "" if is_giant(number) else str(number)
    return written if len(written) <= longest else ""


def dyadic_text(number: Fraction) -> str:
    """``n*2^e`` with n odd, or ``2^e``; zero and what is no such number as `number_text` writes them.

    Examples
    --------
    >>> dyadic_text(Fraction(26)), dyadic_text(Fraction(-1, 4)), dyadic_text(Fraction(0))
    ('13*2^1', '-2^-2', '0')
    """
    numerator, denominator = abs(number.numerator), number.denominator
    if not numerator or denominator & (denominator - 1) or is_giant(number):
        return number_text(number)
    zeros = (numerator & -numerator).bit_length() - 1
    power = zeros + 1 - denominator.bit_length()
    odd = numerator >> zeros
    factor = f"{odd}*" if odd > 1 else ""
    return ("-" if number < 0 else "") + (f"{factor}2^{power}" if power else str(odd))


def value_text(value: Value, quantum: int = 0) -> str:
    """A value; below the unit 2^-11 all multiples of it are written the same way, as ``n*2^e``."""
    if not value.is_finite or value.is_zero:
        return str(value)
    return dyadic_text(value.fraction()) if quantum < -11 else number_text(value.fraction())


def signed_text(number: Fraction) -> str:
    """A difference, with its sign."""
    words = number_text(number)
    if number <= 0:
        return words
    for mark in ("~", "about "):
        if words.startswith(mark):
            return f"{mark}+{words.removeprefix(mark)}"
    return "+" + words


def percent_text(ratio: Fraction) -> str:
    """Three digits of a percentage, with its sign."""
    digits = about_text(ratio * 100, 3).removeprefix("~")
    return ("+" if ratio > 0 else "") + digits + " %"


def interval_text(interval: Interval, quantum: int = 0) -> str:
    """``[0.25, 0.75)``; an open end at Inf means that Inf itself is left out."""
    low = ("[" if interval.low_closed else "(") + value_text(interval.low, quantum)
    return f"{low}, {value_text(interval.high, quantum)}" + ("]" if interval.high_closed else ")")


def given_text(text: str, longest: int) -> str:
    """A number as it was typed; a long one is cut."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def point_text(code: int, value: Value, fmt: ElementFormat) -> str:
    """``0x5D = 26``."""
    return f"{code_text(code, fmt)} = {value_text(value)}"


def columns(rows: Iterable[Sequence[str]], right: Sequence[int] = (), gap: int = 2) -> list[str]:
    """Rows of cells as lines; the columns named in `right` are aligned to the right.

    Examples
    --------
    >>> columns([("a", "1"), ("bcd", "10")], right=[1])
    ['a     1', 'bcd  10']
    """
    table = [list(row) for row in rows]
    count = max((len(row) for row in table), default=0)
    widths = [
        max((len(row[place]) for row in table if place < len(row)), default=0)
        for place in range(count)
    ]
    lines = []
    for row in table:
        cells = [
            cell.rjust(widths[place]) if place in right else cell.ljust(widths[place])
            for place, cell in enumerate(row)
        ]
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def wrapped(words: str, width: int = WIDTH, indent: int = 0) -> list[str]:
    """Words in lines of a width, all indented."""
    lines = [""]
    for word in words.split():
        if lines[-1] and indent + len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return [" " * indent + line for line in lines]


def labelled(rows: Iterable[tuple[str, str]], indent: int = 2) -> list[str]:
    """Lines of a label and its text; long texts are wrapped under themselves, an empty label continues."""
    table = list(rows)
    margin = indent + max((len(label) for label, _ in table), default=0) + 3
    lines = []
    for label, words in table:
        start = (" " * indent + label).ljust(margin)
        if margin + len(words) <= WIDTH:
            lines.append((start + words).rstrip())
        else:
            first, *rest = wrapped(words, WIDTH, margin)
            lines += [start + first[margin:], *rest]
    return lines
