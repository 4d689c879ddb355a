"""Cases for one block: quantize, fake_quantize and dequantize."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import isqrt

import numpy as np

from conformance.arrays import BITS_DTYPES, Array
from conformance.cases import Cases, collect
from conformance.cases.elements import element_values, midpoints
from mxemu.block import value_bits
from mxemu.formats import BlockFormat, FloatFormat
from mxemu.scalar import decode
from mxemu.value import INF, NAN, Value

RANDOM = {"smoke": 16, "core": 128, "full": 20_000, "exhaustive": 100_000}
"""Random blocks at each level."""

ULPS = (1, 2, 3, 5, 11, 22, 44, 45)
"""Distances from a power of two; a binary32 log2 is wrong up to 44 ulp below 2^128."""

FREE_NOTES = frozenset({"zero-block", "nan-in-block", "inf-in-block"})
"""Themes on which the specification is silent: a difference from any profile is a convention, never a fault."""


@lru_cache(maxsize=64)
def quantize_cases(fmt: BlockFormat, carrier: FloatFormat, level: str) -> Cases:
    """Blocks of k inputs.

    Returns
    -------
    Cases
        Inputs are bits of the carrier, shape (n, k).
    """
    dtype = BITS_DTYPES[carrier.name]
    parts = [
        (note, np.asarray(blocks, dtype=np.uint64)) for note, blocks in _themes(fmt, carrier, level)
    ]
    return collect([(note, part.reshape(-1, fmt.k)) for note, part in parts], dtype)


def _themes(
    fmt: BlockFormat, carrier: FloatFormat, level: str
) -> Iterator[tuple[str, Sequence[Sequence[int]] | Array]]:
    bits = _Bits(carrier)
    k = fmt.k
    yield "code-order", _codes(fmt, bits)
    yield "scale-rule", [_block(k, bits.number(amax)) for amax in _staircase(carrier, level)]
    yield "amax-lane", [_lane(k, lane, bits.number(Value(0, 3, 1))) for lane in range(k)]
    yield "amax-sign", [_lane(k, lane, bits.number(Value(1, 3, 1))) for lane in range(k)]
    yield "ties-to-even", _tied(fmt, bits, level)
    yield "early-saturation", [_block(k, bits.number(Value(0, 64 + step, 0))) for step in range(64)]
    yield "element-exponent-range", _distances(fmt, bits)
    yield "float-log2", [_block(k, amax) for amax in _next_to_powers(carrier, level)]
    yield "input-subnormal-flush", _subnormals(k, carrier)
    yield "scale-clamp-low", _small(k, carrier)
    yield (
        "scale-byte-254",
        [_block(k, carrier.max_code), [carrier.max_code] * k, _block(k, carrier.max_code - 1)],
    )
    yield (
        "zero-block",
        [[0] * k, [carrier.sign_mask] * k, [0, carrier.sign_mask] * (k // 2) + [0] * (k % 2)],
    )
    yield (
        "nan-in-block",
        _special(k, [bits.number(NAN), bits.number(NAN) | carrier.sign_mask], bits),
    )
    yield (
        "inf-in-block",
        _special(k, [bits.number(INF), bits.number(INF) | carrier.sign_mask], bits),
    )
    rng = np.random.Generator(np.random.Philox(key=1000 + carrier.width))
    yield "random", random_blocks(fmt, carrier, RANDOM[level], rng)


class _Bits:
    """Values as bits of one carrier, rounded to even where the carrier is too narrow."""

    def __init__(self, carrier: FloatFormat) -> None:
        self.carrier = carrier

    def number(self, value: Value) -> int:
        return value_bits(value, self.carrier)


def _block(k: int, *bits: int) -> list[int]:
    return [*bits, *[0] * (k - len(bits))]


def _lane(k: int, lane: int, bits: int) -> list[int]:
    """A block of zeros but for one lane."""
    return [bits if index == lane else 0 for index in range(k)]


def _beside(head: int, others: list[int], k: int) -> list[list[int]]:
    """Blocks of one head with k - 1 others each, the last one padded with zeros; for k = 1 each other alone."""
    if k == 1:
        return [[head], *([other] for other in others)]
    return [_block(k, head, *others[at : at + k - 1]) for at in range(0, len(others), k - 1)]


def _codes(fmt: BlockFormat, bits: _Bits) -> list[list[int]]:
    """Every value of the element format beside its largest power of two, so that the scale is 1."""
    values = [value for code, value in enumerate(element_values(fmt.element)) if code < 1 << 8]
    both = [bits.number(value._replace(sign=sign)) for value in values for sign in (0, 1)]
    return _beside(bits.number(Value(0, 1, fmt.element.emax)), both, fmt.k)


def _staircase(carrier: FloatFormat, level: str) -> list[Value]:
    """Largest magnitudes at and next to every point of the binade where some scale rule steps."""
    ulp = carrier.mantissa_bits
    one = 1 << ulp
    marks = [
        one,
        one * 3 // 2,
        one * 7 // 4,
        one * 15 // 8,
        one * 31 // 16,
        one * 127 // 64,
        2 * one,
    ]
    marks += [
        isqrt(2 * one * one),
        isqrt(2 * one * one * 9 // 16),
        isqrt(2 * one * one * 49 // 64),
        one * 255 // 128,
    ]
    near = sorted({mark + step for mark in marks for step in (-1, 0, 1)} - {one - 1})
    exponents = (0, 5) if level == "smoke" else (0, 1, 2, 3, 5, 9, -1, -2, -7, -13)
    return [Value(0, significand, power - ulp) for power in exponents for significand in near]


def _next_to_powers(carrier: FloatFormat, level: str) -> list[int]:
    """Powers of two and their neighbours up to 45 ulp away, over the whole range of the carrier."""
    last = (1 << carrier.exponent_bits) - 2
    step = max(1, last // {"smoke": 16, "core": 64}.get(level, last))
    fields = sorted(
        {*range(1, last + 1, step), carrier.bias - 1, carrier.bias, carrier.bias + 1, last}
    )
    powers = [field << carrier.mantissa_bits for field in fields]
    ulps = ULPS[:1] if level == "smoke" else ULPS
    return [power + sign * ulp for power in powers for ulp in (0, *ulps) for sign in (1, -1)]


def _tied(fmt: BlockFormat, bits: _Bits, level: str) -> list[list[int]]:
    """Every tie of the element format, and its neighbours, under scales other than 1."""
    ties = midpoints(fmt.element)[:-1]
    if len(ties) > 512:
        ties = ties[:: len(ties) // 512]
    blocks = []
    for power in (1,) if level == "smoke" else (1, -3, 6):
        head = bits.number(Value(0, 1, fmt.element.emax + power))
        exact = [bits.number(tie.scaled(power)) for tie in ties if tie.leading < fmt.element.emax]
        both = [near | sign for near in _neighbours(exact) for sign in (0, bits.carrier.sign_mask)]
        blocks += _beside(head, both, fmt.k)
    return blocks


def _neighbours(exact: list[int]) -> list[int]:
    return [bits + step for bits in exact for step in (0, 1, -1)]


def _distances(fmt: BlockFormat, bits: _Bits) -> list[list[int]]:
    """Elements from 0 to 40 binades below the smallest normal one, both signs, with an odd significand."""
    smallest = fmt.element.min_normal if isinstance(fmt.element, FloatFormat) else fmt.element.max
    deepest = fmt.element.max.leading - smallest.leading + 40
    values = [
        bits.number(Value(sign, 11, 3 - distance))
        for distance in range(deepest + 1)
        for sign in (0, 1)
    ]
    return _beside(bits.number(Value(0, 15, 4)), values, fmt.k)


def _subnormals(k: int, carrier: FloatFormat) -> list[list[int]]:
    """Blocks of subnormal inputs only: one with each number of leading zeros, then full ones."""
    singles = [1 << bit for bit in range(carrier.mantissa_bits)]
    largest = (1 << carrier.mantissa_bits) - 1
    ramp = [1 + 37 * lane % largest for lane in range(k)]
    return [*(_block(k, bits) for bits in (*singles, largest)), ramp, [largest] * k]


def _small(k: int, carrier: FloatFormat) -> list[list[int]]:
    """The smallest normal inputs: below every scale, or not far above."""
    smallest = 1 << carrier.mantissa_bits
    fields = [(field << carrier.mantissa_bits) | 1 for field in (2, 3, 5, 9, 17)]
    return [_block(k, bits) for bits in (smallest, smallest + 1, *fields)]


def _special(k: int, specials: list[int], bits: _Bits) -> list[list[int]]:
    """A special value in the first, a middle and the last lane: alone, among ones, among small numbers, doubled."""
    one, small = bits.number(Value(0, 1, 0)), bits.number(Value(0, 5, -9))
    blocks = []
    for special in specials:
        for lane in sorted({0, k // 2, k - 1}):
            blocks += [
                [special if index == lane else rest for index in range(k)]
                for rest in (0, one, small)
            ]
        blocks += [[special] * k, [special, one, *[small] * (k - 2)][:k]]
    return blocks


def random_blocks(
    fmt: BlockFormat, carrier: FloatFormat, count: int, rng: np.random.Generator
) -> Array:
    """Uniform mantissas over many scales, in half of the lanes up to 30 binades below their block's."""
    spread = min(60, carrier.bias - 2)
    field = rng.integers(-spread, spread + 1, size=(count, 1))
    lanes = field - np.minimum(rng.geometric(0.4, size=(count, fmt.k)), 30) * rng.integers(
        0, 2, size=(count, 1)
    )
    exponent = np.clip(lanes + carrier.bias, 0, 2 * carrier.bias).astype(np.uint64)
    mantissa = rng.integers(0, 1 << carrier.mantissa_bits, size=(count, fmt.k), dtype=np.uint64)
    sign = rng.integers(0, 2, size=(count, fmt.k), dtype=np.uint64)
    return (
        (sign << np.uint64(carrier.width - 1))
        | (exponent << np.uint64(carrier.mantissa_bits))
        | mantissa
    )


