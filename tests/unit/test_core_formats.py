"""Formats: the printed parameters stand here once, and what the records derive is compared with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError
from fractions import Fraction
from typing import Any

import pytest

from mxemu import formats
from mxemu.errors import BadFormat, UnknownName
from mxemu.formats import (
    BLOCK_FORMATS,
    CARRIERS,
    CONCRETE,
    ELEMENTS,
    MX_ELEMENTS,
    BlockFormat,
    FloatFormat,
    IntFormat,
    block_format,
    carrier,
    element,
    find,
    ieee,
)
from mxemu.value import Value

ENCODINGS = pytest.mark.clause(
    "MX-5.3.1-ENC", "MX-5.3.2-ENC", "MX-5.3.3-ENC", "MX-5.3.2-NOSPECIAL", "MX-5.3.3-NOSPECIAL"
)


def number(words: str) -> Fraction:
    """7*2^-9 and the like, without the parser of the package."""
    factor, _, exponent = words.partition("*2^")
    return Fraction(factor) * Fraction(2) ** int(exponent or 0)


# name: exponent bits, mantissa bits, bias, width, sign mask, magnitude mask, largest code, emin, emax,
#       largest, smallest normal, largest subnormal, smallest positive
FLOATS = {
    "E4M3": "4 3 7 8 0x80 0x7F 0x7E -6 8 448 1*2^-6 7*2^-9 1*2^-9",
    "E5M2": "5 2 15 8 0x80 0x7F 0x7B -14 15 57344 1*2^-14 3*2^-16 1*2^-16",
    "E3M2": "3 2 3 6 0x20 0x1F 0x1F -2 4 28 0.25 0.1875 0.0625",
    "E2M3": "2 3 1 6 0x20 0x1F 0x1F 0 2 7.5 1 0.875 0.125",
    "E2M1": "2 1 1 4 0x8 0x7 0x7 0 2 6 1 0.5 0.5",
    "E8M0": "8 0 127 8 0x0 0xFF 0xFE -127 127 1*2^127 1*2^-127 none 1*2^-127",
    "E4M3FNUZ": "4 3 8 8 0x80 0x7F 0x7F -7 7 240 1*2^-7 7*2^-10 1*2^-10",
    "E5M2FNUZ": "5 2 16 8 0x80 0x7F 0x7F -15 15 57344 1*2^-15 3*2^-17 1*2^-17",
    "E4M3B11FNUZ": "4 3 11 8 0x80 0x7F 0x7F -10 4 30 1*2^-10 7*2^-13 1*2^-13",
    "E4M3IEEE": "4 3 7 8 0x80 0x7F 0x77 -6 7 240 1*2^-6 7*2^-9 1*2^-9",
    "E3M4": "3 4 3 8 0x80 0x7F 0x6F -2 3 15.5 0.25 15*2^-6 1*2^-6",
    "binary16": "5 10 15 16 0x8000 0x7FFF 0x7BFF -14 15 65504 1*2^-14 1023*2^-24 1*2^-24",
    "bfloat16": "8 7 127 16 0x8000 0x7FFF 0x7F7F -126 127 255*2^120 1*2^-126 127*2^-133 1*2^-133",
    "binary32": "8 23 127 32 0x80000000 0x7FFFFFFF 0x7F7FFFFF -126 127 16777215*2^104 1*2^-126 8388607*2^-149 1*2^-149",
    "binary64": "11 52 1023 64 0x8000000000000000 0x7FFFFFFFFFFFFFFF 0x7FEFFFFFFFFFFFFF -1022 1023 "
    "9007199254740991*2^971 1*2^-1022 4503599627370495*2^-1074 1*2^-1074",
}
# name: codes, finite, zero, subnormal, normal, Inf, NaN, distinct real values
COUNTS = {
    "E4M3": "256 254 2 14 238 0 2 253",
    "E5M2": "256 248 2 6 240 2 6 247",
    "E3M2": "64 64 2 6 56 0 0 63",
    "E2M3": "64 64 2 14 48 0 0 63",
    "E2M1": "16 16 2 2 12 0 0 15",
    "E8M0": "256 255 0 0 255 0 1 255",
    "E4M3FNUZ": "256 255 1 14 240 0 1 255",
    "E5M2FNUZ": "256 255 1 6 248 0 1 255",
    "E4M3B11FNUZ": "256 255 1 14 240 0 1 255",
    "E4M3IEEE": "256 240 2 14 224 2 14 239",
    "E3M4": "256 224 2 30 192 2 30 223",
    "binary16": "65536 63488 2 2046 61440 2 2046 63487",
}
COUNTED = ("codes", "finite", "zero", "subnormal", "normal", "inf", "nan", "distinct")
NAN_CODES = {
    "E4M3": "7F FF",
    "E5M2": "7D 7E 7F FD FE FF",
    "E3M2": "",
    "E2M3": "",
    "E2M1": "",
    "E8M0": "FF",
    "E4M3FNUZ": "80",
    "E5M2FNUZ": "80",
    "E4M3B11FNUZ": "80",
    "E4M3IEEE": "79 7A 7B 7C 7D 7E 7F F9 FA FB FC FD FE FF",
}
WITH_INF = {"E5M2": 0x7C, "E4M3IEEE": 0x78, "E3M4": 0x70, "binary16": 0x7C00, "bfloat16": 0x7F80}


def record(name: str) -> FloatFormat:
    found = element(name)
    assert isinstance(found, FloatFormat)
    return found


@ENCODINGS
@pytest.mark.clause("MX-5.3.1-OFP8", "MX-5.4.1-BIAS", "MX-5.4.1-RANGE", "MX-5.4.1-UNSIGNED")
@pytest.mark.parametrize("name", FLOATS)
def test_parameters_of_floats(name: str) -> None:
    printed = FLOATS[name].split()
    form = record(name)
    integers = [
        form.exponent_bits,
        form.mantissa_bits,
        form.bias,
        form.width,
        form.sign_mask,
        form.magnitude_mask,
        form.max_code,
        form.emin,
        form.emax,
    ]
    assert integers == [int(entry, 0) for entry in printed[:9]]
    found = [form.max, form.min_normal, form.max_subnormal, form.min_positive]
    expected = [None if entry == "none" else number(entry) for entry in printed[9:]]
    assert [None if value is None else value.fraction() for value in found] == expected
    assert all(value is None or value.sign == 0 for value in found)
    assert str(form) == form.name == name


@ENCODINGS
@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_codes(name: str) -> None:
    printed = [int(entry) for entry in COUNTS[name].split()]
    assert record(name).counts == dict(zip(COUNTED, printed, strict=True))


@ENCODINGS
@pytest.mark.clause("MX-5.4.1-NAN", "MX-5.4.1-NOINF")
@pytest.mark.parametrize("name", NAN_CODES)
def test_nan_and_inf_codes(name: str) -> None:
    form = record(name)
    codes = tuple(int(code, 16) for code in NAN_CODES[name].split())
    assert form.nan_codes == codes
    assert form.has_nan is bool(codes)
    assert form.has_inf is (name in WITH_INF)
    assert form.inf == WITH_INF.get(name)


@pytest.mark.parametrize(
    ("name", "inf", "first", "count"),
    [
        ("E3M4", 0x70, 0x71, 15),
        ("binary16", 0x7C00, 0x7C01, 1023),
        ("bfloat16", 0x7F80, 0x7F81, 127),
        ("binary32", 0x7F800000, 0x7F800001, 2**23 - 1),
        ("binary64", 0x7FF0000000000000, 0x7FF0000000000001, 2**52 - 1),
    ],
)
def test_specials_of_wide_formats(name: str, inf: int, first: int, count: int) -> None:
    form = record(name)
    assert form.inf == inf
    assert form.nans == range(first, first + count)
    assert form.has_nan
    assert form.has_inf


@pytest.mark.clause("MX-5.3.4-ENC", "MX-5.3.4-NEG2", "MX-5.3.4-NOSPECIAL")
@pytest.mark.parametrize(
    ("name", "width", "fraction_bits", "top", "bottom", "emax", "largest", "smallest"),
    [
        ("INT8", 8, 6, 0x7F, 0x80, 0, Fraction(127, 64), Fraction(1, 64)),
        ("INT4", 4, 2, 0x7, 0x8, 0, Fraction(7, 4), Fraction(1, 4)),
        ("INT6", 6, 4, 0x1F, 0x20, 0, Fraction(31, 16), Fraction(1, 16)),
        ("INT2", 2, 0, 1, 2, 0, Fraction(1), Fraction(1)),
        ("INT100", 100, 98, 2**99 - 1, 2**99, 0, 2 - Fraction(1, 2**98), Fraction(1, 2**98)),
    ],
)
def test_parameters_of_integers(
    name: str,
    width: int,
    fraction_bits: int,
    top: int,
    bottom: int,
    emax: int,
    largest: Fraction,
    smallest: Fraction,
) -> None:
    form = element(name)
    assert isinstance(form, IntFormat)
    assert (form.width, form.fraction_bits, form.emax) == (width, fraction_bits, emax)
    assert (form.max_code, form.min_code) == (top, bottom)
    assert form.mantissa_bits == width - 2
    assert form.max.fraction() == largest
    assert form.min_positive.fraction() == smallest
    assert (form.has_inf, form.has_nan, form.signed) == (False, False, True)
    codes = 2**width
    assert form.counts == {
        "codes": codes,
        "finite": codes,
        "zero": 1,
        "inf": 0,
        "nan": 0,
        "distinct": codes,
    }
    assert str(form) == name


def test_an_integer_may_have_its_binary_point_anywhere() -> None:
    whole = IntFormat("whole", 8, 0)
    assert (whole.max.fraction(), whole.min_positive.fraction(), whole.emax) == (127, 1, 6)
    fine = IntFormat("fine", 8, 9)
    assert (fine.max.fraction(), fine.emax) == (Fraction(127, 512), -3)
    assert IntFormat("plain", 8) == IntFormat("plain", 8, 6)


# name: element, scale, k, bits per block
BLOCKS = {
    "MXFP8_E4M3": ("E4M3", "E8M0", 32, 264),
    "MXFP8_E5M2": ("E5M2", "E8M0", 32, 264),
    "MXFP6_E3M2": ("E3M2", "E8M0", 32, 200),
    "MXFP6_E2M3": ("E2M3", "E8M0", 32, 200),
    "MXFP4_E2M1": ("E2M1", "E8M0", 32, 136),
    "MXINT8": ("INT8", "E8M0", 32, 264),
    "NVFP4": ("E2M1", "E4M3", 16, 72),
    "MXINT4": ("INT4", "E8M0", 32, 136),
}


@pytest.mark.clause("MX-5.1-BLOCK", "MX-5.1-BITS", "MX-5.2.1-PARAMS", "MX-5.1-LAYOUT")
@pytest.mark.parametrize("name", BLOCKS)
def test_parameters_of_blocks(name: str) -> None:
    form = block_format(name)
    found = (form.element.name, form.scale.name, form.k, form.bits_per_block)
    assert found == BLOCKS[name]
    assert str(form) == form.name == name


@pytest.mark.clause("MX-5.2-NAME", "MX-5.2.1-DISTINCT", "MX-5.2.1-SUBSET", "MX-4-SCOPE-FP8")
def test_the_registry() -> None:
    six = list(BLOCKS)[:6]
    assert [form.name for form in CONCRETE] == six
    assert list(BLOCK_FORMATS) == list(BLOCKS)
    assert [name for name, form in BLOCK_FORMATS.items() if form.is_concrete_mx] == six
    assert [form.name for form in MX_ELEMENTS] == ["E4M3", "E5M2", "E3M2", "E2M3", "E2M1", "INT8"]
    others = ["E8M0", "INT4", "E4M3FNUZ", "E5M2FNUZ", "E4M3B11FNUZ", "E4M3IEEE", "E3M4"]
    assert list(ELEMENTS) == [form.name for form in MX_ELEMENTS] + others
    assert list(CARRIERS) == ["binary64", "binary32", "binary16", "bfloat16"]


def test_a_concrete_format_is_known_by_its_fields_not_its_name() -> None:
    mine = BlockFormat("MXFP4_E2M1", formats.E2M1, formats.E8M0, 16)
    assert not mine.is_concrete_mx
    assert not formats.NVFP4.is_concrete_mx


@pytest.mark.parametrize("name", ["MXFP4_E2M1", "E4M3", "INT8", "E8M0"])
def test_ocp_formats_say_so(name: str) -> None:
    assert find(name).origin == "OCP MX v1.0"


NEIGHBOURS = ["NVFP4", "MXINT4", "INT4", "E4M3FNUZ", "E5M2FNUZ", "E4M3B11FNUZ", "E4M3IEEE", "E3M4"]


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_neighbours_are_marked_as_not_ocp(name: str) -> None:
    assert find(name).origin.startswith("not OCP: ")


@pytest.mark.parametrize("registry", [ELEMENTS, BLOCK_FORMATS, CARRIERS])
def test_registries_cannot_be_changed(registry: Mapping[str, Any]) -> None:
    with pytest.raises(TypeError):
        registry["mine"] = None  # type: ignore[index]


@pytest.mark.parametrize("form", [formats.E4M3, formats.INT8, formats.MXFP4_E2M1])
def test_records_are_frozen_and_usable_as_keys(form: FloatFormat | IntFormat | BlockFormat) -> None:
    with pytest.raises(FrozenInstanceError):
        form.name = "mine"  # type: ignore[misc]
    assert {form: 1}[form] == 1


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("E4M3", "E4M3"),
        ("e4m3", "E4M3"),
        ("e4-m3", "E4M3"),
        ("E4_M3 ", "E4M3"),
        ("int8", "INT8"),
        ("e8m0", "E8M0"),
        ("e4m3fnuz", "E4M3FNUZ"),
        ("e4m3b11-fnuz", "E4M3B11FNUZ"),
        ("fp32", "binary32"),
        ("BF16", "bfloat16"),
        ("BFloat16", "bfloat16"),
        ("float64", "binary64"),
    ],
)
def test_elements_are_found_in_any_spelling(name: str, found: str) -> None:
    assert element(name).name == found
    assert find(name).name == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("binary64", "binary64"),
        ("fp64", "binary64"),
        ("float64", "binary64"),
        ("fp32", "binary32"),
        ("float32", "binary32"),
        ("Binary-32", "binary32"),
        ("fp16", "binary16"),
        ("float16", "binary16"),
        ("bf16", "bfloat16"),
        ("bfloat16", "bfloat16"),
    ],
)
def test_carriers_are_found_in_any_spelling(name: str, found: str) -> None:
    assert carrier(name).name == found
    assert carrier(name) is CARRIERS[found]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("MXFP8_E4M3", "MXFP8_E4M3"),
        ("mxfp8-e4m3", "MXFP8_E4M3"),
        ("mxfp8", "MXFP8_E4M3"),
        ("MXFP4", "MXFP4_E2M1"),
        ("mxfp4e2m1", "MXFP4_E2M1"),
        ("mx int8", "MXINT8"),
        ("nvfp4", "NVFP4"),
    ],
)
def test_block_formats_are_found_in_any_spelling(name: str, found: str) -> None:
    assert block_format(name) is BLOCK_FORMATS[found]
    assert find(name) is BLOCK_FORMATS[found]


def test_records_are_returned_as_they_are() -> None:
    own = FloatFormat("own", 2, 2, 1)
    assert element(own) is own
    assert carrier(own) is own
    block = BlockFormat("own", own, formats.E8M0, 4)
    assert block_format(block) is block


@pytest.mark.parametrize(
    ("lookup", "name", "message"),
    [
        (element, "E4M4", "unknown element format 'E4M4'; did you mean E4M3"),
        (element, "mxfp4", "unknown element format 'mxfp4'; "),
        (element, "binary33", "unknown element format 'binary33'; did you mean binary32"),
        (carrier, "E4M3", "unknown carrier 'E4M3'; expected one of binary64, binary32, "),
        (carrier, "binary8", "unknown carrier 'binary8'; did you mean "),
        (block_format, "MXFP6", "unknown block format 'MXFP6'; did you mean "),
        (block_format, "E4M3", "unknown block format 'E4M3'; "),
        (block_format, "E2M1/E8M0", "unknown block format 'E2M1/E8M0'; "),
        (block_format, "E2M1/E8M0/16/2", "unknown block format 'E2M1/E8M0/16/2'; "),
        (block_format, "E2M1/E8M0/k", "unknown block format 'E2M1/E8M0/k'; "),
        (block_format, "E2M1/E8M0/\u00b2", "unknown block format 'E2M1/E8M0/\u00b2'; "),
        (element, "INT\u0663", "unknown element format 'INT\u0663'; did you mean INT8"),
        (block_format, "E2M1/E8M0/-4", "unknown block format 'E2M1/E8M0/-4'; "),
        (block_format, "E9X9/E8M0/16", "unknown element format 'E9X9'; "),
        (block_format, "E2M1/E8X0/16", "unknown element format 'E8X0'; did you mean E8M0"),
        (find, "MXFP5", "unknown format 'MXFP5'; did you mean "),
        (find, "zzz", "unknown format 'zzz'; expected one of E4M3, "),
        (element, "E3M3:odd", "unknown element format 'E3M3:odd'; "),
        (element, "xINT6", "unknown element format 'xINT6'; "),
        (element, "E3M3", "unknown element format 'E3M3'; did you mean "),
    ],
)
def test_unknown_names_get_a_suggestion(
    lookup: Callable[[str], object], name: str, message: str
) -> None:
    with pytest.raises(UnknownName) as caught:
        lookup(name)
    assert str(caught.value).startswith(message)


# pattern: name, exponent bits, mantissa bits, bias, largest code, largest, Inf, NaN codes
PATTERNS = {
    "E3M3:finite": ("E3M3:finite", 3, 3, 3, 0x3F, 30, None, ()),
    "e2m0:FINITE": ("E2M0:finite", 2, 0, 1, 3, 4, None, ()),
    "E4M3:ieee": ("E4M3:ieee", 4, 3, 7, 0x77, 240, 0x78, (*range(0x79, 0x80), *range(0xF9, 0x100))),
    "E4M3:fn": ("E4M3:fn", 4, 3, 7, 0x7E, 448, None, (0x7F, 0xFF)),
    "E4M3:fnuz": ("E4M3:fnuz", 4, 3, 8, 0x7F, 240, None, (0x80,)),
    "E5M2:fnuz": ("E5M2:fnuz", 5, 2, 16, 0x7F, 57344, None, (0x80,)),
    "E1M2:finite": ("E1M2:finite", 1, 2, 0, 7, Fraction(7, 2), None, ()),
    "E1M2:ieee": ("E1M2:ieee", 1, 2, 0, 3, Fraction(3, 2), 4, (5, 6, 7, 13, 14, 15)),
    "E10M12:fn": ("E10M12:fn", 10, 12, 511, 2**22 - 2, None, None, (2**22 - 1, 2**23 - 1)),
    "E5M0:ieee": ("E5M0:ieee", 5, 0, 15, 0x1E, 32768, 0x1F, ()),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_formats_from_a_pattern(pattern: str) -> None:
    name, exponent_bits, mantissa_bits, bias, max_code, largest, inf, nans = PATTERNS[pattern]
    form = record(pattern)
    assert (form.name, form.origin) == (name, "custom")
    assert (form.exponent_bits, form.mantissa_bits, form.bias) == (
        exponent_bits,
        mantissa_bits,
        bias,
    )
    assert (form.max_code, form.inf, form.nan_codes) == (max_code, inf, nans)
    assert largest is None or form.max.fraction() == largest
    assert form.negative_zero is (not name.endswith("fnuz"))
    assert (form.signed, form.subnormals) == (True, True)
    assert find(pattern) == form


def test_a_pattern_with_all_parameters_of_a_record_is_that_record_but_for_its_name() -> None:
    def shape(form: FloatFormat) -> tuple[object, ...]:
        return form.exponent_bits, form.mantissa_bits, form.bias, form.inf, form.nans

    assert shape(record("E4M3:fn")) == shape(formats.E4M3)
    assert shape(record("E5M2:ieee")) == shape(formats.E5M2)
    assert shape(record("E2M1:finite")) == shape(formats.E2M1)
    assert shape(ieee("mine", 8, 23)) == shape(formats.BINARY32)
    assert ieee("mine", 8, 23).origin == "custom"


def test_int6_is_a_pattern_too() -> None:
    form = element("int6")
    assert form == IntFormat("INT6", 6, 4, "custom")
    assert find("INT6") == form


def test_blocks_from_three_parts() -> None:
    block = block_format("e2m1/e4m3/16")
    assert block == BlockFormat("E2M1/E4M3/16", formats.E2M1, formats.E4M3, 16, "custom")
    assert find("int8/E8M0/64").k == 64  # type: ignore[union-attr]
    wide = block_format("E3M3:finite/E5M3:fn/5")
    assert (wide.bits_per_block, wide.name) == (9 + 5 * 7, "E3M3:FINITE/E5M3:FN/5")
    assert not block.is_concrete_mx


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FloatFormat("F", 0, 3, 1), "F: E0M3; expected at least one exponent bit"),
        (lambda: FloatFormat("F", 3, -1, 1), "F: E3M-1; expected at least one exponent bit"),
        (
            lambda: FloatFormat("F", 4, 3, 7, inf=0x7E),
            "must be distinct, topmost codes, up to 0x7f",
        ),
        (lambda: FloatFormat("F", 4, 3, 7, inf=0x80), "F: Inf and NaN must be distinct, topmost"),
        (
            lambda: FloatFormat("F", 4, 3, 7, nans=range(0x70, 0x7F)),
            "must be distinct, topmost codes",
        ),
        (
            lambda: FloatFormat("F", 4, 3, 7, nans=range(0x7F, 0x81)),
            "must be distinct, topmost codes",
        ),
        (
            lambda: FloatFormat("F", 4, 3, 7, inf=0x70, nans=range(0x7F, 0x80)),
            "distinct, topmost codes",
        ),
        (
            lambda: FloatFormat("F", 4, 3, 7, inf=0x7F, nans=range(0x70, 0x7E)),
            "distinct, topmost codes",
        ),
        (
            lambda: FloatFormat("F", 4, 3, 7, signed=False, negative_zero=False),
            "F: an unsigned format has no -0 that could be NaN",
        ),
        (
            lambda: FloatFormat("F", 1, 1, 0, nans=range(1, 4)),
            "F: no code is left for a positive number",
        ),
        (lambda: IntFormat("I", 1), "I: width 1; expected at least 2 bits"),
        (lambda: IntFormat("I", 0, 0), "I: width 0; expected at least 2 bits"),
        (lambda: IntFormat("I", 8, -2), "I: fraction_bits = -2; expected 0 or more"),
        (
            lambda: FloatFormat("F", 4, 3, 7, inf=0x7F, nans=range(0x7E, 0x80)),
            "F: Inf and NaN must be distinct, topmost codes, up to 0x7f",
        ),
        (
            lambda: BlockFormat("B", formats.E2M1, formats.E8M0, 0),
            "B: k = 0; expected at least one element (MX-5.1-BLOCK)",
        ),
        (lambda: element("INT1"), "INT1: width 1; expected at least 2 bits"),
        (lambda: element("E0M3:finite"), "E0M3:finite: E0M3; expected at least one exponent bit"),
        (lambda: block_format("E2M1/E8M0/0"), "k = 0; expected at least one element"),
        (
            lambda: block_format("E2M1/INT8/16"),
            "E2M1/INT8/16: scale INT8 is an integer format; expected a float such as E8M0",
        ),
    ],
)
@pytest.mark.clause("MX-5.1-BLOCK")
def test_records_that_contradict_themselves_are_refused(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(BadFormat) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("form", "max_code", "specials"),
    [
        (FloatFormat("NaN above Inf", 4, 3, 7, inf=0x7C, nans=range(0x7D, 0x80)), 0x7B, 4),
        (FloatFormat("Inf above NaN", 4, 3, 7, inf=0x7F, nans=range(0x7E, 0x7F)), 0x7D, 2),
        (FloatFormat("Inf alone", 4, 3, 7, inf=0x7F), 0x7E, 1),
        (FloatFormat("Inf and NaN at -0", 4, 3, 8, inf=0x7F, negative_zero=False), 0x7E, 1),
        (FloatFormat("two codes", 1, 0, 0), 1, 0),
        (FloatFormat("one number", 1, 1, 0, nans=range(2, 4)), 1, 2),
        (FloatFormat("smallest", 1, 0, 0, signed=False), 1, 0),
        (IntFormat("smallest", 2), 1, 0),
        (BlockFormat("one element", formats.E2M1, formats.E8M0, 1).element, 7, 0),
    ],
    ids=str,
)
def test_odd_but_consistent_records_are_accepted(
    form: FloatFormat | IntFormat, max_code: int, specials: int
) -> None:
    assert form.max_code == max_code
    if isinstance(form, FloatFormat):
        assert form.magnitude_mask - form.max_code == specials


def test_an_unsigned_format_has_one_zero_and_no_sign() -> None:
    form = FloatFormat("UE4M3", 4, 3, 7, signed=False, nans=range(0x7F, 0x80))
    assert (form.width, form.sign_mask, form.nan_codes) == (7, 0, (0x7F,))
    expected = dict(zip(COUNTED, (128, 127, 1, 7, 119, 0, 1, 127), strict=True))
    assert form.counts == expected


def test_a_format_without_subnormals_starts_with_a_normal_number() -> None:
    form = FloatFormat("E3M2 without", 3, 2, 3, subnormals=False)
    assert (form.emin, form.emax, form.max_subnormal) == (-3, 4, None)
    assert form.min_positive == form.min_normal == Value(0, 1, -3)
    assert form.max.fraction() == 28
    assert form.counts["subnormal"] == 0
    assert form.counts["zero"] == 0
    assert form.counts["normal"] == 64


def test_a_format_may_hold_subnormal_numbers_alone() -> None:
    form = ieee("E1M2", 1, 2)
    assert (form.max, form.emin, form.min_positive) == (Value(0, 3, -1), 1, Value(0, 1, -1))
    assert form.counts["normal"] == 0
    assert form.counts["subnormal"] == 6


def test_a_format_without_mantissa_has_no_subnormal_number() -> None:
    form = FloatFormat("E3M0", 3, 0, 3)
    assert form.max_subnormal is None
    assert form.min_positive == Value(0, 1, -2)
    assert form.counts["subnormal"] == 0
