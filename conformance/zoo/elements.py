"""Wrong conversions of single elements."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from conformance.arrays import Array, as_values, encode_by_runs, is_nan_bits
from conformance.zoo.reference import Reference, rounded_bits
from mxemu.block import value_bits
from mxemu.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    ElementFormat,
    FloatFormat,
    IntFormat,
)
from mxemu.profile import Overflow, Profile, Rounding


class RoundedFirst(Reference):
    """Rounds what comes in its carriers to a narrower format before anything else."""

    via: ClassVar[FloatFormat]

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        if carrier.name not in self.carriers:
            return super().encode_bits(bits, fmt, carrier, profile)
        with np.errstate(all="ignore"):
            narrow = rounded_bits(as_values(bits, carrier.name), self.via)
        return super().encode_bits(narrow, fmt, self.via, profile)


class DoubleRoundingBinary32(RoundedFirst):
    """Rounds binary64 to binary32 first."""

    name = "double-rounding-binary32"
    note = "double-rounding"
    operations = ("encode",)
    carriers = ("binary64",)
    via = BINARY32


class DoubleRoundingBinary16(RoundedFirst):
    """Rounds to binary16 first, which also overflows there."""

    name = "double-rounding-binary16"
    note = "double-rounding"
    operations = ("encode",)
    carriers = ("binary32", "binary64")
    via = BINARY16


class DoubleRoundingBfloat16(RoundedFirst):
    """Rounds binary32 to bfloat16 first."""

    name = "double-rounding-bfloat16"
    note = "double-rounding"
    operations = ("encode",)
    carriers = ("binary32",)
    via = BFLOAT16


class HalfUp(Reference):
    """floor(x + 1/2): ties go towards +Inf, so positive ones away from zero and negative ones towards it."""

    name = "half-up"
    note = "half-up-ties"
    operations = ("encode",)

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        away = profile.replace(rounding=Rounding.TIES_TO_AWAY)
        sign = bits.dtype.type(carrier.sign_mask)
        # Where ties go away from zero a row starts at the tie, so one ulp below it is what a tie towards zero gives.
        towards = np.where(
            (bits & sign != 0) & (bits != sign) & ~is_nan_bits(bits, carrier),
            bits - (bits > 0),
            bits,
        )
        return encode_by_runs(towards.astype(bits.dtype), fmt, carrier, away)


class HalfAddedInCarrier(Reference):
    """floor(|x| + 1/2) in the carrier, where the sum is rounded too: just below 1/2 it becomes 1, and ties go away."""

    name = "half-added-in-carrier"
    note = "half-added"
    operations = ("encode",)
    profile = "ocp,rounding=ties-to-away"

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        away = profile.replace(rounding=Rounding.TIES_TO_AWAY)
        tie = bits.dtype.type(value_bits(fmt.min_positive.scaled(-1), carrier))
        below = bits & bits.dtype.type(carrier.magnitude_mask) == tie - 1
        return encode_by_runs(np.where(below, bits + bits.dtype.type(1), bits), fmt, carrier, away)


class SignTimesFloor(HalfAddedInCarrier):
    """sign(x) * floor(|x| + 1/2) in the carrier: as above, and -0 becomes +0, because sign(-0) is 0."""

    name = "sign-times-floor"
    formats = ("E4M3", "E5M2", "E3M2", "E2M3", "E2M1")

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        rounded = super().encode_bits(bits, fmt, carrier, profile)
        return np.where(bits == carrier.sign_mask, 0, rounded)


class SignOfZeroDropped(Reference):
    """Multiplies the rounded magnitude by sign(x), which is 0 for -0; a negative number that becomes zero keeps its."""

    name = "sign-of-zero-dropped"
    note = "negative-zero-lost"
    operations = ("encode",)
    formats = ("E4M3", "E5M2", "E3M2", "E2M3", "E2M1")

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        right = super().encode_bits(bits, fmt, carrier, profile)
        return np.where(bits == carrier.sign_mask, 0, right)


class SubnormalsRoundedTwice(Reference):
    """Rounds to the mantissa's width first and again when the result turns out to be subnormal and is shifted."""

    name = "subnormals-rounded-twice"
    note = "double-rounding"
    operations = ("encode",)
    formats = ("E4M3", "E5M2", "E3M2", "E2M3")

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        if not isinstance(fmt, FloatFormat):
            return super().encode_bits(bits, fmt, carrier, profile)
        wide, one = bits.astype(np.uint64), np.uint64(1)
        cut = np.uint64(carrier.mantissa_bits - fmt.mantissa_bits)
        odd = (wide >> cut) & one
        rounded = ((wide + (one << (cut - one)) - one + odd) >> cut) << cut
        magnitude = wide & np.uint64(carrier.magnitude_mask)
        small = magnitude < np.uint64(value_bits(fmt.min_normal, carrier))
        normal = magnitude >= one << np.uint64(carrier.mantissa_bits)
        twice = np.where(small & normal, rounded, wide).astype(bits.dtype)
        return super().encode_bits(twice, fmt, carrier, profile)


