"""Encoders and scale rules as tables of binary32 bits and binary64 bounds, all from the oracle.

With them whole arrays are checked at the speed of a few nanoseconds an element. Nothing here is shared with the
package under test: scales that the oracle does not know are derived once more from their definition, in Fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import oracle
from numpy.typing import NDArray

INF, NAN, SIGN = 0x7F800000, 0x7F800001, 0x80000000
# What a NaN becomes under OCP, positive and negative: the quiet one with its sign, else the largest positive code.
NANS = {
    "E4M3": (0x7F, 0xFF),
    "E5M2": (0x7E, 0xFE),
    "E3M2": (0x1F, 0x1F),
    "E2M3": (0x1F, 0x1F),
    "E2M1": (0x07, 0x07),
    "INT8": (0x7F, 0x7F),
}
RULES = (
    "FLOOR",
    "CEIL",
    "EVEN",
    "EVEN_CARRY_NAN",
    "EVEN_TIES_DOWN",
    "EVEN_E2M1",
    "RCEIL",
    "RCEIL_BINARY32",
    "RCEIL_SUBNORMAL_UP",
    "ROUND",
    "LOG_ROUND",
    "LOG_NEAREST",
    "FLOOR_OF_RATIO",
    "RATIO",
)
# Enough for every element, and a power of two.
STEPS = 256
BLOCKS = {
    "MXFP8_E4M3": ("E4M3", "E8M0", 32),
    "MXFP8_E5M2": ("E5M2", "E8M0", 32),
    "MXFP6_E3M2": ("E3M2", "E8M0", 32),
    "MXFP6_E2M3": ("E2M3", "E8M0", 32),
    "MXFP4_E2M1": ("E2M1", "E8M0", 32),
    "MXINT8": ("INT8", "E8M0", 32),
    "NVFP4": ("E2M1", "E4M3", 16),
}


def rows(name: str, rounding: str, overflow: str, minimum: str) -> list[tuple[int, int]]:
    """The encoder over all 2^32 inputs, as (first input, code)."""
    found = []
    sides = oracle.runs(name, "binary32", rounding, overflow, minimum)
    for sign, side, nan in zip((0, SIGN), sides, NANS[name], strict=True):
        found += [(sign + first, code) for first, code in side] + [(sign + NAN, nan)]
    return found


def slices(
    table: list[tuple[int, int]], start: int, count: int, last: int = 1 << 32
) -> Iterator[tuple[int, int, int]]:
    """Rows of a table that cover some inputs: first and after, counted from the start, and the code."""
    for (first, code), (after, _) in pairwise([*table, (last, 0)]):
        low, high = max(first - start, 0), min(after - start, count)
        if low < high:
            yield low, high, code


class Elements(NamedTuple):
    """The encoder of finite numbers as bounds on the magnitude, one row a sign.

    Attributes
    ----------
    bounds : ndarray of float64, shape (2, STEPS)
        The smallest magnitude of each step, the first at 0, filled up with Inf.
    codes : ndarray of uint8, shape (2, STEPS)
    """

    bounds: NDArray[np.float64]
    codes: NDArray[np.uint8]


@cache
def elements(name: str, rounding: str, overflow: str) -> Elements:
    sides = [oracle.Steps(name, negative, rounding, overflow) for negative in (False, True)]
    found = Elements(np.full((2, STEPS), np.inf), np.zeros((2, STEPS), np.uint8))
    for row, side in enumerate(sides):
        for column, (key, code) in enumerate(zip(side.keys, side.codes, strict=True)):
            found.bounds[row, column], found.codes[row, column] = _bound(key), code
    return found


def _bound(key: oracle.Key) -> float:
    """A step's begin. One that excludes the number itself is raised by less than an ulp of any binary32 number.

    Times a scale of a few bits it is still exact in binary64, and still below the next binary32 number.
    """
    if not key.after:
        bound = key.at
    elif key.at:
        bound = key.at * (1 + oracle.power(-40))
    else:
        bound = oracle.power(-300)
    assert Fraction(float(bound)) == bound
    return float(bound)


class Scales(NamedTuple):
    """The scale code as a step function of the bits of the largest magnitude, zero first and Inf and NaN left out.

    Attributes
    ----------
    firsts : ndarray of uint32
    codes : ndarray of uint8
    values : ndarray of float64, shape (256,)
        Of each scale code; NaN where it has none.
    nan : int
        The code for a block with Inf or NaN.
    """

    firsts: NDArray[np.uint32]
    codes: NDArray[np.uint8]
    values: NDArray[np.float64]
    nan: int


@cache
def scales(element: str, scale: str, rule: str) -> Scales:
    def code_of(bits: int) -> int:
        return _scale_code(oracle.decode(bits, "binary32").magnitude, element, scale, rule)

    found = [(0, 0x00 if scale == "E8M0" else 0x01)]
    offsets: set[int] = set()
    for first, after in pairwise([1, *[field << 23 for field in range(1, 255)], INF]):
        # A rule mostly steps where it did in the binade before; asking there first saves the search.
        near = {first + offset + by for offset in offsets for by in (-1, 0)}
        ends = sorted({first, after - 1, *[bits for bits in near if first < bits < after]})
        steps = [step for low, high in pairwise(ends) for step in _steps(code_of, low, high)]
        offsets = {bits - first for bits, _ in oracle.merge(steps)}
        found += steps
    merged = oracle.merge(found)
    numbers = [oracle.decode(code, scale) for code in range(256)]
    values = [float(one.real) if one.kind == "finite" else np.nan for one in numbers]
    firsts, codes = zip(*merged, strict=True)
    return Scales(
        np.array(firsts, np.uint32),
        np.array(codes, np.uint8),
        np.array(values),
        0xFF if scale == "E8M0" else 0x7F,
    )


def _steps(code_of: Callable[[int], int], first: int, last: int) -> list[tuple[int, int]]:
    """The first bits of each code of a rule within a binade, where it never falls."""
    low, high = code_of(first), code_of(last)
    if low == high:
        return [(first, low)]
    if last - first == 1:
        return [(first, low), (last, high)]
    middle = (first + last) // 2
    return _steps(code_of, first, middle) + _steps(code_of, middle, last)


def _scale_code(amax: Fraction, element: str, scale: str, rule: str) -> int:
    """The scale code of a largest magnitude above zero."""
    if rule == "RATIO":
        return _ratio_code(amax / oracle.largest(element), scale)
    if rule == "EVEN_CARRY_NAN" and oracle.shorten(
        amax, oracle.mantissa_bits(element)
    ) >= oracle.power(128):
        return 0xFF if scale == "E8M0" else 0x7F
    exponent = _exponent(amax, element, rule)
    if scale == "E8M0":
        return min(max(exponent, -127), 127) + 127
    clamped = oracle.number(oracle.power(min(max(exponent, -9), 8)))
    return 0x7E if exponent > 8 else oracle.encode(clamped, "E4M3").code


def _exponent(amax: Fraction, element: str, rule: str) -> int:
    """The shared exponent, by the oracle where it knows the rule."""
    match rule:
        case "EVEN_CARRY_NAN":
            return oracle.shared_exponent(amax, element, "EVEN")
        case "RCEIL_BINARY32" | "RCEIL_SUBNORMAL_UP":
            bits = oracle.round_to_carrier(amax / oracle.largest(element), "binary32")
            if bits and bits < 1 << 23 and rule == "RCEIL_SUBNORMAL_UP":
                return -126
            return oracle.ceil_log2(oracle.decode(bits, "binary32").magnitude) if bits else -127
        case _:
            return oracle.shared_exponent(amax, element, rule)


def _ratio_code(ratio: Fraction, scale: str) -> int:
    """The quotient rounded to the scale format: clamped, never zero; a power of two is even by its exponent field."""
    if scale != "E8M0":
        return max(oracle.encode(oracle.number(ratio), scale).code, 1)
    low = oracle.floor_log2(ratio)
    middle = 3 * oracle.power(low - 1)
    up = ratio > middle or (ratio == middle and (low + 127) % 2 == 1)
    return min(max(low + up, -127), 127) + 127


@cache
def mantissas() -> NDArray[np.uint32]:
    """Mantissas at which some rule steps for some element, ready to be moved by a few ulp."""
    tops = [Fraction(2**bits - 1, 2 ** (bits - 1)) for bits in range(1, 9)]
    halves = [Fraction(5, 4), Fraction(3, 2), *[(top + 2) / 2 for top in tops]]
    points = {*tops, *halves}
    # floor(sqrt(2) * point * 2^23), in the binade of 1
    squares = [2 * point * point for point in points]
    roots = [_root(square if square < 4 else square / 4) for square in squares]
    points |= {Fraction(root, 1 << 23) for root in roots}
    # amax / largest element halfway between two E4M3 scales, for E2M1: 3/2 * (1 + odd / 16)
    points |= {_fold(Fraction(3, 2) * Fraction(16 + odd, 16)) for odd in range(1, 16, 2)}
    return np.array(sorted({int((point - 1) * (1 << 23)) for point in points}), np.uint32)


def _fold(point: Fraction) -> Fraction:
    return point / 2 if point >= 2 else point


def _root(square: Fraction) -> int:
    """floor(2^23 * sqrt(square)) for a square in [1, 4)."""
    low, high = 1 << 23, 1 << 24
    while high - low > 1:
        middle = (low + high) // 2
        if Fraction(middle, 1 << 23) ** 2 <= square:
            low = middle
        else:
            high = middle
    return low


@cache
def points(name: str) -> NDArray[np.uint32]:
    """binary32 bits of all breakpoints of an element but zero."""
    values = [float(point) for point in oracle.breakpoints(name) if point]
    return np.array(values, np.float32).view(np.uint32)
