"""Implementations by another hand: tables, floats and bit tricks, not one line of the emulator or of the zoo.

Most are wrong in one place, some are unusual and legal, one is right. None is among the hypotheses of the diagnosis,
so what the checker says about them it has found out.
"""

from __future__ import annotations

import numpy as np

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E3M2 = np.array(
    [*(c / 16 for c in range(4)), *(2.0 ** ((c >> 2) - 3) * (1 + c % 4 / 4) for c in range(4, 32))]
)
E4M3 = np.array(
    [
        *(c * 2.0**-9 for c in range(8)),
        *(2.0 ** ((c >> 3) - 7) * (1 + c % 8 / 8) for c in range(8, 127)),
    ]
)


def to_table(magnitudes, table):
    """Codes of magnitudes by comparison with the midpoints, ties to the even code; NaN ends up on top."""
    middles = (table[1:] + table[:-1]) / 2
    below = np.searchsorted(middles, magnitudes, side="left")
    above = np.searchsorted(middles, magnitudes, side="right")
    return np.where(below % 2 == 0, below, above)


def wide(values):
    """As binary64, exactly; signalling NaNs become quiet ones without a warning."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)


def floor_log2(values):
    """Exact for any float above zero: frexp takes the exponent from the bits."""
    return np.frexp(values)[1] - 1


class Stranger:
    """Name, version and record of an adapter, from class attributes."""

    version = "1"
    profile = None
    carriers = ("binary32",)
    offers: tuple[tuple[str, str], ...] = ()

    @property
    def name(self):
        return type(self).__name__

    @property
    def capabilities(self):
        operations = {
            operation: {"formats": [], "carriers": list(self.carriers)}
            for operation, _ in self.offers
        }
        for operation, name in self.offers:
            operations[operation]["formats"].append(name)
        return {"operations": operations, "profile": self.profile}


class Right(Stranger):
    """MXFP4 and its element, all of it right."""

    offers = (
        ("encode", "E2M1"),
        ("decode", "E2M1"),
        ("quantize", "MXFP4_E2M1"),
        ("dequantize", "MXFP4_E2M1"),
    )
    profile = "ocp"

    def encode(self, values, element):
        negative = np.signbit(values) & ~np.isnan(values)
        return (to_table(np.abs(wide(values)), E2M1) + 8 * negative).astype(np.uint8)

    def decode(self, codes, element):
        return np.concatenate([E2M1, -E2M1]).astype(np.float32)[codes]

    def quantize(self, values, block_format):
        numbers = wide(values)
        amax = np.abs(numbers).max(axis=1)
        special = ~np.isfinite(amax)
        exponent = np.maximum(self.shared_exponent(np.where(special | (amax == 0), 1, amax)), -127)
        scales = np.where(special, 255, np.where(amax == 0, 0, exponent + 127))
        with np.errstate(invalid="ignore"):
            codes = self.encode(np.ldexp(numbers, -exponent[:, None]), "E2M1")
        return scales.astype(np.uint8), np.where(special[:, None], 0, codes).astype(np.uint8)

    def shared_exponent(self, amax):
        return floor_log2(amax) - 2

    def dequantize(self, scales, codes, block_format):
        exponent = scales.astype(np.int64)[:, None] - 127
        with np.errstate(over="ignore"):
            values = np.ldexp(self.decode(codes, "E2M1").astype(np.float64), exponent).astype(
                np.float32
            )
        values[scales == 255] = np.nan
        return values


class FloorOfRatio(Right):
    """floor(log2(amax / 6)) instead of floor(log2(amax)) - 2: legal, and a factor of two off for most blocks."""

    offers = (("quantize", "MXFP4_E2M1"),)
    profile = None

    def shared_exponent(self, amax):
        return floor_log2(amax / 6)


class RoundsScaleUp(Right):
    """The smallest scale that clips nothing, from the bits of a binary32."""

    offers = (("quantize", "MXFP4_E2M1"),)
    profile = None

    def shared_exponent(self, amax):
        up = amax.astype(np.float32).view(np.uint32) & 0x7FFFFF > 0x400000
        subnormal = amax < 2.0**-126
        return floor_log2(amax) - 2 + np.where(subnormal, 0, up)


class FlushesInputs(Right):
    """Subnormal inputs are zero, as on hardware in flush-to-zero mode: legal in a block conversion."""

    offers = (("quantize", "MXFP4_E2M1"),)
    profile = None

    def quantize(self, values, block_format):
        flushed = np.where(np.abs(values) < np.float32(2.0**-126), np.copysign(0, values), values)
        return super().quantize(flushed.astype(np.float32), block_format)


class BorrowsAmax(Right):
    """Takes the largest magnitude of the next block, too, as a read past the end does."""

    offers = (("quantize", "MXFP4_E2M1"),)

    def quantize(self, values, block_format):
        scales, _ = super().quantize(
            np.concatenate([values, np.roll(values, -1, axis=0)], axis=1), block_format
        )
        exponent = scales.astype(np.int64)[:, None] - 127
        with np.errstate(invalid="ignore"):
            codes = self.encode(np.ldexp(wide(values), -exponent), "E2M1")
        return scales, np.where(scales[:, None] == 255, 0, codes).astype(np.uint8)


class FlushesProducts(Right):
    """Dequantized values below 2^-126 become zero."""

    offers = (("dequantize", "MXFP4_E2M1"),)

    def dequantize(self, scales, codes, block_format):
        values = super().dequantize(scales, codes, block_format)
        return np.where(
            np.abs(values) < np.float32(2.0**-126), np.copysign(np.float32(0), values), values
        )


class InfiniteBeyondBinary32(Right):
    """Right, but computed in binary32 and widened: what does not fit is Inf. Implementation-defined."""

    offers = (("dequantize", "MXFP4_E2M1"),)
    carriers = ("binary64",)

    def dequantize(self, scales, codes, block_format):
        return wide(super().dequantize(scales, codes, block_format))


class Scan(Stranger):
    """E2M1 by the first of the closest codes: ties towards zero, and never -0."""

    offers = (("encode", "E2M1"),)
    profile = "ocp"

    def encode(self, values, element):
        clipped = np.clip(np.nan_to_num(wide(values), nan=0), -8, 8)
        return np.argmin(np.abs(clipped[:, None] - np.concatenate([E2M1, -E2M1])), axis=1)


class GarbageAbove(Right):
    """E2M1 codes with the upper half of the byte not cleared."""

    offers = (("encode", "E2M1"),)

    def encode(self, values, element):
        return super().encode(values, element) | 0x50


class Truncates(Stranger):
    """E4M3 out of binary32 by shifting the mantissa, nothing rounded."""

    offers = (("encode", "E4M3"),)

    def encode(self, values, element):
        bits = values.view(np.uint32).astype(np.int64)
        exponent, mantissa = (bits >> 23 & 0xFF) - 127, bits & 0x7FFFFF
        normal = ((exponent + 7) << 3) | (mantissa >> 20)
        shift = np.clip(20 - 6 - exponent, 0, 31)
        codes = np.where(exponent >= -6, normal, (mantissa | 0x800000) >> shift)
        codes = np.where(exponent < -9, 0, np.minimum(codes, 0x7E))
        codes = np.where(np.isnan(values), 0x7F, codes)
        return (codes | (bits >> 24 & 0x80)).astype(np.uint8)


class KeepsPlusZeroOnly(Stranger):
    """E4M3 and E2M1, right but for the sign of zero."""

    offers = (("encode", "E4M3"), ("encode", "E2M1"))

    def encode(self, values, element):
        table, sign = (E4M3, 0x80) if element == "E4M3" else (E2M1, 0x8)
        codes = to_table(np.abs(wide(values)), table)
        negative = np.signbit(values) & (codes > 0) & ~np.isnan(values)
        nan = 0x7F if element == "E4M3" else 7
        return np.where(np.isnan(values), nan, codes) | sign * negative


class ClampsAt240(Stranger):
    """E4M3 clamped where another E4M3, the one with NaN at 0x80, ends."""

    offers = (("encode", "E4M3"),)

    def encode(self, values, element):
        codes = to_table(np.abs(np.clip(wide(values), -240, 240)), E4M3)
        return np.where(np.isnan(values), 0x7F, codes) | 0x80 * np.signbit(values)


class HalvesToByte(Stranger):
    """E5M2 as the upper byte of a binary16, rounded by an addition that also reaches NaN."""

    offers = (("encode", "E5M2"),)
    carriers = ("binary16",)
    profile = "ocp-overflow"

    def encode(self, values, element):
        bits = values.view(np.uint16).astype(np.int64)
        return ((bits + 0x7F + (bits >> 8 & 1)) >> 8 & 0xFF).astype(np.uint8)


class AddsLessThanHalf(Stranger):
    """E3M2 by adding just less than half an ulp to the bits, so that ties stay down."""

    offers = (("encode", "E3M2"),)

    def encode(self, values, element):
        magnitude = np.minimum(np.nan_to_num(np.abs(values), nan=28, posinf=28), 28).astype(
            np.float64
        )
        ulp = np.maximum(np.exp2(floor_log2(np.maximum(magnitude, 2.0**-30)) - 2.0), 2.0**-4)
        steps = np.ceil(magnitude / ulp - 0.5) * ulp
        negative = np.signbit(values) & ~np.isnan(values)
        return (np.searchsorted(E3M2, steps) + 32 * negative).astype(np.uint8)


class AllCodes(Stranger):
    """INT8 with the whole range of a byte: -2 is in use."""

    offers = (("encode", "INT8"), ("decode", "INT8"))

    def encode(self, values, element):
        steps = np.clip(np.nan_to_num(np.rint(wide(values) * 64), nan=127), -128, 127)
        return steps.astype(np.int8).view(np.uint8)

    def decode(self, codes, element):
        return codes.view(np.int8).astype(np.float32) / 64


class SignUpsideDown(Stranger):
    """E4M3 decoded with the sign bit the wrong way round."""

    offers = (("decode", "E4M3"),)

    def decode(self, codes, element):
        table = np.append(E4M3, np.nan)
        return np.concatenate([-table, table]).astype(np.float32)[codes]


class BiasOneTooLarge(Stranger):
    """E5M2 decoded with the bias of the variant that has NaN at 0x80: 16."""

    offers = (("decode", "E5M2"),)

    def decode(self, codes, element):
        half = codes.astype(np.uint16) << 8
        with np.errstate(invalid="ignore"):
            return half.view(np.float16).astype(np.float32) / 2


class Products(Stranger):
    """Dot products without C in binary64, which holds sums of E2M1 products exactly, rounded once to binary32."""

    formats: tuple[str, ...] = ("MXFP4_E2M1",)
    operation = "dot"
    accumulation: str | None = None

    @property
    def capabilities(self):
        offered = {self.operation: {"formats": list(self.formats)}}
        return {"operations": offered, "accumulation": self.accumulation}

    def elements(self, codes, name):
        table = E2M1 if name == "MXFP4_E2M1" else np.append(E4M3, np.nan)
        return np.concatenate([table, -table])[codes]

    def factors(self, scales):
        return np.where(scales == 255, np.nan, np.exp2(scales.astype(np.float64) - 127))

    def products(self, sa, a, sb, b, names):
        k = a.shape[1] // sa.shape[1]
        scales = np.repeat(self.factors(sa) * self.factors(sb), k, axis=1)
        return self.elements(a, names[0]) * self.elements(b, names[1]) * scales

    def total(self, products):
        return products.sum(axis=1) + 0.0

    def dot(self, sa, a, sb, b, c, names):
        with np.errstate(over="ignore"):
            found = self.total(self.products(sa, a, sb, b, names)).astype(np.float32)
        return found.view(np.uint32)


class RightProducts(Products):
    """Right for one block."""

    accumulation = "exact"


class AddsInBinary32(Products):
    """Each product rounded to binary32, and each sum in turn."""

    formats = ("MXFP8_E4M3",)

    def total(self, products):
        total = np.zeros(len(products), np.float32)
        for column in products.astype(np.float32).T:
            total = total + column
        return total


class ForgetsAFactor(Products):
    """The second scale counts only if it is NaN."""

    def products(self, sa, a, sb, b, names):
        return super().products(sa, a, np.where(sb == 255, 255, 127), b, names)


class OneScaleForAll(Products):
    """All blocks are read with the scales of the first."""

    operation = "dot-general"

    def products(self, sa, a, sb, b, names):
        first = [np.repeat(scales[:, :1], scales.shape[1], axis=1) for scales in (sa, sb)]
        return super().products(first[0], a, first[1], b, names)


class Backwards(Products):
    """The second vector runs from its end."""

    def products(self, sa, a, sb, b, names):
        return super().products(sa, a, sb, b[:, ::-1], names)


class ScaleIsNeverNan(Products):
    """The scale 0xFF is clamped to 0xFE."""

    def factors(self, scales):
        return np.exp2(np.minimum(scales, 254).astype(np.float64) - 127)


class EndsAt65504(Products):
    """Partial sums in binary16 before the scales are applied."""

    formats = ("MXFP8_E4M3",)

    def dot(self, sa, a, sb, b, c, names):
        with np.errstate(all="ignore"):
            total = np.zeros(len(a), np.float16)
            for x, y in zip(
                self.elements(a, names[0]).T, self.elements(b, names[1]).T, strict=True
            ):
                total = total + (x * y).astype(np.float16)
            scaled = total * self.factors(sa[:, 0]) * self.factors(sb[:, 0])
            return scaled.astype(np.float32).view(np.uint32)
