"""Every code of every format, and every pair of a scale and an element, against the oracle."""

from __future__ import annotations

import oracle
import pytest
from exhaustive.bridge import to_number
from golden import parameters
from oracle import CARRIERS, ELEMENTS, MX_ELEMENTS, Number

from mxemu import block, formats, scalar

BLOCKS = {record.element.name: record for record in formats.CONCRETE}
K = 32


def assert_same(found: Number, expected: Number, where: object) -> None:
    """Equal in kind, sign and value; the sign of NaN means nothing."""
    if expected.kind == "nan":
        assert found.kind == "nan", where
    else:
        assert found == expected, where


@pytest.mark.clause(
    "MX-5.3-NORMAL",
    "MX-5.3-SUBNORMAL",
    "MX-5.3.1-ENC",
    "MX-5.3.2-ENC",
    "MX-5.3.2-NOSPECIAL",
    "MX-5.3.3-ENC",
    "MX-5.3.3-NOSPECIAL",
    "MX-5.3.4-ENC",
    "MX-5.3.4-NOSPECIAL",
)
@pytest.mark.parametrize("name", ELEMENTS)
def test_every_element_code(name: str) -> None:
    assert formats.ELEMENTS[name].width == oracle.width(name)
    for code in range(2 ** oracle.width(name)):
        assert_same(to_number(scalar.decode(code, name)), oracle.decode(code, name), hex(code))


@pytest.mark.clause(
    "MX-5.4.1-BIAS",
    "MX-5.4.1-RANGE",
    "MX-5.4.1-NAN",
    "MX-5.4.1-NOINF",
    "MX-5.4.1-NOZERO",
    "MX-5.4.1-UNSIGNED",
)
def test_every_scale_code() -> None:
    for code in range(256):
        found = to_number(scalar.decode(code, formats.E8M0))
        assert_same(found, oracle.decode(code, "E8M0"), hex(code))


@pytest.mark.slow
@pytest.mark.parametrize("carrier", ["binary16", "bfloat16"])
def test_all_bits_of_the_16_bit_carriers(carrier: str) -> None:
    record = formats.CARRIERS[carrier]
    for bits in range(65536):
        assert_same(to_number(scalar.decode(bits, record)), oracle.decode(bits, carrier), hex(bits))


@pytest.mark.parametrize("carrier", ["binary32", "binary64"])
def test_both_ends_of_every_binade_of_the_wide_carriers(carrier: str) -> None:
    record, form = formats.CARRIERS[carrier], CARRIERS[carrier]
    for top in range(2 ** (form.exponent_bits + 1)):
        first = top << form.mantissa_bits
        for bits in (first, first + 1, first + (1 << form.mantissa_bits) - 1):
            found = to_number(scalar.decode(bits, record))
            assert_same(found, oracle.decode(bits, carrier), hex(bits))


@pytest.mark.slow
@pytest.mark.clause("MX-5.1-VALUE", "MX-5.1-NANSCALE", "MX-5.1-SPECIAL", "MX-5.1-OVF32")
@pytest.mark.parametrize("name", MX_ELEMENTS)
def test_every_pair_of_scale_and_element(name: str) -> None:
    """Exact values, and binary32 bits that stand for them exactly unless the product is out of range."""
    total = 2 ** oracle.width(name)
    largest = oracle.power(128) - oracle.power(104)
    # The 16 codes of E2M1 are half a block; the other half repeats them.
    codes = [code % total for code in range(max(total, K))]
    for scale in range(256):
        for first in range(0, len(codes), K):
            part = codes[first : first + K]
            values = block.dequantize(scale, part, BLOCKS[name])
            bits = block.dequantize_bits(scale, part, BLOCKS[name])
            for code, value, pattern in zip(part, values, bits, strict=True):
                expected = oracle.dequantize(scale, code, name)
                assert_same(to_number(value), expected, (scale, code))
                if expected.kind == "finite" and expected.magnitude > largest:
                    expected = oracle.infinity(expected.negative)
                assert_same(oracle.decode(pattern, "binary32"), expected, (scale, code))


@pytest.mark.clause("MX-5.1-OVF32")
@pytest.mark.parametrize("name", MX_ELEMENTS)
def test_pairs_out_of_binary32_are_those_printed(name: str) -> None:
    codes = oracle.half(name, negative=False).codes
    inf = 0x7F800000
    found = {}
    count = 0
    for scale in range(255):
        values = [
            block.value_bits(value)
            for first in range(0, max(len(codes), K), K)
            for value in block.dequantize(
                scale, [*codes[first : first + K], *[0] * K][:K], BLOCKS[name]
            )
        ][: len(codes)]
        outside = [code for code, bits in zip(codes, values, strict=True) if bits == inf]
        count += len(outside)
        if outside:
            found[scale] = min(outside)
            assert outside == list(codes[codes.index(min(outside)) :])
    assert (count, found) == parameters.OUT_OF_BINARY32[name]


@pytest.mark.clause("MX-5.1-OVF32", "MX-5.3.4-NEG2")
def test_int8_leaves_binary32_only_with_its_minimum() -> None:
    outside = [
        (scale, code)
        for scale in range(255)
        for code in range(256)
        if oracle.dequantize(scale, code, "INT8").magnitude >= oracle.power(128)
    ]
    assert outside == [parameters.INT8_OUT_OF_BINARY32]
    scale, code = parameters.INT8_OUT_OF_BINARY32
    assert block.dequantize_bits(scale, [code] * K, BLOCKS["INT8"]) == (0xFF800000,) * K


@pytest.mark.clause("MX-5.1-VALUE")
@pytest.mark.parametrize("name", MX_ELEMENTS)
def test_the_smallest_product_is_the_one_printed(name: str) -> None:
    value = block.dequantize(0, [1] * K, BLOCKS[name])[0]
    assert to_number(value) == oracle.number(oracle.power(parameters.SMALLEST_PRODUCT[name]))
