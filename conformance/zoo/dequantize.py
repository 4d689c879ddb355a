"""Wrong readings of blocks: scales and special codes are taken for something else."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from conformance.arrays import Array, as_bits, as_values
from conformance.zoo.reference import Reference
from mxemu.block import value_bits
from mxemu.formats import BlockFormat, FloatFormat
from mxemu.scalar import decode
from mxemu.value import Value


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


class ScaleAsInteger(Reference):
    """Multiplies by the scale code itself, as if the byte were a number and not an exponent."""

    name = "scale-code-as-factor"
    note = "scale-as-integer"
    operations = ("dequantize",)

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        elements = as_values(self.decode_bits(rows[:, 1:], fmt.element, carrier), carrier.name)
        with np.errstate(all="ignore"):
            found = elements * rows[:, :1].astype(elements.dtype)
        return as_bits(found, carrier.name)


class ValuesDoubled(Reference):
    """Reads E2M1 from a table of doubled values, 0, 1, 2, 3, 4, 6, 8, 12, and does not halve the scale."""

    name = "values-doubled"
    note = "doubled-table"
    operations = ("dequantize",)
    formats: ClassVar[tuple[str, ...]] = ("MXFP4_E2M1",)

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        right = as_values(super().dequantize_bits(rows, fmt, carrier), carrier.name)
        with np.errstate(all="ignore"):
            return as_bits(right + right, carrier.name)


class ZeroUnsigned(Reference):
    """Reads the code of -0 as +0."""

    name = "dequantize-drops-sign-of-zero"
    note = "negative-zero-lost"
    operations = ("dequantize",)

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        right = super().dequantize_bits(rows, fmt, carrier)
        return np.where(right == carrier.sign_mask, 0, right).astype(right.dtype)


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
    Shift23Scale(),
    ScaleZero(),
    Scale254Inf(),
    ScaleAsInteger(),
    ValuesDoubled(),
    ZeroUnsigned(),
    SpecialsScaled(),
    ResultsFlushed(),
    ZeroTimesNan(),
)
