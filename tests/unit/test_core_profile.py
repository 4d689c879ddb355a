"""Profiles: every field, every member, every preset, and what each choice changes in a result and what it does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import FrozenInstanceError, fields
from enum import Enum
from typing import Any

import pytest

from mxemu import formats
from mxemu import profile as profiles
from mxemu.block import dequantize_bits, quantize_bits
from mxemu.errors import BadFormat, BadValue, UnknownName
from mxemu.profile import (
    FIELD_TYPES,
    FIELDS,
    OCP,
    PRESETS,
    SCALE_RULES,
    Profile,
    alternatives,
    from_mapping,
    plain,
    spell,
    spelled,
    to_mapping,
)
from mxemu.profile import profile as find_profile
from mxemu.scalar import encode_bits
from mxemu.scale import encode_scale
from mxemu.value import Kind, Value

# Field: its members in order, the first being OCP's choice.
MEMBERS = {
    "rounding": "ties-to-even ties-to-away toward-zero toward-positive toward-negative to-odd stochastic",
    "overflow": "saturate overflow",
    "element_subnormals": "keep flush",
    "input_subnormals": "keep flush flush-block",
    "zero_sign": "keep positive",
    "nan_code": "quiet-keep-sign all-ones-keep-sign all-ones-positive",
    "nan_without_code": "max-positive max-keep-sign zero-positive zero-keep-sign zero-flip-sign",
    "int_minimum": "exclude allow",
    "zero_block": "smallest one as-two as-min-normal",
    "amax_nan": "propagate ignore",
    "nan_block": "scale-nan scale-smallest scale-largest",
    "inf_block": "scale-nan scale-largest finite-amax",
    "scale_overflow": "saturate nan",
    "scale_cast": "ties-to-even ties-to-away ties-to-away-binary32 toward-zero toward-positive subnormal-up",
    "scale_zero": "smallest nan magnitude",
    "scale_nan": "nan power inf",
    "out_of_binary32": "inf largest nan",
}
NUMERIC = ("random_bits", "scale_rule", "amax_floor", "scale_clamp", "scale_negative")


@pytest.mark.parametrize("field", MEMBERS)
def test_members_of_each_choice(field: str) -> None:
    names = MEMBERS[field].split()
    assert [plain(choice) for choice in alternatives(field)] == names
    assert [choice.name for choice in alternatives(field)] == [
        name.upper().replace("-", "_") for name in names
    ]
    assert getattr(OCP, field) is alternatives(field)[0]


def test_the_fields() -> None:
    assert sorted(FIELDS) == sorted([*MEMBERS, *NUMERIC])
    assert set(FIELD_TYPES) == set(FIELDS) - {"amax_floor", "scale_clamp"}
    assert [field.name for field in fields(Profile)] == ["name", "note", *FIELDS]
    assert list(OCP.choices()) == list(FIELDS)


def test_the_choices_of_ocp_that_are_no_first_member() -> None:
    assert OCP.random_bits == 32
    assert OCP.scale_rule is profiles.FLOOR
    assert OCP.amax_floor is None
    assert OCP.scale_clamp is None
    assert OCP.scale_negative is profiles.ScaleSpecial.NAN
    assert [plain(choice) for choice in alternatives("scale_negative")] == [
        "smallest",
        "nan",
        "magnitude",
    ]
    assert OCP.name == "ocp"
    assert Profile().same_choices(OCP)
    assert Profile().name == "custom"


@pytest.mark.parametrize("field", ["random_bits", "amax_floor", "scale_clamp", "name", "nonsense"])
def test_fields_with_numbers_have_no_members(field: str) -> None:
    assert alternatives(field) == ()


# Name: steps, offset, arithmetic, ratio, formula
RULES = {
    "FLOOR": ("", 0, "exact", False, "e - emax"),
    "CEIL": ("f > 1", 0, "exact", False, "e - emax + [f > 1]"),
    "EVEN": ("f >= 2 - 2^-(m+1)", 0, "exact", False, "e - emax + [f >= 2 - 2^-(m+1)]"),
    "EVEN_CARRY_NAN": (
        "f >= 2 - 2^-(m+1)",
        0,
        "binary32-carry",
        False,
        "e - emax + [f >= 2 - 2^-(m+1)]",
    ),
    "EVEN_TIES_DOWN": ("f > 2 - 2^-(m+1)", 0, "exact", False, "e - emax + [f > 2 - 2^-(m+1)]"),
    "EVEN_E2M1": ("f >= 7/4", 0, "exact", False, "e - emax + [f >= 7/4]"),
    "RCEIL": ("f > M", 0, "exact", False, "e - emax + [f > M]"),
    "RCEIL_BINARY32": ("f > M", 0, "binary32-quotient", False, "e - emax + [f > M]"),
    "RCEIL_SUBNORMAL_UP": (
        "f > M",
        0,
        "binary32-quotient-subnormal-up",
        False,
        "e - emax + [f > M]",
    ),
    "ROUND": ("f >= 3/2", 0, "exact", False, "e - emax + [f >= 3/2]"),
    "LOG_ROUND": ("f >= sqrt(2)", 0, "exact", False, "e - emax + [f >= sqrt(2)]"),
    "LOG_NEAREST": (
        "f >= M / sqrt(2), f >= M * sqrt(2)",
        -1,
        "exact",
        False,
        "e - emax - 1 + [f >= M / sqrt(2)] + [f >= M * sqrt(2)]",
    ),
    "FLOOR_OF_RATIO": ("f >= M", -1, "exact", False, "e - emax - 1 + [f >= M]"),
    "RATIO": ("", 0, "exact", True, "X = amax / max, rounded to the scale format"),
}


def test_scale_rules() -> None:
    assert list(SCALE_RULES) == list(RULES)
    assert alternatives("scale_rule") == tuple(SCALE_RULES.values())
    for name, (steps, offset, arithmetic, ratio, formula) in RULES.items():
        rule = SCALE_RULES[name]
        assert (rule.name, str(rule), rule.formula) == (name, name, formula)
        assert ", ".join(point.value for point in rule.steps) == steps
        assert (rule.offset, rule.arithmetic.value, rule.ratio) == (offset, arithmetic, ratio)
        assert getattr(profiles, name) is rule
        assert rule.note


def test_a_rule_of_ones_own() -> None:
    rule = profiles.ScaleRule("MINE", (profiles.StepPoint.ABOVE_ONE,), offset=2)
    assert rule.formula == "e - emax + 2 + [f > 1]"
    assert OCP.replace(scale_rule=rule).scale_rule is rule


# Preset: the fields that differ from OCP, in plain text
PRESET_CHANGES: Mapping[str, Mapping[str, Any]] = {
    "ocp": {},
    "ocp-overflow": {"overflow": "overflow"},
    "ocp-int-minimum": {"int_minimum": "allow"},
    "finite-amax": {"inf_block": "finite-amax", "amax_nan": "ignore"},
    "ceil": {"scale_rule": "CEIL"},
    "even": {"scale_rule": "EVEN"},
    "even-carry-nan": {"scale_rule": "EVEN_CARRY_NAN"},
    "even-ties-down": {
        "scale_rule": "EVEN_TIES_DOWN",
        "rounding": "ties-to-away",
        "scale_clamp": (0, 252),
        "inf_block": "scale-largest",
        "nan_block": "scale-largest",
    },
    "even-e2m1-step": {"scale_rule": "EVEN_E2M1"},
    "rceil": {"scale_rule": "RCEIL"},
    "rceil-satfinite": {"scale_rule": "RCEIL_BINARY32", "inf_block": "scale-largest"},
    "rceil-subnormal-up": {"scale_rule": "RCEIL_SUBNORMAL_UP"},
    "rceil-amax-floor": {
        "scale_rule": "RCEIL_SUBNORMAL_UP",
        # binary32 1e-4 is 0x38D1B717: significand 0xD1B717, exponent field 113.
        "amax_floor": Value(0, 0xD1B717, 113 - 127 - 23),
        "inf_block": "scale-largest",
        "zero_sign": "positive",
        "scale_clamp": (1, 254),
    },
    "log-nearest": {"scale_rule": "LOG_NEAREST"},
    "floor-ties-away": {"rounding": "ties-to-away"},
    "floor-truncate": {"rounding": "toward-zero"},
    "flush-block": {"input_subnormals": "flush-block"},
    "ratio": {"scale_rule": "RATIO"},
    "stochastic": {"rounding": "stochastic"},
}


def test_the_presets() -> None:
    assert list(PRESETS) == list(PRESET_CHANGES)


@pytest.mark.parametrize("name", PRESET_CHANGES)
def test_each_preset_is_ocp_but_for(name: str) -> None:
    preset = find_profile(name)
    assert preset is PRESETS[name]
    assert preset.name == str(preset) == preset.describe() == name
    assert preset.note.endswith(".")
    changed = {
        key: plain(own) if isinstance(own, Enum | profiles.ScaleRule) else own
        for key, own in preset.changes().items()
    }
    assert changed == PRESET_CHANGES[name]
    assert preset.departures() == ()
    assert preset.same_choices(OCP) is (name == "ocp")


@pytest.mark.parametrize("name", ["ocp", "OCP", " Ocp "])
def test_a_preset_is_found_in_any_case(name: str) -> None:
    assert find_profile(name) is OCP


def test_a_preset_is_found_with_underscores() -> None:
    assert find_profile("RCEIL_Satfinite") is PRESETS["rceil-satfinite"]
    own = OCP.replace(rounding="to-odd")
    assert find_profile(own) is own


def test_unknown_presets_get_a_suggestion() -> None:
    with pytest.raises(UnknownName, match=r"^unknown profile 'rciel'; did you mean rceil"):
        find_profile("rciel")


def test_profiles_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        OCP.rounding = profiles.Rounding.TO_ODD  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        profiles.FLOOR.offset = 3  # type: ignore[misc]
    assert {OCP: 1}[Profile("ocp", OCP.note)] == 1
    with pytest.raises(TypeError):
        PRESETS["mine"] = OCP  # type: ignore[index]


@pytest.mark.parametrize("field", MEMBERS)
def test_replace_takes_members_and_their_names(field: str) -> None:
    for choice in alternatives(field):
        spellings = [choice, choice.value, choice.name, choice.value.upper()]
        found = [OCP.replace(**{field: spelling}) for spelling in spellings]
        assert [getattr(own, field) for own in found] == [choice] * 4
        assert dict(found[1].changes()) == (
            {} if getattr(OCP, field) is choice else {field: choice}
        )


def test_replace_takes_rules_by_name() -> None:
    for name in ("RCEIL_BINARY32", "rceil-binary32", "rceil_binary32"):
        assert OCP.replace(scale_rule=name).scale_rule is profiles.RCEIL_BINARY32


def test_replace_forgets_the_name_unless_one_is_given() -> None:
    preset = find_profile("rceil")
    assert (preset.replace(overflow="overflow").name, preset.replace().note) == ("custom", "")
    named = preset.replace(name="mine", note="Why.", overflow="overflow")
    assert (named.name, named.note) == ("mine", "Why.")
    assert named.scale_rule is profiles.RCEIL


@pytest.mark.parametrize(
    ("field", "given", "kind", "message"),
    [
        (
            "roundin",
            "to-odd",
            UnknownName,
            "unknown profile field 'roundin'; did you mean rounding",
        ),
        (
            "rounding",
            "to-od",
            UnknownName,
            "unknown value of profile field rounding 'to-od'; did you mean to-odd",
        ),
        ("rounding", 3, BadFormat, "profile field rounding = 3; expected Rounding"),
        ("scale_rule", None, BadFormat, "profile field scale_rule = None; expected ScaleRule"),
        (
            "scale_rule",
            "RSEIL",
            UnknownName,
            "unknown value of profile field scale_rule 'RSEIL'; did you mean RCEIL",
        ),
        ("random_bits", "8", BadFormat, "profile field random_bits = '8'; expected int"),
        ("random_bits", 0, BadFormat, "random_bits = 0; expected 1 to 64"),
        ("random_bits", 65, BadFormat, "random_bits = 65; expected 1 to 64"),
        (
            "scale_clamp",
            5,
            BadFormat,
            "scale_clamp = 5; expected two scale codes, lowest and highest",
        ),
        ("scale_clamp", (1,), BadFormat, "scale_clamp = (1,); expected two scale codes"),
        ("scale_clamp", (1, 2, 3), BadFormat, "scale_clamp = (1, 2, 3); expected two scale codes"),
        (
            "scale_clamp",
            ("a", "b"),
            BadFormat,
            "scale_clamp = ('a', 'b'); expected two scale codes",
        ),
        ("scale_clamp", "12", BadFormat, "scale_clamp = '12'; expected two scale codes"),
        ("scale_clamp", (1, 2.5), BadFormat, "scale_clamp = (1, 2.5); expected two scale codes"),
        ("scale_clamp", (True, 2), BadFormat, "scale_clamp = (True, 2); expected two scale codes"),
        (
            "amax_floor",
            1,
            BadFormat,
            "profile field amax_floor = 1; expected a Value above 0 or None",
        ),
        ("amax_floor", "one", BadValue, "'one' is not a number"),
        (
            "scale_clamp",
            (9, 8),
            BadFormat,
            "scale_clamp = (9, 8); expected lowest code <= highest code",
        ),
        ("scale_clamp", (-1, 8), BadFormat, "scale_clamp = (-1, 8); expected lowest code <= "),
    ],
)
def test_replace_refuses(field: str, given: object, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        OCP.replace(**{field: given})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("bits", [1, 2, 63, 64])
def test_random_words_have_1_to_64_bits(bits: int) -> None:
    assert OCP.replace(random_bits=bits).random_bits == bits


@pytest.mark.parametrize(
    ("given", "clamp"), [([1, 254], (1, 254)), ((0, 0), (0, 0)), ((7, 7), (7, 7)), (None, None)]
)
def test_a_clamp_is_a_pair_of_codes(given: object, clamp: object) -> None:
    changed = OCP.replace(scale_clamp=(3, 4)).replace(scale_clamp=given)
    assert changed.scale_clamp == clamp


def test_a_record_is_checked_as_its_fields_are() -> None:
    for clamp in ((5,), (9, 8), (-1, 3)):
        with pytest.raises(BadFormat, match=r"^scale_clamp = "):
            Profile(scale_clamp=clamp)  # type: ignore[arg-type]
    with pytest.raises(
        BadFormat, match=r"^profile field amax_floor = 0; expected a Value above 0 or None$"
    ):
        Profile(amax_floor=0)  # type: ignore[arg-type]
    assert Profile(scale_clamp=(0, 0)).scale_clamp == (0, 0)


def test_a_floor_may_be_written_as_a_number() -> None:
    assert OCP.replace(amax_floor="3*2^-5").amax_floor == Value(0, 3, -5)
    assert OCP.replace(amax_floor=Value(0, 1, 0)).replace(amax_floor=None).amax_floor is None
    assert OCP.replace(name="2^3").amax_floor is None


def test_changes_and_same_choices() -> None:
    away = find_profile("floor-ties-away")
    assert dict(away.changes()) == {"rounding": profiles.Rounding.TIES_TO_AWAY}
    assert dict(OCP.changes(away)) == {"rounding": profiles.Rounding.TIES_TO_EVEN}
    assert away.same_choices(OCP.replace(name="other", rounding="ties-to-away"))
    assert not away.same_choices(OCP)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "ocp"),
        ({"rounding": "to-odd"}, "ocp with rounding=to-odd"),
        (
            {"scale_clamp": (1, 9), "scale_rule": "RCEIL"},
            "ocp with scale_rule=RCEIL, scale_clamp=(1, 9)",
        ),
        ({"name": "mine", "rounding": "to-odd"}, "mine"),
    ],
)
def test_describe(changes: Mapping[str, Any], words: str) -> None:
    own = OCP.replace(**changes)
    assert own.describe() == words
    assert str(own) == words


@pytest.mark.clause("MX-5.3.1-OTHER", "MX-6.3-ALT", "MX-4-REALIZE", "MX-4-SCOPE-SCALEALG")
@pytest.mark.parametrize(
    ("changes", "anywhere", "in_fp8"),
    [
        ({}, (), ()),
        ({"scale_nan": "power"}, ("MX-5.1-NANSCALE",), ("MX-5.1-NANSCALE",)),
        ({"scale_nan": "inf"}, ("MX-5.1-NANSCALE",), ("MX-5.1-NANSCALE",)),
        ({"element_subnormals": "flush"}, ("MX-5.3-SUBNORMAL",), ("MX-5.3-SUBNORMAL",)),
        ({"zero_sign": "positive"}, (), ("MX-5.3.1-OFP8",)),
        (
            {"zero_sign": "positive", "scale_nan": "inf", "element_subnormals": "flush"},
            ("MX-5.1-NANSCALE", "MX-5.3-SUBNORMAL"),
            ("MX-5.1-NANSCALE", "MX-5.3-SUBNORMAL", "MX-5.3.1-OFP8"),
        ),
    ],
)
def test_departures_name_the_clause(
    changes: Mapping[str, str], anywhere: tuple[str, ...], in_fp8: tuple[str, ...]
) -> None:
    own = OCP.replace(**changes)
    assert own.departures() == anywhere
    for element in (formats.E2M1, formats.E3M2, formats.INT8):
        assert own.departures(element) == anywhere
    for element in (formats.E4M3, formats.E5M2):
        assert own.departures(element) == in_fp8


def test_no_legal_choice_departs_from_a_clause() -> None:
    departing = {"scale_nan", "element_subnormals", "zero_sign"}
    for field in set(MEMBERS) - departing:
        for choice in alternatives(field):
            assert OCP.replace(**{field: choice}).departures(formats.E4M3) == ()


@pytest.mark.parametrize(
    ("table", "base", "changes"),
    [
        ({}, "ocp", {}),
        ({"preset": "rceil"}, "rceil", {}),
        ({"rounding": "to-odd"}, "ocp", {"rounding": "to-odd"}),
        (
            {"preset": "rceil", "scale_clamp": [1, 254], "zero_sign": "positive"},
            "rceil",
            {"scale_clamp": (1, 254), "zero_sign": "positive"},
        ),
    ],
)
def test_from_mapping(table: Mapping[str, Any], base: str, changes: Mapping[str, Any]) -> None:
    before = dict(table)
    own = from_mapping(table)
    found = {
        key: plain(choice) if isinstance(choice, Enum) else choice
        for key, choice in own.changes(find_profile(base)).items()
    }
    assert found == changes
    assert table == before
    assert (own is PRESETS[base]) is (not changes)


def test_from_mapping_refuses_unknown_names() -> None:
    with pytest.raises(UnknownName, match=r"^unknown profile 'rcel'"):
        from_mapping({"preset": "rcel"})
    with pytest.raises(UnknownName, match=r"^unknown profile field 'presets'"):
        from_mapping({"presets": "rceil"})


# What each choice does. Inputs are binary32 bits; an answer is one code, or (scale code, first codes), or bits.
ONE, TWO, HALF = 0x3F800000, 0x40000000, 0x3F000000
INF, MINUS_INF, NAN, MINUS_NAN = 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000
MINUS_ZERO, TINY = 0x80000000, 0x00000001


def encoded(bits: int, name: str, random: int = 0) -> Callable[[Profile], object]:
    return lambda own: encode_bits(bits, "binary32", name, own, random).code


def block(*first: int, name: str = "MXFP4") -> Callable[[Profile], object]:
    """Scale code and the first codes of a block that starts with some inputs and goes on with zeros."""

    def answer(own: Profile) -> object:
        found = quantize_bits(first + (0,) * (32 - len(first)), "binary32", name, own)
        return found.scale, *found.codes[: len(first)]

    return answer


def decoded(scale: int, code: int, name: str) -> Callable[[Profile], object]:
    return lambda own: dequantize_bits(scale, [code] * 32, name, own)[0]


def cast(value: Value) -> Callable[[Profile], object]:
    return lambda own: encode_scale(value, formats.E8M0, own)


# name of the probe: what it does, OCP's answer
PROBES: Mapping[str, tuple[Callable[[Profile], object], object]] = {
    # 1.25 and 1.75 lie halfway between codes of E2M1: 1, 1.5 and 1.5, 2.
    "tie to even": (encoded(0x3FE00000, "E2M1"), 4),
    "tie to odd": (encoded(0x3FA00000, "E2M1"), 2),
    "negative tie": (encoded(0xBFA00000, "E2M1"), 0xA),
    "just above 1": (encoded(0x3F800001, "E2M1"), 2),
    "just below -1.5": (encoded(0xBFC00001, "E2M1"), 0xB),
    "5.5 in E2M1": (encoded(0x40B00000, "E2M1"), 7),
    "too large": (encoded(0x43F00000, "E4M3"), 0x7E),
    "too small": (encoded(0xC7700000, "E5M2"), 0xFB),
    "Inf": (encoded(INF, "E5M2"), 0x7B),
    "-Inf in INT8": (encoded(MINUS_INF, "INT8"), 0x81),
    "subnormal": (encoded(HALF, "E2M1"), 1),
    "negative underflow": (encoded(0xBE000000, "E2M1"), 8),
    "-NaN in E5M2": (encoded(MINUS_NAN, "E5M2"), 0xFE),
    "-NaN in E2M1": (encoded(MINUS_NAN, "E2M1"), 7),
    "NaN in E2M1": (encoded(NAN, "E2M1"), 7),
    "zero block": (block(MINUS_ZERO), (0, 8)),
    "block": (block(0x40E00000, TWO), (127, 7, 4)),
    "subnormal block": (block(0x007FFFFF, MINUS_ZERO), (0, 4, 8)),
    "subnormal in a block": (block(0x01000000, 0x00400000), (0, 6, 2)),
    "NaN block": (block(NAN, ONE), (255, 0, 0)),
    "Inf block": (block(MINUS_INF, ONE), (255, 0, 0)),
    "-128/64 in INT8": (encoded(0xC0000000, "INT8"), 0x81),
    "large scale": (block(0x7F7FFFFF, 0x7F000000, name="MXINT8"), (254, 0x7F, 0x40)),
    "subnormal element": (decoded(127, 1, "MXFP4"), HALF),
    "NaN scale": (decoded(255, 2, "MXFP4"), NAN),
    "NaN scale, zero": (decoded(255, 8, "MXFP4"), NAN),
    "large value": (decoded(254, 0xF, "MXFP4"), MINUS_INF),
    "cast of 1.5": (cast(Value(0, 3, -1)), 128),
    "cast of 3": (cast(Value(0, 3, 0)), 128),
    "cast of 1.25": (cast(Value(0, 5, -2)), 127),
    "cast of 5 * 2^-129": (cast(Value(0, 5, -129)), 0),
    "cast of 2^-127": (cast(Value(0, 1, -127)), 0),
    "cast of 0": (cast(Value(0, 0, 0)), 0),
    "cast of -2": (cast(Value(1, 1, 1)), 255),
    "cast of 2^128": (cast(Value(0, 1, 128)), 254),
    "cast of Inf": (cast(Value(0, 0, 0, Kind.INF)), 254),
}
# 0x7FFFFFFF (all ones) added to the half that is dropped does not carry; 0x80000000 does.
RANDOM_PROBES: Sequence[tuple[Mapping[str, Any], int, int, int]] = [
    # profile, binary32 bits, random word, code of E2M1
    ({}, 0x3FA00000, 0x7FFFFFFF, 2),
    ({}, 0x3FA00000, 0x80000000, 3),
    ({"random_bits": 1}, 0x3FA00000, 0, 2),
    ({"random_bits": 1}, 0x3FA00000, 1, 3),
    ({"random_bits": 8}, 0x3FA00000, 0x7F, 2),
    ({"random_bits": 8}, 0x3FA00000, 0x80, 3),
    ({"random_bits": 64}, 0x3FA00000, 2**63 - 1, 2),
    ({"random_bits": 64}, 0x3FA00000, 2**63, 3),
]

# Each choice that is not OCP's: the probes that it changes. All others must stay.
EFFECTS: Mapping[tuple[str, Any], Mapping[str, object]] = {
    ("rounding", "ties-to-away"): {"tie to odd": 3, "negative tie": 0xB},
    ("rounding", "toward-zero"): {
        "tie to even": 3,
        "5.5 in E2M1": 6,
        "too large": 0x7E,
        "subnormal block": (0, 3, 8),
        "large scale": (254, 0x7F, 0x40),
    },
    ("rounding", "toward-positive"): {
        "tie to odd": 3,
        "just above 1": 3,
        "subnormal block": (0, 4, 8),
    },
    ("rounding", "toward-negative"): {
        "tie to even": 3,
        "negative tie": 0xB,
        "just below -1.5": 0xC,
        "5.5 in E2M1": 6,
        "negative underflow": 9,
        "subnormal block": (0, 3, 8),
    },
    ("rounding", "to-odd"): {
        "tie to even": 3,
        "tie to odd": 3,
        "negative tie": 0xB,
        "just above 1": 3,
        "negative underflow": 9,
        "subnormal block": (0, 3, 8),
    },
    # With the random word 0 that is truncation.
    ("rounding", "stochastic"): {
        "tie to even": 3,
        "5.5 in E2M1": 6,
        "subnormal block": (0, 3, 8),
    },
    ("random_bits", 7): {},
    ("overflow", "overflow"): {"too large": 0x7F, "too small": 0xFC, "Inf": 0x7C},
    ("element_subnormals", "flush"): {"subnormal": 0, "subnormal element": 0},
    ("input_subnormals", "flush"): {
        "subnormal block": (0, 0, 8),
        "subnormal in a block": (0, 6, 0),
    },
    ("input_subnormals", "flush-block"): {"subnormal block": (0, 0, 8)},
    ("zero_sign", "positive"): {
        "negative underflow": 0,
        "zero block": (0, 0),
        "subnormal block": (0, 4, 0),
    },
    ("nan_code", "all-ones-keep-sign"): {"-NaN in E5M2": 0xFF},
    ("nan_code", "all-ones-positive"): {"-NaN in E5M2": 0x7F},
    ("nan_without_code", "max-keep-sign"): {"-NaN in E2M1": 0xF},
    ("nan_without_code", "zero-positive"): {"-NaN in E2M1": 0, "NaN in E2M1": 0},
    ("nan_without_code", "zero-keep-sign"): {"-NaN in E2M1": 8, "NaN in E2M1": 0},
    ("nan_without_code", "zero-flip-sign"): {"-NaN in E2M1": 0, "NaN in E2M1": 8},
    ("int_minimum", "allow"): {"-Inf in INT8": 0x80, "-128/64 in INT8": 0x80},
    ("scale_rule", "RCEIL"): {
        "block": (128, 6, 2),
        # amax is (2 - 2^-22) * 2^-127, so amax / 6 lies below 2^-127 and the code is 0 all the same.
        "large scale": (254, 0x7F, 0x40),
    },
    ("amax_floor", Value(0, 3, 2)): {
        "zero block": (128, 8),
        "block": (128, 6, 2),
        "subnormal block": (128, 0, 8),
        "subnormal in a block": (128, 0, 0),
    },
    ("zero_block", "one"): {"zero block": (127, 8)},
    ("zero_block", "as-two"): {"zero block": (126, 8)},
    ("zero_block", "as-min-normal"): {"zero block": (0, 8)},
    ("amax_nan", "ignore"): {"NaN block": (125, 7, 6)},
    ("nan_block", "scale-smallest"): {"NaN block": (0, 7, 7)},
    ("nan_block", "scale-largest"): {"NaN block": (254, 7, 0)},
    ("inf_block", "scale-largest"): {"Inf block": (254, 0xF, 0)},
    ("inf_block", "finite-amax"): {"Inf block": (125, 0xF, 6)},
    ("scale_overflow", "nan"): {"cast of 2^128": 255, "cast of Inf": 255},
    ("scale_clamp", (1, 120)): {
        "zero block": (1, 8),
        "block": (120, 7, 7),
        "subnormal block": (1, 2, 8),
        "subnormal in a block": (1, 4, 1),
        "large scale": (120, 0x7F, 0x7F),
    },
    ("scale_cast", "ties-to-away"): {"cast of 3": 129},
    ("scale_cast", "ties-to-away-binary32"): {"cast of 3": 129, "cast of 5 * 2^-129": 1},
    ("scale_cast", "toward-zero"): {"cast of 1.5": 127},
    ("scale_cast", "toward-positive"): {
        "cast of 3": 129,
        "cast of 1.25": 128,
        "cast of 5 * 2^-129": 1,
    },
    ("scale_cast", "subnormal-up"): {
        "cast of 3": 129,
        "cast of 1.25": 128,
        "cast of 5 * 2^-129": 1,
        "cast of 2^-127": 1,
    },
    ("scale_zero", "nan"): {"cast of 0": 255},
    ("scale_zero", "magnitude"): {},
    ("scale_negative", "smallest"): {"cast of -2": 0},
    ("scale_negative", "magnitude"): {"cast of -2": 128},
    # Code 255 read as 2^128 times 1.0 is beyond binary32, hence Inf; times -0 it is -0.
    ("scale_nan", "power"): {"NaN scale": INF, "NaN scale, zero": MINUS_ZERO},
    ("scale_nan", "inf"): {"NaN scale": INF},
    ("out_of_binary32", "largest"): {"large value": 0xFF7FFFFF},
    ("out_of_binary32", "nan"): {"large value": NAN},
}


@pytest.mark.parametrize("name", PROBES)
def test_probes_under_ocp(name: str) -> None:
    ask, expected = PROBES[name]
    assert ask(OCP) == expected


@pytest.mark.clause(
    "MX-5.3.1-OTHER", "MX-5.3.2-OVFATTR", "MX-5.3.3-OVFATTR", "MX-5.3.4-OVFATTR", "MX-6.3-ALT"
)
@pytest.mark.parametrize(("field", "choice"), EFFECTS, ids=str)
def test_each_choice_changes_what_it_should_and_nothing_else(field: str, choice: Any) -> None:
    own = OCP.replace(**{field: choice})
    assert own.changes()
    found = {name: ask(own) for name, (ask, _) in PROBES.items()}
    expected = {name: answer for name, (_, answer) in PROBES.items()}
    assert found == expected | dict(EFFECTS[field, choice])


def test_every_choice_has_its_effects_listed() -> None:
    listed = {(field, choice) for field, choice in EFFECTS if isinstance(choice, str)}
    every = {
        (field, plain(choice))
        for field in FIELDS
        for choice in alternatives(field)
        if choice != getattr(OCP, field) and field != "scale_rule"
    }
    assert listed - {("scale_rule", "RCEIL")} == every
    assert {field for field, _ in EFFECTS} == set(FIELDS)


@pytest.mark.clause("MX-5.3.3-RND", "MX-6.3-RND")
@pytest.mark.parametrize(("changes", "bits", "word", "code"), RANDOM_PROBES)
def test_random_words(changes: Mapping[str, Any], bits: int, word: int, code: int) -> None:
    own = OCP.replace(rounding="stochastic", **changes)
    assert encoded(bits, "E2M1", word)(own) == code


def single_changes() -> list[Profile]:
    """OCP with each field changed to each other value, and fields that hold numbers to some."""
    numbers = {
        "scale_clamp": [(1, 254), (0, 0)],
        "random_bits": [1, 16],
        "amax_floor": [Value(0, 1, -23), Value(0, 13, -40)],
    }
    found = [OCP, *PRESETS.values()]
    for name in FIELDS:
        values = numbers.get(name) or alternatives(name)
        found += [OCP.replace(**{name: choice}) for choice in values]
    return found


def test_every_choice_can_be_spelled_and_read_again() -> None:
    profiles = single_changes()
    assert {name for one in profiles for name in one.changes(OCP)} == set(FIELDS)
    for one in profiles:
        assert spelled(spell(one)).same_choices(one), spell(one)
        assert " " not in spell(one)
        assert from_mapping(to_mapping(one)).same_choices(one)
        assert json.loads(json.dumps(to_mapping(one))) == to_mapping(one)


def test_what_is_no_change_is_refused() -> None:
    with pytest.raises(
        BadValue, match=r"^'to-odd' is no change of a profile; expected field=value$"
    ):
        spelled("ocp,to-odd")
    with pytest.raises(BadFormat, match="expected two scale codes"):
        spelled("ocp,scale_clamp=1-x")
