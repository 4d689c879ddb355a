"""Wrong conversions of blocks whose scale is right: inputs, quotients, lanes and rows go astray."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from conformance.arrays import Array, as_bits, as_values
from conformance.judges import Judge
from conformance.zoo.reference import Reference, to_bfloat16
from mxemu.formats import BINARY32, BlockFormat, FloatFormat, IntFormat
from mxemu.profile import Profile

BESIDE = 8
"""Columns beside a block in rows whose width is no multiple of k."""


class InputsInBfloat16(Reference):
    """Rounds binary32 inputs to bfloat16 before anything else."""

    name = "inputs-in-bfloat16"
    note = "double-rounding"
    operations = ("quantize",)
    carriers: ClassVar[tuple[str, ...]] = ("binary32",)

    def inputs(self, rows: Array, carrier: FloatFormat) -> Array:
        if carrier != BINARY32:
            return rows
        return (to_bfloat16(rows) << np.uint64(16)).astype(rows.dtype)


class InputsInBinary32(Reference):
    """Rounds binary64 inputs to binary32 before anything else."""

    name = "inputs-in-binary32"
    note = "double-rounding"
    operations = ("quantize",)
    carriers: ClassVar[tuple[str, ...]] = ("binary64",)

    def inputs(self, rows: Array, carrier: FloatFormat) -> Array:
        if carrier.width <= 32:
            return rows
        with np.errstate(all="ignore"):
            narrow = as_values(rows, carrier.name).astype(np.float32)
            return as_bits(narrow.astype(np.float64), carrier.name)


class ScaleZeroAsSubnormal(Reference):
    """Reads scale code 0 with the exponent of code 1, as subnormals are read: 2^-126."""

    name = "scale-0-as-subnormal"
    note = "scale-byte-0"
    operations = ("encode-scaled", "quantize")

    def quotients(self, values: Array, scales: Array, fmt: BlockFormat) -> Array:
        return super().quotients(values, np.maximum(scales, 1), fmt)


class ScaleZeroAsOne(Reference):
    """Takes 1 for the reciprocal of scale code 0, which has none in binary32 arithmetic that flushes."""

    name = "scale-0-multiplies-by-1"
    note = "scale-byte-0"
    operations = ("encode-scaled", "quantize")

    def quotients(self, values: Array, scales: Array, fmt: BlockFormat) -> Array:
        return np.where(scales == 0, values, super().quotients(values, scales, fmt))


class ReciprocalFlushed(Reference):
    """Multiplies by the reciprocal of scale code 0xFE, 2^-127, which is subnormal and flushed: elements are zero."""

    name = "reciprocal-of-scale-254-flushed"
    note = "scale-byte-254"
    operations = ("encode-scaled", "quantize")

    def quotients(self, values: Array, scales: Array, fmt: BlockFormat) -> Array:
        found = super().quotients(values, scales, fmt)
        with np.errstate(all="ignore"):
            return np.where(scales == fmt.scale.max_code, values * 0.0, found)


class QuotientWraps(Reference):
    """Subtracts the exponents in 8 bits, so that the far ends meet."""

    name = "quotient-exponent-wraps"
    note = "element-exponent-range"
    operations = ("encode-scaled",)

    def quotients(self, values: Array, scales: Array, fmt: BlockFormat) -> Array:
        with np.errstate(all="ignore"):
            fraction, exponent = np.frexp(values)
            exact = exponent - (scales.astype(np.int64) - fmt.scale.bias)
            wrapped = (exact + 127) % 256 - 127
            return np.where(np.isfinite(values), np.ldexp(fraction, wrapped), values)


class ShiftWraps(Reference):
    """Shifts a significand by the distance to the smallest exponent modulo 32, as a 32-bit register does."""

    name = "shift-count-wraps"
    note = "element-exponent-range"
    operations = ("quantize",)

    def quotients(self, values: Array, scales: Array, fmt: BlockFormat) -> Array:
        right = super().quotients(values, scales, fmt)
        smallest = fmt.element.emin if isinstance(fmt.element, FloatFormat) else fmt.element.emax
        with np.errstate(all="ignore"):
            distance = np.maximum(smallest - np.frexp(right)[1] + 1, 0) // 32 * 32
            return np.where(np.isfinite(right) & (right != 0), np.ldexp(right, distance), right)


class PairsSwapped(Reference):
    """Writes or reads each pair of elements in the other order, as swapped nibbles do."""

    name = "pairs-swapped"
    note = "code-order"
    operations = ("quantize", "dequantize")

    def quantize_bits(
        self, rows: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        right = super().quantize_bits(rows, fmt, carrier, profile)
        return np.column_stack([right[:, 0], right[:, 1:][:, _swapped(fmt.k)]])

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        return super().dequantize_bits(rows, fmt, carrier)[:, _swapped(fmt.k)]


def _swapped(k: int) -> Array:
    """Lanes with each pair exchanged; the last of an odd number stays."""
    order = np.arange(k) ^ 1
    order[order >= k] = k - 1
    return order


class StraddlesRows(Reference):
    """Cuts rows that are no multiple of k wide into blocks as if they were one: a block is in two rows."""

    name = "blocks-straddle-rows"
    note = "row-boundary"
    operations = ("fake_quantize",)

    def fake_bits(
        self, rows: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        """The rows as columns beside others see them: with zeros behind, end to end, and taken apart again."""
        wide = np.pad(rows, ((0, 0), (0, BESIDE)))
        flat = np.pad(wide.ravel(), (0, -wide.size % fmt.k)).reshape(-1, fmt.k)
        found = super().fake_bits(flat, fmt, carrier, profile).ravel()[: wide.size]
        return found.reshape(wide.shape)[:, : rows.shape[1]]

    def outcome(self, judge: Judge, profile: Profile, rows: Array | None = None) -> Array:
        # Which rows are neighbours is known only where all are there.
        found = super().outcome(judge, profile)
        return found if rows is None else found[rows]


class ZeroKeepsSign(Reference):
    """Multiplies a signed zero by the scale although the element is an integer, which has one zero."""

    name = "int8-negative-zero"
    note = "integer-zero"
    operations = ("fake_quantize",)
    formats: ClassVar[tuple[str, ...]] = ("MXINT8",)

    def fake_bits(
        self, rows: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        found = super().fake_bits(rows, fmt, carrier, profile)
        sign = rows & rows.dtype.type(carrier.sign_mask)
        return np.where(found == 0, sign, found) if isinstance(fmt.element, IntFormat) else found


MEMBERS: tuple[Reference, ...] = (
    InputsInBfloat16(),
    InputsInBinary32(),
    ScaleZeroAsSubnormal(),
    ScaleZeroAsOne(),
    ReciprocalFlushed(),
    QuotientWraps(),
    ShiftWraps(),
    PairsSwapped(),
    StraddlesRows(),
    ZeroKeepsSign(),
)