class SubnormalsHalved(Reference):
    """Shifts subnormal results by one bit too many: they are half of what they should be."""

    name = "subnormals-halved"
    note = "subnormal-shift"
    operations = ("encode",)
    formats = ("E4M3", "E5M2", "E3M2", "E2M3")

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        right = super().encode_bits(bits, fmt, carrier, profile)
        if not isinstance(fmt, FloatFormat):
            return right
        magnitude = bits & bits.dtype.type(carrier.magnitude_mask)
        one = bits.dtype.type(1 << carrier.mantissa_bits)
        small = magnitude < bits.dtype.type(value_bits(fmt.min_normal, carrier))
        halved = super().encode_bits(
            bits - np.where(magnitude >= 2 * one, one, 0), fmt, carrier, profile
        )
        return np.where(small, halved, right)


class PlusZeroNegated(Reference):
    """Computes the sign bit as (2 - sign(x)) // 2, which sets it for zero: +0 becomes the code of -0."""

    name = "plus-zero-negated"
    note = "plus-zero"
    operations = ("encode",)
    formats = ("E4M3", "E5M2", "E3M2", "E2M3", "E2M1")

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        right = super().encode_bits(bits, fmt, carrier, profile)
        return np.where(bits == 0, 1 << (fmt.width - 1), right)


class TiesTowardZero(Reference):
    """Takes the closest code by a search that keeps the first of two, which is the one closer to zero."""

    name = "ties-toward-zero"
    note = "ties-to-even"
    operations = ("encode",)

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        away = profile.replace(rounding=Rounding.TIES_TO_AWAY)
        zero = bits & bits.dtype.type(carrier.magnitude_mask) == 0
        below = np.where(zero | is_nan_bits(bits, carrier), bits, bits - bits.dtype.type(1))
        return encode_by_runs(below, fmt, carrier, away)


class HalfSmallestUp(Reference):
    """Rounds the tie between zero and the smallest value up."""

    name = "half-smallest-up"
    note = "underflow-to-zero-tie"
    operations = ("encode",)

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        codes = super().encode_bits(bits, fmt, carrier, profile)
        away = encode_by_runs(bits, fmt, carrier, profile.replace(rounding=Rounding.TIES_TO_AWAY))
        tie = value_bits(fmt.min_positive.scaled(-1), carrier)
        return np.where(bits & bits.dtype.type(carrier.magnitude_mask) == tie, away, codes)


class CarryLost(Reference):
    """Drops the carry when rounding up overflows an all-ones mantissa: half of what it should be."""

    name = "carry-lost"
    note = "carry-lost"
    operations = ("encode",)

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        codes = super().encode_bits(bits, fmt, carrier, profile)
        if not isinstance(fmt, FloatFormat):
            return codes
        cut = encode_by_runs(bits, fmt, carrier, profile.replace(rounding=Rounding.TOWARD_ZERO))
        mantissa = (1 << fmt.mantissa_bits) - 1
        finite = codes & fmt.magnitude_mask <= fmt.max_code
        carried = finite & (codes == cut + 1) & (codes & mantissa == 0)
        return np.where(carried, cut & ~mantissa, codes)


