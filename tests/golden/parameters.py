"""The numbers that the documents print about the element formats, each typed in once.

MX Table 1 (MX-5.2.1-PARAMS), MX Tables 2, 4, 5, 6 (MX-5.3.1-ENC, MX-5.3.2-ENC, MX-5.3.3-ENC, MX-5.3.4-ENC), Table 7
(MX-5.4.1-RANGE), OFP8 Table 1; the pairs of MX-5.1-OVF32 follow from them. Values are kept as text: ``7*2^-9``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple


def exact(text: str) -> Fraction:
    """The number that a text such as "1.75*2^8", "127/64" or "-2^-9" stands for."""
    factor, _, exponent = text.partition("2^") if "2^" in text else (text, "", "0")
    sign, digits = (-1, factor[1:]) if factor.startswith("-") else (1, factor)
    return sign * Fraction(digits.rstrip("*") or "1") * Fraction(2) ** int(exponent)


class Float(NamedTuple):
    """One column of the tables; a code stands beside each value."""

    block: str
    width: int
    exponent_bits: int
    mantissa_bits: int
    bias: int
    emin: int
    emax: int
    max: tuple[str, str, int]
    min_normal: tuple[str, int]
    max_subnormal: tuple[str, int]
    min_positive: tuple[str, int]
    negative_zero: int
    inf_codes: tuple[int, ...]
    nan_codes: tuple[int, ...]
    # total, finite, zero, subnormal, normal, Inf, NaN
    counts: tuple[int, int, int, int, int, int, int]
    distinct: int
    largest_power_of_two: int
    bits_per_block: int
    bytes_per_block: int


FLOATS = {
    "E4M3": Float(
        block="MXFP8_E4M3",
        width=8,
        exponent_bits=4,
        mantissa_bits=3,
        bias=7,
        emin=-6,
        emax=8,
        max=("448", "1.75*2^8", 0x7E),
        min_normal=("2^-6", 0x08),
        max_subnormal=("7*2^-9", 0x07),
        min_positive=("2^-9", 0x01),
        negative_zero=0x80,
        inf_codes=(),
        nan_codes=(0x7F, 0xFF),
        counts=(256, 254, 2, 14, 238, 0, 2),
        distinct=253,
        largest_power_of_two=256,
        bits_per_block=264,
        bytes_per_block=33,
    ),
    "E5M2": Float(
        block="MXFP8_E5M2",
        width=8,
        exponent_bits=5,
        mantissa_bits=2,
        bias=15,
        emin=-14,
        emax=15,
        max=("57344", "1.75*2^15", 0x7B),
        min_normal=("2^-14", 0x04),
        max_subnormal=("3*2^-16", 0x03),
        min_positive=("2^-16", 0x01),
        negative_zero=0x80,
        inf_codes=(0x7C, 0xFC),
        nan_codes=(0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF),
        counts=(256, 248, 2, 6, 240, 2, 6),
        distinct=247,
        largest_power_of_two=32768,
        bits_per_block=264,
        bytes_per_block=33,
    ),
    "E3M2": Float(
        block="MXFP6_E3M2",
        width=6,
        exponent_bits=3,
        mantissa_bits=2,
        bias=3,
        emin=-2,
        emax=4,
        max=("28", "1.75*2^4", 0x1F),
        min_normal=("2^-2", 0x04),
        max_subnormal=("0.1875", 0x03),
        min_positive=("2^-4", 0x01),
        negative_zero=0x20,
        inf_codes=(),
        nan_codes=(),
        counts=(64, 64, 2, 6, 56, 0, 0),
        distinct=63,
        largest_power_of_two=16,
        bits_per_block=200,
        bytes_per_block=25,
    ),
    "E2M3": Float(
        block="MXFP6_E2M3",
        width=6,
        exponent_bits=2,
        mantissa_bits=3,
        bias=1,
        emin=0,
        emax=2,
        max=("7.5", "1.875*2^2", 0x1F),
        min_normal=("1", 0x08),
        max_subnormal=("0.875", 0x07),
        min_positive=("2^-3", 0x01),
        negative_zero=0x20,
        inf_codes=(),
        nan_codes=(),
        counts=(64, 64, 2, 14, 48, 0, 0),
        distinct=63,
        largest_power_of_two=4,
        bits_per_block=200,
        bytes_per_block=25,
    ),
    "E2M1": Float(
        block="MXFP4_E2M1",
        width=4,
        exponent_bits=2,
        mantissa_bits=1,
        bias=1,
        emin=0,
        emax=2,
        max=("6", "1.5*2^2", 0x7),
        min_normal=("1", 0x2),
        max_subnormal=("0.5", 0x1),
        min_positive=("0.5", 0x1),
        negative_zero=0x8,
        inf_codes=(),
        nan_codes=(),
        counts=(16, 16, 2, 2, 12, 0, 0),
        distinct=15,
        largest_power_of_two=4,
        bits_per_block=136,
        bytes_per_block=17,
    ),
}

# MX Table 6 and the sentence about the exempted code (MX-5.3.4-NEG2).
INT8_VALUES = {
    0x00: "0",
    0x01: "1/64",
    0xFF: "-1/64",
    0x40: "1",
    0xC0: "-1",
    0x7F: "127/64",
    0x81: "-127/64",
    0x80: "-2",
}
INT8_WIDTH = 8
INT8_FRACTION_BITS = 6
INT8_LARGEST_POWER_OF_TWO = 1
INT8_DISTINCT = 256
MXINT8_BITS_PER_BLOCK = 264

# MX Table 1: every concrete format.
BLOCK_SIZE = 32
SCALE_WIDTH = 8

# The non-negative half of the tables, code by code.
VALUES = {
    "E2M1": "0 0.5 1 1.5 2 3 4 6",
    "E2M3": """0 .125 .25 .375 .5 .625 .75 .875
        1 1.125 1.25 1.375 1.5 1.625 1.75 1.875
        2 2.25 2.5 2.75 3 3.25 3.5 3.75
        4 4.5 5 5.5 6 6.5 7 7.5""",
    "E3M2": """0 .0625 .125 .1875
        .25 .3125 .375 .4375
        .5 .625 .75 .875
        1 1.25 1.5 1.75
        2 2.5 3 3.5
        4 5 6 7
        8 10 12 14
        16 20 24 28""",
}


def value_of_e4m3(code: int) -> Fraction:
    """The printed formula for E4M3 codes 0x00 to 0x7E."""
    if code < 8:
        return code * exact("2^-9")
    return exact(f"2^{(code >> 3) - 7}") * (1 + Fraction(code & 7, 8))


def value_of_e5m2(code: int) -> Fraction:
    """The printed formula for E5M2 codes 0x00 to 0x7B."""
    if code < 4:
        return code * exact("2^-16")
    return exact(f"2^{(code >> 2) - 15}") * (1 + Fraction(code & 3, 4))


# The topmost binade of E4M3, which an IEEE reading would take for Inf and NaN.
E4M3_TOP = {
    0x78: 256,
    0x79: 288,
    0x7A: 320,
    0x7B: 352,
    0x7C: 384,
    0x7D: 416,
    0x7E: 448,
}

# E8M0 (MX-5.4.1-BIAS, -RANGE, -NOZERO, -NAN): code and exponent of two.
E8M0_EXPONENTS = {0x00: -127, 0x01: -126, 0x7E: -1, 0x7F: 0, 0x80: 1, 0xFE: 127}
E8M0_NAN = 0xFF
E8M0_BINARY32 = {0x00: 0x00400000, 0x01: 0x00800000, 0x7F: 0x3F800000, 0xFE: 0x7F000000}

# Positive pairs of scale and element whose product is above the largest binary32 (MX-5.1-OVF32): how many, and the
# first element code of each scale code.
OUT_OF_BINARY32 = {
    "E2M1": (6, {0xFD: 0x6, 0xFE: 0x4}),
    "E2M3": (24, {0xFD: 0x18, 0xFE: 0x10}),
    "E3M2": (40, {0xFB: 0x1C, 0xFC: 0x18, 0xFD: 0x14, 0xFE: 0x10}),
    "E4M3": (
        280,
        {0xF7: 0x78, 0xF8: 0x70, 0xF9: 0x68, 0xFA: 0x60, 0xFB: 0x58, 0xFC: 0x50, 0xFD: 0x48}
        | {0xFE: 0x40},
    ),
    "E5M2": (
        480,
        {0xF0: 0x78, 0xF1: 0x74, 0xF2: 0x70, 0xF3: 0x6C, 0xF4: 0x68, 0xF5: 0x64, 0xF6: 0x60}
        | {0xF7: 0x5C, 0xF8: 0x58, 0xF9: 0x54, 0xFA: 0x50, 0xFB: 0x4C, 0xFC: 0x48, 0xFD: 0x44}
        | {0xFE: 0x40},
    ),
    "INT8": (0, {}),
}
# With the code that INT8 may leave unused: (scale, code) of the one product of magnitude 2^128.
INT8_OUT_OF_BINARY32 = (0xFE, 0x80)
# The smallest magnitude of all products, as an exponent of two.
SMALLEST_PRODUCT = {
    "E5M2": -143,
    "E4M3": -136,
    "INT8": -133,
    "E3M2": -131,
    "E2M3": -130,
    "E2M1": -128,
}
