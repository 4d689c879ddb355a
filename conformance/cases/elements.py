"""Cases for one element: encode, decode, and conversion to E8M0."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np

from conformance.arrays import BITS_DTYPES, Array
from conformance.cases import Cases, collect
from mxemu.formats import ElementFormat, FloatFormat
from mxemu.profile import OCP
from mxemu.scalar import Status, decode, encode
from mxemu.value import Value

_CARRIER = OCP.replace(overflow="overflow")
RANDOM = {"smoke": 1_000, "core": 50_000, "full": 1_000_000, "exhaustive": 1_000_000}


@lru_cache(maxsize=64)
def encode_cases(element: ElementFormat, carrier: FloatFormat, level: str) -> Cases:
    """Inputs of an encoder.

    Parameters
    ----------
    element : FloatFormat or IntFormat
    carrier : FloatFormat
    level : str
        ``smoke``, ``core``, ``full``; ``exhaustive`` adds the sweep of all inputs elsewhere.

    Returns
    -------
    Cases
        Inputs are bits of the carrier, shape (n,).
    """
    return collect(_encode_themes(element, carrier, level), BITS_DTYPES[carrier.name])


def _encode_themes(
    element: ElementFormat, carrier: FloatFormat, level: str
) -> Iterator[tuple[str, Array]]:
    sign = carrier.sign_mask
    values, middles = element_values(element), midpoints(element)
    codes, ties = _exact_bits(values, carrier), _exact_bits(middles, carrier)
    top = _exact_bits(_beyond(element), carrier)
    normal = _exact_bits(values[_first_normal(element) :], carrier)
    largest, last_tie = _exact_bits(values[-1:], carrier), _exact_bits(middles[-1:], carrier)
    yield "code-order", np.append(_signs(normal, sign), np.uint64(0))
    yield "subnormal-flush", _signs(_exact_bits(values[1 : _first_normal(element)], carrier), sign)
    yield "negative-zero-lost", np.append(ties[:1] - 1, np.uint64(0)) | np.uint64(sign)
    yield "underflow-to-zero-tie", _signs(ties[:1], sign)
    yield "smallest-subnormal", _signs(_below_smallest(element, carrier), sign)
    yield "ties-to-even", _signs(ties, sign)
    yield "early-saturation", _signs(np.append(largest + 1, last_tie - 1), sign)
    yield "late-saturation", _signs(np.concatenate([last_tie + 1, top, _next_to(top)]), sign)
    yield "carry-lost", _signs(_below_powers(codes, carrier), sign)
    yield "sticky-lost", _signs(_next_to(ties), sign)
    yield "truncation", _signs(_next_to(codes), sign)
    yield "inf-policy", _signs(_inf(carrier), sign)
    yield "nan-dropped", _signs(_quiet_nans(carrier), sign)
    yield "nan-payload", _signs(_nans(carrier), sign)
    yield "input-subnormal-flush", _signs(_subnormals(carrier), sign)
    if level != "smoke":
        yield "double-rounding", _signs(_sticky_at_every_bit(ties, carrier), sign)
        yield "element-exponent-range", _signs(_every_binade(carrier), sign)
    if carrier.width == 16 and level != "smoke":
        yield "every-input", np.arange(1 << 16, dtype=np.uint64)
    elif level in ("full", "exhaustive"):
        yield "every-upper-half", _upper_halves(carrier)
    rng = np.random.Generator(np.random.Philox(key=carrier.width))
    yield "random", random_inputs(element, carrier, RANDOM[level], rng)


def decode_cases(element: ElementFormat) -> Cases:
    """Every code of a format."""
    codes = np.arange(1 << element.width, dtype=np.int64)
    if element.width > 16:
        codes = codes[:: max(1, len(codes) >> 16)]
    return Cases(codes, _decode_theme(codes, element), _DECODE_NOTES)


_DECODE_NOTES = (
    "code-order",
    "subnormal-flush",
    "negative-zero-lost",
    "nan-dropped",
    "scale-byte-0",
    "scale-byte-255",
    "scale-byte-254",
)


def _decode_theme(codes: Array, element: ElementFormat) -> Array:
    """Which mistake each code catches on decode."""
    theme = np.zeros(len(codes), dtype=np.int64)
    if not isinstance(element, FloatFormat):
        return theme
    magnitude = codes & element.magnitude_mask
    if not element.subnormals:
        theme[magnitude == 0] = 4
        theme[magnitude > element.max_code] = 5
        theme[magnitude == element.max_code] = 6
        return theme
    theme[(magnitude > 0) & (magnitude < 1 << element.mantissa_bits)] = 1
    theme[magnitude == 0] = 2
    theme[magnitude > element.max_code] = 3
    return theme


@lru_cache(maxsize=16)
def scale_cast_cases(scale: FloatFormat, carrier: FloatFormat, level: str) -> Cases:
    """Inputs of a conversion to a scale format: powers of two, halfway points, neighbours, specials, both signs."""
    sign = carrier.sign_mask
    powers = _every_power(carrier)
    exponents = powers.astype(np.int64) >> carrier.mantissa_bits
    distance = np.abs(exponents - carrier.bias)
    powers = powers[
        (distance <= scale.emax + 3) | (exponents % 32 == 0) | (exponents > 2 * carrier.bias - 2)
    ]
    ends = [decode(code, scale) for code in (0, scale.max_code)]
    around = [end.scaled(step) for end in ends for step in range(-2, 3)]
    powers = np.union1d(powers[:: 8 if level == "smoke" else 1], _exact_bits(around, carrier))
    normal = powers[powers >= 1 << carrier.mantissa_bits]
    small = powers[(powers < 1 << carrier.mantissa_bits) & (powers > 1)]
    quarter = 1 << (carrier.mantissa_bits - 2)
    quarters = normal | np.uint64(quarter)
    halves = np.concatenate([normal | np.uint64(2 * quarter), small | small >> np.uint64(1)])
    rng = np.random.Generator(np.random.Philox(key=carrier.width))
    parts = [
        (
            "scale-cast-special",
            _signs(
                np.concatenate(
                    [np.zeros(1, np.uint64), _inf(carrier), _quiet_nans(carrier), _nans(carrier)]
                ),
                sign,
            ),
        ),
        ("scale-cast", powers),
        ("scale-cast", np.concatenate([_next_to(powers), quarters, halves, _next_to(halves)])),
        ("scale-cast-special", powers | np.uint64(sign)),
        (
            "scale-cast",
            random_inputs(scale, carrier, RANDOM[level] // 50, rng)
            & np.uint64(carrier.magnitude_mask),
        ),
    ]
    return collect(parts, BITS_DTYPES[carrier.name])


def element_values(element: ElementFormat) -> list[Value]:
    """The values of all non-negative finite codes, in order of the code."""
    return [decode(code, element) for code in range(element.max_code + 1)]


def midpoints(element: ElementFormat) -> list[Value]:
    """Every midpoint of neighbouring values, and the one above the largest value."""
    ladder = [*element_values(element), *_beyond(element)[:1]]
    return [_middle(low, high) for low, high in pairwise(ladder)]


def _first_normal(element: ElementFormat) -> int:
    """The smallest code above zero that is not subnormal."""
    has_subnormals = isinstance(element, FloatFormat) and element.subnormals
    return 1 << element.mantissa_bits if has_subnormals else 1


def _below_smallest(element: ElementFormat, carrier: FloatFormat) -> Array:
    """Three quarters of the smallest value above zero, and just less than all of it: both round up."""
    smallest = element.min_positive
    three_quarters = Value(0, 3 * smallest.significand, smallest.exponent - 2)
    return np.append(
        _exact_bits([three_quarters], carrier), _exact_bits([smallest], carrier) - np.uint64(1)
    )


def _below_powers(codes: Array, carrier: FloatFormat) -> Array:
    """One ulp below each code that is a power of two: rounding up carries into the exponent."""
    mantissa = codes & np.uint64((1 << carrier.mantissa_bits) - 1)
    return codes[(mantissa == 0) & (codes > 0)] - np.uint64(1)


def _middle(low: Value, high: Value) -> Value:
    shift = high.exponent - low.exponent
    total = (low.significand << max(-shift, 0)) + (high.significand << max(shift, 0))
    return Value(0, total, min(low.exponent, high.exponent) - 1)


def _beyond(element: ElementFormat) -> list[Value]:
    """The values that would follow the largest one, and doubles of it."""
    largest = element.max
    steps = [largest._replace(significand=largest.significand + step) for step in range(1, 4)]
    return [*steps, *(largest.scaled(power) for power in (1, 2, 5))]


def _exact_bits(values: list[Value], carrier: FloatFormat) -> Array:
    """Bits of the values that the carrier has."""
    found = [encode(value, carrier, _CARRIER) for value in values]
    return np.array([bits for bits, status in found if status is Status.EXACT], dtype=np.uint64)


def _signs(bits: Array, sign: int) -> Array:
    return np.concatenate([bits, bits | np.uint64(sign)]) if len(bits) else bits


def _next_to(bits: Array) -> Array:
    """One ulp above and below; zero has no neighbour below."""
    return np.concatenate([bits + np.uint64(1), bits[bits > 0] - np.uint64(1)])


def _inf(carrier: FloatFormat) -> Array:
    return np.array([carrier.inf], dtype=np.uint64)


def _quiet_nans(carrier: FloatFormat) -> Array:
    """The NaN with the topmost mantissa bit only, and the one with all bits."""
    last = carrier.nans[-1]
    return np.array([last & ~((1 << (carrier.mantissa_bits - 1)) - 1), last], dtype=np.uint64)


def _nans(carrier: FloatFormat) -> Array:
    """NaNs with a single bit in the mantissa, most of them signalling."""
    inf = carrier.nans[0] - 1
    return np.array([inf | (1 << bit) for bit in range(carrier.mantissa_bits)], dtype=np.uint64)


def _subnormals(carrier: FloatFormat) -> Array:
    """Subnormals of the carrier with every number of leading zeros, sparse and dense."""
    single = [1 << bit for bit in range(carrier.mantissa_bits)]
    return np.array([*single, *(2 * bit - 1 for bit in single)], dtype=np.uint64)


def _sticky_at_every_bit(ties: Array, carrier: FloatFormat) -> Array:
    """Each tie with one lower bit added or taken away, at every position: what double rounding cannot see."""
    found = []
    lowest = ties & (~ties + np.uint64(1))
    for bit in range(carrier.mantissa_bits):
        movable = ties[lowest > np.uint64(1 << bit)]
        found += [movable + np.uint64(1 << bit), movable - np.uint64(1 << bit)]
    return np.concatenate(found)


def _every_power(carrier: FloatFormat) -> Array:
    """Every power of two of the carrier, subnormal ones included."""
    normal = np.arange(1, (1 << carrier.exponent_bits) - 1, dtype=np.uint64) << np.uint64(
        carrier.mantissa_bits
    )
    subnormal = np.uint64(1) << np.arange(carrier.mantissa_bits, dtype=np.uint64)
    return np.concatenate([subnormal, normal])


def _every_binade(carrier: FloatFormat) -> Array:
    """The ends of every binade of the carrier."""
    powers = _every_power(carrier)
    return np.concatenate([powers, _next_to(powers), np.array([carrier.max_code], dtype=np.uint64)])


def _upper_halves(carrier: FloatFormat) -> Array:
    """Every pattern of the upper 16 bits with the lower bits that matter: none, one, half, half and one, all."""
    low = carrier.width - 16
    upper = np.arange(1 << 16, dtype=np.uint64) << np.uint64(low)
    half = 1 << (low - 1)
    return np.concatenate(
        [upper | np.uint64(tail) for tail in (0, 1, half - 1, half, half + 1, 2 * half - 1)]
    )


def random_inputs(
    element: ElementFormat, carrier: FloatFormat, count: int, rng: np.random.Generator
) -> Array:
    """Half uniform bits, half spread evenly over the binades of the element."""
    uniform = rng.integers(0, 1 << carrier.width, size=count // 2, dtype=np.uint64, endpoint=False)
    low, high = element.min_positive.leading - 2, element.max.leading + 2
    fields = rng.integers(
        max(1, low + carrier.bias), min(2 * carrier.bias, high + carrier.bias) + 1, size=count // 2
    )
    mantissa = rng.integers(0, 1 << carrier.mantissa_bits, size=count // 2, dtype=np.uint64)
    sign = rng.integers(0, 2, size=count // 2, dtype=np.uint64) << np.uint64(carrier.width - 1)
    return np.concatenate(
        [uniform, sign | (fields.astype(np.uint64) << np.uint64(carrier.mantissa_bits)) | mantissa]
    )
