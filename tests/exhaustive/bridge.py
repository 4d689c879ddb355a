"""Between the core's types and the oracle's: values, status bits, profiles and whole tables."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import oracle

from mxemu.profile import OCP, IntMinimum, Overflow, Profile, Rounding
from mxemu.scalar import Status
from mxemu.value import Kind, Value

_KINDS = {Kind.FINITE: "finite", Kind.INF: "inf", Kind.NAN: "nan"}


def to_number(value: Value) -> oracle.Number:
    """A core value as the oracle's."""
    if value.kind is not Kind.FINITE:
        return oracle.Number(_KINDS[value.kind], bool(value.sign), Fraction(0))
    magnitude = value.significand * oracle.power(value.exponent)
    return oracle.Number("finite", bool(value.sign), magnitude)


def to_value(number: oracle.Number) -> Value:
    """An oracle's number as the core's; its denominator must be a power of two."""
    if number.kind != "finite":
        kind = Kind.INF if number.kind == "inf" else Kind.NAN
        return Value(int(number.negative), 0, 0, kind)
    denominator = number.magnitude.denominator
    assert denominator & (denominator - 1) == 0
    return Value(int(number.negative), number.magnitude.numerator, 1 - denominator.bit_length())


@cache
def flags(status: Status) -> frozenset[str]:
    """The names of the status bits that are set, by looking at each bit."""
    bits = {
        "inexact": Status.INEXACT,
        "overflow": Status.OVERFLOW,
        "underflow": Status.UNDERFLOW,
        "invalid": Status.INVALID,
        "saturated": Status.SATURATED,
    }
    return frozenset(name for name, bit in bits.items() if status & bit)


@cache
def core_profile(rounding: str, overflow: str, int_minimum: str = "EXCLUDE") -> Profile:
    """OCP with these choices, named as the oracle names them."""
    return OCP.replace(
        rounding=Rounding[rounding],
        overflow=Overflow[overflow],
        int_minimum=IntMinimum[int_minimum],
    )


def expand(rows: Sequence[tuple[int, int]], size: int) -> bytes:
    """One code of at most 8 bits for each input: rows (first input, code) written out up to `size` inputs."""
    ends = [first for first, _ in rows[1:]] + [size]
    table = b"".join(
        bytes([code]) * (end - first) for (first, code), end in zip(rows, ends, strict=True)
    )
    assert len(table) == size
    return table


def first_difference(own: bytes, other: bytes) -> str:
    """Where two tables differ first, for a message; empty if they are equal."""
    if own == other:
        return ""
    at = next(i for i, (a, b) in enumerate(zip(own, other, strict=True)) if a != b)
    return f"input {at:#x}: {own[at]:#04x} and {other[at]:#04x}"
