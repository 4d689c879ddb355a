"""The suite under test: every deliberate mistake is caught and named, and every note is earned by a mistake."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from conformance import zoo
from conformance.adapter import PRODUCT_OPERATIONS
from conformance.judges import (
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    Judge,
    ProductJudge,
    QuantizeJudge,
    ScaleCastJudge,
    ScaledEncodeJudge,
    product_judge,
)
from conformance.notes import NOTES
from conformance.runner import Filters, Run, check
from conformance.verdict import Group, Terms, judge_group
from conformance.worker import InProcess
from conformance.zoo.reference import Reference
from mxemu.accumulation import EXACT
from mxemu.accumulations import ACCUMULATIONS
from mxemu.cli.check import exit_code
from mxemu.formats import BINARY32, CARRIERS, E8M0, block_format, element
from mxemu.profile import OCP, Profile

OVERFLOW = OCP.replace(overflow="overflow")

FORMATS = {
    "encode": ("E4M3", "E5M2", "E2M1"),
    "decode": ("E4M3", "E2M1", "INT8", "E8M0"),
    "encode-scaled": ("MXFP8_E4M3", "MXFP4_E2M1"),
    "quantize": ("MXFP8_E4M3", "MXFP4_E2M1"),
    "dequantize": ("MXFP8_E4M3", "MXFP8_E5M2", "MXFP4_E2M1", "MXINT8"),
}

PRODUCTS = {
    "dot": ("MXFP8_E4M3", "MXFP8_E5M2", "MXINT8", "MXFP8_E5M2,MXFP8_E4M3"),
    "dot-general": ("MXFP8_E4M3",),
    "matmul": ("MXFP8_E4M3",),
}

# Members that are the same function as an earlier one, on these formats.
TWINS = {
    # emax + bias and emax + 1 are one number where the bias is 1.
    ("scale-one-too-small", "MXFP4_E2M1"): "scale-subtracts-emax-and-bias",
}

# Themes whose mistake is a choice of the profile: legal in itself, wrong where another choice was promised.
CHOICES = {
    "truncation": (EncodeJudge(element("E2M1"), BINARY32, "smoke"), {"rounding": "toward-zero"}),
    "input-subnormal-flush": (
        QuantizeJudge(block_format("MXFP4_E2M1"), BINARY32, "smoke"),
        {"input_subnormals": "flush"},
    ),
    "scale-rule": (
        QuantizeJudge(block_format("MXFP4_E2M1"), BINARY32, "smoke"),
        {"scale_rule": "EVEN"},
    ),
    "nan-in-block": (
        QuantizeJudge(block_format("MXFP4_E2M1"), BINARY32, "smoke"),
        {"amax_nan": "ignore"},
    ),
    "inf-in-block": (
        QuantizeJudge(block_format("MXFP4_E2M1"), BINARY32, "smoke"),
        {"inf_block": "finite-amax"},
    ),
    "scale-cast": (ScaleCastJudge(E8M0, BINARY32, "smoke"), {"scale_cast": "toward-zero"}),
    "scale-cast-special": (ScaleCastJudge(E8M0, BINARY32, "smoke"), {"scale_zero": "nan"}),
}

# Themes of dot products in which only accumulations differ, and one that does.
ACCUMULATION_CHOICES = {
    "cancellation-depth": "nv-hopper-fp8-wgmma",
    "term-order": "fp32-sequential",
}

SWEEPS = {"every-input", "every-upper-half", "random"}  # stand for no mistake in particular

# Notes that no case carries and no member has, with the reason.
WITHOUT_A_CASE = {
    "overflow-policy": "a whole mode, not a mistake of one input: named as overflow=... by the diagnosis",
    "out-of-binary32": "implementation-defined: its lanes are left out of the judged ones, whatever the theme",
    "nan-sign": "allowed, and no comparison sees it: any NaN code equals any other",
    "bit-order": "only vectors of packed bytes carry it; check does not ask for bytes",
    "scale-place": "only vectors of packed bytes carry it; check does not ask for bytes",
    "int8-minus-128": "both codes are legal: named as int_minimum=... by the diagnosis",
}


@dataclass
class Caught:
    """What came of checking one member."""

    groups: list[Group] = field(default_factory=list)
    themes: set[str] = field(default_factory=set)


def judges_of(member: Reference) -> list[Judge]:
    """The judges of the groups in which a member's mistake can show, a few formats and carriers."""
    found: list[Judge] = []
    if member.operations[0] in PRODUCTS:
        return _product_judges_of(member)
    for operation in member.operations:
        names = [
            name for name in FORMATS[operation] if not member.formats or name in member.formats
        ]
        if operation == "quantize" and member.name != "scale-one-too-small":
            names = names[:1]
        for name in names:
            found += [judge(operation, name, carrier) for carrier in _carriers(member, operation)]
    return found


