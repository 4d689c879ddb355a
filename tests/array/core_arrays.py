"""The exact core applied to arrays one element or block at a time, and inputs that are hard to convert."""

from __future__ import annotations

import random
from functools import cache
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import oracle
from numpy.typing import NDArray

from mxemu import block, scalar
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.formats import block_format as find_block_format
from mxemu.formats import carrier as find_carrier
from mxemu.formats import element as find_element
from mxemu.profile import OCP, PRESETS, Profile, Rounding, ScaleRule
from mxemu.runs import runs
from mxemu.scale import scale_rows
from mxemu.value import Value

Array = NDArray[Any]
CARRIERS = ("binary64", "binary32", "binary16", "bfloat16")
WORDS = {"binary64": np.uint64, "binary32": np.uint32, "binary16": np.uint16, "bfloat16": np.uint16}
NUMBERS = {
    "binary64": np.dtype(np.float64),
    "binary32": np.dtype(np.float32),
    "binary16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
FORMATS = (
    "MXFP8_E4M3",
    "MXFP8_E5M2",
    "MXFP6_E3M2",
    "MXFP6_E2M3",
    "MXFP4_E2M1",
    "MXINT8",
    "MXINT4",
    "NVFP4",
)
# One for each build of element and scale that the engine treats in its own way.
CUSTOM_FORMATS = (
    "E3M3:finite/E8M0/16",
    "E4M3:ieee/E8M0/7",
    "E4M3FNUZ/E8M0/32",
    "E5M2FNUZ/E8M0/8",
    "E2M1/E4M3/1",
    "E2M1/bfloat16/16",
    "E2M1/E3M2:finite/5",
    "E5M10:ieee/E8M0/9",
    "E8M7:ieee/E8M0/4",
    "E1M2:finite/E8M0/8",
    "INT2/E8M0/16",
    "INT4/E4M3/16",
    "INT6/E8M0/64",
    "INT16/E8M0/8",
    "INT32/E8M0/4",
    "INT12/E4M3/6",
)
DETERMINISTIC = tuple(one for one in Rounding if one is not Rounding.STOCHASTIC)


class Found(NamedTuple):
    """What a quantizer gives, as plain arrays."""

    codes: Array
    scales: Array
    status: Array


def numbers(bits: Array, carrier: str) -> Array:
    """Bit patterns as the numbers that they stand for."""
    return bits.view(NUMBERS[carrier])


def encoded(
    bits: Array, carrier: str, element: str, profile: Profile = OCP, words: Array | None = None
) -> tuple[Array, Array]:
    """Codes and statuses by `scalar.encode_bits`, in the shape of the bits."""
    form, fmt = find_carrier(carrier), find_element(element)
    drawn = [0] * bits.size if words is None else words.ravel().tolist()
    found = [
        scalar.encode_bits(pattern, form, fmt, profile, word)
        for pattern, word in zip(bits.ravel().tolist(), drawn, strict=True)
    ]
    codes = np.array([one.code for one in found], np.uint64).reshape(bits.shape)
    return codes, np.array([int(one.status) for one in found], np.uint8).reshape(bits.shape)


def quantized(
    bits: Array,
    carrier: str,
    block_format: str | BlockFormat,
    profile: Profile = OCP,
    axis: int = -1,
    words: Array | None = None,
    tensor_scale: Value | None = None,
) -> Found:
    """`block.quantize_bits` along an axis, the last block of each row filled up with zeros."""
    fmt, form = find_block_format(block_format), find_carrier(carrier)
    moved = _blocks(np.moveaxis(bits, axis, -1), fmt.k)
    drawn = None if words is None else _blocks(np.moveaxis(words, axis, -1), fmt.k)
    codes, status = np.zeros(moved.shape, np.uint64), np.zeros(moved.shape, np.uint8)
    scales = np.zeros(moved.shape[:-1], np.uint64)
    for at in np.ndindex(scales.shape):
        given = None if drawn is None else drawn[at].tolist()
        found = block.quantize_bits(moved[at].tolist(), form, fmt, profile, given, tensor_scale)
        codes[at], scales[at], status[at] = found.codes, found.scale, found.status
    return Found(codes, scales, status)


def _blocks(moved: Array, k: int) -> Array:
    """Rows cut into blocks of k, filled up with zeros."""
    count = -(-moved.shape[-1] // k)
    full = np.zeros((*moved.shape[:-1], count * k), moved.dtype)
    full[..., : moved.shape[-1]] = moved
    return full.reshape(*moved.shape[:-1], count, k)


def dequantized(
    codes: Array,
    scales: Array,
    fmt: BlockFormat,
    profile: Profile,
    carrier: str,
    tensor_scale: Value | None = None,
) -> Array:
    """`block.dequantize_bits` of each block, bits of the carrier in the shape of the codes."""
    bits = np.zeros(codes.shape, WORDS[carrier])
    for at in np.ndindex(scales.shape):
        bits[at] = block.dequantize_bits(
            int(scales[at]), codes[at].tolist(), fmt, profile, carrier, tensor_scale
        )
    return bits


def presets() -> list[Profile]:
    """Every preset with a deterministic rounding."""
    return [one for one in PRESETS.values() if one.rounding is not Rounding.STOCHASTIC]


def clamp_fits(profile: Profile, scale: FloatFormat) -> Profile:
    """The profile with a scale clamp that the scale format has."""
    if profile.scale_clamp is None or profile.scale_clamp[1] <= scale.max_code:
        return profile
    return profile.replace(scale_clamp=(2, scale.max_code - 2))


@cache
def specials(carrier: str) -> tuple[int, ...]:
    """Magnitude bits of zero, both ends of the subnormal and normal numbers, Inf, and NaN of both kinds."""
    form = oracle.CARRIERS[carrier]
    inf, normal = oracle.inf_bits(carrier), 1 << form.mantissa_bits
    quiet = inf | normal >> 1
    return (
        0,
        1,
        2,
        normal - 1,
        normal,
        normal + 1,
        inf - 1,
        inf,
        inf + 1,
        quiet,
        2 * inf + normal - 1 - inf,
    )


@cache
def element_points(element: ElementFormat, carrier: str) -> tuple[int, ...]:
    """Magnitude bits around the steps of an element under two roundings, all of them or those next to some codes."""
    firsts = _steps(element, carrier) if element.width <= 10 else _values(element, carrier)
    sign = oracle.sign_bit(carrier)
    around = {first % sign + by for first in firsts for by in range(-2, 3)}
    return tuple(sorted({*specials(carrier), *[bits for bits in around if 0 <= bits < sign]}))


def _steps(element: ElementFormat, carrier: str) -> list[int]:
    roundings = (Rounding.TIES_TO_EVEN, Rounding.TOWARD_ZERO)
    tables = [runs(element, carrier, OCP.replace(rounding=rounding)) for rounding in roundings]
    return [first for table in tables for first in table.firsts]


def _values(element: ElementFormat, carrier: str) -> list[int]:
    """Bits of a few codes' values and of the middles above them, rounded to the carrier."""
    source = random.Random(f"{element}")
    form, found = find_carrier(carrier), []
    for code in [0, element.max_code - 1, *[source.randrange(element.max_code) for _ in range(60)]]:
        low, high = scalar.decode(code, element), scalar.decode(code + 1, element)
        shift = high.exponent - low.exponent
        middle = Value(0, low.significand + (high.significand << shift), low.exponent - 1)
        found += [scalar.encode(value, form).code for value in (low, middle)]
    return found


def element_inputs(element: ElementFormat, carrier: str, more: int = 200) -> Array:
    """Bits of both signs: `element_points` and random patterns."""
    source = random.Random(f"{element} {carrier}")
    sign = oracle.sign_bit(carrier)
    magnitudes = {*element_points(element, carrier), *[source.randrange(sign) for _ in range(more)]}
    both = [bits | top for bits in sorted(magnitudes) for top in (0, sign)]
    return np.array(both, WORDS[carrier])


# Significands in 1/256 at which scale rules step, those over sqrt(2) cut; NVFP4's quotients among them.
_STEPS = (256, 320, 384, 448, 480, 496, 504, 508, 510, 362, 271, 316, 339, 350, 408, 456, 288, 432)


@cache
def scale_steps(carrier: str, fmt: BlockFormat, rule: ScaleRule) -> list[int]:
    """Magnitude bits at which a scale rule steps, as the core finds them."""
    rows = scale_rows(find_carrier(carrier), fmt, OCP.replace(scale_rule=rule))
    return [run.first for run in rows]


class Blockmaker:
    """Makes random blocks of a carrier's bits for one quantizer, each kind hard in its own way.

    Parameters
    ----------
    carrier : str
    fmt : BlockFormat
    profile : Profile
        The steps of its scale rule are among the largest magnitudes.
    seed : object
    """

    def __init__(
        self,
        carrier: str,
        fmt: BlockFormat,
        profile: Profile = OCP,
        seed: object = 0,
    ) -> None:
        self.source = random.Random(f"{carrier} {fmt} {seed}")
        self.carrier, self.fmt = carrier, fmt
        self.mantissa_bits = oracle.CARRIERS[carrier].mantissa_bits
        self.sign, self.inf = oracle.sign_bit(carrier), oracle.inf_bits(carrier)
        self.steps = scale_steps(carrier, fmt, profile.scale_rule)
        self.points = element_points(fmt.element, carrier)
        self.kinds = (
            self.binades,
            self.at_step,
            self.at_rule_step,
            self.breakpoints,
            self.subnormals,
            self.specials,
            self.zeros,
            self.few_bits,
            self.anything,
        )

    def make(self, count: int) -> Array:
        """Blocks of every kind in turn, shape (count, k)."""
        made = [self._signed(self.kinds[i % len(self.kinds)]()) for i in range(count)]
        return np.array(made, WORDS[self.carrier])

    def _signed(self, magnitudes: list[int]) -> list[int]:
        return [self.source.choice((0, self.sign)) | bits for bits in magnitudes]

    def _finite(self, bits: int) -> int:
        return min(max(bits, 0), self.inf - 1)

    def _below(self, top: int, spread: int = 12) -> int:
        """A number of up to some binades below another."""
        drop = self.source.randrange(1, spread) << self.mantissa_bits
        return self._finite(top - drop - self.source.getrandbits(self.mantissa_bits))

    def _around(self, bits: int) -> int:
        """A few ulp away, or about half an ulp of binary32 in binary64."""
        far = [1 << 28, 1 << 29, (1 << 28) - 1, (1 << 28) + 1] if self.carrier == "binary64" else []
        by = self.source.choice([0, 1, 2, *far])
        return self._finite(bits + self.source.choice((-1, 1)) * by)

    def _under(self, top: int) -> list[int]:
        """A block with a given largest magnitude somewhere."""
        bits = [self._below(top) for _ in range(self.fmt.k)]
        bits[self.source.randrange(self.fmt.k)] = top
        return bits

    def binades(self) -> list[int]:
        return self._under(self._finite(self.source.randrange(self.inf)))

    def at_step(self) -> list[int]:
        return self._under(self._around(self.source.choice(self.steps)))

    def at_rule_step(self) -> list[int]:
        field = self.source.randrange(1, self.inf >> self.mantissa_bits)
        part = (self.source.choice(_STEPS) - 256 << self.mantissa_bits) >> 8
        return self._under(self._around((field << self.mantissa_bits) + part))

    def breakpoints(self) -> list[int]:
        fields = self.inf >> self.mantissa_bits
        by = self.source.randrange(-fields, fields) << self.mantissa_bits
        moved = [self.source.choice(self.points) + by for _ in range(self.fmt.k)]
        return [self._around(bits) if 0 < bits < self.inf else 1 for bits in moved]

    def subnormals(self) -> list[int]:
        top = 1 << self.mantissa_bits + self.source.randrange(2)
        return [self.source.randrange(top) >> self.source.randrange(4) for _ in range(self.fmt.k)]

    def specials(self) -> list[int]:
        own = self.binades()
        picked = self.source.sample(specials(self.carrier), 3)
        return [self.source.choice(picked) if self.source.random() < 0.2 else bits for bits in own]

    def zeros(self) -> list[int]:
        bits = [0] * self.fmt.k
        if self.source.random() < 0.6:
            bits[self.source.randrange(self.fmt.k)] = self.source.choice(specials(self.carrier))
        return bits

    def few_bits(self) -> list[int]:
        cut = max(self.mantissa_bits - 4, 0)
        return [bits >> cut << cut for bits in self.binades()]

    def anything(self) -> list[int]:
        return [self.source.randrange(self.sign) for _ in range(self.fmt.k)]
