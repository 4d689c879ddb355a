"""Known blocks, dot products and single conversions against the oracle and the core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import oracle
import pytest
from exhaustive.bridge import core_profile, to_number, to_value
from golden.blocks import (
    DOTS,
    E_INT8_WITH_MINIMUM,
    FIRST_OVERFLOW,
    INPUTS,
    LAST_IN_RANGE,
    ROWS,
    SINGLES,
    TIES,
    TIES_ROUNDED,
    K,
)
from oracle import Number, number

from mxemu import block, scalar
from mxemu.formats import CONCRETE

FORMATS = {record.element.name: record for record in CONCRETE}
Quantize = Callable[..., tuple[int, tuple[int, ...]]]
Dequantize = Callable[[int, Sequence[int], str], list[Number]]
Encode = Callable[..., int]


def quantize_by_core(
    values: Sequence[Number], name: str, int_minimum: str = "EXCLUDE"
) -> tuple[int, tuple[int, ...]]:
    profile = core_profile("TIES_TO_EVEN", "SATURATE", int_minimum)
    found = block.quantize([to_value(value) for value in values], FORMATS[name], profile)
    return found.scale, found.codes


def dequantize_by_core(scale: int, codes: Sequence[int], name: str) -> list[Number]:
    return [to_number(value) for value in block.dequantize(scale, codes, FORMATS[name])]


def dequantize_by_oracle(scale: int, codes: Sequence[int], name: str) -> list[Number]:
    return [oracle.dequantize(scale, code, name) for code in codes]


def encode_by_core(value: Number, name: str, rounding: str, overflow: str) -> int:
    return scalar.encode(to_value(value), name, core_profile(rounding, overflow)).code


def encode_by_oracle(value: Number, name: str, rounding: str, overflow: str) -> int:
    return oracle.encode(value, name, rounding, overflow).code


@pytest.fixture(params=[oracle.quantize, quantize_by_core], ids=["oracle", "core"])
def quantize(request: pytest.FixtureRequest) -> Quantize:
    found: Quantize = request.param
    return found


@pytest.fixture(params=[dequantize_by_oracle, dequantize_by_core], ids=["oracle", "core"])
def dequantize(request: pytest.FixtureRequest) -> Dequantize:
    found: Dequantize = request.param
    return found


@pytest.fixture(params=[encode_by_oracle, encode_by_core], ids=["oracle", "core"])
def encode(request: pytest.FixtureRequest) -> Encode:
    found: Encode = request.param
    return found


def test_the_data_is_complete() -> None:
    assert len(ROWS) == 30
    assert {(source, element) for source, element, _, _ in ROWS} == {
        (source, element) for source in INPUTS for element in FORMATS
    }
    assert all(len(values) == K for values in INPUTS.values())
    assert all(len(codes) == K for _, _, _, codes in ROWS)
    assert set(DOTS) == set(FORMATS)


@pytest.mark.clause("MX-6.3-MECH", "MX-6.3-SCALE", "MX-6.3-ELEM", "MX-6.3-CLAMP", "MX-6.3-RNE")
@pytest.mark.parametrize(
    ("source", "name", "scale", "codes"), ROWS, ids=lambda field: str(field)[:8]
)
def test_quantized_blocks(
    quantize: Quantize, source: str, name: str, scale: int, codes: tuple[int, ...]
) -> None:
    assert quantize([number(real) for real in INPUTS[source]], name) == (scale, codes)


@pytest.mark.clause("MX-5.3.4-NEG2")
def test_block_with_the_integer_minimum(quantize: Quantize) -> None:
    scale, codes = quantize([number(real) for real in INPUTS["E"]], "INT8", int_minimum="ALLOW")
    assert (scale, codes[:8]) == E_INT8_WITH_MINIMUM
    assert not any(codes[8:])


@pytest.mark.clause("MX-5.1-VALUE", "MX-6.1-DOT")
@pytest.mark.parametrize("name", FORMATS)
def test_dots_of_dequantized_blocks(dequantize: Dequantize, name: str) -> None:
    blocks = {source: (scale, codes) for source, element, scale, codes in ROWS if element == name}
    a, b = (dequantize(*blocks[source], name) for source in "AB")
    dot = sum((x.real * y.real for x, y in zip(a, b, strict=True)), Fraction(0))
    exact, bits = DOTS[name]
    assert dot == exact
    assert oracle.round_to_carrier(dot, "binary32") == bits


def single(text: str) -> Number:
    """The number of one row: Inf, or a text rounded to binary32."""
    if text.endswith("Inf"):
        return oracle.infinity(text.startswith("-"))
    return oracle.decode(oracle.round_to_carrier(Fraction(text), "binary32"), "binary32")


@pytest.mark.clause(
    "MX-5.3.1-SAT",
    "MX-5.3.1-OVF",
    "MX-5.3.2-SAT",
    "MX-5.3.2-INF",
    "MX-5.3.2-UFLOW",
    "MX-5.3.3-SAT",
    "MX-5.3.3-INF",
    "MX-5.3.3-UFLOW",
    "MX-5.3.4-SAT",
    "MX-5.3.4-INF",
)
@pytest.mark.parametrize(("name", "text", "saturated", "overflowed"), SINGLES)
def test_single_conversions(
    encode: Encode, name: str, text: str, saturated: int, overflowed: int
) -> None:
    found = [encode(single(text), name, "TIES_TO_EVEN", overflow) for overflow in oracle.OVERFLOWS]
    assert found == [saturated, overflowed]


@pytest.mark.clause("MX-5.3.1-OFP8", "MX-5.3.2-SAT", "MX-5.3.3-SAT", "MX-5.3.4-SAT")
@pytest.mark.parametrize("name", FORMATS)
def test_where_overflow_begins(name: str) -> None:
    first, last = FIRST_OVERFLOW.get(name), LAST_IN_RANGE.get(name)
    border = Fraction(first or last or "")
    tiny = oracle.power(-40)
    for real, overflows in (
        (border - tiny, False),
        (border, first is not None),
        (border + tiny, True),
    ):
        for signed in (real, -real):
            core = scalar.encode(to_value(number(signed)), name).status
            assert bool(core & scalar.Status.OVERFLOW) == overflows
            assert ("overflow" in oracle.encode(number(signed), name).status) == overflows


@pytest.mark.clause("MX-5.3.3-RNE", "MX-5.3.3-RND")
@pytest.mark.parametrize("rounding", TIES_ROUNDED)
def test_ties_of_e2m1(encode: Encode, rounding: str) -> None:
    for text, rounded in zip(TIES, TIES_ROUNDED[rounding], strict=True):
        for sign in (1, -1):
            code = encode(number(sign * Fraction(text)), "E2M1", rounding, "SATURATE")
            expected = Number("finite", sign < 0, Fraction(rounded))
            assert oracle.decode(code, "E2M1") == expected