class ShortSticky(Reference):
    """Looks at the upper half of the mantissa only: what lies just above a tie is taken for the tie."""

    name = "short-sticky"
    note = "sticky-lost"
    operations = ("encode",)

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        dropped = (1 << (carrier.mantissa_bits // 2)) - 1
        short = bits & bits.dtype.type(carrier.sign_mask | carrier.magnitude_mask & ~dropped)
        kept = np.where(is_nan_bits(bits, carrier), bits, short)
        return super().encode_bits(kept, fmt, carrier, profile)


class EarlyOverflow(Reference):
    """Compares with the largest value before rounding, so what would round down to it overflows."""

    name = "early-overflow"
    note = "early-saturation"
    operations = ("encode",)

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        codes = super().encode_bits(bits, fmt, carrier, profile)
        if profile.overflow is Overflow.SATURATE or isinstance(fmt, IntFormat):
            return codes
        up = profile.replace(rounding=Rounding.TOWARD_POSITIVE)
        down = profile.replace(rounding=Rounding.TOWARD_NEGATIVE)
        sign = bits & bits.dtype.type(carrier.sign_mask) != 0
        away = np.where(
            sign, encode_by_runs(bits, fmt, carrier, down), encode_by_runs(bits, fmt, carrier, up)
        )
        beyond = (away & fmt.magnitude_mask) > fmt.max_code
        return np.where(beyond, away, codes)


class LateOverflow(Reference):
    """Overflows from the next code that would exist, so what lies half-way to it becomes the largest value."""

    name = "late-overflow"
    note = "late-saturation"
    operations = ("encode",)

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        codes = super().encode_bits(bits, fmt, carrier, profile)
        clamped = super().encode_bits(
            bits, fmt, carrier, profile.replace(overflow=Overflow.SATURATE)
        )
        largest = fmt.max
        beyond = value_bits(largest._replace(significand=largest.significand + 1), carrier)
        return np.where(bits & bits.dtype.type(carrier.magnitude_mask) < beyond, clamped, codes)


class CarryIntoNan(Reference):
    """Saturates what starts above the largest value, but lets a value that rounds up there carry into the next code."""

    name = "carry-into-nan"
    note = "carry-into-nan"
    operations = ("encode",)
    formats = ("E4M3", "E5M2")

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        codes = super().encode_bits(bits, fmt, carrier, profile)
        if fmt.name not in self.formats or not isinstance(fmt, FloatFormat):
            return codes
        toward_zero = profile.replace(rounding=Rounding.TOWARD_ZERO, overflow=Overflow.OVERFLOW)
        carried = (
            encode_by_runs(bits, fmt, carrier, profile.replace(overflow=Overflow.OVERFLOW))
            & fmt.magnitude_mask
        )
        binade_top = bits.astype(np.uint64) & np.uint64(carrier.magnitude_mask)
        limit = (fmt.emax + 1 + carrier.bias) << carrier.mantissa_bits
        rounds_up = (carried > fmt.max_code) & (binade_top < np.uint64(limit))
        kept = encode_by_runs(bits, fmt, carrier, toward_zero)
        return np.where(rounds_up, kept + 1, codes)


class NanDropped(Reference):
    """Clamps with min and max, which drop NaN: it comes out as the largest value."""

    name = "nan-dropped"
    note = "nan-dropped"
    operations = ("encode",)
    formats = ("E4M3", "E5M2")

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        codes = super().encode_bits(bits, fmt, carrier, profile)
        return (
            np.where(is_nan_bits(bits, carrier), fmt.max_code, codes)
            if fmt.name in self.formats
            else codes
        )


class InfAsNan(Reference):
    """Turns Inf into NaN also where it is asked to saturate."""

    name = "inf-as-nan"
    note = "inf-policy"
    operations = ("encode",)
    formats = ("E4M3", "E5M2")

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        codes = super().encode_bits(bits, fmt, carrier, profile)
        inf = bits & bits.dtype.type(carrier.magnitude_mask) == carrier.inf
        return np.where(inf, 0x7F, codes) if fmt.name in self.formats else codes


class NanByQuietBit(Reference):
    """Knows NaN by its topmost mantissa bit, and takes signalling NaNs for Inf."""

    name = "nan-by-quiet-bit"
    note = "nan-payload"
    operations = ("encode",)

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        quiet = bits & bits.dtype.type(1 << (carrier.mantissa_bits - 1)) != 0
        mantissa = bits.dtype.type((1 << carrier.mantissa_bits) - 1)
        taken = np.where(is_nan_bits(bits, carrier) & ~quiet, bits & ~mantissa, bits)
        return super().encode_bits(taken, fmt, carrier, profile)


class UnderflowEarly(Reference):
    """Zero for everything below the smallest positive value, also for what would round up to it."""

    name = "underflow-early"
    note = "smallest-subnormal"
    operations = ("encode",)

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        codes = super().encode_bits(bits, fmt, carrier, profile)
        toward_zero = encode_by_runs(
            bits, fmt, carrier, profile.replace(rounding=Rounding.TOWARD_ZERO)
        )
        magnitude = fmt.magnitude_mask if isinstance(fmt, FloatFormat) else fmt.max_code
        return np.where(toward_zero & magnitude == 0, toward_zero, codes)


MEMBERS: tuple[Reference, ...] = (
    DoubleRoundingBinary32(),
    DoubleRoundingBinary16(),
    DoubleRoundingBfloat16(),
    SubnormalsRoundedTwice(),
    HalfUp(),
    HalfAddedInCarrier(),
    SignTimesFloor(),
    SignOfZeroDropped(),
    TiesTowardZero(),
    HalfSmallestUp(),
    CarryLost(),
    ShortSticky(),
    EarlyOverflow(),
    LateOverflow(),
    CarryIntoNan(),
    InfAsNan(),
    NanDropped(),
    NanByQuietBit(),
    UnderflowEarly(),
    SubnormalsHalved(),
    PlusZeroNegated(),
)
