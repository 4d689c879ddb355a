"""The adapter protocol: what is accepted, how wrong ones are refused, and how the built-in subjects are wired."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from conformance.adapter import (
    CARRIER_DTYPES,
    REJECTED,
    Adapter,
    call,
    capabilities_of,
    or_rejected,
    parse,
)
from conformance.target import (
    declared_profile,
    load,
    parse_target,
    requirements,
    system_folder,
    systems,
)
from mxemu import formats, scalar
from mxemu.errors import MxemuError, UnknownName, Unsupported
from mxemu.profile import OCP, Overflow, Rounding, from_mapping
from mxemu.value import Kind

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = Path(__file__).parent / "subjects"
ENCODE = {"formats": ["E2M1"], "carriers": ["binary32"]}
# The subjects whose libraries the tests have installed; the others run in environments of their own.
HERE = ("bitstring", "gfloat", "ml_dtypes")


def record(**changes):
    return {"operations": {"encode": ENCODE}, **changes}


def subject(**changes):
    fields = {"name": "mine", "version": "1", "capabilities": record(), "encode": len, **changes}
    return SimpleNamespace(**{key: value for key, value in fields.items() if value is not None})


# The record


def test_a_minimal_record_gets_canonical_names():
    operation = {"formats": ["e2m1", "E8M0", "E3M3:finite"], "carriers": ["fp32", "BF16"]}
    found = capabilities_of(subject(capabilities={"operations": {"encode": operation}}))
    assert found.operations["encode"].formats == ("E2M1", "E8M0", "E3M3:finite")
    assert found.operations["encode"].carriers == ("binary32", "bfloat16")
    assert (found.name, found.version, found.profile, found.variants) == ("mine", "1", None, ())


def test_offers():
    found = capabilities_of(subject())
    assert found.offers("encode", "E2M1")
    assert found.offers("encode", "E2M1", "binary32")
    assert not found.offers("encode", "E2M1", "binary64")
    assert not found.offers("encode", "E4M3")
    assert not found.offers("decode", "E2M1")


def test_block_operations_name_block_formats():
    quantize = {"formats": ["mxfp4", "E2M1/E8M0/16"], "carriers": ["binary32"]}
    found = parse("mine", "1", {"operations": {"quantize": quantize}, "k": [16, 32]})
    assert found.operations["quantize"].formats == ("MXFP4_E2M1", "E2M1/E8M0/16")
    assert found.k == (16, 32)


def test_what_can_be_asked_for_besides_the_declared_profile():
    encode = {**ENCODE, "roundings": ["toward-zero", "TIES_TO_EVEN"], "overflows": ["saturate"]}
    offered = parse("mine", "1", {"operations": {"encode": encode}}).operations["encode"]
    assert offered.roundings == (Rounding.TOWARD_ZERO, Rounding.TIES_TO_EVEN)
    assert offered.overflows == (Overflow.SATURATE,)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (None, None),
        ("ocp", OCP),
        ({"preset": "ocp", "overflow": "overflow"}, OCP.replace(overflow="overflow")),
        (OCP, OCP),
    ],
)
def test_declared_profile(declared, expected):
    found = parse("mine", "1", record(profile=declared)).profile
    assert found is expected if expected in (None, OCP) else found.same_choices(expected)


@pytest.mark.parametrize(
    "profile",
    [
        None,
        "ocp-overflow",
        {"int_minimum": "allow", "scale_rule": "RCEIL", "scale_clamp": [1, 254], "random_bits": 8},
    ],
)
def test_a_record_survives_json_and_pickle(profile):
    encode = {**ENCODE, "roundings": ["TOWARD_ZERO"]}
    given = {
        "operations": {"encode": encode},
        "profile": profile,
        "k": [32],
        "variants": ["a", "b"],
    }
    found = parse("mine", "1", given)
    again = parse("mine", "1", json.loads(json.dumps(found.record())))
    assert again.operations == found.operations
    assert (again.k, again.variants) == (found.k, found.variants)
    assert (again.profile is None) == (profile is None)
    assert found.profile is None or again.profile.same_choices(found.profile)
    assert pickle.loads(pickle.dumps(found)) == found


def operations(**offers):
    return {"operations": offers}


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"name": None}, MxemuError, "SimpleNamespace has no 'name'"),
        ({"name": ""}, MxemuError, "name is ''; expected a text"),
        ({"version": None}, MxemuError, "has no 'version'"),
        ({"version": 1.0}, MxemuError, "version is 1.0; expected a text"),
        ({"capabilities": None}, MxemuError, "has no 'capabilities'"),
        ({"capabilities": ["encode"]}, MxemuError, "capabilities is ['encode']; expected a table"),
        ({"capabilities": {}}, MxemuError, "capabilities.operations is missing"),
        ({"capabilities": record(operation={})}, UnknownName, "did you mean operations?"),
        (
            {"capabilities": {"operations": {1: ENCODE}}},
            UnknownName,
            "unknown key in mine: capabilities.operations 1",
        ),
        ({"capabilities": operations(encod=ENCODE)}, UnknownName, "'encod'; did you mean encode"),
        ({"capabilities": operations(decode=ENCODE)}, MxemuError, "there is no function decode"),
        (
            {"capabilities": operations(encode=["E2M1"])},
            MxemuError,
            "operations.encode is ['E2M1']; expected a table",
        ),
        (
            {"capabilities": operations(encode={"carriers": ["binary32"]})},
            MxemuError,
            "encode.formats is missing",
        ),
        (
            {"capabilities": operations(encode={"formats": ["E2M1"]})},
            MxemuError,
            "encode.carriers is missing",
        ),
        (
            {"capabilities": operations(encode={**ENCODE, "formats": "E2M1"})},
            MxemuError,
            "encode.formats is 'E2M1'; expected a list",
        ),
        (
            {"capabilities": operations(encode={**ENCODE, "formats": []})},
            MxemuError,
            "encode.formats is empty",
        ),
        (
            {"capabilities": operations(encode={**ENCODE, "formats": [8]})},
            MxemuError,
            "encode.formats holds 8",
        ),
        (
            {"capabilities": operations(encode={**ENCODE, "formats": ["E4M4"]})},
            UnknownName,
            "encode.formats: unknown element format 'E4M4'; did you mean E4M3",
        ),
        (
            {"capabilities": operations(encode={**ENCODE, "formats": ["binary32"]})},
            UnknownName,
            "encode.formats: unknown element format 'binary32'",
        ),
        (
            {"capabilities": operations(encode={**ENCODE, "carriers": ["float23"]})},
            UnknownName,
            "encode.carriers: unknown carrier 'float23'",
        ),
        (
            {"capabilities": operations(quantize=ENCODE)},
            UnknownName,
            "quantize.formats: unknown block format 'E2M1'; expected one of MXFP8_E4M3",
        ),
        (
            {"capabilities": operations(encode={**ENCODE, "carrier": ["binary32"]})},
            UnknownName,
            "did you mean carriers",
        ),
        (
            {"capabilities": operations(encode={**ENCODE, "roundings": ["even"]})},
            UnknownName,
            "encode.roundings: unknown rounding 'even'",
        ),
        (
            {"capabilities": operations(encode={**ENCODE, "overflows": "saturate"})},
            MxemuError,
            "encode.overflows is 'saturate'; expected a list",
        ),
        (
            {"capabilities": record(profile="opc")},
            UnknownName,
            "capabilities.profile: unknown profile 'opc'",
        ),
        ({"capabilities": record(profile={"roundin": "x"})}, UnknownName, "did you mean rounding"),
        ({"capabilities": record(profile=7)}, MxemuError, "profile is 7; expected a preset's name"),
        ({"capabilities": record(k=32)}, MxemuError, "k is 32; expected a list of block sizes"),
        ({"capabilities": record(k=[0])}, MxemuError, "k is [0]; expected"),
        ({"capabilities": record(k=[True])}, MxemuError, "k is [True]; expected"),
        ({"capabilities": record(variants="a")}, MxemuError, "variants is 'a'; expected a list"),
        ({"capabilities": record(variants={"a": {"name": "b"}})}, UnknownName, "variants.a 'name'"),
    ],
)
def test_a_wrong_adapter_is_refused_in_one_line(changes, error, text):
    with pytest.raises(error, match=re.escape(text)) as caught:
        capabilities_of(subject(**changes))
    assert "\n" not in str(caught.value)


def test_the_protocol_is_met_by_modules_and_objects():
    assert isinstance(load(f"{SUBJECTS}/good.py"), Adapter)
    assert isinstance(subject(), Adapter)
    assert not isinstance(load(f"{SUBJECTS}/missing_name.py"), Adapter)


# Variants


def test_a_variant_replaces_entries_of_the_record():
    given = record(profile="ocp", variants={"cut": {"profile": "floor-truncate", "k": [16]}})
    base, cut = parse("mine", "1", given), parse("mine", "1", given, "cut")
    assert (base.profile.name, base.k, base.variant) == ("ocp", (), None)
    assert (cut.profile.name, cut.k, cut.variant) == ("floor-truncate", (16,), "cut")
    assert base.variants == cut.variants == ("cut",)
    assert cut.operations == base.operations


def test_operations_may_be_those_of_the_variants_only():
    given = {"variants": {"a": {"operations": {"encode": ENCODE}}}}
    assert parse("mine", "1", given, "a").offers("encode", "E2M1")
    with pytest.raises(MxemuError, match="operations is missing"):
        parse("mine", "1", given)


@pytest.mark.parametrize(
    ("variants", "text"), [(None, "mine has no variants"), (["cut"], "'cat'; did you mean cut?")]
)
def test_unknown_variant(variants, text):
    with pytest.raises(UnknownName, match=re.escape(text)):
        parse("mine", "1", record(variants=variants), "cat")


def test_the_chosen_variant_is_loaded():
    values = np.array([1.25, -5.9], dtype=np.float32)
    for variant, codes in (("even", [0x2, 0xF]), ("cut", [0x2, 0xE])):
        target = f"{SUBJECTS}/variants.py[{variant}]"
        adapter = load(target)
        assert capabilities_of(adapter, variant).variant == variant
        assert call(adapter.encode, values, "E2M1", OCP).tolist() == codes
    with pytest.raises(UnknownName, match="did you mean cut"):
        load(f"{SUBJECTS}/variants.py[cutt]")


# Targets


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("ml_dtypes", ("system", "ml_dtypes", None, None)),
        ("gfloat[scalar]", ("system", "gfloat", None, "scalar")),
        ("./ml_dtypes", ("file", "./ml_dtypes", None, None)),
        ("mine.py", ("file", "mine.py", None, None)),
        ("a/mine.py:Thing.part[x]", ("file", "a/mine.py", "Thing.part", "x")),
        ("C:/here/mine.py", ("file", "C:/here/mine.py", None, None)),
        ("pkg.mod", ("module", "pkg.mod", None, None)),
        ("pkg:thing", ("module", "pkg", "thing", None)),
        (" ml_dtypes ", ("system", "ml_dtypes", None, None)),
    ],
)
def test_parse_target(target, parts):
    assert parse_target(target) == parts


@pytest.mark.parametrize(
    ("target", "error", "text", "hint"),
    [
        (
            "ml_dtype",
            UnknownName,
            "unknown subject 'ml_dtype'; did you mean ml_dtypes?",
            "path/to/file.py",
        ),
        ("", UnknownName, "unknown subject ''", "path/to/file.py"),
        ("./nope.py", MxemuError, "file ./nope.py is not there", ""),
        ("{subjects}", MxemuError, "is a folder; expected a Python file", ""),
        ("{subjects}/good.py:encod", UnknownName, "'encod'; did you mean encode or decode?", ""),
        (
            "{subjects}/classes.py:nested.shallow",
            UnknownName,
            "'shallow'; expected one of deep",
            "",
        ),
        ("{subjects}/classes.py:NeedsAnArgument", MxemuError, "cannot make NeedsAnArgument of", ""),
        (
            "{subjects}/syntax_error.py",
            MxemuError,
            "SyntaxError: 'return' outside function (syntax_error.py:4)",
            "",
        ),
        ("{subjects}/broken_import.py", MxemuError, "KeyError: 'version' (broken_import.py:4)", ""),
        ("{subjects}/exits_at_once.py", MxemuError, "it called exit(3)", ""),
        ("no.such.module", MxemuError, "No module named 'no'", "pkg.mod:object"),
        (
            "json:dump_s",
            UnknownName,
            "unknown object in json: 'dump_s'; did you mean dumps or dump?",
            "",
        ),
    ],
)
def test_a_target_that_cannot_be_loaded(target, error, text, hint):
    with pytest.raises(error, match=re.escape(text)) as caught:
        load(target.format(subjects=SUBJECTS))
    assert "\n" not in str(caught.value)
    assert hint in caught.value.hint


def test_a_plain_word_that_is_a_file_here_is_explained(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("name = 'mine'\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName) as caught:
        load("mine")
    assert caught.value.hint == "for the file write ./mine.py"


def test_an_adapter_inside_a_file_is_pointed_at():
    with pytest.raises(MxemuError) as caught:
        capabilities_of(load(f"{SUBJECTS}/classes.py"))
    assert caught.value.hint.endswith("classes.py:Even")


@pytest.mark.parametrize("name", ["Even", "ready", "nested.deep"])
def test_objects_of_a_file(name):
    found = capabilities_of(load(f"{SUBJECTS}/classes.py:{name}"))
    assert found.name == "even"


def test_a_module_is_found_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "mx_local_subject.py").write_text("class Box:\n    label = 'here'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert load("mx_local_subject:Box").label == "here"


def test_nothing_beside_a_file_hides_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "gfloat.py").write_text("raise SystemExit('hidden')\n")
    (tmp_path / "mine.py").write_text("import gfloat\nfound = gfloat.__name__\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert load(f"{tmp_path}/mine.py").found == "gfloat"


def test_a_missing_library_is_named_with_its_pin(monkeypatch):
    monkeypatch.setitem(sys.modules, "gfloat", None)
    monkeypatch.delitem(sys.modules, "conformance.systems.gfloat.adapter", raising=False)
    with pytest.raises(MxemuError, match="subject gfloat, which needs gfloat==") as caught:
        load("gfloat")
    assert (
        caught.value.hint == f"install it with: python -m pip install {requirements('gfloat')[0]}"
    )


# Calls


@pytest.mark.parametrize(
    ("function", "taken"),
    [
        (lambda values, element: (values, element), 2),
        (lambda values, element, profile=None: (values, element, profile), 3),
        (lambda *everything: everything, 3),
        (lambda values, *rest: (values, *rest), 3),
        (lambda values, element, *, profile="own": (values, element), 2),
        (SimpleNamespace, 0),
    ],
)
def test_call_passes_what_the_function_takes(function, taken):
    arguments = ("values", "E2M1", "profile")
    if function is SimpleNamespace:  # written in C, no signature to ask: everything is passed
        with pytest.raises(TypeError):
            call(function, *arguments)
        return
    assert call(function, *arguments) == arguments[:taken]


def test_call_leaves_the_rest_of_a_mistake_to_the_function():
    with pytest.raises(TypeError, match="positional argument"):
        call(lambda values, element, profile, more: None, 1, 2, 3)


# Refusals


def refuse_negative(values):
    if (values < 0).any():
        raise ValueError("negative")
    return values.astype(np.uint8)


@pytest.mark.parametrize(
    "values", [[], [1], [-1], [1, -1], [-1, -1, 3], [1, 2, 3, -4, 5, 6, 7, -8, -9, 10]]
)
def test_refused_values_become_rejected_in_their_place(values):
    codes = or_rejected(refuse_negative, np.array(values, dtype=np.float64))
    assert codes.tolist() == [value if value >= 0 else REJECTED for value in values]
    assert codes.dtype == (np.int64 if min(values, default=0) < 0 else np.uint8)


def test_one_refusal_costs_few_calls():
    calls = []

    def counted(values):
        calls.append(len(values))
        return refuse_negative(values)

    values = np.ones(1 << 12)
    values[1234] = -1
    assert or_rejected(counted, values)[1234] == REJECTED
    assert len(calls) == 25


def test_other_exceptions_are_not_refusals():
    with pytest.raises(ZeroDivisionError):
        or_rejected(lambda values: 1 // 0, np.ones(3))


def test_a_code_of_64_ones_does_not_turn_into_rejected():
    def encode(values):
        if np.isnan(values).any():
            raise ValueError("NaN")
        return np.full(len(values), 2**64 - 1, dtype=np.uint64)

    assert or_rejected(encode, np.array([1.0, np.nan])).tolist() == [2**63 - 1, REJECTED]


# The subjects of this folder


def naive_e2m1(value: float) -> int:
    """The closest code by trying all, the even one of two; magnitudes beyond the largest clamp."""
    magnitudes = [Fraction(n, 2) for n in (0, 1, 2, 3, 4, 6, 8, 12)]
    exact = abs(Fraction(value))
    code = min(range(8), key=lambda code: (abs(magnitudes[code] - exact), code % 2))
    return code | (8 if str(value).startswith("-") else 0)


def test_the_good_subject_is_good():
    ties = [Fraction(n, 4) for n in (1, 3, 5, 7, 10, 14, 20)]
    values = [float(tie) for tie in ties] + [0.0, 6.0, 7.0, 1e300, 5e-324]
    values += [float(np.nextafter(value, toward)) for value in values for toward in (0, np.inf)]
    values += [-value for value in values]
    good = load(f"{SUBJECTS}/good.py")
    expected = [naive_e2m1(value) for value in values if value != float("inf")]
    assert good.encode(np.array(values), "E2M1").tolist() == expected
    special = np.array([np.inf, -np.inf, np.nan, -0.0])
    assert good.encode(special, "E2M1").tolist() == [0x7, 0xF, 0x7, 0x8]
    codes = np.arange(16, dtype=np.uint8)
    assert good.encode(good.decode(codes, "E2M1"), "E2M1").tolist() == codes.tolist()


def test_the_refusing_subject_refuses_nan_alone():
    refuses = load(f"{SUBJECTS}/refuses.py")
    values = np.array([1.0, np.nan, -6.0], dtype=np.float32)
    assert refuses.encode(values, "E2M1").tolist() == [0x2, REJECTED, 0xF]


# The built-in subjects


def test_systems_are_the_folders():
    assert set(HERE) <= set(systems())
    assert system_folder("gfloat").is_dir()
    with pytest.raises(UnknownName, match="did you mean gfloat"):
        system_folder("gfloats")


@pytest.mark.parametrize("name", HERE)
def test_requirements_are_the_pins_of_the_tests(name):
    pins = (ROOT / "tests" / "constraints.txt").read_text("utf-8").splitlines()
    assert requirements(name)
    for line in requirements(name):
        assert line in pins


@pytest.mark.parametrize("name", HERE)
def test_the_declared_profile_is_that_of_the_file(name):
    found = capabilities_of(load(name))
    declared = declared_profile(name)
    expected = from_mapping({"preset": declared} if isinstance(declared, str) else declared)
    assert found.profile.same_choices(expected)
    assert expected.departures() == ()
    assert found.name == name
    assert found.version == requirements(name)[0].partition("==")[2]


def value_key(value):
    """An exact value as something that compares: sign and fraction, or its kind."""
    if value.kind is Kind.NAN:
        return "nan"
    if value.kind is Kind.INF:
        return ("inf", value.sign)
    return (value.sign, value.fraction())


def float_key(number):
    if number != number:  # noqa: PLR0124 - NaN
        return "nan"
    sign = int(np.signbit(number))
    return ("inf", sign) if np.isinf(number) else (sign, Fraction(float(number)))


# Every library and element format that it offers in both directions.
WIRED = [
    (name, element)
    for name in HERE
    for element in capabilities_of(load(name)).operations["decode"].formats
]


def test_the_mx_elements_are_wired():
    for name in HERE:
        assert {"E4M3", "E5M2", "E3M2", "E2M3", "E2M1", "E8M0"} <= {
            f for n, f in WIRED if n == name
        }


@pytest.mark.parametrize(("name", "element"), WIRED)
def test_decode_is_wired_to_the_right_format(name, element):
    adapter = load(name)
    offered = capabilities_of(adapter)
    width = formats.element(element).width
    values = call(adapter.decode, np.arange(1 << width, dtype=np.uint8), element)
    carriers = offered.operations["decode"].carriers
    assert values.dtype.name in [CARRIER_DTYPES[carrier] for carrier in carriers]
    expected = [
        value_key(scalar.decode(code, formats.element(element))) for code in range(1 << width)
    ]
    assert [float_key(number) for number in values] == expected


# Values that are exact or plainly rounded in binary16, so that every carrier holds them: element, value, code.
PLAIN = [
    ("E4M3", 448.0, 0x7E),
    ("E4M3", -0.0, 0x80),
    ("E5M2", 1.25, 0x3D),
    ("E3M2", 28.0, 0x1F),
    ("E3M2", -0.0625, 0x21),
    ("E2M3", 7.25, 0x1E),  # a tie, to the even code
    ("E2M1", 2.5, 0x4),  # a tie, to the even code
    ("E2M1", -100.0, 0xF),
    ("INT8", -1.984375, 0x81),
    ("E8M0", 2.0, 0x80),
]


def in_carrier(value, carrier):
    if carrier == "bfloat16":
        return (np.array([value], dtype=np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return np.array([value], dtype=CARRIER_DTYPES[carrier])


@pytest.mark.parametrize(
    ("name", "element", "value", "code"),
    [(name, *row) for row in PLAIN for name in HERE if (name, row[0]) in WIRED],
)
def test_encode_is_wired_to_the_right_format_in_every_carrier(name, element, value, code):
    adapter = load(name)
    offered = capabilities_of(adapter)
    for carrier in offered.operations["encode"].carriers:
        codes = call(adapter.encode, in_carrier(value, carrier), element, offered.profile)
        assert codes.tolist() == [code], carrier


@pytest.mark.parametrize("name", ["bitstring", "gfloat"])
@pytest.mark.parametrize(
    ("element", "overflow", "codes"),
    [
        ("E4M3", "saturate", [0x7E, 0xFE, 0x7E]),
        ("E5M2", "saturate", [0x7B, 0xFB, 0x7B]),
        ("E5M2", "overflow", [0x7C, 0xFC, 0x7C]),
        ("E2M1", "saturate", [0x7, 0xF, 0x7]),
        ("E2M1", "overflow", [0x7, 0xF, 0x7]),
    ],
)
def test_overflow_is_passed_on(name, element, overflow, codes):
    values = np.array([1e6, -1e6, np.inf])
    adapter = load(name)
    assert adapter.encode(values, element, OCP.replace(overflow=overflow)).tolist() == codes


@pytest.mark.parametrize("name", ["bitstring", "gfloat"])
def test_overflowing_e4m3_is_nan(name):
    codes = load(name).encode(np.array([465.0, np.inf]), "E4M3", OCP.replace(overflow="overflow"))
    assert [code & 0x7F for code in codes.tolist()] == [0x7F, 0x7F]


@pytest.mark.parametrize(
    ("rounding", "codes"),
    [
        ("ties-to-even", [0x2, 0xA, 0x4, 0x3]),
        ("ties-to-away", [0x3, 0xB, 0x4, 0x3]),
        ("toward-zero", [0x2, 0xA, 0x3, 0x2]),
        ("toward-positive", [0x3, 0xA, 0x4, 0x3]),
        ("toward-negative", [0x2, 0xB, 0x3, 0x2]),
    ],
)
def test_gfloat_is_asked_for_the_rounding(rounding, codes):
    profile = OCP.replace(rounding=rounding)
    values = np.array([1.25, -1.25, 1.9, 1.4])
    gfloat = load("gfloat")
    assert gfloat.encode(values, "E2M1", profile).tolist() == codes
    block = np.concatenate([values, [6.0], np.zeros(27)])[np.newaxis]
    scales, block_codes = gfloat.quantize(block, "MXFP4_E2M1", profile)
    assert scales.tolist() == [127]
    assert block_codes[0, :5].tolist() == [*codes, 0x7]


def test_gfloat_says_which_roundings_it_lacks():
    gfloat = load("gfloat")
    for rounding in ("to-odd", "stochastic"):
        with pytest.raises(Unsupported, match="gfloat has no rounding"):
            gfloat.encode(np.ones(1), "E2M1", OCP.replace(rounding=rounding))


@pytest.mark.parametrize("name", HERE)
def test_a_format_that_a_library_lacks_is_unsupported(name):
    with pytest.raises(Unsupported, match="for INT4"):
        call(load(name).encode, np.ones(1), "INT4", OCP)


@pytest.mark.parametrize("name", ["bitstring", "gfloat"])
@pytest.mark.parametrize("element", ["E3M2", "E2M3", "E2M1", "INT8"])
def test_nan_that_is_refused_is_refused_alone(name, element):
    codes = load(name).encode(np.array([1.0, np.nan, np.nan, -1.0]), element, OCP)
    assert codes[1:3].tolist() == [REJECTED, REJECTED]
    assert min(codes[0], codes[3]) > 0


@pytest.mark.parametrize(
    "format_name", ["MXFP8_E4M3", "MXFP8_E5M2", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4_E2M1", "MXINT8"]
)
def test_gfloat_blocks_are_wired_to_the_right_format(format_name):
    gfloat = load("gfloat")
    fmt = formats.block_format(format_name)
    codes = np.arange(fmt.k)[np.newaxis].repeat(3, axis=0) % (1 << fmt.element.width)
    scales = np.array([0x7F, 0x81, 0x00])
    values = gfloat.dequantize(scales, codes, format_name)
    assert values.shape == (3, fmt.k)
    elements = [scalar.decode(code, fmt.element).fraction() for code in codes[0].tolist()]
    for row, exponent in zip(values, (0, 2, -127), strict=True):
        assert [Fraction(number) for number in row] == [
            v * Fraction(2) ** exponent for v in elements
        ]


def test_a_block_that_gfloat_refuses_is_refused_whole_and_alone():
    values = np.ones((3, 32), dtype=np.float32)
    values[1, 7] = np.nan
    scales, codes = load("gfloat").quantize(values, "MXFP4_E2M1", OCP)
    assert scales.tolist() == [125, REJECTED, 125]
    assert set(codes[1].tolist()) == {REJECTED}
    assert set(codes[0].tolist()) == {0x6}


def test_no_numpy_before_arrays_are_touched():
    program = (
        "import sys; from conformance import target; target.parse_target('./x.py');"
        "[(target.requirements(n), target.declared_profile(n)) for n in target.systems()];"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