def _product_judges_of(member: Reference) -> list[Judge]:
    """Matrix products only for what is wrong with them alone: they are few results, and the rows are those of dot."""
    operations = member.operations if member.note == "matrix-row" else member.operations[:2]
    some = [
        product_judge(operation, label, BINARY32, "smoke", True, EXACT)
        for operation in operations
        if operation in PRODUCTS
        for label in PRODUCTS[operation]
    ]
    return [one for one in some if member.touches(one)]


def _carriers(member: Reference, operation: str) -> tuple[str, ...]:
    if (
        member.name == "float-log2-binary64"
    ):  # of a binary32 input, a binary64 logarithm is good enough
        return ("binary64",)
    return (member.carriers or ("binary32",))[:1] if operation == "encode" else ("binary32",)


@cache
def judge(operation: str, name: str, carrier: str) -> Judge:
    numbers = CARRIERS[carrier]
    match operation:
        case "encode":
            return EncodeJudge(element(name), numbers, "core")
        case "decode":
            return DecodeJudge(element(name), numbers)
        case "encode-scaled":
            return ScaledEncodeJudge(block_format(name), numbers, "smoke")
        case "quantize":
            return QuantizeJudge(block_format(name), numbers, "smoke")
        case _:
            return DequantizeJudge(block_format(name), numbers, "smoke")


@cache
def caught(member: Reference) -> Caught:
    """Check one member against the profiles that it could be asked for."""
    found = Caught()
    for one in judges_of(member):
        for profile in (OCP, OVERFLOW) if type(one) is EncodeJudge else (OCP,):
            observed = member.outcome(one, profile)
            wrong = one.compare(observed, profile)[0]
            found.themes |= {one.cases.notes[theme] for theme in np.unique(one.cases.theme[wrong])}
            group = Group(*_names(one), profile)
            nothing = np.zeros(len(one.cases), dtype=bool)
            terms = Terms(profile, True, accumulation=EXACT)
            found.groups.append(judge_group(group, one, observed, nothing, terms))
    return found


def _names(one: Judge) -> tuple[str, str, str]:
    if isinstance(one, ProductJudge):
        return one.operation, one.label, one.carrier.name
    operation = type(one).__name__.removesuffix("Judge").lower()
    blocks = isinstance(one, (QuantizeJudge, DequantizeJudge, ScaledEncodeJudge))
    fmt = one.fmt if blocks else one.element
    return operation, fmt.name, one.carrier.name  # type: ignore[attr-defined]


def names(member: Reference) -> str:
    return member.name


@pytest.mark.parametrize("member", zoo.MEMBERS, ids=names)
def test_a_member_is_caught_and_named(member: Reference) -> None:
    failed = [group for group in caught(member).groups if group.verdict == "FAIL"]
    assert failed, f"{member.name} passes every case"
    for group in failed:
        first = group.hypotheses[0]
        expected = TWINS.get((member.name, group.format), member.name)
        assert (first.name, first.kind, first.complete) == (expected, "mistake", True), group.key
        assert first.note == member.note or (member.name, group.format) in TWINS


@pytest.mark.parametrize("member", zoo.MEMBERS, ids=names)
def test_a_member_that_passes_a_group_is_right_there(member: Reference) -> None:
    for group in caught(member).groups:
        assert group.verdict in ("FAIL", "free", "pass")
        assert group.verdict != "free" or "NaN" in group.clusters[0].first.given.value


@pytest.mark.parametrize("member", zoo.MEMBERS, ids=names)
def test_a_member_is_documented_and_reachable_by_name(member: Reference) -> None:
    assert member.note in NOTES
    assert type(member).__doc__
    assert getattr(zoo, member.name.replace("-", "_")) is member


