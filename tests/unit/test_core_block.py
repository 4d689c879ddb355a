"""One block: quantize and dequantize, special blocks, and bits out. Rows are printed ones or the oracle's."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import oracle
import pytest

from mxemu import formats
from mxemu.block import (
    Quantized,
    check_tensor_scale,
    dequantize,
    dequantize_bits,
    quantize,
    quantize_bits,
    value_bits,
)
from mxemu.errors import BadCode, BadShape, BadValue, UnknownName
from mxemu.formats import BlockFormat, FloatFormat, block_format
from mxemu.profile import OCP, Profile
from mxemu.profile import profile as preset
from mxemu.scalar import Status
from mxemu.scale import divide
from mxemu.value import INF, NAN, ZERO, Kind, Value, from_fraction

MINUS_INF = Value(1, 0, 0, Kind.INF)
MINUS_NAN = Value(1, 0, 0, Kind.NAN)
MINUS_ZERO = Value(1, 0, 0)

EXACT = Status(0)
INEXACT = Status.INEXACT
UNDERFLOW = Status.INEXACT | Status.UNDERFLOW
CLAMPED = Status.INEXACT | Status.OVERFLOW | Status.SATURATED

MX = {
    "e4m3": "MXFP8_E4M3",
    "e5m2": "MXFP8_E5M2",
    "e3m2": "MXFP6_E3M2",
    "e2m3": "MXFP6_E2M3",
    "e2m1": "MXFP4_E2M1",
    "int8": "MXINT8",
}


def exact(number: Fraction | int | str) -> Value:
    found = Fraction(number)
    assert found.denominator & (found.denominator - 1) == 0
    return Value(int(found < 0), abs(found.numerator), 1 - found.denominator.bit_length())


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def filled(first: Sequence[Value], size: int = 32) -> list[Value]:
    return [*first, *[ZERO] * (size - len(first))]


def block(*numbers: Fraction | int | Value, size: int = 32) -> list[Value]:
    """A block that starts with some numbers and goes on with zeros."""
    return filled([n if isinstance(n, Value) else exact(n) for n in numbers], size)


# Printed rows: format, scale code, element codes. Inputs are exact fractions; zeros follow.
INPUTS: Mapping[str, Sequence[Fraction]] = {
    "C": [
        *[Fraction(n, 8) for n in (56, -56, 40, 28, 20, 14, 10, 6, 2, -2, 4, 48, 52, -54, 1)],
        Fraction(-1, 1024),
    ],
    "D": [
        *map(Fraction, (511, 464, 465, 480, -464, 17, -19)),
        Fraction(1, 1024),
        Fraction(3, 1024),
        Fraction(1, 512),
    ],
    "E": [Fraction(n, 128) for n in (255, -255, 3, -3, 1, -1, 254, 128)],
}
ROWS = """
C e4m3 121 7efe7a76726e6a6458d8607c7dfe5098
C e5m2 114 7bfb79777573716e68e86c7a7afb64c8
C e3m2 125 1f3f1d1b191715120c2c101e1e3f0820
C e2m3 127 1e3e1a16120e0a060222041c1d3e0120
C e2m1 127 070f06060404020200080107070f0008
C int8 129 70905038281c140c04fc086068940200
D e4m3 127 7e7e7e7efe58da000201
D e5m2 120 7b7b7b7bfb68e9303634
D e3m2 131 1f1f1f1f3f0c2d
D e2m3 133 1f1e1f1f3e0222
D e2m1 133 070707070f0109
D int8 135 7f7474788c04fb
E e4m3 119 7efe4ccc40c07e78
E e5m2 112 7bfb62e25cdc7b78
E e3m2 123 1f3f062602221f1c
E e2m3 125 1f3f012100201f18
E e2m1 125 070f000800080706
E int8 127 7f8102fe00007f40
"""


@pytest.mark.clause("MX-6.3-MECH", "MX-6.3-SCALE", "MX-6.3-ELEM", "MX-6.3-CLAMP", "MX-6.3-RNE")
@pytest.mark.parametrize("row", ROWS.strip().splitlines())
def test_printed_rows(row: str) -> None:
    letter, name, scale, codes = row.split()
    expected = bytes.fromhex(codes)
    found = quantize(block(*INPUTS[letter]), MX[name])
    assert found.scale == int(scale)
    assert bytes(found.codes) == expected + bytes(32 - len(expected))


def test_a_printed_row_with_the_integer_minimum() -> None:
    found = quantize(block(*INPUTS["E"]), "MXINT8", preset("ocp-int-minimum"))
    assert found.codes[:8] == (0x7F, 0x80, 0x02, 0xFE, 0x00, 0x00, 0x7F, 0x40)


@pytest.mark.clause("MX-6.3-MECH", "MX-6.3-ELEM", "MX-5.1-BLOCK")
@pytest.mark.parametrize("name", list(MX.values()))
@pytest.mark.parametrize(("rule", "rounding"), [("FLOOR", "TIES_TO_EVEN"), ("RCEIL", "TO_ODD")])
def test_blocks_agree_with_the_oracle(rule: str, rounding: str, name: str) -> None:
    own = OCP.replace(scale_rule=rule, rounding=rounding)
    numbers = [(-1) ** i * Fraction(5 * i * i * i + 3 * i, 64) for i in range(32)]
    given = [oracle.number(number) for number in numbers]
    element = block_format(name).element.name
    scale, codes = oracle.quantize(given, element, rule, rounding)
    found = quantize(block(*numbers), name, own)
    assert (found.scale, found.codes) == (scale, codes)
    values = dequantize(found.scale, found.codes, name)
    for value, code in zip(values, codes, strict=True):
        assert value.fraction() == oracle.dequantize(scale, code, element).real


@pytest.mark.clause("MX-6.3-SCALE")
@pytest.mark.parametrize("lane", range(32))
def test_the_largest_magnitude_counts_in_any_lane_and_with_either_sign(lane: int) -> None:
    for sign in (0, 1):
        values = [exact(Fraction(1, 2))] * 32
        values[lane] = Value(sign, 48, 0)
        found = quantize(values, "MXFP4")
        # 48 = 6 * 2^3; 1/2 becomes 1/16 and underflows.
        assert found.scale == 130
        expected = [0] * 32
        expected[lane] = 7 + 8 * sign
        assert list(found.codes) == expected


def test_the_status_of_each_element_is_its_own() -> None:
    found = quantize(block(7, 6, Fraction(5, 4), Fraction(1, 8), MINUS_ZERO, 1), "MXFP4")
    assert isinstance(found, Quantized)
    assert found.status[:6] == (CLAMPED, EXACT, INEXACT, UNDERFLOW, EXACT, EXACT)
    assert found.codes[:6] == (7, 7, 2, 0, 8, 2)
    assert found.status[6:] == (EXACT,) * 26


# First elements, changes of profile, scale, first codes, first status.
SPECIAL: Sequence[
    tuple[str, list[Value], Mapping[str, Any], int, Sequence[int], Sequence[Status]]
] = [
    ("MXFP4", block(NAN, 1), {}, 255, (0, 0), (EXACT, EXACT)),
    ("MXFP8", block(1, MINUS_INF), {}, 255, (0, 0), (EXACT, EXACT)),
    ("MXFP8", block(INF, MINUS_NAN), {}, 255, (0, 0), (EXACT, EXACT)),
    (
        "MXFP4",
        block(MINUS_NAN, 6, -1),
        {"amax_nan": "ignore"},
        127,
        (7, 7, 0xA),
        (Status.INVALID, EXACT, EXACT),
    ),
    ("MXFP8", block(MINUS_NAN, 448), {"amax_nan": "ignore"}, 127, (0xFF, 0x7E), (EXACT, EXACT)),
    ("MXFP8", block(NAN, NAN), {"amax_nan": "ignore"}, 0, (0x7F, 0x7F), (EXACT, EXACT)),
    # Under the smallest scale 1 becomes 2^127.
    (
        "MXFP4",
        block(NAN, 1, -power(-127)),
        {"nan_block": "scale-smallest"},
        0,
        (7, 7, 0xA),
        (Status.INVALID, CLAMPED, EXACT),
    ),
    # Under the largest scale 2^127 is 1.
    (
        "MXFP4",
        block(MINUS_INF, power(127), 1),
        {"inf_block": "scale-largest"},
        254,
        (0xF, 2, 0),
        (CLAMPED, EXACT, UNDERFLOW),
    ),
    (
        "MXFP8_E5M2",
        block(MINUS_INF, 1),
        {"inf_block": "scale-largest", "overflow": "overflow"},
        254,
        (0xFC, 0),
        (EXACT, UNDERFLOW),
    ),
    (
        "MXFP4",
        block(MINUS_INF, 6, -1),
        {"inf_block": "finite-amax"},
        127,
        (0xF, 7, 0xA),
        (CLAMPED, EXACT, EXACT),
    ),
    (
        "MXFP8",
        block(MINUS_INF, 448),
        {"inf_block": "finite-amax", "overflow": "overflow"},
        127,
        (0xFF, 0x7E),
        (INEXACT | Status.OVERFLOW, EXACT),
    ),
    ("MXFP4", block(INF, INF), {"inf_block": "finite-amax"}, 0, (7, 7), (CLAMPED, CLAMPED)),
    ("MXFP4", block(MINUS_INF, NAN), {"inf_block": "finite-amax"}, 255, (0, 0), (EXACT, EXACT)),
    ("MXFP4", block(0, MINUS_ZERO), {}, 0, (0, 8), (EXACT, EXACT)),
    ("MXFP4", block(0, MINUS_ZERO), {"zero_block": "one"}, 127, (0, 8), (EXACT, EXACT)),
    ("MXFP4", block(0, MINUS_ZERO), {"zero_sign": "positive"}, 0, (0, 0), (EXACT, EXACT)),
    ("MXINT8", block(0, MINUS_ZERO), {"zero_block": "as-two"}, 128, (0, 0), (EXACT, EXACT)),
    ("MXFP4", block(1), {"scale_clamp": (1, 100)}, 100, (7,), (CLAMPED,)),
    ("MXFP4", block(1), {"scale_clamp": (200, 254)}, 200, (0,), (UNDERFLOW,)),
    # 2^-149 is 2^-22 under the smallest scale.
    ("MXFP4", block(power(-149)), {}, 0, (0,), (UNDERFLOW,)),
    ("MXFP8_E5M2", block(power(-143)), {}, 0, (1,), (EXACT,)),
    # Beyond binary32, as binary64 inputs are.
    ("MXFP4", block(power(900), power(127)), {}, 254, (7, 2), (CLAMPED, EXACT)),
    ("MXFP4", block(power(900)), {"scale_overflow": "nan"}, 255, (0,), (EXACT,)),
]


@pytest.mark.clause("MX-4-SCOPE-NANELEM", "MX-6.3-ALT", "MX-6.3-CLAMP", "MX-5.3.3-INF")
@pytest.mark.parametrize(("name", "values", "changes", "scale", "codes", "status"), SPECIAL)
def test_special_blocks(
    name: str,
    values: list[Value],
    changes: Mapping[str, Any],
    scale: int,
    codes: Sequence[int],
    status: Sequence[Status],
) -> None:
    found = quantize(values, name, OCP.replace(**changes))
    shown = len(codes)
    assert (found.scale, found.codes[:shown], found.status[:shown]) == (
        scale,
        tuple(codes),
        tuple(status),
    )
    assert set(found.codes[shown:]) <= {0}
    assert set(found.status[shown:]) <= {EXACT}
    assert len(found.codes) == len(found.status) == 32


# Other block sizes, other scales.


@pytest.mark.clause("MX-5.1-BLOCK")
@pytest.mark.parametrize("k", [1, 2, 5, 64])
def test_any_block_size(k: int) -> None:
    name = f"E2M1/E8M0/{k}"
    found = quantize(block(*[6] * k, size=k), name)
    assert found == Quantized(127, (7,) * k, (EXACT,) * k)
    assert [value.fraction() for value in dequantize(128, (7,) * k, name)] == [12] * k
    assert dequantize_bits(128, (7,) * k, name) == (0x41400000,) * k


@pytest.mark.clause("MX-6.3-MECH")
@pytest.mark.parametrize(
    ("count", "name", "k"),
    [(31, "MXFP4", 32), (33, "MXINT8", 32), (32, "NVFP4", 16), (0, "MXFP8", 32)],
)
def test_blocks_of_the_wrong_length_are_refused(count: int, name: str, k: int) -> None:
    message = f"a block of {count} elements; {block_format(name)} has k = {k} (MX-6.3-MECH)"
    for call in (
        lambda: quantize([ZERO] * count, name),
        lambda: quantize_bits([0] * count, "binary32", name),
        lambda: dequantize(0, [0] * count, name),
        lambda: dequantize_bits(0, [0] * count, name),
        lambda: quantize([ZERO] * k, name, OCP, [0] * count),
        lambda: quantize([NAN] * k, name, OCP, [0] * count),
        lambda: quantize_bits([0] * k, "binary32", name, OCP, [0] * count),
    ):
        with pytest.raises(BadShape) as caught:
            call()
        assert str(caught.value) == message


def test_names_and_codes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"^unknown block format 'MXFP5'"):
        quantize([ZERO] * 32, "MXFP5")
    with pytest.raises(UnknownName, match=r"^unknown carrier 'E4M3'"):
        quantize_bits([0] * 32, "E4M3", "MXFP4")
    with pytest.raises(UnknownName, match=r"^unknown carrier 'E4M3'"):
        dequantize_bits(0, [0] * 32, "MXFP4", carrier="E4M3")
    with pytest.raises(BadCode, match=r"^code 0x100 does not fit E8M0"):
        dequantize(256, [0] * 32, "MXFP4")
    with pytest.raises(BadCode, match=r"^code 0x10 does not fit E2M1"):
        dequantize(127, [0] * 31 + [16], "MXFP4")
    with pytest.raises(BadCode, match=r"^code 0x10 does not fit E2M1"):
        dequantize(255, [0] * 31 + [16], "MXFP4")
    with pytest.raises(BadCode, match=r"^code 0x100000000 does not fit binary32"):
        quantize_bits([1 << 32] + [0] * 31, "binary32", "MXFP4")


def test_random_words_go_to_their_elements() -> None:
    own = OCP.replace(rounding="stochastic", random_bits=1)
    values = block(6, *[Fraction(5, 4)] * 31)
    words = [0, *[lane % 2 for lane in range(31)]]
    found = quantize(values, "MXFP4", own, words)
    assert found.codes == (7, *[2 + word for word in words[1:]])
    assert quantize(values, "MXFP4", own).codes == (7, *[2] * 31)
    bits = [0x40C00000, *[0x3FA00000] * 31]
    assert quantize_bits(bits, "binary32", "MXFP4", own, words).codes == found.codes
    with pytest.raises(BadValue, match=r"^random word 2 has more than random_bits = 1 bits$"):
        quantize(values, "MXFP4", own, [2] * 32)


@pytest.mark.parametrize("largest", [Fraction(n, 8) for n in (1, 3, 7, 47, 48, 49, 80, 1000, 9999)])
def test_quotients_by_a_scale_with_a_mantissa_are_exact(largest: Fraction) -> None:
    own = preset("ratio")
    numbers = [largest * i / 16 * (-1) ** i for i in range(1, 17)]
    found = quantize([exact(number) for number in numbers], "NVFP4", own)
    scale = max(oracle.encode(oracle.number(largest / 6), "E4M3").code, 1)
    divisor = oracle.decode(scale, "E4M3").real
    codes = [oracle.encode(oracle.number(number / divisor), "E2M1").code for number in numbers]
    assert (found.scale, list(found.codes)) == (scale, codes)
    values = dequantize(scale, codes, "NVFP4")
    expected = [oracle.decode(code, "E2M1").real * divisor for code in codes]
    assert [value.fraction() for value in values] == expected


def test_a_quotient_just_beside_a_tie_goes_the_right_way() -> None:
    # The scale is 1.125; 1.125 * 5/4 is a tie, and a number 2^-200 above it is none.
    codes = []
    for change in (-power(-200), 0, power(-200)):
        found = quantize(
            block(Fraction(27, 4), Fraction(45, 32) + change, size=16), "NVFP4", preset("ratio")
        )
        assert found.scale == 0x39
        codes.append(found.codes[1])
    assert codes == [2, 2, 3]


@pytest.mark.parametrize(
    ("value", "scale", "expected"),
    [
        (Value(1, 3, 5), Value(0, 1, 2), Value(1, 3, 3)),
        (Value(0, 3, 5), Value(0, 1, -2), Value(0, 3, 7)),
        (MINUS_ZERO, Value(0, 1, 9), Value(1, 0, -9)),
        (MINUS_INF, Value(0, 1, 2), MINUS_INF),
        (MINUS_NAN, Value(0, 9, 2), MINUS_NAN),
        (MINUS_ZERO, Value(0, 9, 2), MINUS_ZERO),
    ],
)
def test_divide(value: Value, scale: Value, expected: Value) -> None:
    assert divide(value, scale) == expected


def test_divide_by_a_number_with_a_mantissa() -> None:
    assert divide(Value(1, 27, 0), Value(0, 9, -3)).fraction() == -24
    assert divide(Value(0, 6, 0), Value(0, 2, 0)).fraction() == 3


# Bits in, and subnormal inputs.


@pytest.mark.parametrize(
    ("carrier", "seven", "two"),
    [
        ("binary32", 0x40E00000, 0x40000000),
        ("binary16", 0x4700, 0x4000),
        ("bfloat16", 0x40E0, 0x4000),
        ("binary64", 0x401C000000000000, 0x4000000000000000),
    ],
)
def test_quantize_bits_of_each_carrier(carrier: str, seven: int, two: int) -> None:
    found = quantize_bits([seven, two] + [0] * 30, carrier, "MXFP4")
    assert (found.scale, found.codes) == (127, (7, 4) + (0,) * 30)
    assert found.status == (CLAMPED,) + (EXACT,) * 31
    assert found == quantize_bits([seven, two] + [0] * 30, formats.carrier(carrier), "MXFP4")


FLUSH_BLOCK = preset("flush-block")


@pytest.mark.parametrize(
    ("carrier", "bits", "changes", "scale", "codes"),
    [
        # amax subnormal: all zero, signs kept
        ("binary32", (0x007FFFFF, 0x80000001), {}, 0, (0, 8)),
        # amax the smallest normal number: kept; 2^-126 / 2^-127 = 2, and the subnormal one 1
        ("binary32", (0x00800000, 0x00400000), {}, 0, (4, 2)),
        # subnormal in binary16, and not in binary64 although it would be in binary32
        ("binary16", (0x03FF, 0x8001), {}, 0, (0, 8)),
        ("binary16", (0x0400, 0x8200), {}, 111, (6, 0xC)),
        ("binary64", (0x37F0000000000000, 0), {}, 0, (1, 0)),
        ("binary32", (0, 0x80000000), {}, 0, (0, 8)),
        ("binary32", (0, 0x80000000), {"zero_block": "one"}, 127, (0, 8)),
        ("binary32", (1, 0), {"zero_block": "one"}, 127, (0, 0)),
        ("binary32", (0x7FC00000, 1), {}, 255, (0, 0)),
        ("binary32", (0xFF800000, 1), {}, 255, (0, 0)),
        # The finite numbers become zero; Inf and NaN are encoded one by one.
        (
            "binary32",
            (0xFF800000, 1),
            {"inf_block": "finite-amax", "zero_block": "one"},
            127,
            (0xF, 0),
        ),
        ("binary32", (0x7FC00000, 1), {"amax_nan": "ignore", "zero_block": "one"}, 127, (7, 0)),
    ],
)
def test_a_block_of_subnormal_inputs_may_be_flushed(
    carrier: str, bits: Sequence[int], changes: Mapping[str, str], scale: int, codes: Sequence[int]
) -> None:
    own = FLUSH_BLOCK.replace(**changes)
    found = quantize_bits([*bits, *[0] * (32 - len(bits))], carrier, "MXFP4", own)
    assert (found.scale, found.codes[: len(bits)]) == (scale, tuple(codes))


def test_flushing_a_block_is_for_inputs_with_a_carrier() -> None:
    # Exact values have no subnormal numbers.
    values = block(power(-127))
    assert quantize(values, "MXFP4", FLUSH_BLOCK) == quantize(values, "MXFP4")
    assert quantize(values, "MXFP4", FLUSH_BLOCK).codes[0] == 2


def test_flushing_each_input() -> None:
    own = OCP.replace(input_subnormals="flush")
    found = quantize_bits([0x00800000, 0x80400000] + [0] * 30, "binary32", "MXFP4", own)
    assert (found.scale, found.codes[:2]) == (0, (4, 8))


# Back.


@pytest.mark.clause("MX-5.1-VALUE")
@pytest.mark.parametrize("name", list(MX.values()))
@pytest.mark.parametrize("scale", [0x00, 0x01, 0x7F, 0x80, 0xFE])
def test_values_are_exact_products(name: str, scale: int) -> None:
    fmt = block_format(name)
    element = fmt.element.name
    codes = list(range(1 << fmt.element.width))
    for start in range(0, len(codes), 32):
        some = [*codes[start : start + 32], *[0] * 32][:32]
        for value, code in zip(dequantize(scale, some, name), some, strict=True):
            expected = oracle.dequantize(scale, code, element)
            assert value.sign == expected.negative
            assert value.kind.value.lower() == expected.kind
            assert not value.is_finite or abs(value.fraction()) == expected.magnitude


@pytest.mark.clause("MX-5.1-NANSCALE", "MX-5.1-SPECIAL", "MX-4-SCOPE-NANELEM")
@pytest.mark.parametrize("name", list(MX.values()))
def test_a_nan_scale_makes_every_value_nan(name: str) -> None:
    fmt = block_format(name)
    for start in range(0, 1 << fmt.element.width, 16):
        codes = [start + code for code in range(16)] * 2
        assert dequantize(0xFF, codes, name) == (NAN,) * 32
        assert dequantize_bits(0xFF, codes, name) == (0x7FC00000,) * 32


@pytest.mark.clause("MX-5.1-SPECIAL")
@pytest.mark.parametrize("scale", [0x00, 0x7F, 0xFE])
def test_special_elements_ignore_the_scale(scale: int) -> None:
    codes = [0x7C, 0xFC, 0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF] * 4
    found = dequantize(scale, codes, "MXFP8_E5M2")[:8]
    assert found == (INF, MINUS_INF, NAN, NAN, NAN, MINUS_NAN, MINUS_NAN, MINUS_NAN)
    bits = dequantize_bits(scale, codes, "MXFP8_E5M2")[:8]
    assert bits == (0x7F800000, 0xFF800000, *[0x7FC00000] * 6)
    found = dequantize(scale, [0x7F, 0xFF] * 16, "MXFP8_E4M3")[:2]
    assert found == (NAN, MINUS_NAN)


SCALE_NAN = {
    # element codes 0, 1, 2, 7, 8, 0xF of E2M1 under the scale code 0xFF
    "nan": (NAN,) * 6,
    "power": (
        Value(0, 0, 128),
        Value(0, 1, 127),
        Value(0, 2, 127),
        Value(0, 3, 129),
        Value(1, 0, 128),
        Value(1, 3, 129),
    ),
    "inf": (NAN, INF, INF, INF, NAN, MINUS_INF),
}


@pytest.mark.clause("MX-5.1-NANSCALE")
@pytest.mark.parametrize("policy", SCALE_NAN)
def test_misreadings_of_the_nan_scale(policy: str) -> None:
    own = OCP.replace(scale_nan=policy)
    codes = [0, 1, 2, 7, 8, 0xF]
    found = dequantize(0xFF, codes + [0] * 26, "MXFP4", own)[:6]
    expected = SCALE_NAN[policy]
    assert [value.kind for value in found] == [value.kind for value in expected]
    assert [value.sign for value in found] == [value.sign for value in expected]
    for value, other in zip(found, expected, strict=True):
        assert not value.is_finite or value.fraction() == other.fraction()
    # Only that code is misread.
    assert dequantize(0xFE, codes + [0] * 26, "MXFP4", own) == dequantize(
        0xFE, codes + [0] * 26, "MXFP4"
    )


def test_special_elements_under_a_misread_scale() -> None:
    codes = [0x7C, 0xFC, 0x7E, 0x3C] + [0] * 28
    inf = dequantize(0xFF, codes, "MXFP8_E5M2", OCP.replace(scale_nan="inf"))
    assert inf[:4] == (INF, MINUS_INF, NAN, INF)
    above = dequantize(0xFF, codes, "MXFP8_E5M2", OCP.replace(scale_nan="power"))
    assert above[:3] == (INF, MINUS_INF, NAN)
    assert above[3].fraction() == power(128)
    # In E4M3 the largest scale is 448, so the next power of two is 512.
    power_of_nvfp4 = dequantize(0x7F, [2] * 16, "NVFP4", OCP.replace(scale_nan="power"))
    assert power_of_nvfp4[0].fraction() == 512


def test_a_scale_with_a_sign_gives_its_sign_to_the_values() -> None:
    # 0xBC is -1.5 in E4M3.
    values = dequantize(0xBC, [2, 0xA, 0, 8] * 4, "NVFP4")[:4]
    assert [(value.sign, value.fraction()) for value in values] == [
        (1, Fraction(-3, 2)),
        (0, Fraction(3, 2)),
        (1, 0),
        (0, 0),
    ]


def test_flushed_elements_are_zero() -> None:
    own = OCP.replace(element_subnormals="flush")
    found = dequantize(128, [1, 9, 2, 0] * 8, "MXFP4", own)[:4]
    assert [(value.sign, value.fraction()) for value in found] == [(0, 0), (1, 0), (0, 2), (0, 0)]


# Scale code, first element code whose value lies beyond binary32; the one before it does not.
BEYOND = [
    ("MXFP4_E2M1", 0xFD, 0x6),
    ("MXFP4_E2M1", 0xFE, 0x4),
    ("MXFP6_E2M3", 0xFD, 0x18),
    ("MXFP6_E2M3", 0xFE, 0x10),
    ("MXFP6_E3M2", 0xFB, 0x1C),
    ("MXFP6_E3M2", 0xFE, 0x10),
    ("MXFP8_E4M3", 0xF7, 0x78),
    ("MXFP8_E4M3", 0xFE, 0x40),
    ("MXFP8_E5M2", 0xF0, 0x78),
    ("MXFP8_E5M2", 0xFE, 0x40),
]


@pytest.mark.clause("MX-5.1-OVF32", "MX-5.1-VALUE")
@pytest.mark.parametrize(("name", "scale", "code"), BEYOND)
def test_values_beyond_binary32(name: str, scale: int, code: int) -> None:
    sign = 1 << (block_format(name).element.width - 1)
    codes = ([code, code | sign, code - 1, (code - 1) | sign] * 8)[:32]
    policies = {
        "inf": (0x7F800000, 0xFF800000),
        "largest": (0x7F7FFFFF, 0xFF7FFFFF),
        "nan": (0x7FC00000, 0x7FC00000),
    }
    values = dequantize(scale, codes, name)
    assert values[0].fraction() == power(128)
    (below,) = struct.unpack(">I", struct.pack(">f", float(values[2].fraction())))
    for policy, pair in policies.items():
        own = OCP.replace(out_of_binary32=policy)
        found = dequantize_bits(scale, codes, name, own)[:4]
        assert found == (*pair, below, below | 1 << 31)


@pytest.mark.clause("MX-5.1-OVF32", "MX-5.3.4-NEG2")
def test_only_the_integer_minimum_leaves_binary32_in_mxint8() -> None:
    found = dequantize_bits(0xFE, [0x80, 0x7F, 0x81, 0x01] * 8, "MXINT8")[:4]
    assert found == (0xFF800000, 0x7F7E0000, 0xFF7E0000, 0x7C000000)
    assert dequantize_bits(0xFD, [0x80] * 32, "MXINT8")[0] == 0xFF000000


@pytest.mark.clause("MX-5.1-VALUE")
def test_the_smallest_values_are_subnormal_numbers_of_binary32() -> None:
    assert dequantize_bits(0x00, [1, 9, 8, 2] * 8, "MXFP4")[:4] == (
        0x00200000,
        0x80200000,
        0x80000000,
        0x00400000,
    )
    assert dequantize_bits(0x00, [0x01] * 32, "MXFP8_E5M2")[0] == 1 << 6
    assert dequantize_bits(0x00, [0x01] * 32, "MXFP8_E4M3")[0] == 1 << 13


def test_bits_of_inf_do_not_follow_the_policy_for_large_values() -> None:
    for policy in ("inf", "largest", "nan"):
        own = OCP.replace(out_of_binary32=policy)
        assert value_bits(INF, "binary32", own) == 0x7F800000
        assert value_bits(MINUS_INF, "binary32", own) == 0xFF800000


@pytest.mark.parametrize(
    ("carrier", "nan", "largest"),
    [
        ("binary16", 0x7E00, 0x7BFF),
        ("bfloat16", 0x7FC0, 0x7F7F),
        ("binary32", 0x7FC00000, 0x7F7FFFFF),
        ("binary64", 0x7FF8000000000000, 0x7FEFFFFFFFFFFFFF),
    ],
)
def test_special_bits_of_each_carrier(carrier: str, nan: int, largest: int) -> None:
    sign = (nan | largest) + 1 & ~(nan | largest)
    assert value_bits(NAN, carrier) == value_bits(MINUS_NAN, carrier) == nan
    assert value_bits(INF, carrier) == largest + 1
    assert value_bits(MINUS_INF, carrier) == largest + 1 | sign
    assert value_bits(MINUS_ZERO, carrier) == sign
    assert value_bits(ZERO, formats.carrier(carrier)) == 0
    huge = Value(1, 1, 5000)
    assert value_bits(huge, carrier) == largest + 1 | sign
    assert value_bits(huge, carrier, OCP.replace(out_of_binary32="largest")) == largest | sign
    assert value_bits(huge.magnitude(), carrier, OCP.replace(out_of_binary32="largest")) == largest
    assert value_bits(huge, carrier, OCP.replace(out_of_binary32="nan")) == nan


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        # binary16: ties to even between 1 and 1 + 2^-10; the edge of overflow at 65520
        (1 + power(-11), 0x3C00),
        (1 + power(-11) + power(-40), 0x3C01),
        (1 + 3 * power(-11), 0x3C02),
        (Fraction(65504), 0x7BFF),
        (Fraction(65519), 0x7BFF),
        (Fraction(65520), 0x7C00),
        (power(-24), 0x0001),
        (power(-25), 0x0000),
        (3 * power(-25), 0x0002),
        (-power(-26), 0x8000),
    ],
)
def test_values_in_binary16_are_rounded_to_even(number: Fraction, expected: int) -> None:
    assert value_bits(exact(number), "binary16") == expected
    if expected != 0x7C00:
        assert int.from_bytes(struct.pack(">e", float(number)), "big") == expected


@pytest.mark.parametrize("policy", ["inf", "largest", "nan"])
def test_values_within_range_do_not_follow_the_policy_for_large_ones(policy: str) -> None:
    own = OCP.replace(out_of_binary32=policy)
    numbers = (1 + power(-30), power(-30), power(-24), Fraction(65519), Fraction(1))
    found = [value_bits(exact(number), "binary16", own) for number in numbers]
    assert found == [0x3C00, 0x0000, 0x0001, 0x7BFF, 0x3C00]


@pytest.mark.parametrize("rounding", ["toward-zero", "toward-positive", "to-odd"])
def test_bits_out_do_not_follow_the_rounding_of_elements(rounding: str) -> None:
    own = OCP.replace(rounding=rounding, overflow="saturate", zero_sign="positive")
    assert value_bits(exact(1 + 3 * power(-11)), "binary16", own) == 0x3C02
    assert value_bits(exact(10**6), "binary16", own) == 0x7C00
    assert value_bits(MINUS_ZERO, "binary16", own) == 0x8000


def test_dequantized_bits_in_other_carriers() -> None:
    codes = [7, 0xF, 1, 0] * 8
    assert dequantize_bits(0x80, codes, "MXFP4", carrier="binary16")[:3] == (0x4A00, 0xCA00, 0x3C00)
    assert dequantize_bits(0x80, codes, "MXFP4", OCP, "bfloat16")[:3] == (0x4140, 0xC140, 0x3F80)
    assert dequantize_bits(0xFE, codes, "MXFP4", carrier="binary64")[0] == 0x4808000000000000
    largest = OCP.replace(out_of_binary32="largest")
    assert dequantize_bits(0x90, codes, "MXFP4", largest, "binary16")[:2] == (0x7BFF, 0xFBFF)
    flush = OCP.replace(element_subnormals="flush", scale_nan="inf")
    assert dequantize_bits(0x80, codes, "MXFP4", flush)[2] == 0
    assert dequantize_bits(0xFF, codes, "MXFP4", flush)[:3] == (0x7F800000, 0xFF800000, 0x7FC00000)


def test_a_block_of_ones_own_scale_format() -> None:
    fmt = BlockFormat("own", formats.E2M3, FloatFormat("UE4M4", 4, 4, 7, signed=False), 4)
    own: Profile = preset("ratio")
    # 12 / 7.5 = 1.6 = 1.1001_10.. in binary rounds to 1.625 = 0x7A; 12 / 1.625 = 7.38 rounds to 7.5.
    found = quantize(block(12, -3, Fraction(13, 8), 0, size=4), fmt, own)
    assert found.scale == 0x7A
    assert [value.fraction() for value in dequantize(found.scale, found.codes, fmt)] == [
        Fraction(15, 2) * Fraction(13, 8),
        Fraction(-15, 8) * Fraction(13, 8),
        Fraction(13, 8),
        0,
    ]


@pytest.mark.clause("MX-5.1-OVF32")
@pytest.mark.parametrize("choice", ["inf", "largest", "nan"])
def test_a_value_that_is_only_rounded_is_not_beyond_the_carrier(choice: str) -> None:
    own = OCP.replace(out_of_binary32=choice)
    assert value_bits(Value(0, 2049, 0), "binary16", own) == 0x6800  # 2048, the even one of two
    assert value_bits(Value(0, 1, -30), "binary16", own) == 0


@pytest.mark.parametrize("second", [Fraction(1, 4), Fraction(7), Fraction(12345677, 2**30)])
def test_a_tensor_scale_is_divided_out_first(second: Fraction) -> None:
    own: Profile = preset("ratio")
    numbers = [Fraction(n * n * n, 37) * (-1) ** n for n in range(16)]
    scale = from_fraction(second)
    found = quantize([from_fraction(n) for n in numbers], "NVFP4", own, tensor_scale=scale)
    # The scale by the oracle: amax / second / 6 rounded to E4M3; then each element by exact division.
    largest = max(abs(n) for n in numbers)
    code = oracle.encode(oracle.number(largest / second / 6), "E4M3").code
    assert found.scale == code
    factor = oracle.decode(code, "E4M3").magnitude
    expected = [oracle.encode(oracle.number(n / second / factor), "E2M1").code for n in numbers]
    # The oracle's zero has no sign here; the first number is the only zero.
    assert list(found.codes) == expected
    # binary32 numbers above need no second rounding on the way back: 3/700 has 256 bits and a sticky one.
    if second != Fraction(3, 700):
        for value, element in zip(
            dequantize(code, found.codes, "NVFP4", own, scale), expected, strict=True
        ):
            assert (
                abs(value.fraction()) == oracle.decode(element, "E2M1").magnitude * factor * second
            )


@pytest.mark.parametrize("wrong", [ZERO, INF, NAN, Value(1, 1, 0)])
def test_a_tensor_scale_is_a_number_above_zero(wrong: Value) -> None:
    with pytest.raises(BadValue, match=r"tensor_scale = .*; expected a finite number above 0"):
        check_tensor_scale(wrong)
    with pytest.raises(BadValue):
        quantize([ZERO] * 16, "NVFP4", tensor_scale=wrong)
    with pytest.raises(BadValue):
        dequantize(1, [0] * 16, "NVFP4", tensor_scale=wrong)


def test_a_tensor_scale_reaches_bits() -> None:
    bits = [0x41400000] + [0] * 15  # 12.0
    found = quantize_bits(bits, "binary32", "NVFP4", preset("ratio"), tensor_scale=Value(0, 1, 1))
    assert (found.scale, found.codes[0]) == (0x38, 7)  # 12 / 2 = 6 = 1 * 6
    assert dequantize_bits(0x38, found.codes, "NVFP4", tensor_scale=Value(0, 1, 1))[0] == bits[0]
