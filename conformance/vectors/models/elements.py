"""One element: what is discarded, and where the result lands."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import product

import numpy as np

from conformance.arrays import Array, is_nan_bits, wide_values
from conformance.vectors.bins import Coverpoint
from conformance.vectors.models.shared import place_among, scale_exponents
from conformance.vectors.of_elements import Encode, EncodeScaled
from conformance.vectors.table import Batch
from mxemu.formats import ElementFormat, FloatFormat
from mxemu.profile import Overflow
from mxemu.scalar import decode
from mxemu.value import Value

_ROUNDINGS = ("ties-to-away", "toward-zero", "toward-positive", "toward-negative", "to-odd")
MISTAKES = (
    *_ROUNDINGS,
    "half-up",
    "ties-toward-zero",
    "half-smallest-up",
    "carry-lost",
    "short-sticky",
    "late-overflow",
    "carry-into-nan",
    "nan-dropped",
    "inf-as-nan",
    "nan-by-quiet-bit",
    "underflow-early",
    "early-overflow",
    "overflow-wraps",
    "inf-as-zero",
    "overflow",
    "element-flush",
    "input-flush",
    "zero-positive",
    "scale-0-as-subnormal",
    "quotient-exponent-wraps",
)


class Parts:
    """The exact quotient of every vector, taken apart at the last bit that its element keeps.

    Attributes
    ----------
    sign, finite, zero : ndarray of bool
    kept, half, rest : ndarray of int64
        The kept significand, its first discarded bit, and all further discarded bits as a number.
    low : ndarray of int64
        How many bits are discarded.
    subnormal : ndarray of bool
        Below the smallest normal element.
    """

    def __init__(self, suite: Encode | EncodeScaled, batch: Batch) -> None:
        values = wide_values(batch.columns["value"], suite.carrier)
        if isinstance(suite, EncodeScaled):
            powers = scale_exponents(suite.block.scale)
            with np.errstate(all="ignore"):
                values = np.ldexp(values, -powers[batch.columns["scale"]])
        self.values = values
        self.sign = np.signbit(values)
        self.finite, self.zero = np.isfinite(values), values == 0
        safe = np.where(self.finite & ~self.zero, np.abs(values), 1.0)
        fraction, exponent = np.frexp(safe)
        significand = np.ldexp(fraction, 53).astype(np.int64)
        leading = exponent.astype(np.int64) - 1
        smallest, bits = _grid(suite.element)
        quantum = np.maximum(leading - bits, smallest)
        self.subnormal = leading - bits < smallest
        self.low = np.clip(quantum - (leading - 52), 1, 62)
        self.kept = significand >> self.low
        discarded = significand & ((np.int64(1) << self.low) - 1)
        self.half = discarded >> (self.low - 1)
        self.rest = discarded & ((np.int64(1) << (self.low - 1)) - 1)
        self.beyond = safe > float(suite.element.max.fraction())
        self.ordinary = self.finite & ~self.zero & ~self.beyond
        if isinstance(suite, EncodeScaled):
            self.ordinary &= batch.columns["code_expect"] != 3


def _grid(element: ElementFormat) -> tuple[int, int]:
    """The exponent of the smallest step, and the mantissa bits of a normal number."""
    if isinstance(element, FloatFormat):
        return element.emin - element.mantissa_bits, element.mantissa_bits
    return element.min_positive.leading, element.width


def conversion(suite: Encode | EncodeScaled) -> list[Coverpoint]:
    """encode and encode-scaled: the discarded bits, the ends of the range, inputs and targets."""
    element, carrier = suite.element, suite.carrier
    everything = [
        f"{region} {sign}{lsb}{guard}{following}{sticky}"
        for region, sign, lsb, guard, following, sticky in product(
            ("normal", "subnormal") if isinstance(element, FloatFormat) else ("subnormal",),
            "+-",
            *["01"] * 4,
        )
    ]
    offset = 0 if isinstance(element, FloatFormat) else 32
    # Where nothing is discarded nothing is decided.
    kept = [at for at, name in enumerate(everything) if not name.endswith("000")]

    def bits(batch: Batch) -> Array:
        parts = Parts(suite, batch)
        top = (np.int64(1) << np.maximum(parts.low - 2, 0)).astype(np.int64)
        following = (parts.rest & top != 0) & (parts.low > 1)
        sticky = parts.rest & (top - 1) != 0
        number = (
            32 * parts.subnormal
            + 16 * parts.sign
            + 8 * (parts.kept & 1)
            + 4 * parts.half
            + 2 * following
            + sticky
        )
        return np.where(parts.ordinary, place_among(number - offset, kept), -1)

    dropped = carrier.mantissa_bits + 1 - _most_kept(element)
    positions = [f"{at} below the guard" for at in range(1, max(dropped, 1))]

    def lone_sticky(batch: Batch) -> Array:
        parts = Parts(suite, batch)
        single = (parts.half == 1) & (parts.rest > 0) & (parts.rest & (parts.rest - 1) == 0)
        below = parts.low - 1 - np.floor(np.log2(np.maximum(parts.rest, 1))).astype(np.int64)
        inside = single & parts.ordinary & (below >= 1) & (below <= len(positions))
        return np.where(inside, below - 1, -1)

    points = [
        Coverpoint("sign LSB guard round sticky", [everything[at] for at in kept], bits, MISTAKES),
        Coverpoint(
            "ties",
            ["even below", "odd below"],
            _ties(suite),
            ("ties-to-away", "to-odd", "half-up", "toward-zero"),
        ),
        Coverpoint("range", _range_names(suite), _ranges(suite), MISTAKES),
        Coverpoint("input", list(_INPUTS), _inputs(suite), ("wrong-code",)),
        Coverpoint("target", _target_names(element), _targets(suite), ("wrong-code",)),
    ]
    if positions:
        claims = ("short-sticky", "toward-zero", "ties-to-away", "ties-toward-zero", "half-up")
        points.insert(1, Coverpoint("lone sticky bit", positions, lone_sticky, claims))
    return points


def _most_kept(element: ElementFormat) -> int:
    """Significant bits of the element with the most of them, and the guard bit."""
    bits = element.mantissa_bits if isinstance(element, FloatFormat) else element.width - 2
    return bits + 2


def _ties(suite: Encode | EncodeScaled) -> Callable[[Batch], Array]:
    def place(batch: Batch) -> Array:
        parts = Parts(suite, batch)
        tie = (parts.half == 1) & (parts.rest == 0) & parts.ordinary
        return np.where(tie, parts.kept & 1, -1)

    return place


_JUST_ABOVE = "rounds down to the largest"
_RANGES = (
    "half the smallest",
    "just above half the smallest",
    "just below half the smallest",
    "carry into the next binade",
    _JUST_ABOVE,
    "next above the largest, less than one step",
    "less than twice the largest",
    "twice the largest or more",
    "Inf",
)


def _range_names(suite: Encode | EncodeScaled) -> list[str]:
    """Where an overflow is clamped it does not matter whether it was one: no mistake shows just above the largest."""
    clamped = suite.key.profile.overflow is Overflow.SATURATE
    return [name for name in _RANGES if not clamped or name != _JUST_ABOVE]


def _ranges(suite: Encode | EncodeScaled) -> Callable[[Batch], Array]:
    element = suite.element
    smallest, largest = (float(one.fraction()) for one in (element.min_positive, element.max))
    step = float(Value(0, 1, element.max.exponent).fraction())
    named = [_RANGES.index(name) for name in _range_names(suite)]

    def place(batch: Batch) -> Array:
        parts = Parts(suite, batch)
        size = np.abs(parts.values)
        carry = (parts.half == 1) & parts.ordinary & ((parts.kept & (parts.kept + 1)) == 0)
        beyond = parts.finite & (size > largest)
        found = np.column_stack(
            [
                size == smallest / 2,
                (size > smallest / 2) & (size < smallest * 0.5625),
                (size < smallest / 2) & (size > smallest * 0.4375),
                carry & (parts.kept > 0),
                beyond & (size < largest + step / 2),
                beyond & (size >= largest + step / 2) & (size < largest + step),
                beyond & (size >= largest + step) & (size < 2 * largest),
                beyond & (size >= 2 * largest),
                np.isinf(parts.values),
            ]
        )
        return np.asarray(found[:, named])

    return place


_INPUTS = ("+0", "-0", "subnormal", "normal", "+Inf", "-Inf", "quiet NaN", "signalling NaN")


def _inputs(suite: Encode | EncodeScaled) -> Callable[[Batch], Array]:
    carrier = suite.carrier
    quiet_bit = 1 << (carrier.mantissa_bits - 1)

    def place(batch: Batch) -> Array:
        bits = batch.columns["value"]
        magnitude = bits & bits.dtype.type(carrier.magnitude_mask)
        sign = (bits & bits.dtype.type(carrier.sign_mask)) != 0
        nan = is_nan_bits(bits, carrier)
        quiet = (bits & bits.dtype.type(quiet_bit)) != 0
        inf = magnitude == carrier.magnitude_mask - len(carrier.nans)
        found = np.where(magnitude < 1 << carrier.mantissa_bits, 2, 3)
        found = np.where(magnitude == 0, sign.astype(np.int64), found)
        found = np.where(inf, 4 + sign, found)
        return np.where(nan, np.where(quiet, 6, 7), found)

    return place


_FROM = ("exactly", "from below", "from above")


def _target_names(element: ElementFormat) -> list[str]:
    pairs = _target_pairs(element)
    return [f"{code:#x} {_FROM[way]}" for code, way in pairs]


def _target_pairs(element: ElementFormat) -> list[tuple[int, int]]:
    """Codes, and the ways to reach them; nothing is below zero."""
    return [
        (code, way)
        for code in _target_codes(element)
        for way in range(len(_FROM))
        if way != 1 or not decode(code, element).is_zero
    ]


@lru_cache(maxsize=16)
def _target_codes(element: ElementFormat) -> tuple[int, ...]:
    """Codes that a number can become under OCP."""
    least = getattr(element, "min_code", None)
    codes = (code for code in range(1 << element.width) if code != least)
    return tuple(code for code in codes if decode(code, element).is_finite)


def _targets(suite: Encode | EncodeScaled) -> Callable[[Batch], Array]:
    pairs = _target_pairs(suite.element)
    place_of = np.full((1 << suite.element.width, len(_FROM)), -1)
    for at, pair in enumerate(pairs):
        place_of[pair] = at
    sizes = np.array(
        [
            abs(float(value.fraction())) if value.is_finite else 0.0
            for value in (decode(code, suite.element) for code in range(1 << suite.element.width))
        ]
    )

    def place(batch: Batch) -> Array:
        parts = Parts(suite, batch)
        code = batch.columns["code"]
        size, target = np.abs(parts.values), sizes[code]
        way = np.where(size == target, 0, np.where(size < target, 1, 2))
        inside = parts.finite & (batch.columns["code_expect"] != 3)
        return np.where(inside, place_of[code, way], -1)

    return place


def scales(suite: EncodeScaled) -> list[Coverpoint]:
    """encode-scaled: every scale that is a number."""
    codes = [
        code
        for code in range(1 << suite.block.scale.width)
        if decode(code, suite.block.scale).is_finite
    ]
    names = [f"{code:#04x}" for code in codes]
    claims = ("wrong-code",)
    return [
        Coverpoint("scale", names, lambda batch: place_among(batch.columns["scale"], codes), claims)
    ]
