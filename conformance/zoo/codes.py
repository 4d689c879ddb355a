"""Wrong readings of single codes, and codes of another format."""

from __future__ import annotations

import numpy as np

from conformance.arrays import Array, as_bits
from conformance.zoo.reference import Reference
from mxemu.formats import (
    BINARY32,
    E4M3,
    E5M2,
    E8M0,
    INT8,
    ElementFormat,
    FloatFormat,
    element,
)
from mxemu.profile import Profile

_OTHER_BIAS = {E4M3.name: element("E4M3FNUZ"), E5M2.name: element("E5M2FNUZ")}


class FnuzCodes(Reference):
    """Writes and reads the FP8 formats with a bias one larger, without -0 and Inf, and with NaN at 0x80."""

    name = "fnuz-codes"
    note = "other-fp8"
    operations = ("decode", "encode")
    formats = ("E4M3", "E5M2")

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        return super().encode_bits(bits, _OTHER_BIAS.get(fmt.name, fmt), carrier, profile)

    def decode_bits(self, codes: Array, fmt: ElementFormat, carrier: FloatFormat) -> Array:
        return super().decode_bits(codes, _OTHER_BIAS.get(fmt.name, fmt), carrier)


class NanAsNumber(Reference):
    """Decodes the NaN code of E4M3 as if the topmost binade were complete: 480."""

    name = "nan-as-number"
    note = "nan-dropped"
    operations = ("decode",)
    formats = ("E4M3",)

    def decode_bits(self, codes: Array, fmt: ElementFormat, carrier: FloatFormat) -> Array:
        values = super().decode_bits(codes, fmt, carrier).copy()
        if fmt == E4M3 and carrier == BINARY32:
            values[codes == 0x7F] = 0x43F00000
            values[codes == 0xFF] = 0xC3F00000
        return values


class Shift23(Reference):
    """Decodes a scale by shifting its code into the exponent field: 0x00 becomes 0 and 0xFF becomes Inf."""

    name = "shift23"
    note = "shift23-scale"
    operations = ("decode",)
    formats = ("E8M0",)

    def decode_bits(self, codes: Array, fmt: ElementFormat, carrier: FloatFormat) -> Array:
        if fmt == E8M0 and carrier == BINARY32:
            return (codes << 23).astype(np.uint32)
        return super().decode_bits(codes, fmt, carrier)


class Int8Over128(Reference):
    """Reads INT8 as n / 128, one binary place off."""

    name = "int8-over-128"
    note = "int8-scale"
    operations = ("decode",)
    formats = ("INT8",)

    def decode_bits(self, codes: Array, fmt: ElementFormat, carrier: FloatFormat) -> Array:
        if fmt != INT8 or carrier != BINARY32:
            return super().decode_bits(codes, fmt, carrier)
        numbers = codes.astype(np.uint8).view(np.int8).astype(np.float32)
        return as_bits(np.ldexp(numbers, -7), "binary32")


class SubnormalsLost(Reference):
    """Decodes subnormal codes as zero."""

    name = "decode-flushes-subnormals"
    note = "subnormal-flush"
    operations = ("decode",)

    def decode_bits(self, codes: Array, fmt: ElementFormat, carrier: FloatFormat) -> Array:
        values = super().decode_bits(codes, fmt, carrier).copy()
        if isinstance(fmt, FloatFormat) and fmt.subnormals:
            small = (codes & fmt.magnitude_mask) < 1 << fmt.mantissa_bits
            values[small] &= values.dtype.type(carrier.sign_mask)
        return values


class ZeroUnsigned(Reference):
    """Decodes -0 as +0."""

    name = "decode-drops-sign-of-zero"
    note = "negative-zero-lost"
    operations = ("decode",)

    def decode_bits(self, codes: Array, fmt: ElementFormat, carrier: FloatFormat) -> Array:
        values = super().decode_bits(codes, fmt, carrier).copy()
        values[values == carrier.sign_mask] = 0
        return values


MEMBERS: tuple[Reference, ...] = (
    FnuzCodes(),
    NanAsNumber(),
    Shift23(),
    Int8Over128(),
    SubnormalsLost(),
    ZeroUnsigned(),
)
