"""Wrong conversions of numbers to E8M0. No clause defines them, so each member declares what it would do."""

from __future__ import annotations

import numpy as np

from conformance.arrays import Array, as_bits, is_nan_bits, wide_values
from conformance.zoo.elements import RoundedFirst
from conformance.zoo.reference import Reference
from mxemu.formats import BFLOAT16, BINARY32, BINARY64, ElementFormat, FloatFormat
from mxemu.profile import Profile


class ShortMask(Reference):
    """Looks for something to round up with the mask 0x4FFFFF, which leaves out two mantissa bits of binary32."""

    name = "scale-cast-short-mask"
    note = "scale-cast-bits"
    operations = ("scale-cast",)
    carriers = ("binary32",)
    profile = "ocp,scale_cast=toward-positive"

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        hidden = bits.dtype.type(0x300000)
        seen = np.where(is_nan_bits(bits, carrier), bits, bits & ~hidden)
        return super().encode_bits(seen.astype(bits.dtype), fmt, carrier, profile)


class ByWayOfBfloat16(RoundedFirst):
    """Rounds to bfloat16 first, so that what lies just above a power of two is not rounded up from there."""

    name = "scale-cast-by-way-of-bfloat16"
    note = "scale-cast-bits"
    operations = ("scale-cast",)
    carriers = ("binary32",)
    profile = "ocp,scale_cast=toward-positive"
    via = BFLOAT16


class ByWayOfBinary32(RoundedFirst):
    """Rounds binary64 to binary32 first, so that what lies just above a power of two is not rounded up from there."""

    name = "scale-cast-by-way-of-binary32"
    note = "scale-cast-bits"
    operations = ("scale-cast",)
    carriers = ("binary64",)
    profile = "ocp,scale_cast=toward-positive"
    via = BINARY32


class NegativeNanAsNegative(Reference):
    """Tests the sign before NaN: a NaN with its sign bit set becomes 0x00, as a negative number does."""

    name = "scale-cast-negative-nan"
    note = "scale-cast-special"
    operations = ("scale-cast",)
    profile = "ocp,scale_negative=smallest"

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        right = super().encode_bits(bits, fmt, carrier, profile)
        negative = bits & bits.dtype.type(carrier.sign_mask) != 0
        return np.where(is_nan_bits(bits, carrier) & negative, 0, right)


class SignInExponent(Reference):
    """Shifts the upper bits of a binary32 down without a mask, so that the sign becomes a ninth exponent bit."""

    name = "scale-cast-keeps-sign"
    note = "scale-cast-special"
    operations = ("scale-cast",)
    carriers = ("binary32",)
    profile = "ocp,scale_cast=toward-zero,scale_negative=magnitude"

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        right = super().encode_bits(bits, fmt, carrier, profile)
        wide = wide_values(bits, carrier)
        negative = as_bits(wide, BINARY64.name) >> np.uint64(63) != 0
        shifted = (bits >> np.uint32(BINARY32.mantissa_bits)).astype(np.int64)
        return np.where(negative & (wide != 0) & np.isfinite(wide), shifted, right)


MEMBERS: tuple[Reference, ...] = (
    ShortMask(),
    ByWayOfBfloat16(),
    ByWayOfBinary32(),
    NegativeNanAsNegative(),
    SignInExponent(),
)
