"""Single results as sums in digits of 32 bits: exact whatever the exponents, and slow."""

from __future__ import annotations

import math

import numpy as np

from mxemu.array.gemm.bits import short_word_of, word_of
from mxemu.array.gemm.sides import Side
from mxemu.array.inputs import Array
from mxemu.array.jit import bit_length, kernel
from mxemu.array.threads import spread

_DIGIT = 32
_MASK = (1 << _DIGIT) - 1
_SMALLEST_C, _LARGEST_C = -149, 128


def exact_results(
    a: Side, b: Side, rows: Array, columns: Array, c: Array | None, length: int
) -> Array:
    """Bits of the results at some rows and columns; ``length`` products add up exactly in float64."""
    units = [one.element.unit + one.scale.unit for one in (a, b)]
    lowest = min(sum(units), _SMALLEST_C)
    tops = [int(one.element.high.max()) + int(one.scale.high.max()) for one in (a, b)]
    top = max(sum(tops) + a.codes.shape[1].bit_length(), _LARGEST_C)
    shape = np.array([lowest, (top - lowest) // _DIGIT + 3, length, a.k, b.k])
    out = np.empty(len(rows), np.uint32)
    carried = np.zeros(len(rows), np.float32) if c is None else c[rows, columns]
    operands = [(one.codes, one.scales, one.element.numbers, one.scale.numbers) for one in (a, b)]
    spread(
        lambda first, after: _exact_results(
            *operands[0], *operands[1], rows, columns, carried, shape, out, first, after
        ),
        len(rows),
        cost=4 * a.codes.shape[1],
    )
    return out


@kernel
def _exact_results(
    a: Array,
    a_scales: Array,
    a_numbers: Array,
    a_factors: Array,
    b: Array,
    b_scales: Array,
    b_numbers: Array,
    b_factors: Array,
    rows: Array,
    columns: Array,
    carried: Array,
    shape: Array,
    out: Array,
    first: int,
    after: int,
) -> None:
    lowest, count, length, a_k, b_k = shape
    for place in range(first, after):
        digits = np.zeros(count, np.int64)
        row, column = rows[place], columns[place]
        for start in range(0, a.shape[1], length):
            total = 0.0
            for at in range(start, min(start + length, a.shape[1])):
                x = a_numbers[a[row, at]] * a_factors[a_scales[row, at // a_k]]
                y = b_numbers[b[column, at]] * b_factors[b_scales[column, at // b_k]]
                if abs(x) < np.inf and abs(y) < np.inf:
                    total += x * y
            add_number(digits, total, lowest)
        if abs(carried[place]) < np.inf:
            add_number(digits, np.float64(carried[place]), lowest)
        out[place] = short_word_of(np.float32(rounded_digits(digits, lowest)))


@kernel
def add_number(digits: Array, number: float, lowest: int) -> None:
    """Add a finite float64 that is zero or normal."""
    bits = word_of(number)
    if bits << 1 == 0:
        return
    significand = (bits & 0xFFFFFFFFFFFFF) | 0x10000000000000
    # The last bit's exponent may lie below the digits when the lowest set bits do not.
    place = ((bits >> 52) & 0x7FF) - 1075 - lowest
    if place < 0:
        significand >>= -place
        place = np.int64(0)
    sign = bits >> 63
    at, shift = np.uint64(place) >> np.uint64(5), place & 31
    low = (significand << shift) & 0xFFFFFFFF
    rest = significand >> (32 - shift)
    middle, top = rest & 0xFFFFFFFF, rest >> 32
    digits[at] += (low ^ sign) - sign
    digits[at + np.uint64(1)] += (middle ^ sign) - sign
    digits[at + np.uint64(2)] += (top ^ sign) - sign


@kernel
def rounded_digits(digits: Array, lowest: int) -> float:
    """The number of some digits, with enough bits and rounded TO_ODD."""
    negative = carry(digits) < 0
    if negative:
        for place in range(digits.size):
            digits[place] = -digits[place]
        carry(digits)
    last = digits.size - 1
    while last > 1 and digits[last] == 0:
        last -= 1
    number = np.uint64(digits[last]) << np.uint64(_DIGIT) | np.uint64(digits[last - 1])
    length = bit_length(digits[last]) + _DIGIT if digits[last] else bit_length(digits[last - 1])
    # Beyond 53 bits a conversion would round; two digits have at least 33 when there are more.
    spare = np.uint64(max(length - 53, 0))
    sticky = number & ((np.uint64(1) << spare) - np.uint64(1)) != np.uint64(0)
    number = number >> spare << spare
    for place in range(last - 1):
        sticky |= digits[place] != 0
    if sticky:
        number |= np.uint64(1) << spare
    found = math.ldexp(np.float64(number), lowest + _DIGIT * (last - 1))
    return -found if negative else found


@kernel
def carry(digits: Array) -> int:
    """Bring all digits but the last between 0 and 2^32; returns the last."""
    over = np.int64(0)
    for place in range(digits.size - 1):
        total = digits[place] + over
        digits[place] = total & _MASK
        over = total >> _DIGIT
    digits[digits.size - 1] += over
    return digits[digits.size - 1]
