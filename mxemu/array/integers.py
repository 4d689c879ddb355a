"""Encoding by integer arithmetic, for what no table holds: STOCHASTIC rounding, wide elements, arbitrary tensor scales.

The steps are those of `scalar.encode`. Results that do not depend on the value's bits (zero, Inf, NaN, overflow) are
asked from the exact core beforehand and only looked up here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mxemu.array.inputs import Array
from mxemu.array.jit import kernel
from mxemu.array.kernels import Carrier, ScaleLookup, scale_of, zero_limit_of
from mxemu.formats import ElementFormat, IntFormat
from mxemu.philox import KEY_STEPS, MULTIPLIERS, ROUNDS
from mxemu.profile import IntMinimum, Profile, Rounding, Subnormals
from mxemu.scalar import Status, encode
from mxemu.value import INF, NAN, Value

_ROUNDINGS = {rounding: number for number, rounding in enumerate(Rounding)}
_EVEN, _AWAY, _ZERO, _POSITIVE, _NEGATIVE, _ODD, _STOCHASTIC = range(7)
_INEXACT = int(Status.INEXACT)
_UNDERFLOW = int(Status.INEXACT | Status.UNDERFLOW)
# Columns of the results that are looked up.
_AT_ZERO, _AT_INF, _AT_NAN, _BEYOND = range(4)
_ONE = np.uint64(1)
_NOTHING = np.uint64(0)
_LEFT, _RIGHT = (np.uint64(number) for number in MULTIPLIERS)
_STEP_0, _STEP_1 = (np.uint64(number) for number in KEY_STEPS)


class Rounder(NamedTuple):
    """An element format and a profile's element choices, as the kernel reads them.

    Attributes
    ----------
    is_int : bool
        Two's complement; then ``quantum`` is the exponent of the unit, and ``emin`` and ``mantissa_bits`` are unused.
    mantissa_bits, emin, emax, quantum : int
    largest : ndarray of uint64, shape (2,)
        The largest finite magnitude code of either sign.
    sign_mask, mask : uint64
    flush : bool
    rounding, random_bits : int
    codes, status : ndarray, shape (2, 4)
        Results for zero, Inf, NaN and a magnitude beyond the largest, by sign.
    """

    is_int: bool
    mantissa_bits: int
    emin: int
    emax: int
    quantum: int
    largest: Array
    sign_mask: Any
    mask: Any
    flush: bool
    rounding: int
    random_bits: int
    codes: Array
    status: Array


class Divisors(NamedTuple):
    """Scales as integers times powers of two, by scale code; significand 0 for a scale without a value."""

    significand: Array
    exponent: Array


def rounder(element: ElementFormat, profile: Profile) -> Rounder:
    """The record of one encoder."""
    inputs = [
        (Value(sign, 0, 0), INF._replace(sign=sign), NAN._replace(sign=sign), _huge(element, sign))
        for sign in (0, 1)
    ]
    results = [[encode(value, element, profile) for value in row] for row in inputs]
    is_int = isinstance(element, IntFormat)
    extra = int(is_int and profile.int_minimum is IntMinimum.ALLOW)
    return Rounder(
        is_int=is_int,
        mantissa_bits=element.mantissa_bits,
        emin=0 if isinstance(element, IntFormat) else element.emin,
        emax=element.emax,
        quantum=-element.fraction_bits if isinstance(element, IntFormat) else 0,
        largest=np.array([element.max_code, element.max_code + extra], np.uint64),
        sign_mask=np.uint64(0 if isinstance(element, IntFormat) else element.sign_mask),
        mask=np.uint64((1 << element.width) - 1),
        flush=not is_int and profile.element_subnormals is Subnormals.FLUSH,
        rounding=_ROUNDINGS[profile.rounding],
        random_bits=profile.random_bits,
        codes=np.array([[one.code for one in row] for row in results], np.uint64),
        status=np.array([[int(one.status) for one in row] for row in results], np.uint8),
    )


def _huge(element: ElementFormat, sign: int) -> Value:
    """A finite number beyond the largest."""
    return Value(sign, 1, element.emax + 2)


def within_reach(element: ElementFormat, profile: Profile, scales: Divisors) -> bool:
    """Whether 61 bits of quotient are enough; a power of two leaves all bits of the input, which always are."""
    if bool((scales.significand <= 1).all()):
        return True
    kept = element.mantissa_bits + 1
    needed = profile.random_bits if profile.rounding is Rounding.STOCHASTIC else 1
    return kept + needed <= 62


def divisors(scales: list[Value | None]) -> Divisors | None:
    """Scales for the kernel, or None when a significand has more than the 31 bits that its division takes."""
    if any(scale is not None and scale.significand >= 1 << 31 for scale in scales):
        return None
    significands = [0 if scale is None else scale.significand for scale in scales]
    exponents = [0 if scale is None else scale.exponent for scale in scales]
    return Divisors(np.array(significands, np.uint64), np.array(exponents, np.int64))


@kernel
def _bit_length(number: Any) -> int:
    """Bits of an unsigned 64-bit integer, 0 for 0."""
    length = 0
    for step in (32, 16, 8, 4, 2, 1):
        if number >> np.uint64(step) != 0:
            number >>= np.uint64(step)
            length += step
    return length + np.int64(number != 0)


@kernel
def _quotient(significand: Any, divisor: Any) -> tuple[Any, int, bool]:
    """significand / divisor = (quotient + rest) * 2^exponent in 62 or 63 bits, and whether the rest is not 0."""
    shift = 63 - _bit_length(significand)
    numerator = np.uint64(significand << np.uint64(shift))
    if divisor == _ONE:
        return numerator, -shift, False
    extra = np.uint64(_bit_length(divisor) - 1)
    whole = np.uint64(numerator // divisor)
    rest = np.uint64(np.uint64(numerator - np.uint64(whole * divisor)) << extra)
    more = np.uint64(rest // divisor)
    left = np.uint64(rest - np.uint64(more * divisor))
    return np.uint64(np.uint64(whole << extra) | more), -shift - np.int64(extra), left != _NOTHING


@kernel
def _goes_up(
    kept: Any, dropped: Any, shift: int, sticky: bool, sign: int, draw: Any, to: Rounder
) -> bool:
    """Whether a magnitude between kept and kept + 1 goes up; dropped / 2^shift and the rest lie between, not 0."""
    half = np.uint64(_ONE << np.uint64(shift - 1))
    if to.rounding == _EVEN:
        return dropped > half or (dropped == half and (sticky or (kept & _ONE) == _ONE))
    if to.rounding == _AWAY:
        return dropped >= half
    if to.rounding == _POSITIVE:
        return sign == 0
    if to.rounding == _NEGATIVE:
        return sign == 1
    if to.rounding == _ODD:
        return (kept & _ONE) == _NOTHING
    if to.rounding == _STOCHASTIC:
        return _draw_carries(dropped, shift, draw, to.random_bits)
    return False


@kernel
def _draw_carries(dropped: Any, shift: int, draw: Any, bits: int) -> bool:
    """Whether the random word, added to the topmost dropped bits, carries out of them."""
    if bits <= shift:
        part = np.uint64(0) if shift - bits > 63 else np.uint64(dropped >> np.uint64(shift - bits))
    else:
        part = np.uint64(dropped << np.uint64(bits - shift))
    total = np.uint64(part + draw)
    return total < draw if bits == 64 else (total >> np.uint64(bits)) != _NOTHING


@kernel
def _to_multiple(
    quotient: Any, shift: int, sticky: bool, sign: int, draw: Any, to: Rounder
) -> tuple[Any, bool]:
    """The quotient divided by 2^shift, rounded; and whether that was inexact."""
    if shift <= 0:
        return np.uint64(quotient << np.uint64(-shift)), sticky
    if shift > 64:
        # All of it is far below half a unit; what leaves to the right still makes the result inexact.
        places = min(shift - 64, 63)
        low = np.uint64(np.uint64(_ONE << np.uint64(places)) - _ONE)
        sticky = sticky or (quotient & low) != _NOTHING
        quotient, shift = np.uint64(quotient >> np.uint64(places)), 64
    kept = _NOTHING if shift == 64 else np.uint64(quotient >> np.uint64(shift))
    dropped = quotient if shift == 64 else np.uint64(quotient - np.uint64(kept << np.uint64(shift)))
    if dropped == _NOTHING and not sticky:
        return kept, False
    if _goes_up(kept, dropped, shift, sticky, sign, draw, to):
        kept = np.uint64(kept + _ONE)
    return kept, True


@kernel
def _encode_finite(
    significand: Any, exponent: int, divisor: Any, sign: int, draw: Any, to: Rounder
) -> tuple[Any, int]:
    """Code and status of significand * 2^exponent / divisor, none of them zero, in the steps of `scalar.encode`."""
    quotient, places, sticky = _quotient(significand, divisor)
    exponent += places
    leading = _bit_length(quotient) - 1 + exponent
    if leading > to.emax + 1:
        return to.codes[sign, _BEYOND], np.int64(to.status[sign, _BEYOND])
    lowest = max(leading, to.emin)
    quantum = to.quantum if to.is_int else lowest - to.mantissa_bits
    multiple, inexact = _to_multiple(quotient, quantum - exponent, sticky, sign, draw, to)
    magnitude = multiple
    if not to.is_int:
        magnitude = np.uint64(
            np.uint64(np.uint64(lowest - to.emin) << np.uint64(to.mantissa_bits)) + multiple
        )
    if magnitude > to.largest[sign]:
        return to.codes[sign, _BEYOND], np.int64(to.status[sign, _BEYOND])
    status = _INEXACT if inexact else 0
    if to.is_int:
        return np.uint64(np.uint64(-magnitude) & to.mask) if sign else magnitude, status
    if inexact and leading < to.emin:
        status = _UNDERFLOW
    if magnitude < np.uint64(_ONE << np.uint64(to.mantissa_bits)):
        if magnitude == _NOTHING:
            return to.codes[sign, _AT_ZERO], status
        if to.flush:
            return to.codes[sign, _AT_ZERO], _UNDERFLOW
    return np.uint64(magnitude | to.sign_mask) if sign else magnitude, status


@kernel
def _encode(
    pattern: Any,
    zero_limit: Any,
    divisor: Any,
    power: int,
    draw: Any,
    carrier: Carrier,
    to: Rounder,
) -> tuple[Any, int]:
    """Code and status of one input divided by divisor * 2^power."""
    sign = np.int64(np.uint64(pattern) >> np.uint64(carrier.sign_bit))
    magnitude = pattern & carrier.magnitude
    if magnitude >= carrier.inf:
        special = _AT_NAN if magnitude > carrier.inf else _AT_INF
        return to.codes[sign, special], np.int64(to.status[sign, special])
    if magnitude < zero_limit:
        return to.codes[sign, _AT_ZERO], np.int64(to.status[sign, _AT_ZERO])
    field = np.int64(magnitude) >> carrier.mantissa_bits
    mantissa = np.int64(magnitude) - (field << carrier.mantissa_bits)
    significand = np.uint64(mantissa + (np.int64(field > 0) << carrier.mantissa_bits))
    exponent = max(field, np.int64(1)) - carrier.bias - carrier.mantissa_bits - power
    return _encode_finite(significand, exponent, divisor, sign, draw, to)


@kernel
def encode_numbers(
    bits: Array,
    words: Array,
    zero_below: Any,
    carrier: Carrier,
    to: Rounder,
    out: Array,
    status: Array,
    first: int,
    after: int,
) -> None:
    """Codes, and statuses unless ``status`` is empty; ``words`` is empty unless rounding is STOCHASTIC."""
    for i in range(first, after):
        draw = words[i] if words.size else _NOTHING
        code, found = _encode(bits[i], zero_below, _ONE, 0, draw, carrier, to)
        out[i] = code
        if status.size:
            status[i] = found


@kernel
def quantize_numbers(
    bits: Array,
    words: Array,
    n: int,
    k: int,
    carrier: Carrier,
    lookup: ScaleLookup,
    scales_are: Divisors,
    to: Rounder,
    codes: Array,
    scales: Array,
    status: Array,
    first: int,
    after: int,
) -> None:
    """Blocks of k along rows of n, as `kernels.quantize_blocks`."""
    per_row = (n + k - 1) // k
    word = bits.dtype.type
    for block in range(first, after):
        row, column = block // per_row, block % per_row
        start, length = row * n + column * k, min(k, n - column * k)
        part = bits[start : start + length]
        largest = word(0)
        for pattern in part:
            largest = max(largest, word(pattern & carrier.magnitude))
        zero_limit = zero_limit_of(part, largest, carrier, lookup)
        code = scale_of(part, largest, zero_limit, carrier, lookup)
        scales[block] = code
        divisor = scales_are.significand[code]
        for i in range(k):
            result, found = _NOTHING, 0
            if i < length and divisor != _NOTHING:
                draw = words[start + i] if words.size else _NOTHING
                result, found = _encode(
                    bits[start + i],
                    zero_limit,
                    divisor,
                    scales_are.exponent[code],
                    draw,
                    carrier,
                    to,
                )
            codes[block * k + i] = result
            if status.size:
                status[block * k + i] = found


@kernel
def random_words(indices: Array, key: int, bits: int, out: Array, first: int, after: int) -> None:
    """`philox.word` of each index."""
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    for i in range(first, after):
        index, seed = np.uint64(indices[i]), np.uint64(key)
        c0, c1 = np.uint64(index & mask), np.uint64(index >> half)
        c2, c3 = _NOTHING, _NOTHING
        k0, k1 = np.uint64(seed & mask), np.uint64(seed >> half)
        for _ in range(ROUNDS):
            left, right = np.uint64(_LEFT * c0), np.uint64(_RIGHT * c2)
            c0 = np.uint64(np.uint64(np.uint64(right >> half) ^ c1) ^ k0)
            c2 = np.uint64(np.uint64(np.uint64(left >> half) ^ c3) ^ k1)
            c1, c3 = np.uint64(right & mask), np.uint64(left & mask)
            k0 = np.uint64(np.uint64(k0 + _STEP_0) & mask)
            k1 = np.uint64(np.uint64(k1 + _STEP_1) & mask)
        out[i] = np.uint64(np.uint64(np.uint64(c0 << half) | c1) >> np.uint64(64 - bits))
