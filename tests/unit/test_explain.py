"""Explanations as data: every number in them is compared with the core, or with a definition spelled out here."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxemu import block, formats, scalar
from mxemu.errors import BadCode, BadShape, BadValue, UnknownName
from mxemu.explain import (
    Interval,
    bit_fields,
    code_text,
    convert,
    explain_block,
    explain_code,
    explain_value,
    read_code,
    read_number,
)
from mxemu.formats import E2M1, E4M3, E5M2, E8M0, INT8, MX_ELEMENTS, ElementFormat
from mxemu.profile import OCP, PRESETS, Profile, Rounding, alternatives, profile
from mxemu.scalar import Status
from mxemu.value import INF, NAN, Value, from_fraction

PROFILES = {
    "ocp": OCP,
    "overflow": OCP.replace(overflow="overflow"),
    "away": OCP.replace(rounding="ties-to-away", scale_cast="subnormal-up"),
    "truncate": OCP.replace(rounding="toward-zero", scale_cast="toward-zero"),
    "up, overflow": OCP.replace(rounding="toward-positive", overflow="overflow"),
    "odd": OCP.replace(rounding="to-odd", scale_cast="toward-positive"),
    "unusual": OCP.replace(
        zero_sign="positive",
        int_minimum="allow",
        element_subnormals="flush",
        scale_zero="nan",
        scale_overflow="nan",
    ),
}
SMALL = ("E2M1", "E3M2", "INT4", "E2M2:fnuz", "E3M1:ieee", "E2M2:fn")


def contains(interval: Interval, number: Fraction) -> bool:
    low, high = interval.low, interval.high
    above = not low.is_finite or low.fraction() < number
    below = not high.is_finite or number < high.fraction()
    at_low = interval.low_closed and low.is_finite and low.fraction() == number
    at_high = interval.high_closed and high.is_finite and high.fraction() == number
    return (above or at_low) and (below or at_high)


def samples(fmt: ElementFormat) -> list[Fraction]:
    """Every value and tie, reals beside them, and reals beyond either end."""
    values = [scalar.decode(code, fmt) for code in range(1 << fmt.width)]
    line = sorted({value.fraction() for value in values if value.is_finite})
    unit = line[-1] - line[-2]
    line += [line[-1] + unit * count for count in (1, 2, 1000)]
    if fmt.signed:
        line = [line[0] - unit * count for count in (1000, 2, 1)] + line
    parts = [Fraction(part, 1024) for part in (0, 1, 511, 512, 513, 1023)]
    return [low + (high - low) * part for low, high in pairwise(line) for part in parts]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("choices", PROFILES)
def test_intervals_are_the_preimages_of_the_codes(name: str, choices: str) -> None:
    fmt, chosen = formats.element(name), PROFILES[choices]
    found = [explain_code(code, fmt, chosen) for code in range(1 << fmt.width)]
    for number in samples(fmt):
        homes = [one.code for one in found for each in one.intervals if contains(each, number)]
        assert homes == [convert(from_fraction(number), fmt, chosen).code], number


@pytest.mark.parametrize("choices", PROFILES)
def test_intervals_of_a_scale_format(choices: str) -> None:
    chosen = PROFILES[choices]
    found = [explain_code(code, E8M0, chosen) for code in range(256)]
    powers = [
        Fraction(2) ** exponent for exponent in (-130, -128, -127, -126, -1, 0, 126, 127, 128)
    ]
    for number in [
        power * factor for power in powers for factor in (1, Fraction(5, 4), Fraction(3, 2))
    ]:
        homes = [one.code for one in found for each in one.intervals if contains(each, number)]
        assert homes == [convert(from_fraction(number), E8M0, chosen).code], number


@pytest.mark.parametrize("fmt", [*MX_ELEMENTS, E8M0], ids=str)
def test_neighbours_are_next_in_value(fmt: ElementFormat) -> None:
    values = [scalar.decode(code, fmt) for code in range(1 << fmt.width)]
    line = sorted({value.fraction() for value in values if value.is_finite})
    for code, value in enumerate(values):
        found = explain_code(code, fmt)
        if not value.is_finite:
            assert found.below is found.above is None
            continue
        place = line.index(value.fraction())
        for neighbour, other in ((found.below, place - 1), (found.above, place + 1)):
            if neighbour is None:
                assert not 0 <= other < len(line)
            else:
                assert neighbour.value.fraction() == line[other]
                assert neighbour.value == values[neighbour.code]


def test_ties_lie_half_way_and_go_to_the_even_code() -> None:
    found = explain_code(0x5D, E4M3)
    assert [(str(tie.value), tie.code) for tie in found.ties] == [("25", 0x5C), ("27", 0x5E)]
    away = explain_code(0x5D, E4M3, profile("floor-ties-away"))
    assert [tie.code for tie in away.ties] == [0x5D, 0x5E]
    assert explain_code(0x5D, E4M3, profile("floor-truncate")).ties == ()


@pytest.mark.parametrize("fmt", [*MX_ELEMENTS, E8M0, formats.BINARY16], ids=str)
def test_fields_rebuild_the_value(fmt: ElementFormat) -> None:
    for code in range(0, 1 << fmt.width, 97 if fmt.width > 8 else 1):
        found = explain_code(code, fmt)
        assert int(found.fields.replace("_", ""), 2) == code
        if found.significand is not None and found.exponent is not None:
            magnitude = found.significand * Fraction(2) ** found.exponent
            negative = found.value.sign and isinstance(fmt, formats.FloatFormat)
            assert found.value.fraction() == (-magnitude if negative else magnitude)


@pytest.mark.parametrize(
    ("fmt", "code", "kind", "marks"),
    [
        (E4M3, 0x00, "zero", ()),
        (E4M3, 0x01, "subnormal", ("min",)),
        (E4M3, 0x87, "subnormal", ("max",)),
        (E4M3, 0x08, "normal", ("min",)),
        (E4M3, 0x7E, "normal", ("max",)),
        (E4M3, 0x7F, "NaN", ()),
        (E5M2, 0x7C, "Inf", ()),
        (E2M1, 0x1, "subnormal", ("min", "max")),
        (INT8, 0x80, "integer", ("min",)),
        (E8M0, 0x00, "power of two", ("min",)),
        (E8M0, 0xFE, "power of two", ("max",)),
        (E8M0, 0xFF, "NaN", ()),
    ],
)
def test_kind_and_marks(fmt: ElementFormat, code: int, kind: str, marks: tuple[str, ...]) -> None:
    found = explain_code(code, fmt)
    assert (found.kind, found.marks) == (kind, marks)


def test_specials_name_the_inputs_that_are_no_reals() -> None:
    assert explain_code(0x7, E2M1).specials == ("+Inf", "NaN", "-NaN")
    assert explain_code(0x8, E2M1).specials == ("-0",)
    assert explain_code(0x7C, E5M2).specials == ()
    assert explain_code(0x7C, E5M2, profile("ocp-overflow")).specials == ("+Inf",)
    assert explain_code(0xFF, E8M0).specials == ("-Inf", "NaN", "-NaN", "negative numbers")
    assert "0" in explain_code(0xFF, E8M0, OCP.replace(scale_zero="nan")).specials


def test_overflow_codes_have_reals_of_their_own() -> None:
    (interval,) = explain_code(0x7F, E4M3, profile("ocp-overflow")).intervals
    assert (str(interval.low), interval.low_closed) == ("464", False)
    assert interval.high.is_inf
    assert interval.high_closed
    both = explain_code(0x80, "E4M3FNUZ", profile("ocp-overflow")).intervals
    assert [str(each.low) for each in both] == ["-Inf", "248"]


def test_stochastic_rounding_has_no_intervals() -> None:
    assert explain_code(0x5D, E4M3, profile("stochastic")).intervals == ()


def test_carriers_overflow_to_inf() -> None:
    assert explain_value("1e39", "binary32").result.code == 0x7F800000
    assert explain_value("1e39", "binary32").profile.describe() == "ocp, overflow to Inf"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0x5D", 0x5D),
        ("0X5d", 0x5D),
        ("0b0_1011_101", 0x5D),
        ("#93", 93),
        ("0x1.8p3", None),
        ("0x1p3", None),
        ("93", None),
        ("-0x5D", None),
        ("0x", None),
        ("0x_", None),
        ("#", None),
    ],
)
def test_read_code(text: str, code: int | None) -> None:
    assert read_code(text) == code


def test_code_text_has_the_digits_of_the_format() -> None:
    assert [code_text(5, fmt) for fmt in (E2M1, formats.E3M2, formats.BINARY32)] == [
        "0x5",
        "0x05",
        "0x00000005",
    ]
    assert bit_fields(0x80, INT8) == "1_0_000000"


def test_code_that_does_not_fit() -> None:
    with pytest.raises(BadCode, match="code 0x10 does not fit E2M1"):
        explain_code(0x10, "E2M1")


@given(st.fractions(-70000, 70000), st.sampled_from(MX_ELEMENTS))
def test_a_value_lies_between_its_neighbours(number: Fraction, fmt: ElementFormat) -> None:
    found = explain_value(from_fraction(number), fmt)
    exact, place = found.number.exact, found.place
    assert exact is not None
    assert place is not None
    assert found.result.code == scalar.encode(from_fraction(number), fmt).code
    if place.below is None or place.above is None:
        assert abs(exact) > fmt.max.fraction()
        assert place.beyond is not None
        return
    low, high = place.below.value.fraction(), place.above.value.fraction()
    assert low <= exact <= high
    assert not [
        code
        for code in range(1 << fmt.width)
        if (value := scalar.decode(code, fmt)).is_finite and low < value.fraction() < high
    ]
    if place.part is not None:
        assert low + place.part * (high - low) == exact


@pytest.mark.parametrize("number", ["0.3", "464", "465", "-1e9", "2^-10", "-5/8", "448"])
def test_the_grid_holds_every_rounding_and_overflow(number: str) -> None:
    found = explain_value(number, E4M3)
    assert (found.row_field, found.column_field) == ("rounding", "overflow")
    for rounding, row in zip(alternatives("rounding"), found.grid, strict=True):
        for overflow, outcome in zip(alternatives("overflow"), row, strict=True):
            chosen = OCP.replace(rounding=rounding, overflow=overflow)
            assert (outcome.code, outcome.status) == scalar.encode(found.number.value, E4M3, chosen)


@pytest.mark.parametrize("number", ["0.3", "0.26", "0.5", "5.1", "6.9", "7.9", "0.01"])
def test_stochastic_probability_counts_the_words(number: str) -> None:
    chosen = OCP.replace(rounding="stochastic", random_bits=6, overflow="overflow")
    found = explain_value(number, "E2M1:ieee" if number == "7.9" else E2M1, chosen)
    fmt, outcome = found.format, found.result
    codes = [scalar.encode(found.number.value, fmt, chosen, word).code for word in range(64)]
    assert set(codes) == {outcome.code} | ({outcome.second.code} if outcome.second else set())
    if outcome.second is not None:
        assert outcome.probability == Fraction(codes.count(outcome.second.code), 64)


@pytest.mark.parametrize(
    ("value", "fmt", "fields"),
    [
        (NAN, E4M3, ("nan_code", "")),
        (NAN, E2M1, ("nan_without_code", "")),
        (NAN, INT8, ("nan_without_code", "")),
        (INF, E4M3, ("overflow", "")),
        (INF, INT8, ("int_minimum", "")),
        (Value(1, 0, 0), E4M3, ("zero_sign", "")),
        (Value(1, 3, 0), INT8, ("rounding", "int_minimum")),
        (Value(0, 3, 0), E8M0, ("scale_cast", "scale_overflow")),
        (Value(0, 0, 0), E8M0, ("scale_zero", "")),
        (Value(1, 3, 0), E8M0, ("scale_negative", "")),
        (INF, E8M0, ("scale_overflow", "")),
        (NAN, E8M0, ("", "")),
    ],
)
def test_the_fields_that_matter(value: Value, fmt: ElementFormat, fields: tuple[str, str]) -> None:
    found = explain_value(value, fmt)
    assert (found.row_field, found.column_field) == fields
    results = {outcome.code for row in found.grid for outcome in row}
    assert found.result.code in results or not found.grid


def test_decimals_are_exact_and_carriers_round_them_first() -> None:
    assert explain_value("0.1", E4M3).number.exact == Fraction(1, 10)
    carried = explain_value("0.1", E4M3, carrier="binary32").number
    assert carried.bits == 0x3DCCCCCD
    assert carried.exact == Fraction(13421773, 1 << 27)
    assert carried.given == Fraction(1, 10)
    # Just above a tie; binary32 does not see the difference, and the tie goes to the even code.
    assert explain_value("1.06250000001", E4M3).result.code == 0x39
    assert explain_value("1.06250000001", E4M3, carrier="binary32").result.code == 0x38


def test_errors_are_relative_to_the_number() -> None:
    found = explain_value("465", E4M3)
    assert found.error == (-17, Fraction(-17, 465))
    assert explain_value("0", E4M3).error == (0, None)
    assert explain_value("465", E4M3, profile("ocp-overflow")).error is None


def test_numbers_that_are_none() -> None:
    with pytest.raises(BadValue, match="'1,5' is not a number"):
        read_number("1,5")
    with pytest.raises(BadValue, match="a number of 5000 characters"):
        read_number("9" * 5000)
    with pytest.raises(UnknownName, match="unknown carrier 'binary33'"):
        read_number("1", "binary33")


@pytest.mark.clause("MX-6.3-SCALE", "MX-6.3-CLAMP")
def test_957_becomes_896() -> None:
    found = explain_block(["957"], "MXFP8_E4M3")
    assert (found.scale.leading, found.scale.exponent, found.scale.code) == (9, 1, 0x80)
    assert found.scale.fraction == Fraction(957, 512)
    element = found.elements[0]
    assert (element.ratio, element.code, str(element.value), str(element.back)) == (
        Fraction(957, 2),
        0x7E,
        "448",
        "896",
    )
    assert element.error == (-61, Fraction(-61, 957))
    assert Status.SATURATED in element.status


BLOCKS = {
    "plain": ["957", "902.4", "291.7882", "-124.8256"],
    "one third": ["1/3", "-0.1", "7"],
    "zeros": ["0", "-0"],
    "tiny": ["1e-40", "1e-45", "2^-149"],
    "huge": ["3.4e38", "-1"],
    "NaN": ["1", "nan", "3"],
    "Inf": ["1", "-inf", "3"],
    "both": ["inf", "nan"],
    "beyond everything": ["1e300"],
}


@pytest.mark.parametrize("name", ["MXFP8_E4M3", "MXFP8_E5M2", "MXFP4", "MXINT8", "NVFP4"])
@pytest.mark.parametrize("numbers", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("carrier", [None, "binary32"])
def test_a_block_is_what_the_core_makes_of_it(
    name: str, numbers: list[str], carrier: str | None
) -> None:
    fmt = formats.block_format(name)
    for preset in (OCP, profile("rceil-satfinite"), profile("finite-amax"), profile("flush-block")):
        found = explain_block(numbers, fmt, preset, carrier=carrier)
        expected = quantized(found, preset)
        assert found.given == len(numbers)
        assert found.scale.code == expected.scale
        assert tuple(element.code for element in found.elements) == expected.codes
        back = block.dequantize(expected.scale, expected.codes, fmt, preset)
        assert tuple(element.back for element in found.elements) == back


def quantized(found: object, chosen: Profile) -> block.Quantized:
    """The same block by the core."""
    numbers = [element.number for element in found.elements]
    if found.carrier is None:
        return block.quantize([number.value for number in numbers], found.format, chosen)
    return block.quantize_bits(
        [number.bits for number in numbers], found.carrier, found.format, chosen
    )


@pytest.mark.parametrize("numbers", BLOCKS.values(), ids=BLOCKS)
def test_the_other_presets_are_sorted_by_what_they_give(numbers: list[str]) -> None:
    found = explain_block(numbers, "MXFP4", profile("rceil"), carrier="binary32")
    own = (found.scale.code, tuple(element.code for element in found.elements))
    grouped = {name for other in found.others for name in other.profiles}
    assert grouped | {*found.same, *found.left_out} == set(PRESETS) - {"rceil"}
    for name in found.same:
        assert quantized(found, PRESETS[name])[:2] == own
    for other in found.others:
        for name in other.profiles:
            expected = quantized(found, PRESETS[name])
            assert expected[:2] != own
            assert expected.scale == other.scale.code
            assert expected.codes[0] == other.element.code
            differing = [
                place for place, code in enumerate(expected.codes) if code != own[1][place]
            ]
            assert list(other.differing) == differing


def test_presets_that_do_not_fit_the_scale_are_left_out() -> None:
    assert set(explain_block(["1"], "NVFP4").left_out) == {
        "even-ties-down",
        "rceil-amax-floor",
        "stochastic",
    }
    assert explain_block(["1"], "MXFP4").left_out == ("stochastic",)


@pytest.mark.parametrize("rule", alternatives("scale_rule"), ids=str)
def test_the_steps_of_a_rule_add_up(rule: object) -> None:
    for number in ("1", "1.5", "1.75", "1.9375", "6", "7", "448", "957", "1/3"):
        scale = explain_block([number], "MXFP8_E4M3", OCP.replace(scale_rule=rule)).scale
        if rule.ratio:
            assert scale.ratio == Fraction(Fraction(number), 448)
            continue
        assert scale.fraction * Fraction(2) ** scale.leading == Fraction(number)
        assert [step.passed for step in scale.steps] == [
            passed(step, scale.fraction) for step in scale.steps
        ]
        assert scale.exponent == scale.leading - 8 + rule.offset + sum(
            step.passed for step in scale.steps
        )
        assert not scale.fitted


def passed(step: object, fraction: Fraction) -> bool:
    """Whether f has passed a step point, by squares."""
    strict = step.point.value.startswith("f > ")
    return fraction**2 > step.square or (not strict and fraction**2 == step.square)


@pytest.mark.parametrize(
    ("numbers", "policy", "element", "code"),
    [
        (["1", "nan", "inf"], "nan_block", 1, 0xFF),
        (["1", "2", "-inf"], "inf_block", 2, 0xFF),
        (["0", "-0"], "zero_block", None, 0x00),
        (["1", "-4", "4"], "", 1, 0x7F),
    ],
)
def test_who_decided_about_the_scale(
    numbers: list[str], policy: str, element: int | None, code: int
) -> None:
    scale = explain_block(numbers, "MXFP4").scale
    assert (scale.policy, scale.element, scale.code) == (policy, element, code)


def test_scales_are_fitted_into_their_range() -> None:
    low = explain_block(["1e-40"], "MXFP4").scale
    assert (low.exponent, low.code, low.fitted) == (-135, 0x00, True)
    high = explain_block(["1e300"], "MXFP4").scale
    assert (high.code, high.fitted) == (0xFE, True)
    clamped = explain_block(["2^127"], "MXFP4", OCP.replace(scale_clamp=(0, 250))).scale
    assert (clamped.exponent, clamped.code, clamped.fitted) == (125, 250, True)


def test_amax_floor_is_no_element() -> None:
    scale = explain_block(["1e-9"], "MXFP4", profile("rceil-amax-floor")).scale
    assert scale.element is None
    assert scale.exact == Fraction(13743895, 1 << 37)


def test_subnormal_inputs_are_flushed_only_with_a_carrier() -> None:
    chosen = OCP.replace(input_subnormals="flush")
    flushed = explain_block(["1e-40", "2"], "MXFP4", chosen, carrier="binary32")
    assert flushed.elements[0].ratio == 0
    assert flushed.elements[0].error.relative == -1
    assert explain_block(["1e-40", "2"], "MXFP4", chosen).elements[0].ratio != 0


@pytest.mark.clause("MX-5.1-OVF32")
def test_results_beyond_binary32_are_pointed_out() -> None:
    above = explain_block(["3.4e38"], "MXFP4", profile("rceil"))
    assert above.elements[0].binary32 == 0x7F800000
    assert above.elements[1].binary32 is None


def test_blocks_of_a_wrong_size() -> None:
    with pytest.raises(BadShape, match="33 values; a block of MXFP4_E2M1 holds 1 to k = 32"):
        explain_block(["1"] * 33, "MXFP4")
    with pytest.raises(BadShape, match="0 values"):
        explain_block([], "MXFP4")
    with pytest.raises(BadValue, match="element 32; a block of MXFP4_E2M1 has elements 0 to 31"):
        explain_block(["1"], "MXFP4", element=32)
    with pytest.raises(BadValue, match="element -1"):
        explain_block(["1"], "MXFP4", element=-1)


def test_every_rounding_is_known() -> None:
    for rounding in Rounding:
        found = explain_block(["7", "0.3"], "MXFP4", OCP.replace(rounding=rounding))
        assert found.scale.code == 0x7F