@lru_cache(maxsize=16)
def dequantize_cases(fmt: BlockFormat, level: str) -> Cases:
    """Every scale code with every element code.

    Returns
    -------
    Cases
        Rows of 1 + k codes: the scale, then the elements.
    """
    codes = np.arange(1 << fmt.element.width, dtype=np.int64)
    rows = np.resize(codes, (-(-len(codes) // fmt.k), fmt.k))
    scales = np.arange(1 << fmt.scale.width, dtype=np.int64)
    if level == "smoke":
        scales = np.unique(
            np.concatenate([scales[:3], scales[-3:], scales[:: max(1, len(scales) // 16)]])
        )
    blocks = np.concatenate(
        [np.column_stack([np.full(len(rows), scale), rows]) for scale in scales]
    )
    return Cases(blocks, _dequantize_theme(blocks, fmt), _DEQUANTIZE_NOTES)


_DEQUANTIZE_NOTES = (
    "code-order",
    "special-ignores-scale",
    "scale-byte-0",
    "scale-byte-255",
    "scale-byte-254",
)


def _dequantize_theme(blocks: Array, fmt: BlockFormat) -> Array:
    """Which mistake each block catches: that of its scale, or of the Inf and NaN codes in it."""
    special = [
        code for code in range(1 << fmt.element.width) if not decode(code, fmt.element).is_finite
    ]
    theme: Array = np.where(np.isin(blocks[:, 1:], special).any(axis=1), 1, 0)
    theme[blocks[:, 0] == 0] = 2
    theme[blocks[:, 0] > fmt.scale.max_code] = 3
    theme[blocks[:, 0] == fmt.scale.max_code] = 4
    return theme
