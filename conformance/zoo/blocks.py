"""Wrong block conversions: each computes another scale, or loses its way between lanes."""

from __future__ import annotations

import numpy as np

from conformance.arrays import Array, as_bits, as_values, nan_code_mask, wide_values
from conformance.zoo.reference import Reference
from mxemu.block import value_bits
from mxemu.formats import BINARY64, BlockFormat, FloatFormat
from mxemu.profile import Profile
from mxemu.scalar import carry_in, decode, encode
from mxemu.scale import amax, scale_code, shared_exponent
from mxemu.value import NAN, Value, divide


class BlockByBlock(Reference):
    """Base of the members that compute the scale of a block wrongly, or its elements."""

    operations = ("quantize",)

    def code(
        self, values: list[Value], fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> int:
        """The scale code of one block."""
        return scale_code(amax(values, profile), fmt, profile)

    def element(self, scaled: Value, fmt: BlockFormat, profile: Profile) -> int:
        """The code of one element, of which the scale has been taken out."""
        return encode(scaled, fmt.element, profile).code

    def quantize_bits(
        self, rows: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        found = []
        for row in rows:
            values = [carry_in(int(bits), carrier, profile) for bits in row]
            code = self.code(values, fmt, carrier, profile)
            scale = decode(code, fmt.scale)
            elements = (self.element(divide(value, scale), fmt, profile) for value in values)
            found.append([code, *([0] * fmt.k if scale.is_nan else elements)])
        return np.array(found, dtype=np.int64)


class FloatLog2(BlockByBlock):
    """floor(log2(amax)) in floating point: just below 2^n the logarithm rounds up to n."""

    note = "float-log2"
    dtype: type[np.floating] = np.float64

    def code(
        self, values: list[Value], fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> int:
        right = scale_code(amax(values, profile), fmt, profile)
        largest = amax(values, profile)
        if not largest.is_finite or largest.is_zero:
            return right
        exponent = int(np.floor(self.dtype(np.log2(_as_float(largest)))))
        return min(max(exponent - fmt.element.emax + fmt.scale.bias, 0), fmt.scale.max_code)


def _as_float(value: Value) -> np.float64:
    return np.ldexp(np.float64(value.significand), value.exponent)


class FloatLog2Binary64(FloatLog2):
    """floor(log2(amax)) with a binary64 logarithm, which rounds up to n just below 2^n."""

    name = "float-log2-binary64"


class FloatLog2Binary32(FloatLog2):
    """floor(log2(amax)) with a binary32 logarithm, which rounds up to n just below 2^n."""

    name = "float-log2-binary32"
    dtype = np.float32


class FloatLog2Binary16(FloatLog2):
    """floor(log2(amax)) with a binary16 logarithm, as for binary16 tensors; it rounds up to n below 2^n."""

    name = "float-log2-binary16"
    dtype = np.float16


class EmaxPlusBias(BlockByBlock):
    """Subtracts emax plus the element's bias from the exponent of amax."""

    name = "scale-subtracts-emax-and-bias"
    note = "scale-emax-missing"

    def shift(self, fmt: BlockFormat) -> int:
        """How far the exponent is off."""
        return -getattr(fmt.element, "bias", 1)

    def code(
        self, values: list[Value], fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> int:
        largest = amax(values, profile)
        right = scale_code(largest, fmt, profile)
        if not largest.is_finite or largest.is_zero:
            return right
        return min(max(right + self.shift(fmt), 0), fmt.scale.max_code)


class EmaxMissing(EmaxPlusBias):
    """Forgets to subtract emax, so that every element is small."""

    name = "scale-without-emax"

    def shift(self, fmt: BlockFormat) -> int:
        return fmt.element.emax or 1


class EmaxOneLess(EmaxPlusBias):
    """Subtracts emax + 1: the exponent of the code above the largest one."""

    name = "scale-one-too-small"

    def shift(self, fmt: BlockFormat) -> int:
        return -1


class SignedMaximum(BlockByBlock):
    """Takes the largest value instead of the largest magnitude."""

    name = "max-without-abs"
    note = "amax-sign"

    def code(
        self, values: list[Value], fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> int:
        return scale_code(
            amax([value for value in values if not value.sign or value.is_nan], profile),
            fmt,
            profile,
        )


class HalfTheLanes(BlockByBlock):
    """Searches the first half of the block for the largest magnitude."""

    name = "amax-of-half-the-lanes"
    note = "amax-lane"

    def code(
        self, values: list[Value], fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> int:
        return scale_code(amax(values[: max(1, fmt.k // 2)], profile), fmt, profile)


class ScaleWraps(BlockByBlock):
    """Puts an exponent below -127 into the byte of the scale without a look at its range."""

    name = "scale-wraps"
    note = "scale-clamp-low"

    def code(
        self, values: list[Value], fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> int:
        largest = amax(values, profile)
        if not largest.is_finite or largest.is_zero:
            return scale_code(largest, fmt, profile)
        exponent = shared_exponent(largest, fmt.element, profile.scale_rule)
        return (exponent + fmt.scale.bias) % (1 << fmt.scale.width)


class ShiftWraps(BlockByBlock):
    """Shifts a significand by the distance to the smallest exponent modulo 32, as a 32-bit register does."""

    name = "shift-count-wraps"
    note = "element-exponent-range"

    def element(self, scaled: Value, fmt: BlockFormat, profile: Profile) -> int:
        if scaled.is_zero or not scaled.is_finite:
            return super().element(scaled, fmt, profile)
        smallest = fmt.element.emin if isinstance(fmt.element, FloatFormat) else fmt.element.emax
        distance = max(smallest - scaled.leading, 0)
        return super().element(scaled.scaled(distance // 32 * 32), fmt, profile)


class ZeroBlockNan(BlockByBlock):
    """Divides by the largest magnitude of an all-zero block: 0 / 0."""

    name = "zero-block-nan"
    note = "zero-block"

    def code(
        self, values: list[Value], fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> int:
        largest = amax(values, profile)
        return scale_code(NAN if largest.is_zero else largest, fmt, profile)


class ScaleZeroAsSubnormal(Reference):
    """Reads scale code 0 with the exponent of code 1, as subnormals are read."""

    name = "scale-0-as-subnormal"
    note = "scale-byte-0"
    operations = ("encode-scaled",)

    def scaled_bits(
        self,
        bits: Array,
        scales: Array,
        fmt: BlockFormat,
        carrier: FloatFormat,
        profile: Profile,
    ) -> Array:
        return super().scaled_bits(bits, np.maximum(scales, 1), fmt, carrier, profile)


class QuotientWraps(Reference):
    """Subtracts the exponents in 8 bits, so that the far ends meet."""

    name = "quotient-exponent-wraps"
    note = "element-exponent-range"
    operations = ("encode-scaled",)

    def scaled_bits(
        self,
        bits: Array,
        scales: Array,
        fmt: BlockFormat,
        carrier: FloatFormat,
        profile: Profile,
    ) -> Array:
        wide = wide_values(bits, carrier)
        with np.errstate(all="ignore"):
            fraction, exponent = np.frexp(wide)
            exact = exponent - (scales.astype(np.int64) - fmt.scale.bias)
            wrapped = (exact + 127) % 256 - 127
            quotients = np.where(np.isfinite(wide), np.ldexp(fraction, wrapped), wide)
        found = self.encode_bits(as_bits(quotients, "binary64"), fmt.element, BINARY64, profile)
        found[nan_code_mask(fmt.scale)[scales]] = 0
        return found


class PairsSwapped(Reference):
    """Writes each pair of elements in the other order, as swapped nibbles read."""

    name = "pairs-swapped"
    note = "code-order"
    operations = ("quantize",)

    def quantize_bits(
        self, rows: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        right = super().quantize_bits(rows, fmt, carrier, profile)
        order = np.arange(fmt.k) ^ 1
        order[order >= fmt.k] = fmt.k - 1
        return np.column_stack([right[:, 0], right[:, 1:][:, order]])


class Shift23Scale(Reference):
    """Multiplies by the scale code shifted into an exponent field: 0x00 is 0, 0xFF is Inf."""

    name = "dequantize-shift23"
    note = "shift23-scale"
    operations = ("dequantize",)

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        right = super().dequantize_bits(rows, fmt, carrier)
        wrong = (rows[:, 0] == 0) | (rows[:, 0] == 0xFF)
        if carrier.width != 32 or not wrong.any():
            return right
        scales = as_values((rows[wrong, 0] << 23).astype(np.uint32), "binary32")
        elements = as_values(self.decode_bits(rows[wrong, 1:], fmt.element, carrier), "binary32")
        with np.errstate(all="ignore"):
            right[wrong] = (elements * scales[:, None]).view(np.uint32)
        return right


class ScaleZero(Reference):
    """Reads scale 0x00 as zero."""

    name = "scale-0-as-zero"
    note = "scale-byte-0"
    operations = ("dequantize",)

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        right = super().dequantize_bits(rows, fmt, carrier)
        elements = self.decode_bits(rows[:, 1:], fmt.element, carrier)
        finite = elements & elements.dtype.type(carrier.magnitude_mask) < carrier.inf
        lost = (rows[:, :1] == 0) & finite
        right[lost] &= right.dtype.type(carrier.sign_mask)
        return right


class Scale254Inf(Reference):
    """Reads scale 0xFE as Inf, so that all but zero becomes Inf."""

    name = "scale-254-as-inf"
    note = "scale-byte-254"
    operations = ("dequantize",)

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        right = super().dequantize_bits(rows, fmt, carrier)
        elements = self.decode_bits(rows[:, 1:], fmt.element, carrier)
        magnitude = elements & elements.dtype.type(carrier.magnitude_mask)
        wrong = (rows[:, :1] == fmt.scale.max_code) & (magnitude < carrier.inf)
        sign = elements & elements.dtype.type(carrier.sign_mask)
        times_inf = np.where(magnitude == 0, carrier.nans[-1], sign | carrier.inf)
        return np.where(wrong, times_inf, right)


class ResultsFlushed(Reference):
    """Turns values that are subnormal in binary32 into zero, as a multiplier does that flushes."""

    name = "dequantize-flushes-subnormals"
    note = "subnormal-flush"
    operations = ("dequantize",)

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        right = super().dequantize_bits(rows, fmt, carrier)
        magnitude = right & right.dtype.type(carrier.magnitude_mask)
        small = magnitude < right.dtype.type(1 << carrier.mantissa_bits)
        return np.where(small, right & right.dtype.type(carrier.sign_mask), right)


class SpecialsScaled(Reference):
    """Decodes the codes of Inf and NaN as the numbers that the next binade would hold, and scales them."""

    name = "specials-scaled"
    note = "special-ignores-scale"
    operations = ("dequantize",)

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        right = super().dequantize_bits(rows, fmt, carrier)
        if not isinstance(fmt.element, FloatFormat):
            return right
        special = (rows[:, 1:] & fmt.element.magnitude_mask) > fmt.element.max_code
        for row, lane in np.argwhere(special & (rows[:, :1] <= fmt.scale.max_code)):
            scale, code = int(rows[row, 0]), int(rows[row, 1 + lane])
            right[row, lane] = value_bits(
                as_number(code, fmt.element).scaled(decode(scale, fmt.scale).exponent), carrier
            )
        return right


def as_number(code: int, fmt: FloatFormat) -> Value:
    """A code by the rule for normal numbers, whether it is one or not."""
    field = (code & fmt.magnitude_mask) >> fmt.mantissa_bits
    significand = (1 << fmt.mantissa_bits) | code & ((1 << fmt.mantissa_bits) - 1)
    return Value(int(code > fmt.magnitude_mask), significand, field - fmt.bias - fmt.mantissa_bits)


class ZeroTimesNan(Reference):
    """A NaN scale times a zero element is read as zero, as a zero test before the multiplication does."""

    name = "zero-times-nan-scale"
    note = "scale-byte-255"
    operations = ("dequantize",)

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        right = super().dequantize_bits(rows, fmt, carrier)
        elements = self.decode_bits(rows[:, 1:], fmt.element, carrier)
        zero = elements & elements.dtype.type(carrier.magnitude_mask) == 0
        right[zero] = elements[zero]
        return right


MEMBERS: tuple[Reference, ...] = (
    FloatLog2Binary64(),
    FloatLog2Binary32(),
    FloatLog2Binary16(),
    EmaxPlusBias(),
    EmaxMissing(),
    EmaxOneLess(),
    SignedMaximum(),
    HalfTheLanes(),
    ScaleWraps(),
    ShiftWraps(),
    ZeroBlockNan(),
    ScaleZeroAsSubnormal(),
    QuotientWraps(),
    PairsSwapped(),
    Shift23Scale(),
    ScaleZero(),
    Scale254Inf(),
    SpecialsScaled(),
    ResultsFlushed(),
    ZeroTimesNan(),
)