def test_members_have_names_of_their_own() -> None:
    listed = [member.name for member in zoo.MEMBERS]
    assert len(set(listed)) == len(listed) >= 8
    assert dir(zoo) == sorted(name.replace("-", "_") for name in listed)
    with pytest.raises(AttributeError, match="no member 'none'"):
        zoo.none  # noqa: B018


def test_twins_are_the_same_function() -> None:
    by_name = {member.name: member for member in zoo.MEMBERS}
    for (one, name), other in TWINS.items():
        cases = judge("quantize", name, "binary32")
        assert np.array_equal(by_name[one].outcome(cases, OCP), by_name[other].outcome(cases, OCP))


def test_the_reference_passes_everything() -> None:
    subject = InProcess(zoo.reference)
    run = Run("reference", subject.introduce(), "smoke", None)
    check(subject, run, Filters(carriers=("binary32", "binary16")))
    assert {group.verdict for group in run.groups} == {"pass"}
    assert {group.operation for group in run.groups} == {*FORMATS, *PRODUCT_OPERATIONS}
    assert not any(group.counts["free"] for group in run.groups)
    assert exit_code(run) == 0


@cache
def themes() -> set[str]:
    """Every note that some case of the suite carries."""
    some = [judge("encode", name, "binary32") for name in FORMATS["encode"]]
    some += [judge("encode", "E2M1", "binary16"), EncodeJudge(element("E2M1"), BINARY32, "full")]
    some += [judge("decode", name, "binary32") for name in FORMATS["decode"]]
    some += [judge("quantize", "MXFP8_E4M3", "binary32")]
    some += [judge("dequantize", name, "binary32") for name in FORMATS["dequantize"]]
    some += [ScaleCastJudge(E8M0, BINARY32, "smoke")]
    some += [product_judge(*key, BINARY32, "smoke", True, EXACT) for key in _product_keys()]
    return {one.cases.notes[theme] for one in some for theme in np.unique(one.cases.theme)}


def _product_keys() -> list[tuple[str, str]]:
    return [(operation, label) for operation, labels in PRODUCTS.items() for label in labels]


def killers() -> dict[str, list[str]]:
    """Note to the members that a case with this note catches."""
    return {
        note: [member.name for member in zoo.MEMBERS if note in caught(member).themes]
        for note in sorted(themes())
    }


def test_every_note_that_a_case_carries_catches_its_mistake() -> None:
    found = killers()
    own = {
        note: [
            member.name for member in zoo.MEMBERS if member.note == note and member.name in names
        ]
        for note, names in found.items()
    }
    for note, members in found.items():
        print(f"{note:24} {', '.join(members)}")
    idle = {note for note, members in own.items() if not members}
    assert idle == set(CHOICES) | set(ACCUMULATION_CHOICES) | SWEEPS


@pytest.mark.parametrize("note", CHOICES)
def test_a_note_of_a_choice_tells_the_choices_apart(note: str) -> None:
    one, changes = CHOICES[note]
    other: Profile = OCP.replace(**changes)
    observed = [_outcome(one, profile) for profile in (OCP, other)]
    differs = observed[0] != observed[1]
    rows = differs.any(axis=1) if differs.ndim == 2 else differs
    assert note in {one.cases.notes[theme] for theme in one.cases.theme[rows]}


@pytest.mark.parametrize("note", ACCUMULATION_CHOICES)
def test_a_note_of_accumulations_tells_some_apart(note: str) -> None:
    one = product_judge("dot-general", "MXFP8_E4M3", BINARY32, "smoke", True, EXACT)
    other = one.expected(ACCUMULATIONS[ACCUMULATION_CHOICES[note]])
    differs = one.differ(one.expected(EXACT), other)
    assert note in {one.cases.notes[theme] for theme in one.cases.theme[differs]}


def _outcome(one: Judge, profile: Profile) -> np.ndarray:
    if isinstance(one, ScaleCastJudge):
        return zoo.reference.encode_bits(one.cases.inputs, one.scale, one.carrier, profile)
    return zoo.reference.outcome(one, profile)


def test_every_note_is_a_theme_or_a_diagnosis_or_has_a_reason() -> None:
    diagnoses = {member.note for member in zoo.MEMBERS}
    assert themes() <= set(NOTES)
    assert set(NOTES) - themes() - diagnoses == set(WITHOUT_A_CASE)
