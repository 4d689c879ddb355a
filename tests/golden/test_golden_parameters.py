"""The printed tables of the formats against the oracle and against what the records derive."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import oracle
import pytest
from exhaustive.bridge import to_number
from golden import parameters
from golden.parameters import FLOATS, VALUES, exact
from oracle import Number

from mxemu import formats, scalar

Decode = Callable[[int, str], Number]


def decode_by_core(code: int, name: str) -> Number:
    return to_number(scalar.decode(code, formats.E8M0 if name == "E8M0" else name))


@pytest.fixture(params=[oracle.decode, decode_by_core], ids=["oracle", "core"])
def decode(request: pytest.FixtureRequest) -> Decode:
    found: Decode = request.param
    return found


def test_texts_are_read_exactly() -> None:
    assert exact("1.75*2^8") == 448
    assert exact("7*2^-9") == Fraction(7, 512)
    assert exact("2^-6") == Fraction(1, 64)
    assert exact("-127/64") == Fraction(-127, 64)
    assert exact("-2^-9") == Fraction(-1, 512)


@pytest.mark.parametrize("name", FLOATS)
def test_records_derive_the_printed_parameters(name: str) -> None:
    record, printed = formats.ELEMENTS[name], FLOATS[name]
    assert isinstance(record, formats.FloatFormat)
    assert record.max_subnormal is not None
    fields = (record.exponent_bits, record.mantissa_bits, record.bias, record.emin, record.emax)
    assert fields == printed[2:7]
    assert record.width == printed.width
    assert record.max_code == printed.max[2]
    assert record.max.fraction() == exact(printed.max[0]) == exact(printed.max[1])
    assert record.min_normal.fraction() == exact(printed.min_normal[0])
    assert record.max_subnormal.fraction() == exact(printed.max_subnormal[0])
    assert record.min_positive.fraction() == exact(printed.min_positive[0])
    assert record.sign_mask == printed.negative_zero
    assert sorted(record.nan_codes) == list(printed.nan_codes)
    assert record.has_inf == bool(printed.inf_codes)
    assert record.has_nan == bool(printed.nan_codes)
    assert 2**record.emax == printed.largest_power_of_two


@pytest.mark.parametrize("name", FLOATS)
def test_records_derive_the_printed_counts(name: str) -> None:
    counts, printed = formats.ELEMENTS[name].counts, FLOATS[name]
    order = ("codes", "finite", "zero", "subnormal", "normal", "inf", "nan")
    assert tuple(counts[key] for key in order) == printed.counts
    assert counts["distinct"] == printed.distinct


@pytest.mark.parametrize("name", FLOATS)
def test_decoding_gives_the_printed_counts(decode: Decode, name: str) -> None:
    printed = FLOATS[name]
    found = [decode(code, name) for code in range(2**printed.width)]
    finite = [number for number in found if number.kind == "finite"]
    smallest = exact(printed.min_normal[0])
    assert printed.counts == (
        len(found),
        len(finite),
        sum(number.magnitude == 0 for number in finite),
        sum(0 < number.magnitude < smallest for number in finite),
        sum(number.magnitude >= smallest for number in finite),
        sum(number.kind == "inf" for number in found),
        sum(number.kind == "nan" for number in found),
    )
    assert len({number.real for number in finite}) == printed.distinct


@pytest.mark.clause(
    "MX-4-SCOPE-FP8",
    "MX-5.3-NORMAL",
    "MX-5.3-SUBNORMAL",
    "MX-5.3.1-ENC",
    "MX-5.3.2-ENC",
    "MX-5.3.3-ENC",
)
@pytest.mark.parametrize("name", FLOATS)
def test_printed_codes_decode_to_the_printed_values(decode: Decode, name: str) -> None:
    printed = FLOATS[name]
    pairs = [printed.min_normal, printed.max_subnormal, printed.min_positive]
    for text, code in [(printed.max[0], printed.max[2]), *pairs]:
        assert decode(code, name) == Number("finite", False, exact(text))
        negative = code + printed.negative_zero
        assert decode(negative, name) == Number("finite", True, exact(text))
    assert decode(0, name) == Number("finite", False, Fraction(0))
    assert decode(printed.negative_zero, name) == Number("finite", True, Fraction(0))
    assert [decode(code, name).kind for code in printed.nan_codes] == ["nan"] * len(
        printed.nan_codes
    )
    signs = [decode(code, name) for code in printed.inf_codes]
    assert signs == [oracle.infinity(negative) for negative in (False, True)][: len(signs)]


@pytest.mark.clause("MX-5.3.2-ENC", "MX-5.3.3-ENC")
@pytest.mark.parametrize("name", VALUES)
def test_tables_by_code(decode: Decode, name: str) -> None:
    values = [Fraction(word) for word in VALUES[name].split()]
    assert len(values) == FLOATS[name].negative_zero
    for code, value in enumerate(values):
        assert decode(code, name) == Number("finite", False, value)
        assert decode(code + len(values), name) == Number("finite", True, value)


@pytest.mark.parametrize(
    ("name", "formula", "count"),
    [("E4M3", parameters.value_of_e4m3, 0x7F), ("E5M2", parameters.value_of_e5m2, 0x7C)],
)
def test_formulas_by_code(
    decode: Decode, name: str, formula: Callable[[int], Fraction], count: int
) -> None:
    for code in range(count):
        assert decode(code, name) == Number("finite", False, formula(code))
        assert decode(code + 0x80, name) == Number("finite", True, formula(code))


def test_the_topmost_binade_of_e4m3_is_ordinary(decode: Decode) -> None:
    for code, value in parameters.E4M3_TOP.items():
        assert decode(code, "E4M3").real == value


@pytest.mark.clause("MX-5.3.4-ENC", "MX-5.3.4-NEG2")
def test_int8(decode: Decode) -> None:
    for code, text in parameters.INT8_VALUES.items():
        assert decode(code, "INT8") == oracle.number(exact(text))
    found = {decode(code, "INT8").real for code in range(256)}
    assert found == {Fraction(n, 64) for n in range(-128, 128)}
    assert len(found) == parameters.INT8_DISTINCT


def test_the_int8_record_derives_the_printed_parameters() -> None:
    record = formats.INT8
    assert record.width == parameters.INT8_WIDTH
    assert record.fraction_bits == parameters.INT8_FRACTION_BITS
    assert 2**record.emax == parameters.INT8_LARGEST_POWER_OF_TWO
    assert record.max.fraction() == exact(parameters.INT8_VALUES[record.max_code])
    assert record.min_positive.fraction() == exact(parameters.INT8_VALUES[0x01])
    assert parameters.INT8_VALUES[record.min_code] == "-2"
    assert record.counts["distinct"] == parameters.INT8_DISTINCT
    assert not record.has_inf
    assert not record.has_nan


@pytest.mark.clause("MX-5.1-BITS", "MX-5.2-NAME", "MX-5.2.1-DISTINCT", "MX-5.2.1-PARAMS")
def test_blocks_have_the_parameters_of_table_1() -> None:
    sizes = {printed.block: printed.bits_per_block for printed in FLOATS.values()}
    sizes["MXINT8"] = parameters.MXINT8_BITS_PER_BLOCK
    assert {record.name: record.bits_per_block for record in formats.CONCRETE} == sizes
    for record in formats.CONCRETE:
        assert record.k == parameters.BLOCK_SIZE
        assert record.scale.width == parameters.SCALE_WIDTH
        assert record.scale is formats.E8M0
    for name, printed in FLOATS.items():
        assert formats.block_format(printed.block).element.name == name
        assert printed.bytes_per_block * 8 == printed.bits_per_block


@pytest.mark.clause("MX-5.4.1-BIAS", "MX-5.4.1-RANGE", "MX-5.4.1-NOZERO", "MX-5.4.1-NAN")
def test_e8m0(decode: Decode) -> None:
    for code, exponent in parameters.E8M0_EXPONENTS.items():
        assert decode(code, "E8M0") == Number("finite", False, exact(f"2^{exponent}"))
        if code in parameters.E8M0_BINARY32:
            bits = parameters.E8M0_BINARY32[code]
            assert oracle.decode(bits, "binary32") == decode(code, "E8M0")
    kinds = [decode(code, "E8M0").kind for code in range(256)]
    assert kinds == ["finite"] * 255 + ["nan"]
    assert kinds.index("nan") == parameters.E8M0_NAN
