"""The cases themselves: what must be among them, whatever else is."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from conformance.arrays import as_values
from conformance.cases import LEVELS, Cases, collect
from conformance.cases.blocks import (
    FREE_NOTES,
    ULPS,
    dequantize_cases,
    quantize_cases,
)
from conformance.cases.elements import (
    RANDOM,
    decode_cases,
    encode_cases,
    scale_cast_cases,
)
from conformance.coverage import clause_counts
from conformance.notes import NOTES
from mxemu.clauses import CLAUSES
from mxemu.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
    CARRIERS,
    CONCRETE,
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    MX_ELEMENTS,
    MXFP4_E2M1,
    MXINT8,
    NVFP4,
    BlockFormat,
    ElementFormat,
    FloatFormat,
    block_format,
)
from mxemu.scalar import decode

NUMPY = {"binary64": np.float64, "binary32": np.float32, "binary16": np.float16}


def names(fmt: object) -> str:
    return getattr(fmt, "name", str(fmt))


def bits_of(value: Fraction | float, carrier: FloatFormat) -> int:
    """The bits of a number that a carrier has, by NumPy and not by the emulator."""
    number = float(value)
    assert Fraction(number) == value
    if carrier is BFLOAT16:
        whole = int(np.float32(number).view(np.uint32))
        assert whole & 0xFFFF == 0
        return whole >> 16
    narrow = NUMPY[carrier.name](number)
    assert float(narrow) == number
    return int(narrow.view(f"u{narrow.itemsize}"))


def ladder(element: ElementFormat) -> list[Fraction]:
    """Every magnitude of a format in order, and the one that would follow the largest."""
    codes = range(1 << element.width)
    values = {
        abs(decode(code, element).fraction()) for code in codes if decode(code, element).is_finite
    }
    rungs = sorted(value for value in values if value <= element.max.fraction())
    return [*rungs, 2 * rungs[-1] - rungs[-2]]


# One element.


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=names)
@pytest.mark.parametrize("element", MX_ELEMENTS, ids=names)
def test_every_value_and_every_tie_with_both_neighbours(
    element: ElementFormat, carrier: FloatFormat
) -> None:
    """464 for E4M3 and 61440 for E5M2 are among them: the ties above the largest values."""
    rungs = ladder(element)
    ties = [(low + high) / 2 for low, high in pairwise(rungs)]
    inputs = {int(bits) for bits in encode_cases(element, carrier, "smoke").inputs}
    for number in (*rungs[:-1], *ties):
        bits = bits_of(number, carrier)
        wanted = {bits, bits + 1} | ({bits - 1} if bits else set())
        assert {one | sign for one in wanted for sign in (0, carrier.sign_mask)} <= inputs, number


@pytest.mark.parametrize(("element", "edge"), [(E4M3, 464), (E5M2, 61440)], ids=names)
@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=names)
def test_the_edges_of_overflow_are_there_and_say_what_they_are(
    element: ElementFormat, edge: int, carrier: FloatFormat
) -> None:
    cases = encode_cases(element, carrier, "smoke")
    tie = bits_of(edge, carrier)
    notes = {int(bits): cases.note(index) for index, bits in enumerate(cases.inputs)}
    below, at, above = (notes[tie + step] for step in (-1, 0, 1))
    assert (below, at, above) == ("early-saturation", "ties-to-even", "late-saturation")
    assert notes[tie | carrier.sign_mask] == at


@pytest.mark.parametrize("carrier", [BINARY64, BINARY32], ids=names)
def test_each_lower_bit_stands_alone_above_and_below_some_tie(carrier: FloatFormat) -> None:
    inputs = {int(bits) for bits in encode_cases(E2M1, carrier, "core").inputs}
    for tie in (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5):
        bits = bits_of(tie, carrier)
        lowest = (bits & -bits).bit_length() - 1
        for position in range(min(lowest, carrier.mantissa_bits)):
            assert {bits + (1 << position), bits - (1 << position)} <= inputs


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=names)
def test_specials_and_subnormals_of_the_carrier(carrier: FloatFormat) -> None:
    inputs = {int(bits) for bits in encode_cases(E4M3, carrier, "smoke").inputs}
    inf = ((1 << carrier.exponent_bits) - 1) << carrier.mantissa_bits
    for sign in (0, carrier.sign_mask):
        assert {sign, sign | 1, sign | inf} <= inputs
        for bit in range(carrier.mantissa_bits):
            assert sign | 1 << bit in inputs  # a subnormal with every number of leading zeros
            assert sign | inf | 1 << bit in inputs  # a NaN with every single bit of payload


@pytest.mark.parametrize("carrier", [BINARY16, BFLOAT16], ids=names)
def test_every_input_of_a_16_bit_carrier(carrier: FloatFormat) -> None:
    assert len(encode_cases(E5M2, carrier, "core")) == 1 << 16


@pytest.mark.parametrize("element", [E2M1, E4M3], ids=names)
def test_every_upper_half_with_the_lower_bits_that_matter(element: ElementFormat) -> None:
    inputs = encode_cases(element, BINARY32, "full").inputs
    for tail in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        assert len(np.unique(inputs[inputs & 0xFFFF == tail] >> 16)) == 1 << 16


@pytest.mark.parametrize("element", [*MX_ELEMENTS, E8M0], ids=names)
def test_every_code_is_decoded(element: ElementFormat) -> None:
    cases = decode_cases(element)
    assert list(cases.inputs) == list(range(1 << element.width))


def test_the_codes_of_a_scale_that_are_taken_for_something_else() -> None:
    cases = decode_cases(E8M0)
    noted = {int(code): cases.note(index) for index, code in enumerate(cases.inputs)}
    assert (noted[0x00], noted[0xFE], noted[0xFF]) == (
        "scale-byte-0",
        "scale-byte-254",
        "scale-byte-255",
    )
    assert noted[0x7F] == "code-order"


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=names)
@pytest.mark.parametrize("level", ["smoke", "core"])
def test_conversion_to_a_scale_meets_zero_specials_both_signs_and_the_ends(
    level: str, carrier: FloatFormat
) -> None:
    inputs = {int(bits) for bits in scale_cast_cases(E8M0, carrier, level).inputs}
    one = bits_of(1, carrier)
    inf = ((1 << carrier.exponent_bits) - 1) << carrier.mantissa_bits
    assert {0, carrier.sign_mask, inf, inf + 1, inf | carrier.sign_mask} <= inputs
    if level == "core":
        assert {one, one + 1, one - 1, one | carrier.sign_mask, bits_of(1.5, carrier)} <= inputs
    if carrier is BINARY32:
        low = 1 << 22  # 2^-127
        assert {low, low + 1, low - 1, low | low >> 1, 2 * low, 2 * low + 1} <= inputs
        assert bits_of(2.0**127, carrier) in inputs


# Blocks.


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=names)
@pytest.mark.parametrize("level", ["smoke", "core"])
def test_the_largest_magnitude_is_in_every_lane_with_either_sign(
    level: str, carrier: FloatFormat
) -> None:
    rows = quantize_cases(MXFP4_E2M1, carrier, level).inputs
    single = rows[(rows != 0).sum(axis=1) == 1]
    six = bits_of(6, carrier)
    for number in (six, six | carrier.sign_mask):
        lanes = np.argmax(single[(single == number).any(axis=1)], axis=1)
        assert sorted(int(lane) for lane in lanes) == list(range(32))


def test_powers_of_two_with_neighbours_up_to_45_ulp() -> None:
    rows = quantize_cases(MXFP4_E2M1, BINARY32, "core").inputs
    single = {int(bits) for bits in rows[:, 0][(rows[:, 1:] == 0).all(axis=1)]}
    for power in (bits_of(1, BINARY32), bits_of(2.0**127, BINARY32), bits_of(2.0**-126, BINARY32)):
        assert {power + sign * ulp for ulp in (0, *ULPS) for sign in (1, -1)} <= single
    assert BINARY32.max_code in single


@pytest.mark.parametrize("fmt", [*CONCRETE, NVFP4], ids=names)
def test_specials_zeros_and_subnormals_in_blocks(fmt: BlockFormat) -> None:
    cases = quantize_cases(fmt, BINARY32, "smoke")
    values = as_values(cases.inputs, "binary32")
    nans, infs = np.isnan(values), np.isinf(values)
    assert {0, fmt.k // 2, fmt.k - 1} <= {
        int(lane) for lane in np.argmax(nans, axis=1)[nans.sum(axis=1) == 1]
    }
    assert {0, fmt.k // 2, fmt.k - 1} <= {
        int(lane) for lane in np.argmax(infs, axis=1)[infs.sum(axis=1) == 1]
    }
    assert (values == 0).all(axis=1).sum() == 3
    with np.errstate(invalid="ignore"):
        largest = np.where(np.isfinite(values), np.abs(values), np.inf).max(axis=1)
    assert ((largest > 0) & (largest < np.float32(2.0**-126))).sum() >= 24


def test_elements_far_below_the_largest_reach_beyond_a_32_bit_shift() -> None:
    for fmt in CONCRETE:
        cases = quantize_cases(fmt, BINARY32, "smoke")
        rows = as_values(
            cases.inputs[cases.theme == cases.notes.index("element-exponent-range")], "binary32"
        )
        smallest = np.abs(rows[rows != 0]).min()
        depth = np.log2(np.abs(rows).max() / smallest)
        normal = fmt.element.min_normal.leading if isinstance(fmt.element, FloatFormat) else 0
        assert depth > fmt.element.max.leading - normal + 32


@pytest.mark.parametrize("level", ["smoke", "core"])
@pytest.mark.parametrize("fmt", CONCRETE, ids=names)
def test_dequantize_meets_every_code_under_the_scales_at_the_ends(
    fmt: BlockFormat, level: str
) -> None:
    rows = dequantize_cases(fmt, level).inputs
    for scale in (0x00, 0x01, 0x7F if level == "core" else 0x80, 0xFE, 0xFF):
        met = np.unique(rows[rows[:, 0] == scale][:, 1:])
        assert list(met) == list(range(1 << fmt.element.width)), hex(scale)
    if level == "core":
        assert list(np.unique(rows[:, 0])) == list(range(256))


def test_silent_themes_of_blocks_are_notes_and_hold_what_they_say() -> None:
    assert set(NOTES) >= FREE_NOTES
    cases = quantize_cases(MXINT8, BINARY32, "smoke")
    silent = np.isin(cases.theme, [cases.notes.index(note) for note in FREE_NOTES])
    values = as_values(cases.inputs, "binary32")
    assert (~np.isfinite(values).all(axis=1) | (values == 0).all(axis=1) == silent).all()


def test_any_block_size_works() -> None:
    for k in (1, 2, 3, 16, 33):
        fmt = block_format(f"E2M1/E8M0/{k}")
        assert quantize_cases(fmt, BINARY32, "smoke").inputs.shape[1] == k
        assert dequantize_cases(fmt, "smoke").inputs.shape[1] == k + 1


# All of them.


def everything(level: str) -> list[Cases]:
    return [
        *(encode_cases(fmt, BINARY32, level) for fmt in (E4M3, E2M1)),
        scale_cast_cases(E8M0, BINARY32, level),
        quantize_cases(MXFP4_E2M1, BINARY32, level),
        dequantize_cases(MXFP4_E2M1, level),
    ]


def test_levels_grow_and_keep_what_was_there() -> None:
    for smaller, larger in pairwise(everything(level) for level in LEVELS[:2]):
        for few, many in zip(smaller, larger, strict=True):
            assert len(few) <= len(many)
    for fmt in (E4M3, E2M1):
        smoke, core = (encode_cases(fmt, BINARY32, level) for level in LEVELS[:2])
        drawn = smoke.theme == smoke.notes.index("random")
        assert np.isin(smoke.inputs[~drawn], core.inputs).all()
    assert list(RANDOM) == list(LEVELS)
    assert list(RANDOM.values()) == sorted(RANDOM.values())


ENCODE_THEMES = {
    *("code-order", "subnormal-flush", "negative-zero-lost", "underflow-to-zero-tie"),
    *("smallest-subnormal", "ties-to-even", "early-saturation", "late-saturation", "carry-lost"),
    *("sticky-lost", "truncation", "inf-policy", "nan-dropped", "nan-payload"),
    *("input-subnormal-flush", "random"),
}
CORE_THEMES = {"double-rounding", "element-exponent-range"}
QUANTIZE_THEMES = {
    *("code-order", "scale-rule", "amax-lane", "amax-sign", "ties-to-even", "early-saturation"),
    *("element-exponent-range", "float-log2", "input-subnormal-flush", "scale-clamp-low"),
    *("scale-byte-254", "zero-block", "nan-in-block", "inf-in-block", "random"),
}


def met(cases: Cases) -> set[str]:
    """The notes that some case carries."""
    assert set(cases.notes) <= set(NOTES)
    assert len(np.unique(cases.inputs, axis=0)) == len(cases.theme) == len(cases)
    return {cases.notes[theme] for theme in np.unique(cases.theme)}


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=names)
@pytest.mark.parametrize("element", MX_ELEMENTS, ids=names)
def test_no_theme_of_an_encoder_is_empty(element: ElementFormat, carrier: FloatFormat) -> None:
    absent = {"subnormal-flush"} if element.name == "INT8" else set()
    if (element.name, carrier.name) == ("INT8", "bfloat16"):
        absent.add(
            "early-saturation"
        )  # bfloat16 has nothing between the largest value and the tie above it
    expected = ENCODE_THEMES - absent
    assert met(encode_cases(element, carrier, "smoke")) == expected
    if carrier.width > 16:
        assert met(encode_cases(element, carrier, "core")) == expected | CORE_THEMES
    else:
        assert "every-input" in met(encode_cases(element, carrier, "core"))


@pytest.mark.parametrize("level", ["smoke", "core"])
@pytest.mark.parametrize("fmt", CONCRETE, ids=names)
def test_no_theme_of_a_block_is_empty(fmt: BlockFormat, level: str) -> None:
    assert met(quantize_cases(fmt, BINARY32, level)) == QUANTIZE_THEMES
    specials = {"special-ignores-scale"} if fmt.element.has_nan else set()
    ends = {"scale-byte-0", "scale-byte-254", "scale-byte-255"}
    assert met(dequantize_cases(fmt, level)) == {"code-order"} | ends | specials
    assert met(scale_cast_cases(E8M0, BINARY32, level)) == {"scale-cast", "scale-cast-special"}


def test_cases_are_the_same_in_every_run() -> None:
    encode_cases.cache_clear()
    first = encode_cases(E4M3, BINARY32, "smoke")
    encode_cases.cache_clear()
    second = encode_cases(E4M3, BINARY32, "smoke")
    assert first is not second
    assert np.array_equal(first.inputs, second.inputs)
    assert np.array_equal(first.theme, second.theme)


def test_an_input_of_several_themes_stays_with_the_first() -> None:
    parts = [
        ("truncation", np.array([3, 1, 3])),
        ("random", np.array([1, 2])),
        ("truncation", np.array([4])),
    ]
    cases = collect(parts, np.uint32)
    assert [(int(bits), cases.note(index)) for index, bits in enumerate(cases.inputs)] == [
        (3, "truncation"),
        (1, "truncation"),
        (2, "random"),
        (4, "truncation"),
    ]
    assert cases.inputs.dtype == np.uint32


def test_a_theme_without_inputs_is_no_theme() -> None:
    cases = collect([("ties-to-even", np.zeros(0)), ("random", np.array([1]))], np.uint32)
    assert (cases.notes, len(cases)) == (("random",), 1)


def test_blocks_stay_whole() -> None:
    rows = np.array([[1, 2], [2, 1], [1, 2]])
    cases = collect([("scale-rule", rows), ("random", rows)], np.uint16)
    assert cases.inputs.tolist() == [[1, 2], [2, 1]]


# What they cover.

# Clauses that no result decides: scope, names, layout, permissions, and definitions that others of this list imply.
NOT_DECIDED_HERE = {
    *(clause for clause in CLAUSES if clause.startswith(("MX-4-", "MX-5.2"))),
    *(
        clause
        for clause in CLAUSES
        if clause.endswith(("-RND", "-OVFATTR", "-NOSPECIAL", "-OTHER"))
    ),
    *("MX-5.1-BLOCK", "MX-5.1-BITS", "MX-5.1-LAYOUT", "MX-5.1-PRUNE"),
    *("MX-5.3-NORMAL", "MX-5.3-SUBNORMAL", "MX-5.3.4-NEG2"),
    *("MX-5.4.1-BIAS", "MX-5.4.1-NOINF", "MX-5.4.1-NOZERO", "MX-5.4.1-UNSIGNED"),
    "MX-6.3-MECH",
}


def test_every_clause_that_decides_a_result_has_cases() -> None:
    counts = clause_counts()
    assert set(counts) == set(CLAUSES) - NOT_DECIDED_HERE
    assert all(count >= 1 for count in counts.values())


@pytest.mark.parametrize(
    ("clause", "groups"),
    [
        ("MX-5.3.1-OFP8", 4),  # two formats, two overflows
        ("MX-5.3.1-SAT", 2),
        ("MX-5.3.1-OVF", 2),
        ("MX-5.3.3-RNE", 2),
        ("MX-5.1-NANSCALE", 6 + 3 * 11),
        ("MX-5.1-SPECIAL", 2 + 2 * 4),
        ("MX-6.3-SCALE", 6),
        ("MX-6.3-RNE", 2 * 6),
        ("MX-6.3-CLAMP", 2 * 6),
        ("MX-6.1-DOT", 11),  # six formats, and five pairs of two
        ("MX-6.1-MIXED", 2 * 5),
        ("MX-6.1-PREC", 3 * 11),
        ("MX-6.2-SUM", 2 * 11),
        ("MX-6.2-PAD", 11),
        ("MX-6.2-F32", 2 * 11),
    ],
)
def test_clauses_are_counted_by_groups(clause: str, groups: int) -> None:
    assert clause_counts()[clause] == groups
